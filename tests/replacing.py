"""Files of every format that are replaced and rewritten while a server reads them, and a check of its responses.

Strategy: each file has several versions, made beforehand. All values of a version are one number: 10, 20, ….
So a response with two numbers mixes two versions, whatever its protocol is. The versions of most files
have the same size and the same structure: only the time of the file shows that it changed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

import h5py
import httpx
import netCDF4
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from tests.catalog.readers.hdf4_writer import DEFLATE, Layout, sds_file
from tests.server.wire import parse_dap2_values, parse_dap4_chunks

__all__ = ["FORMATS", "Outcome", "changing", "send_requests", "write_versions"]

Array = NDArray[Any]

VERSIONS: Final = tuple(range(10, 70, 10))
SHAPE: Final = (2, 90, 120)  # image and background
_PAUSE: Final = 0.002  # seconds in the middle of rewriting a file
_LONGEST_PAUSE: Final = 0.01  # half of the time that a server waits for the rest of a file
FORMATS: Final = (
    "packed.hdf", "plain.hdf", "packed.h5", "plain.h5", "classic.nc", "packed.tif", "plain.tif", "picture.png",
    "picture.jpg", "document.json", "packed.h5.gz", "plain.tif.gz",
)  # fmt: skip


def _write(path: Path, number: int) -> None:  # noqa: C901 — a branch for each format
    """Write one version of the file with this name."""
    stack = np.full(SHAPE, number, "u2")
    kind = path.name.removesuffix(".gz")
    if kind.endswith(".hdf"):
        with sds_file(path) as file:
            for name, frame in zip(("image", "background"), stack, strict=True):
                if kind.startswith("packed"):
                    file.put(name, frame, Layout(DEFLATE, 6, chunk=(30, 120)))
                else:
                    file.put(name, frame)
    elif kind.endswith(".h5"):
        options: dict[str, Any] = {"chunks": (30, 120), "compression": "gzip"} if kind.startswith("packed") else {}
        with h5py.File(path, "w", track_order=False) as h5:
            for name, frame in zip(("image", "background"), stack, strict=True):
                h5.create_dataset(name, data=frame, track_times=False, **options)
    elif kind.endswith(".nc"):
        with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as nc:
            nc.createDimension("y", SHAPE[1])
            nc.createDimension("x", SHAPE[2])
            for name, frame in zip(("image", "background"), stack, strict=True):
                nc.createVariable(name, "i4", ("y", "x"))[:] = frame
    elif kind.endswith(".tif"):
        how = "deflate" if kind.startswith("packed") else None
        tifffile.imwrite(path, stack, photometric="minisblack", metadata=None, compression=how)
    elif kind.endswith(".json"):
        names = ("image", "background")
        path.write_text(json.dumps({name: {"data": frame.tolist()} for name, frame in zip(names, stack, strict=True)}))
    else:
        Image.fromarray(stack[0].astype("u1")).save(path, format="PNG" if kind.endswith("png") else "JPEG")
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def write_versions(folder: Path, aside: Path) -> dict[str, dict[int, bytes]]:
    """Write the first version of every file into a folder; return all versions of each by their numbers."""
    versions: dict[str, dict[int, bytes]] = {}
    for name in FORMATS:
        for number in VERSIONS:
            draft = aside / name
            draft.unlink(missing_ok=True)
            _write(draft, number)
            versions.setdefault(name, {})[number] = draft.read_bytes()
        (folder / name).write_bytes(versions[name][VERSIONS[0]])
    return versions


def _change(folder: Path, versions: Mapping[str, Mapping[int, bytes]], seed: int) -> tuple[str, float, float]:
    """Change a random file in one of three ways; return its name, and the times of the begin and the end."""
    chance = random.Random(seed)  # noqa: S311 — no secret
    name = chance.choice(FORMATS)
    content = versions[name][chance.choice(VERSIONS)]
    path, draft = folder / name, folder.parent / "draft"
    how = chance.choice(("rename", "rename", "truncate", "overwrite"))
    begun = time.monotonic()
    if how == "rename":
        draft.write_bytes(content)
        draft.replace(path)
    else:
        half = len(content) // 2
        with path.open("wb" if how == "truncate" else "r+b", buffering=0) as file:
            file.write(content[:half])
            time.sleep(_PAUSE)  # a concurrent reader gets half of each version
            file.write(content[half:])
            file.truncate()
    return name, begun, time.monotonic()


def _change_repeatedly(
    folder: Path, versions: Mapping[str, Mapping[int, bytes]], seconds: float, told: Connection
) -> None:
    """Change files until a message arrives; send back which changes were delayed so long that a reader can notice."""
    slow: list[tuple[str, float, float]] = []
    seed = 0
    while not told.poll(seconds):
        seed += 1
        name, begun, ended = _change(folder, versions, seed)
        if ended - begun > _LONGEST_PAUSE:
            slow.append((name, begun, ended))
    told.send((seed, slow))


@contextmanager
def changing(
    folder: Path, versions: Mapping[str, Mapping[int, bytes]], seconds: float, outcome: Outcome
) -> Iterator[None]:
    """Change files in another process while the block lasts, with a pause of some seconds between two changes.

    If that process was delayed in the middle of rewriting a file, for longer than a server waits for it, a reader got
    half of each version: a response of that time does not count as mixed.
    """
    ours, theirs = Pipe()
    arguments = (folder, versions, seconds, theirs)
    process = get_context("spawn").Process(target=_change_repeatedly, args=arguments)
    process.start()
    try:
        yield
    finally:
        ours.send("stop")
        outcome.changes, slow = ours.recv()
        process.join()
    outcome.mixed[:] = [
        answer
        for answer in outcome.mixed
        if not any(answer.name == name and answer.begun < end + 1 and answer.ended > begin for name, begin, end in slow)
    ]


class BadResponse(NamedTuple):
    """An incorrect response."""

    name: str
    """The name of the file."""
    told: str
    begun: float
    ended: float


@dataclass
class Outcome:
    """The outcome of many requests."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Number of responses by route and status; status 0 is a connection that ended early."""
    mixed: list[BadResponse] = field(default_factory=list)
    """Responses of status 200 with values of several versions, or of none."""
    contents: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """The hashes of the bodies, by target and strong ETag."""
    changes: int = 0
    """Number of changes of files meanwhile."""
    surprises: list[str] = field(default_factory=list)
    """Refusals that neither ask to retry nor say that a file, whose writer is delayed, is truncated."""

    @property
    def count(self) -> int:
        """The number of responses."""
        return self.answers.total()

    @property
    def statuses(self) -> Counter[int]:
        """The number of responses by status."""
        found: Counter[int] = Counter()
        for (_, status), number in self.answers.items():
            found[status] += number
        return found

    @property
    def ambiguous(self) -> list[tuple[str, str]]:
        """The targets and strong ETags with several contents."""
        return [key for key, contents in self.contents.items() if len(contents) > 1]


