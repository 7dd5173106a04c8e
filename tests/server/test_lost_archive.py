"""The archive's database stops and starts again while a server runs."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.postgres import Postgres, running
from tests.serving import run_shotdap, serving

from shotdap.catalog import ArchiveDatabase, BlobStore, FileCache, Unreadable

_SETTINGS = """\
[archive]
url = "{url}"
table = "IMAGES"
root = "files"
connect_seconds = 2
attempts = 1
[archive.columns]
key = "IMAGE_ID"
file = "ARCHIVE_FILE"
version = "MODIFIED"
name = "ARCHIVE_FILE"
[catalog]
path_template = "images/{{name}}"
"""
_IMAGE = '{"image": [[1, 2], [3, 4]]}'


def test_served_on(postgres: Postgres, tmp_path: Path) -> None:
    """The server continues with its catalog; a build reports the fault, and reads on once it can."""
    (tmp_path / "files").mkdir()
    for name in ("first", "second"):
        (tmp_path / "files" / f"{name}.json").write_text(_IMAGE)
    with running(postgres.binaries) as archive:
        config = tmp_path / "shotdap.toml"
        config.write_text(_SETTINGS.format(url=archive.url()))
        _write(archive, "CREATE TABLE images (image_id int, archive_file text, modified timestamp)")
        _write(archive, "INSERT INTO images VALUES (1, 'first.json', now())")
        assert run_shotdap("catalog", "build", "--config", config).returncode == 0
        with serving(tmp_path / "log", "--config", config) as server:
            first, second = (server.dap(f"images/{name}.dds") for name in ("first", "second"))
            before = httpx.get(first)
            archive.stop()
            away = run_shotdap("catalog", "build", "--config", config)
            meanwhile = httpx.get(first), httpx.get(second)
            archive.start()
            _write(archive, "INSERT INTO images VALUES (2, 'second.json', now())")
            back = run_shotdap("catalog", "build", "--config", config)
            after = httpx.get(second)

        assert (before.status_code, meanwhile[0].text) == (200, before.text)
        assert away.returncode != 0
        assert "database does not answer" in away.stderr
        assert "Traceback" not in away.stderr
        assert (meanwhile[1].status_code, back.returncode, after.status_code) == (404, 0, 200)


def test_images_in_the_database(postgres: Postgres, tmp_path: Path) -> None:
    """An image in the database is read from its copy while the database is unreachable; one without a copy is not."""
    with running(postgres.binaries) as archive:
        _write(archive, "CREATE TABLE images (image_id int, image bytea)")
        _write(archive, "INSERT INTO images VALUES (1, 'one'), (2, 'two')")
        database = ArchiveDatabase(archive.url(), connect_seconds=2, attempts=1)
        images = BlobStore(database, "images", "image", "image_id", FileCache(tmp_path / "cache", 1 << 20))
        before = images.get_version("1")
        images.fetch_file("1", before)
        images.get_version("2")
        archive.stop()
        after = images.get_version("1")
        images.fetch_file("1", after)
        with pytest.raises(Unreadable, match="does not answer"):
            images.get_version("2")
        database.engine.dispose()
        archive.start()  # because it is stopped at the end of the block

    assert (after, after.path.read_bytes()) == (before, b"one")


def _write(server: Postgres, statement: str) -> None:
    engine = sa.create_engine(server.url(), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
