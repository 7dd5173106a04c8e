"""The archive: a folder of files under names of its own, and the database that knows what they are.

Rule 1: everything is made in a hidden folder inside the wanted one (which may be a mounted volume, so a sibling need
        not be on the same disk), and renamed into its place when it is whole: the files, then the database.
Rule 2: the recipe comes last. A folder whose recipe is the wanted one is whole, and is left as it is.
Rule 3: only an archive that has a recipe is ever replaced, and of its folder only the parts that were made here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Column, DateTime, Integer, MetaData, String, Table, create_engine, insert

from shotdap.server.demo.camera_images import make_image
from shotdap.server.demo.image_files import write_image
from shotdap.server.demo.shot_list import SHOTS, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from shotdap.server.demo.shot_list import Shot, StoredFile

ARCHIVE_VERSION: Final = 5  # to be raised whenever the same seed would give other files
FILES_FOLDER: Final = "files"  # the archive's root, which ARCHIVE_FILE is relative to
DATABASE_FILE: Final = "archive.db"
RECIPE_FILE: Final = "recipe.json"

ARCHIVE_FILES: Final = Table(
    "ARCHIVE_FILES",
    MetaData(),
    Column("IMAGE_ID", Integer, primary_key=True),
    Column("FACILITY", String(16), nullable=False),
    Column("SHOT_NUMBER", Integer, nullable=False),
    Column("SHOT_DATE", DateTime, nullable=False),
    Column("DIAGNOSTIC", String(32), nullable=False),
    Column("SOURCE_FILE", String(128), nullable=False),  # the user's name
    Column("ARCHIVE_FILE", String(128), nullable=False, unique=True),  # the stored name
    Column("FORMAT", String(8), nullable=False),
    Column("MODIFIED", DateTime, nullable=False),  # rises with IMAGE_ID
)
_ARCHIVE_DELAY: Final = timedelta(minutes=3)  # from the shot to its first row
_LOGIN_PAGE: Final = """<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form method="post" action="/login"><input name="user"><input name="password" type="password"></form></body>
</html>
"""


def make_archive(folder: Path, *, seed: int = 0, shots: Sequence[Shot] = SHOTS) -> Path:
    """Make an archive in a folder, unless this very archive is there already.

    The folder gets ``files/`` (the images), ``archive.db`` (an SQLite database with one table, `ARCHIVE_FILES`) and
    ``recipe.json``. The same seed and shots give the same bytes.

    Returns:
        The path of the database.

    Raises:
        FileExistsError: the folder holds an archive that was not made here.
    """
    recipe = _make_recipe(seed, shots)
    if not _is_made(folder, recipe):
        _refuse_foreign_archive(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".making-", dir=folder) as made:
            _build_archive(Path(made), seed, shots)
            _publish_archive(Path(made), folder, recipe)
    return folder / DATABASE_FILE


def _make_recipe(seed: int, shots: Sequence[Shot]) -> str:
    listed = hashlib.sha256(repr(tuple(shots)).encode()).hexdigest()
    made_by = {"made_by": "shotdap.catalog.synthetic", "version": ARCHIVE_VERSION, "seed": seed, "shots": listed}
    return json.dumps(made_by, indent=1)


def _is_made(folder: Path, recipe: str) -> bool:
    path = folder / RECIPE_FILE
    return path.is_file() and path.read_text() == recipe


def _refuse_foreign_archive(folder: Path) -> None:
    if not (folder / RECIPE_FILE).exists() and any((folder / part).exists() for part in (FILES_FOLDER, DATABASE_FILE)):
        raise FileExistsError(f"{folder} holds an archive that was not made by shotdap.catalog.synthetic")


def _build_archive(made: Path, seed: int, shots: Sequence[Shot]) -> None:
    (made / FILES_FOLDER).mkdir()
    rows = []
    for row, shot, file in _make_rows(shots):
        rows.append(row)
        path = made / FILES_FOLDER / row["ARCHIVE_FILE"]
        path.parent.mkdir(parents=True, exist_ok=True)
        _FILE_WRITERS[file.fault](path, shot, file, seed)
    _write_database(made / DATABASE_FILE, rows)


def _publish_archive(made: Path, folder: Path, recipe: str) -> None:
    """Rename a whole archive into its place; an empty recipe claims the folder until the true one comes, last."""
    (folder / RECIPE_FILE).write_text("")
    (folder / DATABASE_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / FILES_FOLDER, ignore_errors=True)
    for part in (FILES_FOLDER, DATABASE_FILE):
        (made / part).replace(folder / part)
    (made / RECIPE_FILE).write_text(recipe)
    (made / RECIPE_FILE).replace(folder / RECIPE_FILE)


def _make_rows(shots: Sequence[Shot]) -> Iterator[tuple[dict[str, Any], Shot, StoredFile]]:
    """Give the rows of the table, oldest first, each with the shot and the file that it stands for."""
    modified = datetime.min  # noqa: DTZ901 - the archive's times are the laboratory's, without a zone
    files = [
        (shot, number, file)
        for shot in sorted(shots, key=lambda shot: shot.when)
        for number, file in enumerate(shot.files, 1)
    ]
    for image_id, (shot, number, file) in enumerate(files, 1):
        modified = max(modified + timedelta(seconds=1), shot.when + _ARCHIVE_DELAY)
        row = {
            "IMAGE_ID": image_id,
            "FACILITY": shot.facility,
            "SHOT_NUMBER": shot.number,
            "SHOT_DATE": shot.when,
            "DIAGNOSTIC": file.diagnostic,
            "SOURCE_FILE": file.source_file,
            "ARCHIVE_FILE": f"{shot.when:%y/%m/%d}/HDF.{shot.when:%Y%m%d.%H%M%S}.{number}",
            "FORMAT": file.container,
            "MODIFIED": modified,
        }
        yield row, shot, file


def _write_image_file(path: Path, shot: Shot, file: StoredFile, seed: int) -> None:
    write_image(path, make_image(file.diagnostic, shot, subject=file.subject, seed=seed), file.container)


def _skip_file(_path: Path, _shot: Shot, _file: StoredFile, _seed: int) -> None:
    """Leave the file out."""


def _write_login_page(path: Path, _shot: Shot, _file: StoredFile, _seed: int) -> None:
    path.write_text(_LOGIN_PAGE)


_FILE_WRITERS: Final[Mapping[Fault | None, Callable[[Path, Shot, StoredFile, int], None]]] = {
    None: _write_image_file,
    Fault.MISSING: _skip_file,
    Fault.LOGIN_PAGE: _write_login_page,
}


def _write_database(path: Path, rows: list[dict[str, Any]]) -> None:
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.begin() as connection:
            ARCHIVE_FILES.create(connection)
            if rows:  # an empty list would insert a row of defaults
                connection.execute(insert(ARCHIVE_FILES), rows)
    finally:
        engine.dispose()
