"""A server without rights, space or connections: it reports the fault, and never success."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import anyio
import h5py
import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from tests import samples
from tests.postgres import Postgres
from tests.surroundings import drop_rights, mount_small_disk

from shotdap.catalog import BadCatalog, Catalog, DirectoryArchive, Entry, LostCatalog, SqlIndex, Unpacker
from shotdap.catalog.index import Record
from shotdap.catalog.storage import LocalStore
from shotdap.config import BadSettings, Settings, Site, load_settings
from shotdap.server.app import create_app
from shotdap.server.cli.main import main

IMAGE: Final = np.arange(2 * 6 * 8, dtype="u2").reshape(2, 6, 8)
Ask = Callable[..., httpx.Response]


def make_client(catalog: Catalog, settings: Settings | None = None) -> Ask:
    """Return a function that sends a request to an application in this process."""
    transport = httpx.ASGITransport(create_app(catalog, settings or load_settings()))

    async def send(target: str, method: str, headers: dict[str, str] | None) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, target, headers=headers)

    def ask(target: str, method: str = "GET", headers: dict[str, str] | None = None) -> httpx.Response:
        return anyio.run(send, target, method, headers)

    return ask


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, with an image in it and one in a subfolder."""
    above = Path(tempfile.mkdtemp())
    above.chmod(0o755)
    (above / "day").mkdir()
    samples.write_image(above / "shot.h5", IMAGE)
    samples.write_image(above / "day/other.h5", IMAGE)
    yield above
    (above / "day").chmod(0o755)
    shutil.rmtree(above)


# No rights -----------------------------------------------------------------------------------------------------------

OF_A_FILE: Final = (
    "/fileServer/shot.h5",
    "/dap/shot.h5.dods",
    "/dap/shot.h5.dmr",
    "/zarr/shot.h5/zarr.json",
    "/api/v1/images/shot.h5",
    "/api/v1/packages/shot.h5?raw=1",
)


@pytest.mark.parametrize("target", OF_A_FILE)
def test_a_file_without_rights(target: str, folder: Path) -> None:
    """A file without read permission is an error with a sentence, for any part of it; not an empty 200."""
    make_client(Catalog(DirectoryArchive(folder), folder))(target)  # so that all modules are imported
    ask = make_client(Catalog(DirectoryArchive(folder), folder))
    (folder / "shot.h5").chmod(0)
    with drop_rights():
        answers = [ask(target), ask(target, headers={"Range": "bytes=0-9"})]
        head = ask(target, "HEAD")

    assert [answer.status_code for answer in answers] == [500, 500]
    assert all("cannot be opened: Permission denied" in answer.text for answer in answers)
    assert head.status_code == 500
    assert not any(str(folder) in answer.text for answer in answers)


@pytest.mark.parametrize("kind", ["gone", "folder", "pipe"])
def test_replaced_by_another_object(kind: str, folder: Path) -> None:
    """An object that replaces a file after it was looked at is an error, and is not waited for."""
    catalog = Catalog(DirectoryArchive(folder), folder)
    entry, path = catalog.find_entry("shot.h5"), folder / "shot.h5"
    version = catalog.get_file_version(entry)
    path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    with (
        patch.object(LocalStore, "get_version", lambda *_: version),
        patch.object(catalog, "find_entry", lambda _: entry),
    ):
        answer = make_client(catalog)("/fileServer/shot.h5")

    assert answer.status_code == 500
    assert answer.text.startswith("The ")


def test_a_file_that_is_replaced_while_it_is_sent(folder: Path) -> None:
    """A file that was opened is sent whole, even if it is replaced meanwhile."""
    catalog = Catalog(DirectoryArchive(folder), folder)
    whole = (folder / "shot.h5").read_bytes()
    held = catalog.open_file_handle(catalog.find_entry("shot.h5"))
    (folder / "day/other.h5").replace(folder / "shot.h5")
    (folder / "shot.h5").write_bytes(b"another")

    assert Path(held).read_bytes() == whole


@pytest.mark.parametrize(
    "target", ["/dap/day", "/thredds/catalog/day/catalog.xml", "/thredds/catalog/day/catalog.html"]
)
def test_a_folder_without_rights(target: str, folder: Path) -> None:
    """A folder that may not be listed is reported; its parent lists it."""
    ask = make_client(Catalog(DirectoryArchive(folder), folder))
    assert ask(target).status_code == 200
    (folder / "day").chmod(0)
    with drop_rights():
        answer, around, inside = ask(target), ask("/dap/"), ask("/dap/day/other.h5.dds")
        search = ask("/search?q=shot")

    assert answer.status_code == 500
    assert "cannot be listed: Permission denied" in answer.text.replace("&#39;", "'")
    assert (around.status_code, "shot.h5" in around.text) == (200, True)
    assert (inside.status_code, "may not be read" in inside.text) == (500, True)
    assert (search.status_code, "shot.h5" in search.text) == (200, True)
    assert str(folder) not in answer.text + inside.text


