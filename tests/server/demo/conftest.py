"""The synthetic archive, as the demonstration makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.server.demo.reading import read_rows

from shotdap.server import demo


@pytest.fixture(scope="session")
def database(archive: Path) -> Path:
    return archive / "archive.db"


@pytest.fixture(scope="session")
def rows(database: Path) -> list[dict[str, Any]]:
    return read_rows(database)


@pytest.fixture(scope="session")
def paths(database: Path, rows: list[dict[str, Any]]) -> dict[tuple[str, str], Path]:
    """The stored files by (facility, user's name)."""
    root = database.parent / demo.FILES_FOLDER
    return {(row["FACILITY"], row["SOURCE_FILE"]): root / row["ARCHIVE_FILE"] for row in rows}
