"""A dataset as DAP4 sees it: groups within groups, and what each says of its dimensions.

Strategy: make the whole tree before a line of XML is written; the DMR and the data then walk the same tree in the
same order, and cannot disagree.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is ``image`` in the group ``SHOT`` of ``DATA``; a dimension
lives where its name says, and an attribute of the dataset likewise.
Rule 2: the order of the data is the DMR's: "variables before child groups"; of a group's variables the coordinates
come first, otherwise it is the dataset's order, whatever the constraint's is.
Rule 3: "an explicit slice makes that dimension anonymous; never mix named and anonymous dimensions in one variable":
a variable that was cut names none of its dimensions. A redefined dimension keeps its name, and has its new size.
Rule 4: "Drop a Map whose variable is not in the answer": a Map leads from a whole variable to a whole coordinate in its
group or around it, which is an array and comes earlier (libdap: "The Map '/y' was not found while parsing").
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

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    import xarray as xr

    from shotdap.transforms.selection import Selection

# What the name of an attribute has to look like to be an attribute of a group; any other is one of the root's.
GROUP_ATTRIBUTE = re.compile(r"(?P<group>[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)*)/(?P<name>[^/]+)", re.DOTALL)
WHOLE_SLICES = (slice(None), slice(0, None, 1))


@dataclass(frozen=True)
class Dim:
    """One dimension of a variable: its fully qualified name, or `None` for an anonymous one, and its size."""

    name: str | None
    size: int


@dataclass(frozen=True)
class Variable:
    """One variable: its name within its group, and all that is said of it."""

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
        """Go through the variables in the order of their data."""
        yield from self.variables
        for group in self.groups.values():
            yield from group.walk_variables()

    def ensure_group(self, path: str) -> Group:
        """Give the group at a path below this one, made where it is missing."""
        group = self
        for name in filter(None, path.split("/")):
            group = group.groups.setdefault(name, Group(name))
        return group


def build_tree(dataset: xr.Dataset, name: str, selection: Selection) -> Group:
    """Put a narrowed dataset into groups.

    Args:
        dataset: what `selection` left of a dataset.
        name: what the dataset is called in the DMR.
        selection: says which variables were cut.

    Returns:
        The root group.

    Raises:
        TypeError: a variable has a type that DAP4 does not have.
    """
    root = Group(name)
    view = _DatasetView(dataset, selection)
    for key in sorted(map(str, dataset.variables), key=view.is_data_variable):
        root.ensure_group(_get_parent_path(key)).variables.append(view.build_variable(key, dataset.variables[key]))
    for dim in view.named_dimensions:
        root.ensure_group(_get_parent_path(dim)).dimensions[_get_local_name(dim)] = dataset.sizes[dim]
    for path, attributes in _split_attributes_by_group(dataset, selection, root).items():
        root.ensure_group(path).attributes.extend(encode_attributes(attributes))
    return root


@dataclass(frozen=True)
class _DatasetView:
    """A narrowed dataset, and which of its variables are whole."""

    dataset: xr.Dataset
    selection: Selection

    @cached_property
    def whole_variables(self) -> dict[str, tuple[str, ...]]:
        """The variables whose dimensions have names, and these names."""
        variables = ((str(key), tuple(map(str, array.dims))) for key, array in self.dataset.variables.items())
        return {key: dims for key, dims in variables if not self._is_sliced(key) and _is_in_scope(key, dims)}

    @cached_property
    def named_dimensions(self) -> dict[str, None]:
        return dict.fromkeys(dim for dims in self.whole_variables.values() for dim in dims)

    @cached_property
    def coordinates(self) -> frozenset[str]:
        return frozenset(map(str, self.dataset.coords))

    @cached_property
    def map_candidates(self) -> dict[str, list[tuple[int, str, frozenset[str]]]]:
        """The coordinates that a Map may lead to by their first dimensions: their places, names and dimensions."""
        found: defaultdict[str, list[tuple[int, str, frozenset[str]]]] = defaultdict(list)
        for place, key in enumerate(map(str, self.dataset.coords)):
            if dims := self.whole_variables.get(key):
                found[dims[0]].append((place, key, frozenset(dims)))
        return found

    def is_data_variable(self, key: str) -> bool:
        """Say whether a variable is none of the coordinates."""
        return key not in self.coordinates

    def build_variable(self, key: str, array: xr.Variable) -> Variable:
        kind = _get_variable_type(key, array)
        return Variable(
            name=_get_local_name(key),
            type=kind,
            dims=tuple(self._build_dims(key, array)),
            attributes=tuple(encode_attributes(array.attrs, kind)),
            maps=tuple(self._find_maps(key)),
            array=array,
        )

    def _build_dims(self, key: str, array: xr.Variable) -> Iterator[Dim]:
        for dim, size in zip(array.dims, array.shape, strict=True):
            yield Dim(f"/{dim}" if key in self.whole_variables else None, size)

    def _find_maps(self, key: str) -> Iterator[str]:
        if key in self.coordinates or key not in self.whole_variables:
            return
        dims = set(self.whole_variables[key])
        for _, coordinate, its_dims in sorted(chain.from_iterable(self.map_candidates.get(dim, ()) for dim in dims)):
            if its_dims <= dims and _is_in_scope(key, [coordinate]):
                yield f"/{coordinate}"

    def _is_sliced(self, key: str) -> bool:
        return any(index not in WHOLE_SLICES for index in self.selection.hyperslabs.get(key, ()))


def _get_variable_type(key: str, array: xr.Variable) -> AtomicType:
    try:
        return get_atomic_type(array.dtype)
    except TypeError as error:
        raise TypeError(f"{key}: {error}") from None


def _get_parent_path(key: Hashable) -> str:
    return str(key).rpartition("/")[0]


def _get_local_name(key: Hashable) -> str:
    return str(key).rpartition("/")[2]


def _is_in_scope(key: str, others: Iterable[str]) -> bool:
    """Say whether the others, dimensions or coordinates, live in the variable's group or in one around it."""
    group = f"{_get_parent_path(key)}/"
    return all(group.startswith(other[: other.rfind("/") + 1]) for other in others)


def _split_attributes_by_group(
    dataset: xr.Dataset, selection: Selection, root: Group
) -> Mapping[str, Mapping[str, object]]:
    """Sort the dataset's attributes by the groups they belong to, but for groups that were not selected."""
    present = set(_walk_group_paths(root))
    sorted_: defaultdict[str, dict[str, object]] = defaultdict(dict)
    for key, value in dataset.attrs.items():
        found = GROUP_ATTRIBUTE.fullmatch(str(key))
        if found is None or _is_below_variable(found["group"], dataset):
            sorted_[""][str(key)] = value
        elif not selection.hyperslabs or found["group"] in present or _is_selected(found["group"], selection):
            sorted_[found["group"]][found["name"]] = value
    return sorted_


def _is_selected(path: str, selection: Selection) -> bool:
    """Say whether a group, or one around it, was asked for by its own name."""
    names = path.split("/")
    return any("/".join(names[:depth]) in selection.hyperslabs for depth in range(1, len(names) + 1))


def _is_below_variable(path: str, dataset: xr.Dataset) -> bool:
    names = path.split("/")
    return any("/".join(names[:depth]) in dataset.variables for depth in range(1, len(names) + 1))


def _walk_group_paths(group: Group, above: str = "") -> Iterator[str]:
    for name, child in group.groups.items():
        path = f"{above}{name}"
        yield path
        yield from _walk_group_paths(child, f"{path}/")
