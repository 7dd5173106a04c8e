"""The DMR: a dataset's structure and attributes, in XML.

Strategy: one generator of lines for each kind of element, over the tree that `build_tree` made.

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

from shotdap.server.protocols.dap4.dmr_attributes import CHECKSUM_ATTRIBUTE, Attribute
from shotdap.server.protocols.dap4.tree import Dim, Group, Variable, build_tree
from shotdap.server.protocols.dap4.xml_text import NAMESPACE, PROLOG, escape_xml
from shotdap.transforms.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import xarray as xr

INDENT = "    "
SPECIAL_CHARACTERS = re.compile(r"""[&<>"'\\]""")


def render_dmr(dataset: xr.Dataset, name: str, selection: Selection | None = None) -> str:
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
    return render_tree(build_tree(dataset, name, selection or Selection()))


def render_tree(root: Group, checksums: Sequence[int] = ()) -> str:
    """Describe a tree; with checksums, one for each variable in the order of their data, these as attributes."""
    marks = iter(checksums)
    lines = [
        f'<Dataset xmlns="{NAMESPACE}" dapVersion="4.0" dmrVersion="2.0" name="{escape_xml(root.name)}">',
        *_indent_lines(_render_members(root, marks)),
        "</Dataset>",
    ]
    return PROLOG + "\n".join(lines) + "\n"


def _render_members(group: Group, marks: Iterator[int]) -> Iterator[str]:
    for name, size in group.dimensions.items():
        yield f'<Dimension name="{escape_xml(name)}" size="{size}"/>'
    for variable in group.variables:
        yield from _variable(variable, next(marks, None))
    for attribute in group.attributes:
        yield from _render_attribute(attribute)
    for child in group.groups.values():
        yield from _render_element("Group", child.name, _render_members(child, marks))


def _variable(variable: Variable, checksum: int | None) -> Iterator[str]:
    return _render_element(variable.type.name, variable.name, _render_variable_content(variable, checksum))


def _render_variable_content(variable: Variable, checksum: int | None) -> Iterator[str]:
    yield from map(_render_dimension, variable.dims)
    for attribute in variable.attributes:
        yield from _render_attribute(attribute)
    if checksum is not None:
        yield from _render_attribute(Attribute(CHECKSUM_ATTRIBUTE, "UInt32", (str(checksum),)))
    for name in variable.maps:
        yield f'<Map name="{escape_xml(name)}"/>'


def _render_dimension(dim: Dim) -> str:
    return f'<Dim size="{dim.size}"/>' if dim.name is None else f'<Dim name="{escape_xml(dim.name)}"/>'


def _render_attribute(attribute: Attribute) -> Iterator[str]:
    head = f'<Attribute name="{escape_xml(attribute.name)}" type="{attribute.type}"'
    if all(map(_is_plain, attribute.values)):
        yield f"{head}>"
        for value in attribute.values:
            yield f"{INDENT}<Value>{escape_xml(value)}</Value>" if value else f'{INDENT}<Value value=""/>'
    else:
        lines = "\n".join(attribute.values)
        yield f'{head} value="{escape_xml(lines)}" xmlns:dap="{NAMESPACE}">'
        for value in attribute.values:
            yield f"{INDENT}<dap:Value>{escape_xml(value)}</dap:Value>"
    yield "</Attribute>"


def _is_plain(value: str) -> bool:
    """Return whether every client reads a text from ``<Value>`` as it is; netCDF-C 4.10 loses one of blanks alone."""
    return not value.isspace() and SPECIAL_CHARACTERS.search(value) is None


def _render_element(tag: str, name: str, content: Iterable[str]) -> Iterator[str]:
    yield f'<{tag} name="{escape_xml(name)}">'
    yield from _indent_lines(content)
    yield f"</{tag}>"


def _indent_lines(lines: Iterable[str]) -> Iterator[str]:
    return (INDENT + line for line in lines)