def test_serving_a_folder_without_rights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be read is refused by its name when the server is started."""
    (folder / "site.toml").write_text(f'[archive]\nfolder = "{folder}/day"\n')
    settings = load_settings(folder / "site.toml")
    Site(settings).open_catalog()
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "access", lambda *_: False)  # it checks the real user, who is root
    (folder / "day").chmod(0)
    with pytest.raises(BadSettings, match=r"archive\.folder: there is no right to list and to read .*/day"):
        Site(settings).open_catalog()


def test_a_command_without_rights(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that may not write prints where, in one line."""
    (folder / "site.toml").write_text('[archive]\nfolder = "day"\n[catalog]\nindex = "new/catalog.db"\n')
    monkeypatch.setattr("sys.argv", ["shotdap", "catalog", "build", "--config", str(folder / "site.toml")])
    with drop_rights(), pytest.raises(SystemExit) as ended:
        main()
    line = capsys.readouterr().err

    assert ended.value.code == 2
    assert "catalog.index" in line
    assert "Permission denied" in line
    assert "Traceback" not in line


# No room -------------------------------------------------------------------------------------------------------------


def test_no_room_to_unpack(tmp_path: Path) -> None:
    """If the disk for unpacked files is full, the client learns that, and is asked to retry."""
    noise = np.random.default_rng(0).integers(0, 2**16, (2, 512, 512), "u2")
    samples.write_image(tmp_path / "shot.h5", noise)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/shot.h5.gz").write_bytes(gzip.compress((tmp_path / "shot.h5").read_bytes(), 1))
    with mount_small_disk(tmp_path / "disk") as disk:
        unpacker = Unpacker(disk / "unpacked", 1 << 30)
        catalog = Catalog(DirectoryArchive(tmp_path / "files"), tmp_path / "files", unpacker=unpacker)
        answer = make_client(catalog)("/dap/shot.h5.gz.dds")
        with pytest.raises(OSError, match=r"the folder to unpack it in .* cannot be written to: No space left"):
            catalog.open("shot.h5.gz")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "A disk of the server is full" in answer.text
    assert "damaged" not in answer.text


def test_no_room_for_a_catalog(tmp_path: Path) -> None:
    """A build on a full disk reports that the disk is full."""
    records = [Record(f"{n}", Entry(f"omega/{n}", f"{n}.h5", {"name": "x" * 2000})) for n in range(3000)]
    with mount_small_disk(tmp_path / "disk") as disk:
        index = SqlIndex.open_sqlite(disk / "catalog.db")
        with pytest.raises(LostCatalog, match="is full; make room"):
            index.put_records(records)
        index.close()


# A damaged or read-only catalog --------------------------------------------------------------------------------------


def make_catalog(path: Path) -> SqlIndex:
    """Build a catalog of one image."""
    index = SqlIndex.open_sqlite(path)
    index.put_records([Record("1", Entry("omega/one", "one.h5", {"name": "one.h5"}))])
    index.close()
    return index


def test_a_damaged_catalog(tmp_path: Path) -> None:
    """A damaged catalog is reported, to its administrator with a solution, and to clients without a path."""
    make_catalog(tmp_path / "catalog.db")
    content = bytearray((tmp_path / "catalog.db").read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)
    (tmp_path / "catalog.db").write_bytes(content)
    index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
    answer = make_client(Catalog(index, tmp_path))("/dap/omega/one.dds")
    with pytest.raises(BadCatalog, match="is damaged"):
        index.find_entry("omega/one")

    assert answer.status_code == 500
    assert "catalog's database cannot be read as it is" in answer.text
    assert str(tmp_path) not in answer.text


def test_a_read_only_catalog(folder: Path) -> None:
    """A build into a read-only catalog names the necessary rights."""
    path = folder / "catalog.db"
    make_catalog(path)
    index = SqlIndex.open_sqlite(path)
    with drop_rights(), pytest.raises(BadCatalog, match=r"may not be written to|cannot be opened"):
        index.acquire_build_lock()
    index.close()


# No connection -------------------------------------------------------------------------------------------------------

OF_A_CATALOG: Final = (
    "/dap/omega/one.dds",
    "/dap/omega/one.dmr",
    "/dap/omega",
    "/zarr/omega/one/zarr.json",
    "/api/v1/images/omega/one",
    "/api/v1/images?q=name:one.h5",
    "/thredds/catalog/omega/catalog.xml",
    "/thredds/catalog/omega/catalog.html",
    "/search?q=one",
    "/fileServer/omega/one",
    "/api/v1/packages/omega",
)


def shorten_timeout(index: SqlIndex) -> None:
    """Shorten the time for which an index waits for connections."""
    pool: Any = index._database.engine.pool  # noqa: SLF001 — what is waited for is not what is tested
    pool._timeout = 0.01  # noqa: SLF001


