"""The DMR: a dataset's structure and attributes, in XML.

Strategy: one generator of lines for each kind of element, over the tree that `arrange` made.

Rule 1: the order of elements is Dimension, variables, Attribute, Group; within a variable Dim, Attribute, Map.
Rule 2: values are in ``<Value>``, the one form that DAP4's grammar has and that libdap reads. netCDF-C escapes its text
once too often ("&" arrives as "&amp;"), drops backslashes, and reads beyond the end of a text that ends with one. So
texts that are not plain are in ``value="…"`` too, which netCDF-C and pydap read instead: several of them in lines, as
netCDF-C joins several texts over DAP2, because there is no other form for them that it reads right. The elements are
then called ``dap:Value``: libdap goes by the namespace, while pydap, which would read the values twice, skips a prefix.
An empty text is ``<Value value=""/>``: pydap reads ``<Value></Value>`` as nothing at all.
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
SPECIAL = re.compile(r"""[&<>"'\\]""")


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
    if all(map(_is_plain, attribute.values)):
        yield f"{head}>"
        for value in attribute.values:
            yield f"{INDENT}<Value>{escaped(value)}</Value>" if value else f'{INDENT}<Value value=""/>'
    else:
        lines = "\n".join(attribute.values)
        yield f'{head} value="{escaped(lines)}" xmlns:dap="{NAMESPACE}">'
        for value in attribute.values:
            yield f"{INDENT}<dap:Value>{escaped(value)}</dap:Value>"
    yield "</Attribute>"


def _is_plain(value: str) -> bool:
    """Return whether every client reads a text from ``<Value>`` as it is; netCDF-C 4.10 loses one of blanks alone."""
    return not value.isspace() and SPECIAL.search(value) is None


def _element(tag: str, name: str, content: Iterable[str]) -> Iterator[str]:
    yield f'<{tag} name="{escaped(name)}">'
    yield from _indented(content)
    yield f"</{tag}>"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (INDENT + line for line in lines)
