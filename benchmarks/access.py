"""Send small requests to an open server, and to a closed one that looks at tokens and rules and writes an audit.

Both servers serve the same catalog. A rule of the closed one grants the images of one campaign to the token's user.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import servers
from archives import make_archive
from clients import HttpRequest
from images import ImageFile
from measuring import Figure, Mismatch, Plan, Turn

__all__ = ["play"]

_FILE = ImageFile("frame", "HDF5", (1024, 1024), deflated=False)
_RULES = """
[audit]
file = "audit.jsonl"
[[access.rules]]
groups = ["staff"]
facts = { facility = "OMEGA" }
shots = { from = 0 }
"""
_CLIENTS = (1, 8)
_GOAL = "<= 0.15"


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Measure an answer without values, and a slice, with one worker each."""
    (folder / "files").mkdir()
    file = _FILE.shrink(plan.shrink)
    file.write(folder / "files")
    settings = make_archive(folder, [file.name])["catalog"]
    closed = settings.with_name("closed.toml")
    closed.write_text(settings.read_text() + _RULES)
    token = servers.run_command("token", "create", "ann", "--group", "staff", "--config", str(closed)).strip()
    side = file.shape[0] // 4
    part = f"[{side}:{2 * side - 1}]" * 2
    with ExitStack() as stack:
        ours = stack.enter_context(servers.serve_site(settings, folder / "open.log"))
        theirs = stack.enter_context(servers.serve_site(closed, folder / "closed.log", is_open=False))
        return [
            figure
            for name, suffix in ((".dds", ".dds"), (f"{side} x {side}, DAP2", f".dods?image{part}"))
            for clients in _CLIENTS
            for figure in _compare(
                f"{name}, {clients} client{'s' * (clients > 1)}",
                HttpRequest(ours.port, f"/dap/{file.name}{suffix}"),
                HttpRequest(theirs.port, f"/dap/{file.name}{suffix}", token),
                clients,
                plan,
            )
        ]


def _compare(case: str, ours: HttpRequest, theirs: HttpRequest, clients: int, plan: Plan) -> Iterator[Figure]:
    """Yield the time of one request, a thousandth of that of a thousand if there are many clients.

    Raises:
        Mismatch: the servers send different bodies.
    """
    answers = [each.send() for each in (ours, theirs)]
    if answers[0].body != answers[1].body:
        raise Mismatch(f"The closed server sends another body than the open one: {case}.")
    lengths = [answer.length for answer in answers]
    for each, length in zip((ours, theirs), lengths, strict=True):
        each.run_turn(clients, length, plan.seconds)
    rounds = [
        [
            _compute_time(each.run_turn(clients, length, plan.seconds))
            for each, length in zip((ours, theirs), lengths, strict=True)
        ]
        for _ in range(plan.rounds)
    ]
    yield Figure(case, "open", median(each for each, _ in rounds), "ms")
    yield Figure(case, "closed", median(each for _, each in rounds), "ms")
    yield Figure(case, "token, rules and audit", median(b - a for a, b in rounds), "ms", _GOAL)


def _compute_time(turn: Turn) -> float:
    """Return the milliseconds of one request, however many were under way."""
    return 1e3 * turn.elapsed / len(turn.each)
