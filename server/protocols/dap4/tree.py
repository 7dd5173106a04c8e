"""The tree of a dataset in DAP4: groups, their variables and dimensions.

Strategy: build the whole tree before any XML; the DMR and the data then walk the same tree in the same order, and
cannot disagree.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is ``image`` in the group ``SHOT`` of ``DATA``; the same
holds for dimensions and for attributes of the dataset.
Rule 2: the order of the data is the DMR's: "variables before child groups"; of a group's variables the coordinates
come first, otherwise it is the dataset's order, whatever the constraint's is.
Rule 3: "an explicit slice makes that dimension anonymous; never mix named and anonymous dimensions in one variable":
all dimensions of a sliced variable are anonymous. A redefined dimension keeps its name, and has its new size.
Rule 4: "Drop a Map whose variable is not in the answer": a Map leads from a whole variable to a whole coordinate in its
group or around it, which is an array and precedes it (libdap: "The Map '/y' was not found while parsing").
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from shotdap.server.protocols.dap4.dmr_attributes import Attribute, encode_attributes
from shotdap.server.protocols.dap4.types import AtomicType, get_atomic_type
from shotdap.server.protocols.variable_names import get_local_name, get_parent_path, list_ancestors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import xarray as xr

    from shotdap.transforms.selection import Selection

# The name of an attribute of a group; any other is an attribute of the root.
_GROUP_ATTRIBUTE = re.compile(r"(?P<group>[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)*)/(?P<name>[^/]+)", re.DOTALL)
_WHOLE_SLICES = (slice(None), slice(0, None, 1))


@dataclass(frozen=True)
class Dim:
    """One dimension of a variable: its fully qualified name, or `None` for an anonymous one, and its size."""

    name: str | None
    size: int


@dataclass(frozen=True)
class Variable:
    """One variable, with its name within its group."""

    name: str
    type: AtomicType
    dims: tuple[Dim, ...]
    attributes: tuple[Attribute, ...]
    maps: tuple[str, ...]
    array: xr.Variable


@dataclass
class Group:
    """One group, the root included: dimensions, variables, attributes and groups in the order of the DMR."""

    name: str
    dimensions: dict[str, int] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)

    def walk_variables(self) -> Iterator[Variable]:
        """Yield the variables in the order of their data."""
        yield from self.variables
        for group in self.groups.values():
            yield from group.walk_variables()

    def ensure_group(self, path: str) -> Group:
        """Return the group at a path below this one; create it if it is missing."""
        group = self
        for name in filter(None, path.split("/")):
            group = group.groups.setdefault(name, Group(name))
        return group


def build_tree(dataset: xr.Dataset, name: str, selection: Selection) -> Group:
    """Build the tree of a narrowed dataset.

    Args:
        dataset: the result of `selection`.
        name: the name of the dataset in the DMR.
        selection: the constraint that narrowed the dataset.

    Returns:
        The root group.

    Raises:
        TypeError: a variable has a type that DAP4 does not have.
    """
    root = Group(name)
    view = _DatasetView(dataset, selection)
    for key in sorted(map(str, dataset.variables), key=view.is_data_variable):
        root.ensure_group(get_parent_path(key)).variables.append(view.build_variable(key, dataset.variables[key]))
    for dim in view.named_dimensions:
        root.ensure_group(get_parent_path(dim)).dimensions[get_local_name(dim)] = dataset.sizes[dim]
    existing = set(_walk_group_paths(root))
    attributes_by_group: defaultdict[str, dict[str, object]] = defaultdict(dict)
    for attribute, value in dataset.attrs.items():
        match = _GROUP_ATTRIBUTE.fullmatch(str(attribute))
        paths = list_ancestors(match["group"]) if match else ()
        if match is None or any(path in dataset.variables for path in paths):  # no group is below a variable
            attributes_by_group[""][str(attribute)] = value
        elif (  # groups that were not selected have no attributes
            not selection.hyperslabs
            or match["group"] in existing
            or any(path in selection.hyperslabs for path in paths)
        ):
            attributes_by_group[match["group"]][match["name"]] = value
    for path, attributes in attributes_by_group.items():
        root.ensure_group(path).attributes.extend(encode_attributes(attributes))
    return root


@dataclass(frozen=True)
class _DatasetView:
    """A narrowed dataset and its constraint."""

    dataset: xr.Dataset
    selection: Selection

    @cached_property
    def whole_variables(self) -> dict[str, tuple[str, ...]]:
        """The named dimensions of variables without a slice, by rule 3."""
        variables = ((str(key), tuple(map(str, array.dims))) for key, array in self.dataset.variables.items())
        hyperslabs = self.selection.hyperslabs
        return {
            key: dims
            for key, dims in variables
            if all(index in _WHOLE_SLICES for index in hyperslabs.get(key, ())) and _is_in_scope(key, dims)
        }

    @cached_property
    def named_dimensions(self) -> dict[str, None]:
        return dict.fromkeys(dim for dims in self.whole_variables.values() for dim in dims)

    @cached_property
    def coordinates(self) -> frozenset[str]:
        return frozenset(map(str, self.dataset.coords))

    @cached_property
    def map_candidates(self) -> dict[str, list[tuple[int, str, frozenset[str]]]]:
        """Coordinates that can be a Map, by their first dimensions: position, name and dimensions."""
        candidates: defaultdict[str, list[tuple[int, str, frozenset[str]]]] = defaultdict(list)
        for place, key in enumerate(map(str, self.dataset.coords)):
            if dims := self.whole_variables.get(key):
                candidates[dims[0]].append((place, key, frozenset(dims)))
        return candidates

    def is_data_variable(self, key: str) -> bool:
        """Check whether a variable is no coordinate."""
        return key not in self.coordinates

    def build_variable(self, key: str, array: xr.Variable) -> Variable:
        """Build the description of a variable."""
        try:
            kind = get_atomic_type(array.dtype)
        except TypeError as error:
            raise TypeError(f"{key}: {error}") from None
        is_named = key in self.whole_variables
        maps: list[str] = []
        if is_named and key not in self.coordinates:
            dims = set(self.whole_variables[key])
            candidates = sorted(chain.from_iterable(self.map_candidates.get(dim, ()) for dim in dims))
            maps = [f"/{name}" for _, name, its_dims in candidates if its_dims <= dims and _is_in_scope(key, [name])]
        return Variable(
            name=get_local_name(key),
            type=kind,
            dims=tuple(
                Dim(f"/{dim}" if is_named else None, size) for dim, size in zip(array.dims, array.shape, strict=True)
            ),
            attributes=tuple(encode_attributes(array.attrs, kind)),
            maps=tuple(maps),
            array=array,
        )


def _is_in_scope(key: str, others: Iterable[str]) -> bool:
    """Check whether the others, dimensions or coordinates, are in the group of the variable or in one around it."""
    group = f"{get_parent_path(key)}/"
    return all(group.startswith(other[: other.rfind("/") + 1]) for other in others)


def _walk_group_paths(group: Group, above: str = "") -> Iterator[str]:
    for name, child in group.groups.items():
        path = f"{above}{name}"
        yield path
        yield from _walk_group_paths(child, f"{path}/")
