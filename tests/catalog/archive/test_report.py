"""A report describes, in plain words, what the settings make of an archive."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.serving import run_shotdap

_SETTINGS = """\
[archive]
url = "sqlite:///archive.db"
root = "files"
[archive.values.facility]
"OMEGA" = "omega"
[archive.prefixes]
"/archive" = "mounted"
"""
_TABLE = (
    "CREATE TABLE ARCHIVE_FILES (IMAGE_ID INTEGER, ARCHIVE_FILE TEXT, MODIFIED DATETIME, FACILITY TEXT,"
    " SHOT_NUMBER INTEGER, SHOT_DATE DATETIME, DIAGNOSTIC TEXT, SOURCE_FILE TEXT, SECRET TEXT)"
)
_ROWS = (
    (1, "there.hdf", "2024-01-01 12:00:00", "OMEGA", 1, None, "P510", "a.hdf", ""),
    (2, "/archive/22/nonesuch.hdf", "2024-01-02 12:00:00", "OMEGA EP", 2, None, "P510", "b.hdf", ""),
    (2, "../outside.hdf", None, "OMEGA", 3, None, None, "c.hdf", ""),
    (None, "there.hdf", "2024-01-03 12:00:00", "OMEGA", 1, None, "P510", "a.hdf", ""),
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path)


def make_site(folder: Path) -> Path:
    """Write a small archive, and its settings, into a folder; return the path of the settings."""
    (folder / "files").mkdir()
    (folder / "files" / "there.hdf").write_text("content")
    with closing(sqlite3.connect(folder / "archive.db")) as connection:
        connection.execute(_TABLE)
        connection.executemany("INSERT INTO ARCHIVE_FILES VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _ROWS)
        connection.commit()
    config = folder / "shotdap.toml"
    config.write_text(_SETTINGS)
    return config


def run_check(site: Path, *options: str) -> str:
    done = run_shotdap("archive", "check", "--config", site, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of an archive, and the report on it."""
    folder = tmp_path_factory.mktemp("site")
    return folder, run_check(make_site(folder))


@pytest.mark.parametrize(
    "line",
    [
        "Table ARCHIVE_FILES has 9 columns:",
        r"  SHOT_NUMBER \(INTEGER\): shot",
        r"  SECRET \(TEXT\), not used",
        "Rows looked at: 4, the oldest first.",
        r"  omega/1/p510/a: key='1', file='there.hdf', version='2024-01-01 12:00:00', facility='omega', shot=1, .*",
        "Trouble: 1 rows have no key; .*",
        "Trouble: 1 keys belong to several rows, such as '2'.",
        "Note: 1 rows have no version; .*",
        "Note: archive.values.facility does not mention 'OMEGA EP'; .*",
        'Note: 1 rows have no diagnostic; their paths say "unknown" there.',
        "Note: 1 paths are asked for by several rows, such as omega/1/p510/a; .*",
        "Files looked for: 4, of which 2 are there.",
        "Trouble: 1 times: The file is missing from the archive.",
        "  '/archive/22/nonesuch.hdf' was looked for at {folder}/mounted/22/nonesuch.hdf",
        "Trouble: 1 times: The archive's row leads to a file outside the archive.",
    ],
)
def test_lines(survey: tuple[Path, str], line: str) -> None:
    """The report lists the contents and the faults line by line."""
    folder, text = survey
    pattern = line.format(folder=re.escape(str(folder)))

    assert any(re.fullmatch(pattern, told) for told in text.splitlines()), text


def test_sample(site: Path) -> None:
    """The report is about the requested number of rows."""
    assert "Rows looked at: 1, the oldest first." in run_check(site, "--sample", "1")


def test_empty(site: Path) -> None:
    """A table without matching rows is reported."""
    site.write_text(_SETTINGS + "[archive.where]\nSHOT_NUMBER = { from = 9, to = 10 }\n")

    assert "Trouble: there is no row; the table is empty, or archive.where lets none through." in run_check(site)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('[archive.columns]\nkey = "ID"\nfile = "ARCHIVE_FILE"\n', "has no column ID. Its columns are: IMAGE_ID"),
        ('[archive.where]\nFORMAT = "HDF"\n', "has no column FORMAT"),
        ("[archive.where]\nSHOT_NUMBER = { form = 5 }\n", "archive.where"),
        ('[catalog]\npath_template = "{shot}/{nam}"\n', "names nam"),
    ],
)
def test_refused(site: Path, more: str, told: str) -> None:
    """Invalid settings are refused with a sentence that says what would be valid."""
    site.write_text(_SETTINGS + more)
    done = run_shotdap("archive", "check", "--config", site)

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
