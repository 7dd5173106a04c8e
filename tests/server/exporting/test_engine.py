"""Exports that run: what they hold, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zipfile import ZipFile

import netCDF4
import numpy as np
import pytest
import xarray as xr
from distributed import Client
from numpy.typing import NDArray
from scipy.io import netcdf_file
from tests.server.exporting.campaign import QUERY, Campaign, Cluster, clustered, made, within
from tests.serving import SHOTDAP, environment
from zarr.storage import ZipStore

from shotdap.config import Site, load_settings
from shotdap.server.exports import JobContainer
from shotdap.server.exports.export_plan import plan_export
from shotdap.server.exports.job_run import ExportStopped, run_export
from shotdap.server.exports.manifest import read_records
from shotdap.server.exports.order import JobOrder, Order, QuerySource
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.workspace import Workspace
from shotdap.server.extraction import Extraction

MEMORY: Final = 1 << 30
SUBTRACTED: Final = Extraction(("background_subtracted",))
MANY: Final = 5000
SECONDS: Final = 400  # for thousands of images, on a machine that does other things too; half a minute on a free one


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Twelve images in four files, one of which cannot be read."""
    campaign = made(tmp_path_factory.mktemp("campaign") / "site", 12, files=4)
    campaign.spoil(3)
    return campaign


@pytest.fixture(scope="module")
def cluster(campaign: Campaign, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that knows the campaign's settings, and nothing else."""
    with clustered(campaign.config, tmp_path_factory.mktemp("cluster") / "log") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    """A client of the cluster."""
    with Client(cluster.address, set_as_default=False) as client:
        yield client


@pytest.fixture
def exported(campaign: Campaign, client: Client) -> Callable[..., Progress]:
    """Exports to a place."""
    catalog = Site(load_settings(campaign.config)).open_catalog()

    def exported(order: JobOrder, place: Workspace, **more: Any) -> Progress:  # noqa: ANN401 — as `run_export` has them
        items = place.resume_export(order)
        if items is None:
            items = plan_export(catalog, order, memory_limit=MEMORY).items
            place.begin_export(order, items)
        return run_export(order, place, items, client, memory_limit=MEMORY, **more)

    return exported


def from_folder(target: Path, name: str) -> xr.Dataset:
    return xr.open_dataset(target / f"{name}.nc4", engine="netcdf4")


def from_zip(target: Path, name: str) -> xr.Dataset:
    with ZipFile(target) as archive:
        assert archive.testzip() is None
        return xr.open_dataset(Path(archive.extract(f"{name}.nc4", target.parent / "unzipped")), engine="h5netcdf")


def from_zarr(target: Path, name: str) -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(target, group=name, chunks=None)
    return found


def from_zarr_zip(target: Path, name: str) -> xr.Dataset:
    with ZipStore(target, mode="r") as store:
        found: xr.Dataset = xr.open_zarr(store, group=name, chunks=None).load()
    return found


def from_tree(target: Path, name: str) -> xr.Dataset:
    return xr.open_dataset(target, group=name, engine="netcdf4")


def from_icechunk(target: Path, name: str) -> xr.Dataset:
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(target)))
    found: xr.Dataset = xr.open_zarr(
        repository.readonly_session("main").store, group=name, consolidated=False, chunks=None
    )
    return found


READ: Final[Mapping[JobContainer, Callable[[Path, str], xr.Dataset]]] = MappingProxyType(
    {
        "folder": from_folder,
        "zip": from_zip,
        "zarr": from_zarr,
        "zarr-zip": from_zarr_zip,
        "nc4": from_tree,
        "icechunk": from_icechunk,
    }
)


@pytest.mark.parametrize("container", READ)
def test_containers(
    container: JobContainer, campaign: Campaign, exported: Callable[..., Progress], tmp_path: Path
) -> None:
    """Every container holds the same numbers, axes and attributes; an image that cannot be read is a line."""
    order, place = Order(QuerySource(QUERY), SUBTRACTED, container=container), Workspace(tmp_path / "out")
    progress = exported(order, place)
    lines = {line.path: line for line in read_records(place.manifest_path).values()}

    assert (progress.total, progress.done, progress.failed) == (12, 9, 3)
    for number in range(12):
        line = lines[campaign.path(number)]
        if number % 4 == 3:
            (problem,) = line.problems
            assert (line.is_done, line.members) == (False, ())
            assert "HDF5" in problem
            assert str(campaign.folder) not in problem
            continue
        with READ[container](place.target, campaign.path(number)) as found:
            np.testing.assert_array_equal(found["background_subtracted"].values, campaign.subtracted(number))
            assert found["background_subtracted"].dims == ("y", "x")
            assert found["x"].attrs["units"] == "pixel"
            assert found["background_subtracted"].attrs["units"] == "count"
            assert found.attrs["shot"] == 50_000 + number
        assert line.provenance == f"/dap/{campaign.path(number)}.prov"
        assert line.size > 0
    assert not place.staging_folder.exists()
    assert not place.drafts_folder.exists()


