"""DAP4: text → `Selection`, dataset → DMR and data. No I/O, no web framework, no catalog.

A route needs five lines of it::

    query = dap4.parse_query(query_string)
    selection = dap4.parse_constraint(query.expression)
    narrowed = selection.apply(dataset)
    body = dap4.encode_body(narrowed.load(), name, selection, checksum=query.checksum)
    # Content-Type: dap4.MEDIA_TYPES[".dap"]; Content-Length: body.size; then the blocks of iter(body)
"""

from __future__ import annotations

from shotdap.server.http.blocks import Block
from shotdap.server.protocols.dap4.chunks import encode_error_chunk
from shotdap.server.protocols.dap4.constraint import parse_constraint
from shotdap.server.protocols.dap4.data import EncodedBody, encode_body
from shotdap.server.protocols.dap4.dmr import render_dmr
from shotdap.server.protocols.dap4.error import render_error
from shotdap.server.protocols.dap4.media_types import ERROR_MEDIA_TYPE, MEDIA_TYPES
from shotdap.server.protocols.dap4.query_string import ParsedQuery, parse_query
from shotdap.server.protocols.dap4.services import render_services
from shotdap.server.protocols.dap4.tree import build_tree

__all__ = [
    "ERROR_MEDIA_TYPE",
    "MEDIA_TYPES",
    "Block",
    "EncodedBody",
    "ParsedQuery",
    "build_tree",
    "encode_body",
    "encode_error_chunk",
    "parse_constraint",
    "parse_query",
    "render_dmr",
    "render_error",
    "render_services",
]
