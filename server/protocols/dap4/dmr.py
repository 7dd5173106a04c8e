"""The DMR: the structure and attributes of a dataset, in XML.

Strategy: one generator of lines for each kind of element, over the tree of `build_tree`.

Rule 1: the order of elements is Dimension, variables, Attribute, Group; within a variable Dim, Attribute, Map.
Rule 2: values are in ``<Value>``, the only form in DAP4's grammar that libdap reads. netCDF-C escapes its text once too
often ("&" becomes "&amp;"), drops backslashes, and reads beyond the end of a text that ends with one. So texts with
special characters are in ``value="…"``, too, which netCDF-C and pydap read instead: several of them as lines, as
netCDF-C joins several texts over DAP2, because it reads no other form correctly. The elements are then called
``dap:Value``: libdap uses the namespace, while pydap, which would read the values twice, skips a prefix. An empty text
is ``<Value value=""/>``: pydap reads ``<Value></Value>`` as nothing at all.
Rule 3: netCDF-C rejects unknown elements, and ignores containers of attributes: there are none here.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from shotdap.server.protocols.dap4.dmr_attributes import CHECKSUM_ATTRIBUTE, Attribute
from shotdap.server.protocols.dap4.tree import Group, build_tree
from shotdap.server.protocols.dap4.xml_text import NAMESPACE, PROLOG, escape_xml
from shotdap.transforms.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import xarray as xr

_INDENT = "    "
_SPECIAL_CHARACTERS = re.compile(r"""[&<>"'\\]""")


def render_dmr(dataset: xr.Dataset, name: str, selection: Selection | None = None) -> str:
    """Render the DMR of a narrowed dataset, without reading a value.

    Args:
        dataset: the result of `selection`.
        name: the name of the dataset.
        selection: the constraint that narrowed the dataset; without it, all variables are whole.

    Returns:
        An XML document with its prolog, in ASCII.

    Raises:
        TypeError: a variable has a type that DAP4 does not have.
    """
    return render_tree(build_tree(dataset, name, selection or Selection()))


def render_tree(root: Group, checksums: Sequence[int] = ()) -> str:
    """Render the DMR of a tree, with the checksums as attributes, one for each variable in the order of their data."""
    remaining = iter(checksums)
    lines = [
        f'<Dataset xmlns="{NAMESPACE}" dapVersion="4.0" dmrVersion="2.0" name="{escape_xml(root.name)}">',
        *_indent_lines(_render_members(root, remaining)),
        "</Dataset>",
    ]
    return PROLOG + "\n".join(lines) + "\n"


def _render_members(group: Group, checksums: Iterator[int]) -> Iterator[str]:
    for name, size in group.dimensions.items():
        yield f'<Dimension name="{escape_xml(name)}" size="{size}"/>'
    for variable in group.variables:
        attributes = list(variable.attributes)
        if (checksum := next(checksums, None)) is not None:
            attributes.append(Attribute(CHECKSUM_ATTRIBUTE, "UInt32", (str(checksum),)))
        content = [
            f'<Dim size="{dim.size}"/>' if dim.name is None else f'<Dim name="{escape_xml(dim.name)}"/>'
            for dim in variable.dims
        ]
        content += chain.from_iterable(map(_render_attribute, attributes))
        content += [f'<Map name="{escape_xml(name)}"/>' for name in variable.maps]
        yield from _render_element(variable.type.name, variable.name, content)
    for attribute in group.attributes:
        yield from _render_attribute(attribute)
    for child in group.groups.values():
        yield from _render_element("Group", child.name, _render_members(child, checksums))


def _render_attribute(attribute: Attribute) -> Iterator[str]:
    # netCDF-C 4.10 loses a text of blanks in <Value>.
    is_plain = all(not value.isspace() and not _SPECIAL_CHARACTERS.search(value) for value in attribute.values)
    head = f'<Attribute name="{escape_xml(attribute.name)}" type="{attribute.type}"'
    if is_plain:
        yield f"{head}>"
        for value in attribute.values:
            yield f"{_INDENT}<Value>{escape_xml(value)}</Value>" if value else f'{_INDENT}<Value value=""/>'
    else:
        lines = "\n".join(attribute.values)
        yield f'{head} value="{escape_xml(lines)}" xmlns:dap="{NAMESPACE}">'
        for value in attribute.values:
            yield f"{_INDENT}<dap:Value>{escape_xml(value)}</dap:Value>"
    yield "</Attribute>"


def _render_element(tag: str, name: str, content: Iterable[str]) -> Iterator[str]:
    yield f'<{tag} name="{escape_xml(name)}">'
    yield from _indent_lines(content)
    yield f"</{tag}>"


def _indent_lines(lines: Iterable[str]) -> Iterator[str]:
    return (_INDENT + line for line in lines)