def test_sums(exported: Callable[..., Progress], tmp_path: Path) -> None:
    """The manifest's sums are those of the files, and two exports of one order are the same to the byte."""
    order = Order(QuerySource(QUERY), SUBTRACTED, container="zip")
    for name in ("one.zip", "two.zip"):
        exported(order, Workspace(tmp_path / name))
    one, two = (ZipFile(tmp_path / name) for name in ("one.zip", "two.zip"))
    with one, two:
        manifest = [json.loads(line) for line in one.read("manifest.jsonl").splitlines()]
        named = {line["name"]: line["bytes"] for line in manifest if line["name"]}

        assert {info.filename: info.file_size for info in one.infolist()} == {
            **named,
            "manifest.jsonl": len(one.read("manifest.jsonl")),
        }
        assert [one.read(name) == two.read(name) for name in named] == [True] * 9


def test_transforms_and_parts(campaign: Campaign, exported: Callable[..., Progress], tmp_path: Path) -> None:
    """Parts and transforms are those of a single image; their provenance is the variant's."""
    wanted = Extraction(("background_subtracted",), {"y": slice(2, 9, 3), "x": 5}, ("median_filter-size-3",))
    order, place = Order(QuerySource(f"{QUERY} shot:50001"), wanted, container="zarr"), Workspace(tmp_path / "out")
    exported(order, place)
    (line,) = read_records(place.manifest_path).values()
    catalog = Site(load_settings(campaign.config)).open_catalog()
    path = wanted.build_path(campaign.path(1))

    with from_zarr(place.target, campaign.path(1)) as found:
        np.testing.assert_array_equal(found["result"].values, catalog.open(path)["result"].values[2:9:3, 5])
    assert line.provenance == f"/dap/{path}.prov"


def test_a_netcdf_tree_is_whole(campaign: Campaign, exported: Callable[..., Progress], tmp_path: Path) -> None:
    """A tree's arrays find their dimensions by netCDF-C, and its groups are those of the paths."""
    place = Workspace(tmp_path / "out.nc4")
    exported(Order(QuerySource(QUERY), container="nc4"), place)
    with netCDF4.Dataset(place.target) as file:
        group = file[campaign.path(0)]

        assert {name: len(each) for name, each in group.dimensions.items()} == {"y": 12, "x": 16}
        assert group["image"].dimensions == ("y", "x")
        np.testing.assert_array_equal(group["image"][:], campaign.frames[0][0])


def test_versions(campaign: Campaign, exported: Callable[..., Progress], tmp_path: Path) -> None:
    """Each export to an Icechunk repository is one commit that names the query; earlier ones can be read for ever."""
    icechunk = pytest.importorskip("icechunk")
    place = Workspace(tmp_path / "repository")
    exported(Order(QuerySource(f"{QUERY} shot:50000"), SUBTRACTED, container="icechunk"), place)
    exported(Order(QuerySource(f"{QUERY} shot:50000..50001"), Extraction(("image",)), container="icechunk"), place)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place.target)))
    second, first, _ = repository.ancestry(branch="main")

    assert (first.message, second.message) == (
        "shotdap export facility:omega shot:50000",
        "shotdap export facility:omega shot:50000..50001",
    )
    then, now = (repository.readonly_session(snapshot_id=each.id).store for each in (first, second))
    assert list(xr.open_zarr(then, group=campaign.path(0), consolidated=False).data_vars) == ["background_subtracted"]
    assert list(xr.open_zarr(now, group=campaign.path(0), consolidated=False).data_vars) == ["image"]


def test_going_on(exported: Callable[..., Progress], tmp_path: Path) -> None:
    """A stopped export goes on where it was: what is done is not done again, what failed is tried again."""
    order, place = Order(QuerySource(QUERY), SUBTRACTED, "nc", "folder"), Workspace(tmp_path / "out")
    turns = iter([False, True])
    with pytest.raises(ExportStopped):
        exported(order, place, should_stop=lambda: next(turns))
    before = {name: (place.target / name).stat().st_mtime_ns for name in done(place)}
    with place.manifest_path.open("a") as file:
        file.write('{"number": 11, "path": "om')  # as a process leaves it that is killed
    progress = exported(order, place)

    assert 0 < len(before) < 9
    assert (progress.done_before, progress.done, progress.failed) == (len(before), 9, 3)
    assert {name: (place.target / name).stat().st_mtime_ns for name in before} == before
    assert len(place.manifest_path.read_text().splitlines()) == 12


