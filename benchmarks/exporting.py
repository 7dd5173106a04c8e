"""Export many images without their background: by a loop that opens, subtracts and writes, and by Dask's workers.

Every contender writes the same numbers, one netCDF-3 file for each image. The loop knows the files' layout, and labels
nothing; the second has shotdap open the images, in one process and without Dask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from distributed import Client
from numpy.typing import NDArray
from scipy.io import netcdf_file

from images import ImageFile
from measuring import Case, Contender, Mismatch, Plan, repeat
from shotdap.config import SettingsSource, Site, load_settings
from shotdap.server.exports.cluster import open_cluster
from shotdap.server.exports.export_plan import PlanItem, plan_export
from shotdap.server.exports.job_run import run_export
from shotdap.server.exports.order import Order, QuerySource
from shotdap.server.exports.worker import ExportTask, run_task
from shotdap.server.exports.workspace import Workspace
from shotdap.server.extraction import Extraction

__all__ = ["cases"]

_IMAGES: Final = 200
_FILE: Final = ImageFile("streak.h5", "HDF5", (1100, 1100), deflated=False)
_ORDER: Final = Order(QuerySource("path:*"), Extraction(("background_subtracted",)), "nc", "folder")
_WORKERS: Final = (1, 2)


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield one case: some hundred images into a folder."""
    images = max(4, _IMAGES // plan.shrink)
    config = _make_archive(folder, _FILE.shrink(plan.shrink), images)
    source = SettingsSource(config)
    items = plan_export(Site(source.load()).open_catalog(), _ORDER, memory_limit=1 << 30).items
    ways: dict[str, Callable[[Path], object]] = {
        "shotdap, 1 process without Dask": partial(_export_without_dask, config, items),
        "Python loop": partial(_export_by_loop, folder / "images"),
    }
    with ExitStack() as stack:
        for workers in _WORKERS:
            exports = load_settings(config, {"exports.workers": workers}).exports
            client = stack.enter_context(open_cluster(exports, source))
            ways[f"shotdap, Dask, {workers} worker{'s' if workers > 1 else ''}"] = partial(
                _export_by_dask, client, items, config
            )
        numbers = count()
        _check(folder / "out", ways, numbers)
        contenders = tuple(
            Contender(name, repeat(_export_to_new_folder(folder / "out", way, numbers))) for name, way in ways.items()
        )
        yield [Case(f"export {images} images of {_FILE.shrink(plan.shrink)}, images", contenders, images)]


def _make_archive(folder: Path, file: ImageFile, images: int) -> Path:
    """Make a folder of identical images, and settings for it."""
    (folder / "images").mkdir()
    file.write(folder / "images")
    first = folder / "images" / file.name
    for number in range(images):
        (folder / "images" / f"{number:04}.h5").hardlink_to(first)
    first.unlink()
    config = folder / "shotdap.toml"
    config.write_text('[archive]\nfolder = "images"\n[catalog]\nisolate = false\n')
    return config


def _export_to_new_folder(out: Path, way: Callable[[Path], object], numbers: Iterator[int]) -> Callable[[], object]:
    """Return a function that exports to a new folder at each call."""
    return lambda: way(out / str(next(numbers)))


def _export_by_loop(images: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in sorted(images.iterdir()):
        with h5py.File(path) as file:
            frames: Any = file["Streak_array"]
            image, background = frames[0], frames[1]
        _write(target / f"{path.name}.nc", image.astype("f4") - background.astype("f4"))


def _write(path: Path, values: NDArray[Any]) -> None:
    with netcdf_file(path, "w") as file:
        for name, size in zip("yx", values.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("background_subtracted", "f4", ("y", "x"))[:] = values


def _export_without_dask(config: Path, items: tuple[PlanItem, ...], target: Path) -> None:
    run_task(ExportTask(_ORDER.to_json(), str(target), items, 1 << 30, config))


def _export_by_dask(client: Client, items: tuple[PlanItem, ...], settings_file: Path, target: Path) -> None:
    place = Workspace(target)
    place.begin_export(_ORDER, items)
    run_export(_ORDER, place, items, client, memory_limit=1 << 30, settings_file=settings_file)


def _check(out: Path, ways: dict[str, Callable[[Path], object]], numbers: Iterator[int]) -> None:
    first, *others = (_read_after(way, out / str(next(numbers))) for way in ways.values())
    if not all(np.array_equal(first, other) for other in others):
        raise Mismatch("The exports do not hold equal numbers.")


def _read_after(way: Callable[[Path], object], folder: Path) -> NDArray[Any]:
    """Run an export and return its last image."""
    way(folder)
    with netcdf_file(max(folder.rglob("*.nc")), mmap=False) as file:
        values: NDArray[Any] = file.variables["background_subtracted"].data.astype("f4")
    return values
