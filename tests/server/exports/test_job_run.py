"""Runs of exports: the content of every container, interruptions and killed workers."""

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
from tests.server.exports.campaign import QUERY, Campaign, Cluster, make_campaign, start_cluster, wait_until
from tests.serving import SHOTDAP, make_environment
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
MANY: Final = 1000
SECONDS: Final = 400  # on a busy machine; half a minute on a free one


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Twelve images in four files, one of them unreadable."""
    campaign = make_campaign(tmp_path_factory.mktemp("campaign") / "site", 12, files=4)
    campaign.spoil(3)
    return campaign


@pytest.fixture(scope="module")
def cluster(campaign: Campaign, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that knows only the campaign's settings."""
    with start_cluster(campaign.config, tmp_path_factory.mktemp("cluster") / "log") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    """A client of the cluster."""
    with Client(cluster.address, set_as_default=False) as client:
        yield client


@pytest.fixture
def export(campaign: Campaign, client: Client) -> Callable[..., Progress]:
    """A function that exports to a workspace."""
    catalog = Site(load_settings(campaign.config)).open_catalog()

    def export(order: JobOrder, workspace: Workspace, **more: Any) -> Progress:  # noqa: ANN401 — as `run_export` has them
        items = workspace.resume_export(order)
        if items is None:
            items = plan_export(catalog, order, memory_limit=MEMORY).items
            workspace.begin_export(order, items)
        return run_export(order, workspace, items, client, memory_limit=MEMORY, **more)

    return export


def open_folder(target: Path, name: str) -> xr.Dataset:
    return xr.open_dataset(target / f"{name}.nc4", engine="netcdf4")


def open_zip(target: Path, name: str) -> xr.Dataset:
    with ZipFile(target) as archive:
        assert archive.testzip() is None
        return xr.open_dataset(Path(archive.extract(f"{name}.nc4", target.parent / "unzipped")), engine="h5netcdf")


def open_zarr(target: Path, name: str) -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(target, group=name, chunks=None)
    return found


def open_zarr_zip(target: Path, name: str) -> xr.Dataset:
    with ZipStore(target, mode="r") as store:
        found: xr.Dataset = xr.open_zarr(store, group=name, chunks=None).load()
    return found


def open_tree(target: Path, name: str) -> xr.Dataset:
    return xr.open_dataset(target, group=name, engine="netcdf4")


def open_icechunk(target: Path, name: str) -> xr.Dataset:
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(target)))
    found: xr.Dataset = xr.open_zarr(
        repository.readonly_session("main").store, group=name, consolidated=False, chunks=None
    )
    return found


READ: Final[Mapping[JobContainer, Callable[[Path, str], xr.Dataset]]] = MappingProxyType(
    {
        "folder": open_folder,
        "zip": open_zip,
        "zarr": open_zarr,
        "zarr-zip": open_zarr_zip,
        "nc4": open_tree,
        "icechunk": open_icechunk,
    }
)


@pytest.mark.parametrize("container", READ)
def test_containers(
    container: JobContainer, campaign: Campaign, export: Callable[..., Progress], tmp_path: Path
) -> None:
    """Every container has the same numbers, axes and attributes; the manifest reports an unreadable image."""
    order, workspace = Order(QuerySource(QUERY), SUBTRACTED, container=container), Workspace(tmp_path / "out")
    progress = export(order, workspace)
    lines = {line.path: line for line in read_records(workspace.manifest_path).values()}

    assert (progress.total, progress.done, progress.failed) == (12, 9, 3)
    for number in range(12):
        line = lines[campaign.get_path(number)]
        if number % 4 == 3:
            (problem,) = line.problems
            assert (line.is_done, line.members) == (False, ())
            assert "HDF5" in problem
            assert str(campaign.folder) not in problem
            continue
        with READ[container](workspace.target, campaign.get_path(number)) as found:
            np.testing.assert_array_equal(found["background_subtracted"].values, campaign.compute_subtracted(number))
            assert found["background_subtracted"].dims == ("y", "x")
            assert found["x"].attrs["units"] == "pixel"
            assert found["background_subtracted"].attrs["units"] == "count"
            assert found.attrs["shot"] == 50_000 + number
        assert line.provenance == f"/dap/{campaign.get_path(number)}.prov"
        assert line.size > 0
    assert not workspace.staging_folder.exists()
    assert not workspace.drafts_folder.exists()


