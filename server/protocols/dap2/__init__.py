"""DAP2: constraint expressions → ``Constraint``; datasets → DDS, DAS and ``.dods``. Pure: no I/O, no web framework.

A route takes five steps, in this order (`adapt` once for each opened dataset, if it keeps the outcome)::

    constraint = dap2.parse(query)         # text only; BadSelection
    adapted = dap2.adapt(dataset)          # what DAP2 can carry; depends on the dataset, never on the constraint
    narrowed = constraint.narrow(adapted)  # BadSelection
    narrowed = narrowed.compute()          # all that can fail happens here, before the status line
    size, blocks = dap2.body_size(narrowed, name), dap2.body(narrowed, name)

One idea a module: ``expression`` (parsing), ``constraint`` (narrowing), ``filters`` (selections by value),
``functions`` (what a constraint can call), ``promotion`` (the table of types), ``adaptation``, ``structure`` (DDS),
``attributes`` (DAS), ``data`` (XDR), ``answers`` (media types, errors), ``text`` (names and escapes).
"""

from __future__ import annotations

from shotdap.server.protocols.dap2.adaptation import adapt
from shotdap.server.protocols.dap2.ascii import ascii_text
from shotdap.server.protocols.dap2.constraint import Call, Constraint, Piece
from shotdap.server.protocols.dap2.das import das
from shotdap.server.protocols.dap2.data import Block, body, body_size
from shotdap.server.protocols.dap2.dds import dds
from shotdap.server.protocols.dap2.expression import parse
from shotdap.server.protocols.dap2.functions import FUNCTIONS, Function
from shotdap.server.protocols.dap2.media_types import ANSWERS, VERSION, Answer, error
from shotdap.server.protocols.dap2.original_names import restored

__all__ = [
    "ANSWERS",
    "FUNCTIONS",
    "VERSION",
    "Answer",
    "Block",
    "Call",
    "Constraint",
    "Function",
    "Piece",
    "adapt",
    "ascii_text",
    "body",
    "body_size",
    "das",
    "dds",
    "error",
    "parse",
    "restored",
]
