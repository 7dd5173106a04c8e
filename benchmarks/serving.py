"""Requests to shotdap, to pydap's server with the image in memory, and to a server that only sends bytes from memory.

shotdap is a real ``shotdap serve`` of a folder; the static server sends the very bodies that shotdap sent, and so shows
what is possible. All three are one process each. Before anything is timed, the numbers in every answer are compared
with those in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import servers
from clients import Question
from images import ImageFile, open_catalog
from measuring import Case, Contender, Mismatch, Plan

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]

_FILES = (
    ImageFile("streak.hdf", "HDF4", (1100, 1024), deflated=True),
    ImageFile("frame.h5", "HDF5", (2048, 2048), deflated=False),
)
_SIDE = 256  # of a small slice
_CLIENTS = (1, 8)


@dataclass(frozen=True)
class _Request:
    """What is asked of an image, in one protocol."""

    name: str
    suffix: str
    query: str = ""
    part: tuple[slice, slice] | None = None
    """What of the frame the answer holds; nothing where it holds no values."""

    @property
    def is_dap2(self) -> bool:
        return self.suffix in {".dds", ".dods"}

    def target(self, name: str) -> str:
        return f"/{name}{self.suffix}" + (f"?{self.query}" if self.query else "")


def _requests(file: ImageFile, side: int) -> tuple[_Request, ...]:
    height, width = file.shape
    row, corner = height // 2, height // 4
    small = slice(corner, corner + side)
    whole = slice(None)
    square, square_index = f"{side} x {side}", f"[{corner}:{corner + side - 1}]" * 2
    return (
        _Request(".dds", ".dds"),
        _Request("one row, DAP2", ".dods", f"image[{row}][0:{width - 1}]", (slice(row, row + 1), whole)),
        _Request(f"{square}, DAP2", ".dods", f"image{square_index}", (small, small)),
        _Request("full frame, DAP2", ".dods", "image", (whole, whole)),
        _Request(".dmr", ".dmr"),
        _Request(f"{square}, DAP4", ".dap", f"dap4.ce=/image{square_index}", (small, small)),
        _Request("full frame, DAP4", ".dap", "dap4.ce=/image", (whole, whole)),
    )


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Every request for both images, with 1 and with 8 clients."""
    files = [file.shrunk(plan.shrink) for file in _FILES]
    images, arrays, answers = (folder / name for name in ("images", "arrays", "answers"))
    for made in (images, arrays, answers):
        made.mkdir()
    frames = {file.name: _prepared(file, images, arrays) for file in files}
    requests = [(file, request) for file in files for request in _requests(file, _SIDE // plan.shrink)]
    with ExitStack() as stack:
        ours = stack.enter_context(servers.shotdap(images, folder / "shotdap.log"))
        theirs = stack.enter_context(servers.pydap(arrays, folder / "pydap.log"))
        for number, (file, request) in enumerate(requests):
            body = Question(ours, "/dap" + request.target(file.name)).ask().body
            (answers / str(number)).write_bytes(body)
        least = stack.enter_context(servers.static(answers, folder / "static.log"))
        yield [
            _case(f"{file}: {request.name}", questions, clients)
            for number, (file, request) in enumerate(requests)
            for questions in [_questions(file, request, (ours, theirs, least), number)]
            if _checked(request, questions, frames[file.name])
            for clients in _CLIENTS
        ]


def _prepared(file: ImageFile, images: Path, arrays: Path) -> Array:
    """Make a file, and what pydap gets of it: the same variables, in memory. The frame that is asked for."""
    file.write(images)
    dataset = open_catalog(images).open(file.name, chunked=False)
    values = {str(name): np.asarray(variable.values) for name, variable in dataset.variables.items()}
    np.savez(arrays / f"{file.name}.npz", **values)  # type: ignore[arg-type]  # NumPy's stub takes no mapping
    return values["image"]


def _questions(file: ImageFile, request: _Request, ports: tuple[int, int, int], number: int) -> Mapping[str, Question]:
    """Who is asked what; pydap's server speaks DAP2 only."""
    ours, theirs, least = ports
    target = request.target(file.name)
    pydap = {"pydap": Question(theirs, target)} if request.is_dap2 else {}
    return {"shotdap": Question(ours, f"/dap{target}"), **pydap, "static bytes": Question(least, f"/{number}")}


def _case(name: str, questions: Mapping[str, Question], clients: int) -> Case:
    contenders = (
        Contender(who, partial(question.turn, clients, question.ask().length)) for who, question in questions.items()
    )
    return Case(f"{name}, {clients} client{'s' * (clients > 1)}", tuple(contenders))


def _checked(request: _Request, questions: Mapping[str, Question], frame: Array) -> bool:
    """Whether everybody gives the file's numbers.

    Raises:
        Mismatch: somebody does not.
    """
    if request.part is None:
        return True
    decode = _dap2_numbers if request.is_dap2 else _dap4_numbers
    for who, question in questions.items():
        if not np.array_equal(decode(bytes(question.ask().body)), frame[request.part].ravel()):
            raise Mismatch(f"{who} gives other numbers than the file for {request.name}.")
    return True


def _dap2_numbers(body: bytes) -> Array:
    """Decode the only array of a ``.dods`` response: the length twice, then big-endian four-byte words."""
    return np.frombuffer(body.partition(b"\nData:\n")[2], ">i4")[2:]


def _dap4_numbers(body: bytes) -> Array:
    """Decode the only uint16 array of a ``.dap`` response: all chunks after the DMR, without the checksum."""
    chunks = []
    while body:
        size = int.from_bytes(body[1:4], "big")
        chunks.append(body[4 : 4 + size])
        body = body[4 + size :]
    return np.frombuffer(b"".join(chunks[1:])[:-4], "<u2")
