"""An archive of a busy day, with a shot each hour, into which a test delivers images while it is served."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tests.serving import run_shotdap

from shotdap.server.demo.camera_images import make_image
from shotdap.server.demo.image_files import write_image
from shotdap.server.demo.shot_list import Shot, StoredFile
from shotdap.server.demo.synthetic_archive import DATABASE_FILE, FILES_FOLDER, make_archive

__all__ = ["DIAGNOSTICS", "FIRST_SHOT", "NEW_SHOT", "BusyDay", "build_busy_day"]

FIRST_SHOT: Final = 103_733
NEW_SHOT: Final = 103_742
DIAGNOSTICS: Final = ("ASBO1", "ASBO2", "EPW_CCD", "P510_2", "PTD", "SOP")
_HIDDEN_FROM: Final = {"PTD": 103_739}  # one that comes with the newest shots only, and is expected of the next one
_SETTINGS: Final = """\
[archive]
url = "sqlite:///archive.db"
root = "files"

[access]
mode = "open"

[catalog]
index = "catalog.db"
watch_seconds = 0.2
"""


@dataclass(frozen=True)
class BusyDay:
    """The folder of the archive, and its settings."""

    folder: Path

    @property
    def config(self) -> Path:
        """The settings' file."""
        return self.folder / "shotdap.toml"

    def deliver(self, number: int, diagnostic: str, fired: datetime, row_after: float = 0.0) -> None:
        """Write the image of a diagnostic of a shot, and its row, some seconds after the file, as an archive does."""
        shot = Shot("OMEGA", number, fired, (StoredFile(diagnostic, f"{diagnostic.lower()}_s{number}.hdf"),))
        name = f"new/HDF.{number}.{diagnostic}"
        path = self.folder / FILES_FOLDER / name
        path.parent.mkdir(exist_ok=True)
        write_image(path, make_image(diagnostic, shot), "HDF4")
        written = time.time() - row_after
        os.utime(path, (written, written))
        row = (shot.facility, number, f"{fired}", diagnostic, shot.files[0].source_file, name, "HDF4")
        with closing(sqlite3.connect(self.folder / DATABASE_FILE)) as connection, connection:
            connection.execute(
                "INSERT INTO ARCHIVE_FILES (FACILITY, SHOT_NUMBER, SHOT_DATE, DIAGNOSTIC, SOURCE_FILE, ARCHIVE_FILE,"
                " FORMAT, MODIFIED) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, f"{datetime.now()}"),  # noqa: DTZ005 — as the archive's times are
            )


def build_busy_day(folder: Path) -> BusyDay:
    """Build the archive and its catalog: nine shots, the last one an hour ago."""
    now = datetime.now().replace(microsecond=0)  # noqa: DTZ005 — as the archive's times are
    shots = []
    for number in range(FIRST_SHOT, NEW_SHOT):
        files = tuple(
            StoredFile(name, f"{name.lower()}_s{number}.hdf")
            for name in DIAGNOSTICS
            if number >= _HIDDEN_FROM.get(name, number)
        )
        shots.append(Shot("OMEGA", number, now - timedelta(hours=NEW_SHOT - number), files))
    make_archive(folder, shots=shots)
    for shot in shots:
        for place, path in enumerate(sorted((folder / FILES_FOLDER).glob(f"*/*/*/HDF.{shot.when:%Y%m%d.%H%M%S}.*"))):
            written = (shot.when + timedelta(minutes=1 + place, seconds=5)).timestamp()
            os.utime(path, (written, written))
    (folder / "shotdap.toml").write_text(_SETTINGS)
    built = run_shotdap("catalog", "build", "--config", folder / "shotdap.toml")
    assert built.returncode == 0, built.stdout + built.stderr
    return BusyDay(folder)