def test_sums(export: Callable[..., Progress], tmp_path: Path) -> None:
    """The manifest has the sizes of the files, and two exports of one order have the same bytes."""
    order = Order(QuerySource(QUERY), SUBTRACTED, container="zip")
    for name in ("one.zip", "two.zip"):
        export(order, Workspace(tmp_path / name))
    one, two = (ZipFile(tmp_path / name) for name in ("one.zip", "two.zip"))
    with one, two:
        manifest = [json.loads(line) for line in one.read("manifest.jsonl").splitlines()]
        named = {line["name"]: line["bytes"] for line in manifest if line["name"]}

        assert {info.filename: info.file_size for info in one.infolist()} == {
            **named,
            "manifest.jsonl": len(one.read("manifest.jsonl")),
        }
        assert [one.read(name) == two.read(name) for name in named] == [True] * 9


def test_transforms_and_parts(campaign: Campaign, export: Callable[..., Progress], tmp_path: Path) -> None:
    """Ranges and transforms give the same as for a single image; the provenance is that of the variant."""
    wanted = Extraction(("background_subtracted",), {"y": slice(2, 9, 3), "x": 5}, ("median_filter-size-3",))
    order, workspace = Order(QuerySource(f"{QUERY} shot:50001"), wanted, container="zarr"), Workspace(tmp_path / "out")
    export(order, workspace)
    (line,) = read_records(workspace.manifest_path).values()
    catalog = Site(load_settings(campaign.config)).open_catalog()
    path = wanted.build_path(campaign.get_path(1))

    with open_zarr(workspace.target, campaign.get_path(1)) as found:
        np.testing.assert_array_equal(found["result"].values, catalog.open(path)["result"].values[2:9:3, 5])
    assert line.provenance == f"/dap/{path}.prov"


def test_a_netcdf_tree_is_whole(campaign: Campaign, export: Callable[..., Progress], tmp_path: Path) -> None:
    """netCDF-C finds the dimensions of a tree's arrays, and the groups are the public paths."""
    workspace = Workspace(tmp_path / "out.nc4")
    export(Order(QuerySource(QUERY), container="nc4"), workspace)
    with netCDF4.Dataset(workspace.target) as file:
        group = file[campaign.get_path(0)]

        assert {name: len(each) for name, each in group.dimensions.items()} == {"y": 12, "x": 16}
        assert group["image"].dimensions == ("y", "x")
        np.testing.assert_array_equal(group["image"][:], campaign.frames[0][0])


def test_versions(campaign: Campaign, export: Callable[..., Progress], tmp_path: Path) -> None:
    """Each export to an Icechunk repository is one commit, with the query as message; older commits stay readable."""
    icechunk = pytest.importorskip("icechunk")
    workspace = Workspace(tmp_path / "repository")
    export(Order(QuerySource(f"{QUERY} shot:50000"), SUBTRACTED, container="icechunk"), workspace)
    export(Order(QuerySource(f"{QUERY} shot:50000..50001"), Extraction(("image",)), container="icechunk"), workspace)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(workspace.target)))
    second, first, _ = repository.ancestry(branch="main")

    assert (first.message, second.message) == (
        "shotdap export facility:omega shot:50000",
        "shotdap export facility:omega shot:50000..50001",
    )
    then, now = (repository.readonly_session(snapshot_id=each.id).store for each in (first, second))
    assert list(xr.open_zarr(then, group=campaign.get_path(0), consolidated=False).data_vars) == [
        "background_subtracted"
    ]
    assert list(xr.open_zarr(now, group=campaign.get_path(0), consolidated=False).data_vars) == ["image"]


def test_resuming(export: Callable[..., Progress], tmp_path: Path) -> None:
    """A stopped export resumes: what is done is not repeated, what failed is tried again."""
    order, workspace = Order(QuerySource(QUERY), SUBTRACTED, "nc", "folder"), Workspace(tmp_path / "out")
    turns = iter([False, True])
    with pytest.raises(ExportStopped):
        export(order, workspace, should_stop=lambda: next(turns))
    before = {name: (workspace.target / name).stat().st_mtime_ns for name in list_done(workspace)}
    with workspace.manifest_path.open("a") as file:
        file.write('{"number": 11, "path": "om')  # like a killed process leaves it
    progress = export(order, workspace)

    assert 0 < len(before) < 9
    assert (progress.done_before, progress.done, progress.failed) == (len(before), 9, 3)
    assert {name: (workspace.target / name).stat().st_mtime_ns for name in before} == before
    assert len(workspace.manifest_path.read_text().splitlines()) == 12


def list_done(workspace: Workspace) -> list[str]:
    """Return the names of the images that are done."""
    return [member.name for line in read_records(workspace.manifest_path).values() for member in line.members]


