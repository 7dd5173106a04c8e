"""Faults in the middle of a response: the client gets an error, never success with wrong numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from pyhdf.SD import SD, SDC
from sqlalchemy.exc import OperationalError
from tests import samples
from tests.server.wire import parse_dap2_error, parse_dap2_values, parse_dap4_error

from shotdap.catalog import Catalog, DirectoryArchive, Unreadable, readers
from shotdap.catalog.diagnostics.derive import DerivedImage
from shotdap.catalog.image import SingleImage
from shotdap.catalog.readers.lazy import BasicIndex, create_lazy_variable
from shotdap.config import load_settings
from shotdap.config.descriptions import load_diagnostics
from shotdap.server.app import create_app
from shotdap.transforms.statistics import reductions

FRAMES: Final = np.arange(2 * 30 * 40, dtype="u2").reshape(2, 30, 40)
ASKED: Final = (
    ".dods",
    ".dods?background_subtracted",
    ".dods?mean(background),image",
    ".ascii?image,background",
    ".dap",
    ".dap?dap4.ce=/background_subtracted",
    ".nc",
    ".nc4?image,background",
)
answers = pytest.mark.parametrize("asked", ASKED)
Ask = Callable[[str], httpx.Response]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """A function that sends a request to an application in this process, which serves the test's own folder."""
    samples.write_image(tmp_path / "shot.h5", FRAMES)
    _write_hdf4(tmp_path / "shot.hdf")
    catalog = Catalog(DirectoryArchive(tmp_path), tmp_path, load_diagnostics(None))
    transport = httpx.ASGITransport(create_app(catalog, load_settings()))

    async def send(target: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(f"/dap/{target}")

    return lambda target: anyio.run(send, target)


def _write_hdf4(path: Path) -> None:
    file = SD(str(path), SDC.WRITE | SDC.CREATE)
    array = file.create("Streak_array", SDC.UINT16, FRAMES.shape)
    array[:] = FRAMES
    array.endaccess()
    file.end()


def parse_error(target: str, answer: httpx.Response) -> tuple[int, str]:
    """Return the code and the sentence of an error, in the format of the requested protocol."""
    return (parse_dap4_error if ".dap" in target else parse_dap2_error)(answer.text)


# Failing reads -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HalfSource:
    """Frames of which only the first can be read."""

    failure: Exception
    shape: tuple[int, ...] = FRAMES.shape
    dtype: np.dtype[Any] = FRAMES.dtype

    def read(self, key: BasicIndex) -> NDArray[Any]:
        """Return the first frame; raise an exception for the second."""
        if key[0] == 0:
            return np.asarray(FRAMES[key])
        raise self.failure


FAILURES: Final = [
    (Unreadable("The file breaks off in its second frame."), 500, "breaks off"),
    (OSError(5, "Input/output error"), 500, "cannot be read: Input/output error"),
    (RuntimeError("secret"), 500, "decoding it failed (RuntimeError)"),
    (MemoryError("Unable to allocate 7 GiB"), 503, "not enough memory"),
]


@answers
@pytest.mark.parametrize(("failure", "status", "sentence"), FAILURES, ids=["unreadable", "disk", "bug", "memory"])
def test_a_read_that_fails_half_way(
    asked: str, failure: Exception, status: int, sentence: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the first frame can be read and the second cannot, the response is an error, not its first half."""
    broken = xr.Dataset({"Streak_array": create_lazy_variable(("frame", "y", "x"), HalfSource(failure), {})})
    monkeypatch.setattr(readers, "read", lambda *_: broken.copy(deep=False))
    answer = ask(f"shot.h5{asked}")
    code, message = parse_error(asked, answer)

    assert (answer.status_code, code) == (status, status)
    assert sentence in message
    assert "secret" not in answer.text
    assert "etag" not in answer.headers
    assert ("retry-after" in answer.headers) == (status == 503)


def test_the_other_frame_is_served(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken variable does not affect the others, nor the structure and the attributes."""
    failure = Unreadable("The file breaks off in its second frame.")
    broken = xr.Dataset({"Streak_array": create_lazy_variable(("frame", "y", "x"), HalfSource(failure), {})})
    monkeypatch.setattr(readers, "read", lambda *_: broken.copy(deep=False))

    np.testing.assert_array_equal(parse_dap2_values(ask("shot.h5.dods?image").content)["image"], FRAMES[0])
    assert {ask(f"shot.h5{suffix}").status_code for suffix in (".dds", ".das", ".dmr", ".html", ".info")} == {200}


def test_a_function_that_fails_in_its_last_block(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean whose last block cannot be read is an error, not the mean of the rest."""

    class LastRowFails(HalfSource):
        def read(self, key: BasicIndex) -> NDArray[Any]:
            rows = key[1]
            if isinstance(rows, slice) and rows.stop == FRAMES.shape[1]:
                raise self.failure
            return np.asarray(FRAMES[key])

    source = LastRowFails(Unreadable("The last row is gone."))
    broken = xr.Dataset({"Streak_array": create_lazy_variable(("frame", "y", "x"), source, {})})
    monkeypatch.setattr(readers, "read", lambda *_: broken.copy(deep=False))
    monkeypatch.setattr(reductions, "BLOCK_BYTES", 1000)
    answer = ask("shot.h5.dods?mean(image)")

    assert (answer.status_code, parse_dap2_error(answer.text)) == (500, (500, "The last row is gone."))
    assert ask("shot.h5.dods?mean(image[0:9][])").status_code == 200


# Files that change between opening and reading -----------------------------------------------------------------------


def vanish(path: Path) -> None:
    """Delete a file."""
    path.unlink()


def truncate(path: Path) -> None:
    """Truncate a file to a third."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)


def empty(path: Path) -> None:
    """Truncate a file to nothing."""
    path.write_bytes(b"")


@answers
@pytest.mark.parametrize("happens", [vanish, truncate, empty])
@pytest.mark.parametrize("name", ["shot.h5", "shot.hdf"])
def test_a_file_that_changes_between_opening_and_reading(
    name: str, happens: Callable[[Path], None], asked: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that vanishes or is truncated after it was opened gives an error, or else the right numbers."""
    right = ask(f"{name}{asked}")
    derive_image, opened = SingleImage.derive, []

    def derive_and_change(*arguments: Any, **options: Any) -> DerivedImage:  # noqa: ANN401 — what the method takes
        opened.append(name)
        derived = derive_image(*arguments, **options)
        if (tmp_path / name).exists():
            happens(tmp_path / name)
        return derived

    samples.write_image(tmp_path / "shot.h5", FRAMES)  # a new version, so that nothing of it is cached
    (tmp_path / "shot.hdf").touch()
    monkeypatch.setattr(SingleImage, "derive", derive_and_change)
    answer = ask(f"{name}{asked}")

    assert opened
    assert right.status_code == 200
    if answer.status_code == 200:
        assert answer.content == right.content
    else:
        assert answer.status_code == parse_error(asked, answer)[0] == 500


def test_an_unreachable_catalog(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the catalog's database does not respond, the client is asked to retry, without details of the database."""

    def fail(*_: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("database is locked"))

    monkeypatch.setattr(Catalog, "find_entry", fail)
    answer = ask("shot.h5.dods?image")

    assert (answer.status_code, parse_dap2_error(answer.text)[0]) == (503, 503)
    assert answer.headers["retry-after"]
    assert "secret" not in answer.text
