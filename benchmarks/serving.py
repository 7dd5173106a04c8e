"""Send requests to shotdap, to pydap's server with the image in memory, and to a server of bytes from memory.

shotdap is a real ``shotdap serve`` of a folder; the static server sends the same bodies as shotdap, which shows the
limit. Each is one process. Before anything is timed, the numbers in every response are compared with those in the file.
Full frames are also compared with nginx, if it is installed: with two workers each.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import servers
from clients import HttpRequest
from images import ImageFile, open_catalog
from measuring import Case, Contender, Mismatch, Plan

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]

_FILES = (
    ImageFile("streak.hdf", "HDF4", (1100, 1024), deflated=True),
    ImageFile("frame.h5", "HDF5", (2048, 2048), deflated=False),
)
_SIDE = 256  # of the small slice
_CLIENTS = (1, 8)
_WORKERS = 2  # of shotdap and of nginx
_MANY_CLIENTS = (8, 32)
_WHOLE = (slice(None), slice(None))


@dataclass(frozen=True)
class _Request:
    """A request for an image, in one protocol."""

    name: str
    suffix: str
    query: str = ""
    part: tuple[slice, slice] | None = None
    """The part of the frame that the response contains; nothing if it contains no values."""

    @property
    def is_dap2(self) -> bool:
        return self.suffix in {".dds", ".dods"}

    def format_target(self, name: str) -> str:
        return f"/{name}{self.suffix}" + (f"?{self.query}" if self.query else "")


def _list_requests(file: ImageFile, side: int) -> tuple[_Request, ...]:
    height, width = file.shape
    row, corner = height // 2, height // 4
    small = slice(corner, corner + side)
    whole = _WHOLE[0]
    square, square_index = f"{side} x {side}", f"[{corner}:{corner + side - 1}]" * 2
    return (
        _Request(".dds", ".dds"),
        _Request("one row, DAP2", ".dods", f"image[{row}][0:{width - 1}]", (slice(row, row + 1), whole)),
        _Request(f"{square}, DAP2", ".dods", f"image{square_index}", (small, small)),
        _Request("full frame, DAP2", ".dods", "image", _WHOLE),
        _Request(".dmr", ".dmr"),
        _Request(f"{square}, DAP4", ".dap", f"dap4.ce=/image{square_index}", (small, small)),
        _Request("full frame, DAP4", ".dap", "dap4.ce=/image", _WHOLE),
    )


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield each request for both images, with 1 and with 8 clients."""
    files = [file.shrink(plan.shrink) for file in _FILES]
    images, arrays, answers = (folder / name for name in ("images", "arrays", "answers"))
    for made in (images, arrays, answers):
        made.mkdir()
    frames = {file.name: _write_image(file, images, arrays) for file in files}
    requests = [(file, request) for file in files for request in _list_requests(file, _SIDE // plan.shrink)]
    with ExitStack() as stack:
        ours = stack.enter_context(servers.serve_folder(images, folder / "shotdap.log"))
        theirs = stack.enter_context(servers.serve_by_pydap(arrays, folder / "pydap.log"))
        for number, (file, request) in enumerate(requests):
            body = HttpRequest(ours, "/dap" + request.format_target(file.name)).send().body
            (answers / str(number)).write_bytes(body)
        least = stack.enter_context(servers.serve_bytes(answers, folder / "static.log"))
        beside_nginx: list[Case] = []
        if shutil.which("nginx") is None:
            print("skipped: nginx is not installed, so full frames are not compared with its static files")
        else:
            two = stack.enter_context(servers.serve_folder(images, folder / "two.log", _WORKERS))
            nginx = stack.enter_context(servers.serve_by_nginx(answers, folder / "nginx", _WORKERS))
            beside_nginx = [
                _make_case(
                    f"{file}: {request.name}, {_WORKERS} workers",
                    {
                        "nginx": HttpRequest(nginx, f"/{number}"),
                        "shotdap": HttpRequest(two, f"/dap{request.format_target(file.name)}"),
                    },
                    clients,
                )
                for number, (file, request) in enumerate(requests)
                if request.suffix == ".dap" and request.part == _WHOLE
                for clients in _MANY_CLIENTS
            ]
        yield beside_nginx + [
            _make_case(f"{file}: {request.name}", questions, clients)
            for number, (file, request) in enumerate(requests)
            for questions in [_make_http_requests(file, request, (ours, theirs, least), number)]
            if _check(request, questions, frames[file.name])
            for clients in _CLIENTS
        ]


def _write_image(file: ImageFile, images: Path, arrays: Path) -> Array:
    """Write a file, and its variables for pydap, which keeps them in memory; return the requested frame."""
    file.write(images)
    dataset = open_catalog(images).open(file.name, chunked=False)
    values = {str(name): np.asarray(variable.values) for name, variable in dataset.variables.items()}
    np.savez(arrays / f"{file.name}.npz", **values)  # type: ignore[arg-type]  # NumPy's stub takes no mapping
    return values["image"]


def _make_http_requests(
    file: ImageFile, request: _Request, ports: tuple[int, int, int], number: int
) -> Mapping[str, HttpRequest]:
    """Return the requests by contender; pydap's server speaks only DAP2."""
    ours, theirs, least = ports
    target = request.format_target(file.name)
    pydap = {"pydap": HttpRequest(theirs, target)} if request.is_dap2 else {}
    return {"shotdap": HttpRequest(ours, f"/dap{target}"), **pydap, "static bytes": HttpRequest(least, f"/{number}")}


def _make_case(name: str, questions: Mapping[str, HttpRequest], clients: int) -> Case:
    contenders = (
        Contender(who, partial(question.run_turn, clients, question.send().length))
        for who, question in questions.items()
    )
    return Case(f"{name}, {clients} client{'s' * (clients > 1)}", tuple(contenders))


def _check(request: _Request, questions: Mapping[str, HttpRequest], frame: Array) -> bool:
    """Check that all contenders give the file's numbers.

    Raises:
        Mismatch: a contender gives other numbers.
    """
    if request.part is None:
        return True
    decode = _decode_dap2 if request.is_dap2 else _decode_dap4
    for who, question in questions.items():
        if not np.array_equal(decode(bytes(question.send().body)), frame[request.part].ravel()):
            raise Mismatch(f"{who} gives other numbers than the file for {request.name}.")
    return True


def _decode_dap2(body: bytes) -> Array:
    """Decode the only array of a ``.dods`` response: the length twice, then big-endian four-byte words."""
    return np.frombuffer(body.partition(b"\nData:\n")[2], ">i4")[2:]


def _decode_dap4(body: bytes) -> Array:
    """Decode the only uint16 array of a ``.dap`` response: all chunks after the DMR, without the checksum."""
    chunks = []
    while body:
        size = int.from_bytes(body[1:4], "big")
        chunks.append(body[4 : 4 + size])
        body = body[4 + size :]
    return np.frombuffer(b"".join(chunks[1:])[:-4], "<u2")
