"""DAP2: constraint expressions → ``Constraint``; datasets → DDS, DAS and ``.dods``. Pure: no I/O, no web framework.

A route takes five steps, in this order (`adapt_dataset` once for each opened dataset, if it keeps the result)::

    constraint = dap2.parse_constraint(query)  # text only; BadSelection
    adapted = dap2.adapt_dataset(dataset)      # depends on the dataset, never on the constraint
    narrowed = constraint.narrow(adapted)      # BadSelection
    narrowed = narrowed.compute()              # everything that can fail happens here, before the status line
    size, blocks = dap2.compute_body_size(narrowed, name), dap2.encode_body(narrowed, name)

One idea a module: ``constraint`` (parsing), ``constraint_model`` (narrowing), ``filters`` (selections by value),
``functions`` (for calls in a constraint), ``promotion`` (the table of types), ``adaptation``, ``original_names`` (the
inverse of adaptation), ``dds``, ``das``, ``data`` (XDR), ``ascii``, ``response_headers`` (media types, errors),
``text`` (names and escapes).
"""

from __future__ import annotations

from shotdap.server.http.blocks import Block
from shotdap.server.protocols.dap2.adaptation import adapt_dataset
from shotdap.server.protocols.dap2.ascii import render_ascii
from shotdap.server.protocols.dap2.constraint import parse_constraint
from shotdap.server.protocols.dap2.constraint_model import Constraint, FunctionCall, Projection
from shotdap.server.protocols.dap2.das import render_das
from shotdap.server.protocols.dap2.data import compute_body_size, encode_body
from shotdap.server.protocols.dap2.dds import render_dds
from shotdap.server.protocols.dap2.functions import FUNCTIONS, Function
from shotdap.server.protocols.dap2.original_names import restore_dataset
from shotdap.server.protocols.dap2.response_headers import (
    PROTOCOL_VERSION,
    RESPONSE_HEADERS,
    ResponseHeaders,
    render_error,
)

__all__ = [
    "FUNCTIONS",
    "PROTOCOL_VERSION",
    "RESPONSE_HEADERS",
    "Block",
    "Constraint",
    "Function",
    "FunctionCall",
    "Projection",
    "ResponseHeaders",
    "adapt_dataset",
    "compute_body_size",
    "encode_body",
    "parse_constraint",
    "render_ascii",
    "render_das",
    "render_dds",
    "render_error",
    "restore_dataset",
]
