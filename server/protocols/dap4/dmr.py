"""The DMR: a dataset's structure and attributes, in XML.

Strategy: one generator of lines for each kind of element, over the tree that `arrange` made.

Rule 1: the order of elements is Dimension, variables, Attribute, Group; within a variable Dim, Attribute, Map.
Rule 2: values stand in ``<Value>``, the one form that libdap reads. netCDF-C however escapes its text once too often
("&" arrives as "&amp;") and drops backslashes; so a text that is not plain stands in ``value="…"`` where it is
the only one. An empty text always does: pydap reads ``<Value></Value>`` as nothing at all.
Rule 3: netCDF-C rejects elements it does not know, and ignores containers of attributes: there are none here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shotdap.server.protocols.dap4.attributes import CHECKSUM, Attribute
from shotdap.server.protocols.dap4.text import NAMESPACE, PROLOG, escaped
from shotdap.server.protocols.dap4.tree import Dim, Group, Variable, arrange
from shotdap.transforms.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import xarray as xr

__all__ = ["dmr", "write"]

INDENT = "    "
PLAIN = re.compile(r"""[^\s&<>"'\\](?:[^&<>"'\\]*[^\s&<>"'\\])?""")  # arrives as it is from ``<Value>`` everywhere


def dmr(dataset: xr.Dataset, name: str, selection: Selection | None = None) -> str:
    """Describe a narrowed dataset, without reading a value.

    Args:
        dataset: what `selection` left of a dataset.
        name: what the dataset is called.
        selection: says which variables were cut; none were where it is left out.

    Returns:
        An XML document, all of it ASCII, from the prolog on.

    Raises:
        TypeError: a variable has a type that DAP4 does not have.
    """
    return write(arrange(dataset, name, selection or Selection()))


def write(root: Group, checksums: Sequence[int] = ()) -> str:
    """Describe a tree; with checksums, one for each variable in the order of their data, these as attributes."""
    marks = iter(checksums)
    lines = [
        f'<Dataset xmlns="{NAMESPACE}" dapVersion="4.0" dmrVersion="2.0" name="{escaped(root.name)}">',
        *_indented(_members(root, marks)),
        "</Dataset>",
    ]
    return PROLOG + "\n".join(lines) + "\n"


def _members(group: Group, marks: Iterator[int]) -> Iterator[str]:
    for name, size in group.dimensions.items():
        yield f'<Dimension name="{escaped(name)}" size="{size}"/>'
    for variable in group.variables:
        yield from _variable(variable, next(marks, None))
    for attribute in group.attributes:
        yield from _attribute(attribute)
    for child in group.groups.values():
        yield from _element("Group", child.name, _members(child, marks))


def _variable(variable: Variable, checksum: int | None) -> Iterator[str]:
    return _element(variable.type.name, variable.name, _details(variable, checksum))


def _details(variable: Variable, checksum: int | None) -> Iterator[str]:
    yield from map(_dim, variable.dims)
    for attribute in variable.attributes:
        yield from _attribute(attribute)
    if checksum is not None:
        yield from _attribute(Attribute(CHECKSUM, "UInt32", (str(checksum),)))
    for name in variable.maps:
        yield f'<Map name="{escaped(name)}"/>'


def _dim(dim: Dim) -> str:
    return f'<Dim size="{dim.size}"/>' if dim.name is None else f'<Dim name="{escaped(dim.name)}"/>'


def _attribute(attribute: Attribute) -> Iterator[str]:
    head = f'<Attribute name="{escaped(attribute.name)}" type="{attribute.type}"'
    if len(attribute.values) == 1 and not PLAIN.fullmatch(attribute.values[0]):
        yield f'{head} value="{escaped(attribute.values[0])}"/>'
        return
    yield f"{head}>"
    yield from map(_value, attribute.values)
    yield "</Attribute>"


def _value(value: str) -> str:
    return f"{INDENT}<Value>{escaped(value)}</Value>" if value else f'{INDENT}<Value value=""/>'


def _element(tag: str, name: str, content: Iterable[str]) -> Iterator[str]:
    yield f'<{tag} name="{escaped(name)}">'
    yield from _indented(content)
    yield f"</{tag}>"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (INDENT + line for line in lines)
