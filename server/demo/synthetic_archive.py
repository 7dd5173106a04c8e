"""The archive: a folder of files, and the database that describes them.

Rule 1: everything is made in a hidden folder inside the target (which may be a mounted volume, so that a sibling might
        be on another disk), and renamed when it is complete: first the files, then the database.
Rule 2: the recipe comes last. A folder that has the expected recipe is complete, and is not changed.
Rule 3: only an archive that has a recipe is ever replaced, and only those parts of its folder that were made here.
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
    from collections.abc import Sequence

    from shotdap.server.demo.shot_list import Shot

_ARCHIVE_VERSION: Final = 5  # raise it whenever the same seed would give other files
FILES_FOLDER: Final = "files"  # the archive's root: ARCHIVE_FILE is relative to it
DATABASE_FILE: Final = "archive.db"
_RECIPE_FILE: Final = "recipe.json"

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
    """Make an archive in a folder, unless this very archive exists already.

    The folder gets ``files/`` (the images), ``archive.db`` (an SQLite database with one table, `ARCHIVE_FILES`) and
    ``recipe.json``. The same seed and shots give the same bytes.

    Returns:
        The path of the database.

    Raises:
        FileExistsError: the folder holds an archive that was not made here.
    """
    shots_hash = hashlib.sha256(repr(tuple(shots)).encode()).hexdigest()
    document = {
        "made_by": "shotdap.catalog.synthetic",  # the module's first name, kept so that archives stay equal
        "version": _ARCHIVE_VERSION,
        "seed": seed,
        "shots": shots_hash,
    }
    recipe, recipe_path = json.dumps(document, indent=1), folder / _RECIPE_FILE
    parts = (FILES_FOLDER, DATABASE_FILE)
    if recipe_path.is_file() and recipe_path.read_text() == recipe:
        return folder / DATABASE_FILE
    if not recipe_path.exists() and any((folder / part).exists() for part in parts):
        raise FileExistsError(f"{folder} holds an archive that was not made by `shotdap demo`")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".making-", dir=folder) as name:
        draft = Path(name)
        _build_archive(draft, seed, shots)
        recipe_path.write_text("")  # claims the folder until the real recipe comes last
        (folder / DATABASE_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / FILES_FOLDER, ignore_errors=True)
        for part in parts:
            (draft / part).replace(folder / part)
        (draft / _RECIPE_FILE).write_text(recipe)
        (draft / _RECIPE_FILE).replace(recipe_path)
    return folder / DATABASE_FILE


def _build_archive(folder: Path, seed: int, shots: Sequence[Shot]) -> None:
    """Write all files and the database of an archive."""
    (folder / FILES_FOLDER).mkdir()
    modified = datetime.min  # noqa: DTZ901 - the archive's times are local, without a zone
    files = [
        (shot, number, file)
        for shot in sorted(shots, key=lambda shot: shot.when)
        for number, file in enumerate(shot.files, 1)
    ]
    rows: list[dict[str, Any]] = []
    for image_id, (shot, number, file) in enumerate(files, 1):  # the oldest first
        modified = max(modified + timedelta(seconds=1), shot.when + _ARCHIVE_DELAY)
        row: dict[str, Any] = {
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
        rows.append(row)
        path = folder / FILES_FOLDER / row["ARCHIVE_FILE"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.fault is None:
            write_image(path, make_image(file.diagnostic, shot, subject=file.subject, seed=seed), file.container)
        elif file.fault is Fault.LOGIN_PAGE:
            path.write_text(_LOGIN_PAGE)
    _write_database(folder / DATABASE_FILE, rows)


def _write_database(path: Path, rows: list[dict[str, Any]]) -> None:
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.begin() as connection:
            ARCHIVE_FILES.create(connection)
            if rows:  # an empty list would insert a row of defaults
                connection.execute(insert(ARCHIVE_FILES), rows)
    finally:
        engine.dispose()