def test_a_read_only_target(campaign: Campaign, export: Callable[..., Progress], tmp_path: Path) -> None:
    """If nothing can be written, the export ends with a sentence, and no image is reported as failed."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "omega").write_text("in the way")
    order, workspace = Order(QuerySource(QUERY), SUBTRACTED, container="folder"), Workspace(tmp_path / "out")
    workspace.begin_export(
        order, plan_export(Site(load_settings(campaign.config)).open_catalog(), order, memory_limit=MEMORY).items
    )

    with pytest.raises(OSError, match="The export cannot be written"):
        export(order, workspace)


def test_progress() -> None:
    """The rate is that of this run alone, and predicts the time for the remaining images."""
    progress = Progress(total=100, done=55, failed=5, bytes=0, done_before=20, seconds=10)

    assert (progress.rate, progress.seconds_left) == (4, 10)
    assert (Progress(100, 0, 0, 0).rate, Progress(100, 0, 0, 0).seconds_left) == (None, None)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """So many images that a worker can be killed half-way."""
    return make_campaign(tmp_path_factory.mktemp("many") / "site", MANY, files=200)


def test_a_killed_worker(many: Campaign, tmp_path: Path) -> None:
    """All images are exported with the right numbers, although one of two workers is killed half-way.

    The workers know only the settings, and the command knows the scheduler's address.
    """
    out = Workspace(tmp_path / "out.zip")
    with start_cluster(many.config, tmp_path / "log") as cluster:
        command = (SHOTDAP, "export", QUERY, out.target, "--variable", "background_subtracted", "--format", "nc")
        more = ("--to", "zip", "--scheduler", cluster.address, "--config", many.config)
        with subprocess.Popen([*command, *more], env=make_environment(), stdout=subprocess.PIPE, text=True) as process:
            assert wait_until(lambda: process.poll() is not None or count_records(out) > MANY // 2, SECONDS)
            before = cluster.find_workers()
            os.kill(before[0], signal.SIGKILL)
            printed, _ = process.communicate(timeout=SECONDS)
        after = cluster.find_workers()

    assert process.returncode == 0, printed
    assert f"{MANY:,} images exported" in printed
    assert len(before) == 2
    assert before[0] not in after
    with ZipFile(out.target) as archive:
        for number in range(MANY):
            with archive.open(f"{many.get_path(number)}.nc") as file:
                np.testing.assert_array_equal(read_subtracted(file), many.compute_subtracted(number))
        assert len(archive.namelist()) == MANY + 1


def count_records(workspace: Workspace) -> int:
    """Return the number of images whose outcome is known."""
    return workspace.manifest_path.read_bytes().count(b"\n") if workspace.manifest_path.exists() else 0


def read_subtracted(file: Any) -> NDArray[Any]:  # noqa: ANN401 — an open file
    """Read the values of a netCDF-3 file."""
    with netcdf_file(file, mmap=False) as read:
        values: NDArray[Any] = read.variables["background_subtracted"].data.astype("f4")
    return values


def test_ctrl_c(many: Campaign, tmp_path: Path) -> None:
    """Ctrl-C stops an export on a local cluster; the same command resumes it, and ends with 0."""
    workspace = Workspace(tmp_path / "out")
    command = ["env", "--default-signal=INT", SHOTDAP, "export", f"{QUERY} shot:50000..50199", str(workspace.target)]
    command += ["--variable", "image", "--format", "nc", "--config", str(many.config)]
    with subprocess.Popen(
        command, env=make_environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert wait_until(lambda: process.poll() is not None or count_records(workspace) > 10)
        os.killpg(process.pid, signal.SIGINT)  # like a terminal: the workers get it, too
        _, printed = process.communicate(timeout=60)
    stopped = {line.number for line in read_records(workspace.manifest_path).values()}
    again = subprocess.run(command, env=make_environment(), check=False, capture_output=True, text=True, timeout=120)

    assert process.returncode == 130, printed
    assert printed.strip() == "Stopped; the same command goes on from here."
    assert 10 < len(stopped) < 200
    assert again.returncode == 0, again.stderr
    assert "200 images exported" in again.stdout
    assert len(list(workspace.target.rglob("*.nc"))) == 200


def test_nothing_exported(campaign: Campaign, cluster: Cluster, tmp_path: Path) -> None:
    """An export without any image ends with 1, and says where the reasons are."""
    command = [SHOTDAP, "export", f"{QUERY} shot:50003", str(tmp_path / "out"), "--scheduler", cluster.address]
    finished = subprocess.run(
        [*command, "--config", str(campaign.config)],
        env=make_environment(),
        check=False,
        capture_output=True,
        text=True,
    )

    assert finished.returncode == 1, finished.stderr
    assert "1 failed; the manifest says why" in finished.stdout
    assert str(Workspace(tmp_path / "out").manifest_path) in finished.stdout.replace("\n", "")