def done(place: Workspace) -> list[str]:
    """Return the names of the images that are done."""
    return [member.name for line in read_records(place.manifest_path).values() for member in line.members]


def test_a_place_that_cannot_be_written_to(
    campaign: Campaign, exported: Callable[..., Progress], tmp_path: Path
) -> None:
    """Where nothing can be written, the export ends with a sentence; it is no fault of the images."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "omega").write_text("in the way")
    order, place = Order(QuerySource(QUERY), SUBTRACTED, container="folder"), Workspace(tmp_path / "out")
    place.begin_export(
        order, plan_export(Site(load_settings(campaign.config)).open_catalog(), order, memory_limit=MEMORY).items
    )

    with pytest.raises(OSError, match="The export cannot be written"):
        exported(order, place)


def test_progress() -> None:
    """The rate is that of this run alone, and says how long the others will take."""
    progress = Progress(total=100, done=55, failed=5, bytes=0, done_before=20, seconds=10)

    assert (progress.rate, progress.seconds_left) == (4, 10)
    assert (Progress(100, 0, 0, 0).rate, Progress(100, 0, 0, 0).seconds_left) == (None, None)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Thousands of images."""
    return made(tmp_path_factory.mktemp("many") / "site", MANY, files=200)


def test_a_killed_worker(many: Campaign, tmp_path: Path) -> None:
    """Of 5,000 images on two workers, one of which is killed half-way, each is there, with the right numbers.

    The workers have only been told of the settings, and the scheduler by its address.
    """
    out = Workspace(tmp_path / "out.zip")
    with clustered(many.config, tmp_path / "log") as cluster:
        command = (SHOTDAP, "export", QUERY, out.target, "--variable", "background_subtracted", "--format", "nc")
        more = ("--to", "zip", "--scheduler", cluster.address, "--config", many.config)
        with subprocess.Popen([*command, *more], env=environment(), stdout=subprocess.PIPE, text=True) as process:
            assert within(lambda: process.poll() is not None or written(out) > MANY // 2, SECONDS)
            before = cluster.workers()
            os.kill(before[0], signal.SIGKILL)
            said, _ = process.communicate(timeout=SECONDS)
        after = cluster.workers()

    assert process.returncode == 0, said
    assert "5,000 images exported" in said
    assert len(before) == 2
    assert before[0] not in after
    with ZipFile(out.target) as archive:
        for number in range(MANY):
            with archive.open(f"{many.path(number)}.nc") as file:
                np.testing.assert_array_equal(subtracted(file), many.subtracted(number))
        assert len(archive.namelist()) == MANY + 1


def written(place: Workspace) -> int:
    """Of how many images it is known by now what became of them."""
    return place.manifest_path.read_bytes().count(b"\n") if place.manifest_path.exists() else 0


def subtracted(file: Any) -> NDArray[Any]:  # noqa: ANN401 — an open file
    """What a netCDF-3 file holds."""
    with netcdf_file(file, mmap=False) as read:
        values: NDArray[Any] = read.variables["background_subtracted"].data.astype("f4")
    return values


def test_ctrl_c(many: Campaign, tmp_path: Path) -> None:
    """Ctrl-C stops an export on a cluster of its own; the same command goes on, and ends with 0."""
    place = Workspace(tmp_path / "out")
    command = ["env", "--default-signal=INT", SHOTDAP, "export", f"{QUERY} shot:50000..50199", str(place.target)]
    command += ["--variable", "image", "--format", "nc", "--config", str(many.config)]
    with subprocess.Popen(
        command, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert within(lambda: process.poll() is not None or written(place) > 10)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
        _, said = process.communicate(timeout=60)
    stopped = {line.number for line in read_records(place.manifest_path).values()}
    again = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True, timeout=120)

    assert process.returncode == 130, said
    assert said.strip() == "Stopped; the same command goes on from here."
    assert 10 < len(stopped) < 200
    assert again.returncode == 0, again.stderr
    assert "200 images exported" in again.stdout
    assert len(list(place.target.rglob("*.nc"))) == 200


def test_nothing_exported(campaign: Campaign, cluster: Cluster, tmp_path: Path) -> None:
    """An export of which nothing came ends with 1, and says where the reasons are."""
    command = [SHOTDAP, "export", f"{QUERY} shot:50003", str(tmp_path / "out"), "--scheduler", cluster.address]
    finished = subprocess.run(
        [*command, "--config", str(campaign.config)], env=environment(), check=False, capture_output=True, text=True
    )

    assert finished.returncode == 1, finished.stderr
    assert "1 failed; the manifest says why" in finished.stdout
    assert str(Workspace(tmp_path / "out").manifest_path) in finished.stdout.replace("\n", "")
