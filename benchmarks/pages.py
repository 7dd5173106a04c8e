"""Ask for web pages of a large catalog, and of a shot with 500 images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np
import sqlalchemy as sa

from building import FIRST_SHOT, create_catalog, list_shots
from clients import HttpRequest
from measuring import Figure, Plan
from servers import serve_site
from shotdap.catalog import PathTemplate, build_catalog
from shotdap.server.demo import ARCHIVE_FILES

__all__ = ["play"]

_SETTINGS: Final = '[archive]\nurl = "sqlite:///archive.db"\nroot = "."\n'
_IMAGES: Final = 500
_LARGE_SHOT: Final = 999_999
_GOAL: Final = "<= 200"
_TURNS: Final = 20  # requests of a round


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Measure the time of each page, with one client that asks for one after the other."""
    archive, index = create_catalog(folder, plan.rows)
    shot = list_shots(index)[-2]
    _add_large_shot(folder / "archive.db", _IMAGES // plan.shrink)
    build_catalog(archive, index, PathTemplate())
    image = index.list_children(f"omega/{shot}/d07").children[0].path
    (folder / "shotdap.toml").write_text(_SETTINGS)
    targets = {
        "start": "/",
        "a shot": f"/shots/omega/{shot}",
        f"a shot with {_IMAGES // plan.shrink} images": f"/shots/omega/{_LARGE_SHOT}",
        "live": "/live",
        "an image": f"/images/{image}",
        "a folder with all shots": "/dap/omega/",
        "search: a facility": "/search?q=facility:omega",
        "search: a diagnostic": "/search?q=D07",
        "search: a diagnostic and shots": f"/search?q=D07+{FIRST_SHOT}..{FIRST_SHOT + 100}",
        "search: a year": "/search?q=date:2011",
        "search: a part of names": "/search?q=name:d07_s*",
        "suggestions: a diagnostic": "/search/suggestions?q=D07",
        "suggestions: a part of a name": "/search/suggestions?q=d0",
        "all diagnostics": "/diagnostics",
        "a diagnostic": "/diagnostics/D07",
        "a diagnostic, earlier shots": f"/diagnostics/D07?shot=..{FIRST_SHOT + 100}",
        "a diagnostic, a year": "/diagnostics/D07?date=2011",
        "status": "/status",
        "search: nothing": "/search?q=name:nothing*",
    }
    with serve_site(folder / "shotdap.toml", folder / "server.log") as server:
        return [
            figure
            for name, target in targets.items()
            for figure in _measure(name, HttpRequest(server.port, target, accept="text/html"), plan)
        ]


def _measure(name: str, request: HttpRequest, plan: Plan) -> Sequence[Figure]:
    """Measure the first answer, and the median and the 95th percentile of the later ones."""
    first, *later = [_time(request) for _ in range(1 + _TURNS * plan.rounds)]
    return [
        Figure(name, "first", first, "ms"),
        Figure(name, "median", float(np.median(later)), "ms", _GOAL),
        Figure(name, "p95", float(np.percentile(later, 95)), "ms", _GOAL),
    ]


def _time(request: HttpRequest) -> float:
    """Return the milliseconds until a page is complete."""
    begun = perf_counter()
    request.send()
    return 1e3 * (perf_counter() - begun)


def _add_large_shot(path: Path, images: int) -> None:
    """Add the rows of a shot with many images to an archive."""
    when = datetime.fromisoformat("2040-01-02T03:04:05")
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(ARCHIVE_FILES.insert(), [_make_row(number, when) for number in range(images)])
    engine.dispose()


def _make_row(number: int, when: datetime) -> Mapping[str, object]:
    return {
        "IMAGE_ID": 10_000_000 + number,
        "FACILITY": "OMEGA",
        "SHOT_NUMBER": _LARGE_SHOT,
        "SHOT_DATE": when,
        "DIAGNOSTIC": f"D{number % 25:02}",
        "SOURCE_FILE": f"d{number % 25:02}_{number}_s{_LARGE_SHOT}.hdf",
        "ARCHIVE_FILE": f"large/{number}.hdf",
        "FORMAT": "HDF4",
        "MODIFIED": when + timedelta(seconds=number),
    }