def _find_numbers(array: Array) -> set[float]:
    return {float(each) for each in np.unique(array)}


def _find_in_frames(arrays: Mapping[str, Array]) -> set[float]:
    """Return the numbers in all arrays of pixels."""
    return set[float]().union(*(_find_numbers(array) for array in arrays.values() if array.ndim > 1))


def _find_in_hdf5(body: bytes) -> set[float]:
    with h5py.File(io.BytesIO(body)) as file:
        return _find_in_frames({name: each[...] for name, each in file.items()})


def _find_in_netcdf(body: bytes) -> set[float]:
    with netCDF4.Dataset("answer", memory=body) as file:
        return _find_in_frames({name: np.asarray(each[...]) for name, each in file.variables.items()})


def _find_in_dap4(body: bytes) -> set[float]:
    """Return the numbers of a response with one array, which is followed by its checksum."""
    (_, dmr), *data = parse_dap4_chunks(body)
    kind = next(kind for kind in _DAP4_TYPES if b"<%s name=" % kind in dmr)
    return _find_numbers(np.frombuffer(b"".join(content for _, content in data)[:-4], _DAP4_TYPES[kind]))


def _load_npz(body: bytes) -> dict[str, Array]:
    with np.load(io.BytesIO(body)) as members:
        return {name: each for name in members.files if isinstance(each := members[name], np.ndarray)}


def _find_in_text(body: bytes) -> set[float]:
    lines = re.findall(r"^\[\d+\].*?, (.*)$", body.decode(), re.MULTILINE)
    return {float(number) for line in lines for number in line.split(", ")}


