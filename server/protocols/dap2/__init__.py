"""DAP2: constraint expressions → ``Selection``; datasets → DDS, DAS and ``.dods``. Pure: no I/O, no web framework.

A route takes five steps, in this order (`adapt` once for each opened dataset, if it keeps the outcome)::

    selection = dap2.parse(query)          # text only; BadSelection
    adapted = dap2.adapt(dataset)          # what DAP2 can carry; depends on the dataset, never on the constraint
    narrowed = selection.apply(adapted)    # BadSelection
    narrowed = narrowed.compute()          # all that can fail happens here, before the status line
    size, blocks = dap2.body_size(narrowed, name), dap2.body(narrowed, name)

One idea a module: ``constraint`` (parsing), ``promotion`` (the table of types), ``adaptation``, ``structure`` (DDS),
``attributes`` (DAS), ``data`` (XDR), ``answers`` (media types, errors), ``text`` (names and escapes).
"""

from __future__ import annotations

from shotdap.server.protocols.dap2.adaptation import adapt
from shotdap.server.protocols.dap2.answers import ANSWERS, VERSION, Answer, error
from shotdap.server.protocols.dap2.attributes import das
from shotdap.server.protocols.dap2.constraint import parse
from shotdap.server.protocols.dap2.data import Block, body, body_size
from shotdap.server.protocols.dap2.structure import dds

__all__ = [
    "ANSWERS",
    "VERSION",
    "Answer",
    "Block",
    "adapt",
    "body",
    "body_size",
    "das",
    "dds",
    "error",
    "parse",
]