def take_all(held: ExitStack, engine: sa.Engine) -> None:
    """Take connections until none is free."""
    while True:
        held.enter_context(engine.connect())


def exhaust(index: SqlIndex) -> ExitStack:
    """Hold all connections that an index may have."""
    shorten_timeout(index)
    held = ExitStack()
    with pytest.raises(NoneFree):
        take_all(held, index._database.engine)  # noqa: SLF001
    return held


def check_answers(index: SqlIndex, folder: Path) -> None:
    """Check that each response is a 503 with the time of a retry, until connections are free again."""
    samples.write_image(folder / "one.h5", IMAGE)
    ask = make_client(Catalog(index, folder))
    with exhaust(index):
        answers = {target: ask(target) for target in OF_A_CATALOG}
    after = ask("/dap/omega/one.dds")

    assert {target: answer.status_code for target, answer in answers.items()} == dict.fromkeys(OF_A_CATALOG, 503)
    assert {answer.headers.get("Retry-After") for answer in answers.values()} == {"5"}
    assert after.status_code == 200


def test_an_exhausted_pool(tmp_path: Path) -> None:
    """An SQLite catalog whose connections are all in use gives 503 everywhere, with Retry-After."""
    index = make_catalog(tmp_path / "catalog.db")
    check_answers(index, tmp_path)
    index.close()


def test_an_exhausted_pool_of_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    """So does a catalog in PostgreSQL, also if its server accepts no more connections."""
    index = SqlIndex(postgres.create())
    index.put_records([Record("1", Entry("omega/one", "one.h5", {"name": "one.h5"}))])
    check_answers(index, tmp_path)
    index.close()
    with ExitStack() as held:
        engine = sa.create_engine(postgres.url(), poolclass=sa.NullPool)
        with pytest.raises(OperationalError):
            take_all(held, engine)
        with pytest.raises(LostCatalog, match=r"as many connections as it may have|does not answer"):
            index.find_entry("omega/one")
        answer = make_client(Catalog(index, tmp_path))("/dap/omega/one.dds")
    index.close()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_locked_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that another process keeps locked is in use, and does not count as damaged."""
    monkeypatch.setattr("shotdap.catalog.index.database._WRITE_BUSY_TIMEOUT", 0.01)
    index = make_catalog(tmp_path / "catalog.db")
    with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LostCatalog, match="in use by another process"):
            index.acquire_build_lock()
    index.close()


# Attributes ----------------------------------------------------------------------------------------------------------

WITH_ATTRIBUTES: Final = (
    "/dap/shot.h5.das",
    "/dap/shot.h5.dmr",
    "/dap/shot.h5.dap",
    "/dap/shot.h5.nc4",
    "/dap/shot.h5.nc",
    "/dap/shot.h5.html",
    "/dap/shot.h5.info",
    "/dap/shot.h5.dmr.html",
    "/zarr/shot.h5/zarr.json",
    "/zarr/shot.h5/.zmetadata",
    "/zarr/shot.h5/.zattrs",
    "/api/v1/images/shot.h5",
    "/api/v1/attributes/shot.h5",
    "/api/v1/images/shot.h5?format=json",
    "/api/v1/images/shot.h5?format=h5",
)


@pytest.mark.parametrize("target", WITH_ATTRIBUTES)
def test_attributes_count(target: str, folder: Path) -> None:
    """Attributes that exceed one response are refused with a sentence wherever they would be written."""
    with h5py.File(folder / "shot.h5", "w", libver="latest") as file:
        file["Streak_array"] = IMAGE
        for number in range(8):
            file["Streak_array"].attrs[f"table_{number}"] = np.zeros(20_000, "u1")
    settings = load_settings()
    small = settings.model_copy(update={"server": settings.server.model_copy(update={"max_answer_mib": 1})})
    answer = make_client(Catalog(DirectoryArchive(folder), folder), small)(target)

    assert answer.status_code == 413
    assert "attributes alone take up to" in answer.text
    assert "server.max_answer_mib" in answer.text


@pytest.mark.parametrize("target", [*WITH_ATTRIBUTES, "/dap/shot.h5.dods"])
def test_a_giant_attribute(target: str, folder: Path) -> None:
    """An attribute of 100 MB is not written into any response; it is listed among the omitted ones."""
    with h5py.File(folder / "shot.h5", "w", libver="latest") as file:
        file["Streak_array"] = IMAGE
        file["Streak_array"].attrs["table"] = np.zeros(100 << 20, "u1")
    catalog = Catalog(DirectoryArchive(folder), folder)
    answer = make_client(catalog)(target)

    assert answer.status_code == 200
    assert len(answer.content) < 1 << 20
    assert catalog.open("shot.h5/raw")["Streak_array"].attrs["omitted"].startswith("table: 100.0 MiB")