def _find_in_statistics(body: bytes) -> set[float]:
    found = json.loads(body)
    return {float(found[each]) for each in ("minimum", "maximum", "mean")}


def _find_in_picture(body: bytes) -> set[float]:
    """Return a version's number if the picture has one level; several levels mean a mixed picture."""
    with Image.open(io.BytesIO(body)) as picture:
        return {10.0} if len(np.unique(np.asarray(picture.convert("L")))) == 1 else {0.0, 1.0}


_DAP4_TYPES: Final = {b"UInt8": "u1", b"UInt16": "<u2", b"Int32": "<i4"}
_ROUTES: Final[Mapping[str, Callable[[bytes], set[float]]]] = {
    "/dap/{name}.dods": lambda body: _find_in_frames(parse_dap2_values(body)),
    "/dap/{name}/raw.dods": lambda body: _find_in_frames(parse_dap2_values(body)),
    "/dap/{name}.dods?mean({array})": lambda body: {struct.unpack(">d", body[-8:])[0]},
    "/dap/{name}.ascii?{array}": _find_in_text,
    "/dap/{name}.dap?dap4.ce=/{array}": _find_in_dap4,
    "/dap/{name}.nc4": _find_in_hdf5,
    "/dap/{name}.nc": _find_in_netcdf,
    "/api/v1/images/{name}?format=npz": lambda body: _find_in_frames(_load_npz(body)),
    "/api/v1/images/{name}?format=png&variable={array}{frame}": _find_in_picture,
    "/api/v1/statistics/{name}?variable={array}": _find_in_statistics,
    "/zarr/{name}/{array}/{chunk}": lambda _body: set(),
    "/fileServer/{name}": lambda _body: set(),
}
_ZARR_TYPES: Final = {"classic.nc": "<i4", "document.json": "<i4", "picture.png": "u1", "picture.jpg": "u1"}


def send_requests(
    url: str,
    versions: Mapping[str, Mapping[int, bytes]],
    count: int,
    *,
    seed: int,
    outcome: Outcome,
    lock: threading.Lock,
) -> None:
    """Send many requests for files with these versions to a server, and check the responses."""
    chance = random.Random(seed)  # noqa: S311 — no secret
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for _ in range(count):
            name, route = chance.choice(FORMATS), chance.choice(tuple(_ROUTES))
            frames = "tif" in name
            asked = (
                {"array": "frames", "frame": "&frame=0", "chunk": "c/0/0/0"}
                if frames
                else {"array": "image", "frame": "", "chunk": "c/0/0"}
            )
            target = route.format(name=name, **asked)
            begun = time.monotonic()
            try:
                answer = client.get(target)
            except httpx.HTTPError:
                with lock:
                    outcome.answers[route, 0] += 1
                continue
            with lock:
                _check_response(
                    outcome, route, BadResponse(name, target, begun, time.monotonic()), answer, versions[name]
                )


def _check_response(
    outcome: Outcome, route: str, asked: BadResponse, answer: httpx.Response, versions: Mapping[int, bytes]
) -> None:
    outcome.answers[route, answer.status_code] += 1
    if answer.status_code != _OK:
        comes_back = answer.status_code == _LATER and "retry-after" in answer.headers
        if not comes_back and not (answer.status_code == _DAMAGED and _HALF.search(answer.text)):
            outcome.surprises.append(f"{asked.told}: {answer.status_code} {answer.text[:300]}")
        return
    content = hashlib.sha256(answer.content).hexdigest()
    outcome.contents.setdefault((asked.told, answer.headers["etag"]), set()).add(content)
    if route.startswith("/fileServer"):
        is_right = answer.content in versions.values()
    else:
        if route.startswith("/zarr"):
            found = _find_numbers(np.frombuffer(answer.content, _ZARR_TYPES.get(asked.name, "<u2")))
        else:
            found = _read(route, answer.content)
        is_right = len(found) == 1 and found <= set(versions)
    if not is_right:
        outcome.mixed.append(asked)


def _read(route: str, body: bytes) -> set[float]:
    """Return the numbers of a response; none if it cannot be decoded."""
    try:
        return _ROUTES[route](body)
    except Exception:  # noqa: BLE001 — whatever the client's library says of it
        return set()


_OK, _DAMAGED, _LATER = 200, 500, 503
_HALF = re.compile("The file is empty|cut short|damaged|shorter|begins like JSON|of no known format")
