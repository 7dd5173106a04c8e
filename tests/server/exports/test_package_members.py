"""The content of a package: the ordered images, their descriptions, and records of what is missing."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from tests import samples
from tests.server.exports.conftest import CREATED_AT, FRAMES, LIMITS, PACKAGE_LIMITS, Shot
from tests.serving import run_shotdap

from shotdap.catalog import NotFound, Unreadable
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports.order import FolderSource, Order, PackageOrder, RequestContext
from shotdap.server.exports.package_plan import PackageLimits, plan_package, select_entries
from shotdap.server.exports.package_tree import combine_images
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import TooLarge
from shotdap.transforms import BadSelection

SUBTRACTED = FRAMES[0].astype("f4") - FRAMES[1].astype("f4")


def read_netcdf(content: bytes) -> xr.Dataset:
    """Read a netCDF-4 file."""
    return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")


# Members ------------------------------------------------------------------------------------------------------------


def test_each_image_is_a_file(shot: Shot) -> None:
    """A package has all variables of a folder's images, also virtual ones, under the images' paths in the folder."""
    package = shot.make_package(Order(FolderSource("shot")))

    assert package.names == ["deeper/last.h5.nc4", "first.h5.nc4"]
    np.testing.assert_array_equal(read_netcdf(package.file.read("first.h5.nc4"))["background_subtracted"], SUBTRACTED)


def test_parts_of_variables(shot: Shot) -> None:
    """An order selects variables, and ranges of their dimensions."""
    wanted = Extraction(("background_subtracted",), {"y": slice(3, 9, 2), "x": 5})
    package = shot.make_package(Order(FolderSource("shot", ("first.h5",)), extraction=wanted, format_name="nc"))
    found = xr.load_dataset(io.BytesIO(package.file.read("first.h5.nc")), engine="scipy")

    assert package.names == ["first.h5.nc"]
    np.testing.assert_array_equal(found["background_subtracted"], SUBTRACTED[3:9:2, 5])


def test_transforms(shot: Shot) -> None:
    """Transforms are applied to the images, and named in the manifest."""
    wanted = Extraction(("background_subtracted",), transforms=("crop-rows-0_9",))
    package = shot.make_package(Order(FolderSource("shot", ("first.h5",)), extraction=wanted))

    np.testing.assert_array_equal(read_netcdf(package.file.read("first.h5.nc4"))["result"], SUBTRACTED[:10])
    assert "crop" in package.records["first.h5"]["provenance"]["result"]["made_by"]


def test_files_as_archived(shot: Shot) -> None:
    """Archived files are packed unmodified, also unreadable ones."""
    package = shot.make_package(Order(FolderSource("shot"), extraction=Extraction(raw=True)))

    assert package.names == ["deeper/last.h5", "first.h5", "hurt.h5", "login.hdf"]
    for name in package.names:
        assert package.file.read(name) == (shot.folder / name).read_bytes()


def test_one_image(shot: Shot) -> None:
    """A package may be of a single image."""
    assert shot.make_package(Order(FolderSource("shot/first.h5"))).names == ["first.h5.nc4"]


def test_names_differ_without_case(shot: Shot) -> None:
    """Two files whose names differ only by case, which are the same on Windows, get different names."""
    samples.write_image(shot.folder / "FIRST.h5", FRAMES)
    names = shot.make_package(Order(FolderSource("shot"), extraction=Extraction(raw=True))).names

    assert len({name.casefold() for name in names}) == len(names) == 5


# Manifest and README ------------------------------------------------------------------------------------------------


def test_manifest(shot: Shot) -> None:
    """The manifest has the member of each image, its provenance, and its problems."""
    package = shot.make_package(
        Order(
            FolderSource("shot"),
            extraction=Extraction(("background_subtracted",)),
            context=RequestContext("http://s/x", "http://s"),
        )
    )
    manifest, line = package.manifest, package.records["first.h5"]
    (member,) = line["members"]
    source = (shot.folder / "first.h5").read_bytes()

    assert (manifest["request"], manifest["made"]) == ("http://s/x", CREATED_AT.isoformat())
    assert line["url"] == "http://s/dap/shot/first.h5"
    assert line["health"] == "unseen"
    assert line["source"]["size"] == len(source)
    assert member["sha256"] == sha256(package.file.read(member["name"])).hexdigest()
    assert member["size"] == package.file.getinfo(member["name"]).file_size
    assert member["variables"]["background_subtracted"]["dimensions"] == {"y": 30, "x": 40}
    assert line["provenance"]["background_subtracted"]["made_by"] == "subtract_background(image, background)"
    assert line["problems"] == []


def test_hash_of_the_source(shot: Shot) -> None:
    """The source of an archived file has the hash of the file."""
    line = shot.make_package(Order(FolderSource("shot", ("first.h5",)), extraction=Extraction(raw=True))).records[
        "first.h5"
    ]
    expected = sha256((shot.folder / "first.h5").read_bytes()).hexdigest()

    assert line["source"]["sha256"] == line["members"][0]["sha256"] == expected


def test_readme(shot: Shot) -> None:
    """The README names the shot, each image with its variables and units, missing images, and code to open them."""
    readme = shot.make_package(Order(FolderSource("shot"), context=RequestContext("http://s/x"))).readme

    for words in ("Images of shot", "http://s/x", "shot/first.h5", "background_subtracted", "float32", "HTML page"):
        assert words in readme
    for code in ("xr.open_dataset", "ncread(", "NCDF_OPEN("):
        assert code in readme
    assert max(map(len, readme.splitlines())) < 160


@pytest.mark.parametrize("name", FORMATS)
def test_code_of_the_readme(name: str, shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members can have any format, and the Python code of the README opens them."""
    variable = "y" if FORMATS[name].content_kind == "lineout" else "image"
    package = shot.make_package(
        Order(FolderSource("shot", ("first.h5",)), extraction=Extraction((variable,)), format_name=name)
    )
    package.file.extractall(tmp_path / "out")
    lines = package.readme.partition("Python\n")[2].partition("MATLAB\n")[0]
    code = "\n".join(line for line in lines.splitlines() if ".plot()" not in line)
    monkeypatch.chdir(tmp_path / "out")
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 — what users copy

    assert len(package.names) == 1
    assert package.names[0].endswith(FORMATS[name].extension)
    assert package.records["first.h5"]["problems"] == []
    assert code.count("\n") > 0
    for each in found.values():
        if hasattr(each, "close") and not isinstance(each, type):
            each.close()


def test_formats_of_one_array_make_a_file_for_each(shot: Shot) -> None:
    """If the format holds one variable, each is a file; if none is named, the image is taken."""
    several = Extraction(("image", "background"))
    assert shot.make_package(Order(FolderSource("shot/first.h5"), extraction=several, format_name="npy")).names == [
        "first.h5.image.npy",
        "first.h5.background.npy",
    ]
    assert shot.make_package(Order(FolderSource("shot/first.h5"), format_name="png")).names == [
        "first.h5.background_subtracted.png"
    ]


@pytest.mark.parametrize(
    ("program", "arguments"),
    [("sha256sum", ["-c"]), ("unzip", ["-tq"]), ("7z", ["t"]), ("bsdtar", ["-tf"])],
)
def test_other_programs(
    program: str, arguments: list[str], shot: Shot, require: Callable[[str], None], tmp_path: Path
) -> None:
    """Programs that unpack and check find no error."""
    require(program)
    path = tmp_path / "package.zip"
    path.write_bytes(b"".join(shot.stream_package(Order(FolderSource("shot")))))
    zipfile.ZipFile(path).extractall(tmp_path / "out")
    argument = "SHA256SUMS" if program == "sha256sum" else str(path)
    done = subprocess.run(
        [program, *arguments, argument], cwd=tmp_path / "out", check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_makes_a_file(shot: Shot, tmp_path: Path) -> None:
    """``shotdap package`` makes the same file without a server, and prints what is missing."""
    out = tmp_path / "out.zip"
    done = run_shotdap("package", "shot", out, "--folder", shot.folder.parent, "--variable", "image")

    assert done.returncode == 0, done.stderr
    assert "shot/login.hdf: The file is an HTML page" in done.stdout
    assert "first.h5.nc4" in zipfile.ZipFile(out).namelist()
    assert [each.name for each in tmp_path.iterdir() if "unfinished" in each.name] == []


def test_the_command_fails_cleanly(shot: Shot, tmp_path: Path) -> None:
    """A command that fails prints the reason in a sentence, and leaves no file."""
    done = run_shotdap("package", "shot", tmp_path / "out.zip", "--folder", shot.folder.parent, "--variable", "nope")

    assert done.returncode == 2
    assert "There is no variable 'nope'" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["shot"]


# Images that cannot be packed ---------------------------------------------------------------------------------------


def test_unreadable_images(shot: Shot) -> None:
    """Damaged values, and a file that is no image, are reported with the reason; the package is complete."""
    package = shot.make_package(Order(FolderSource("shot")))

    assert package.file.testzip() is None
    for name, reason in (("hurt.h5", "may be damaged"), ("login.hdf", "HTML page")):
        line = package.records[name]
        assert line["members"] == []
        assert reason in "".join(line["problems"]), line["problems"]
        assert str(shot.folder) not in json.dumps(line)


def test_a_removed_file(shot: Shot) -> None:
    """A file that is removed while others are sent is reported, and the package is complete."""
    stream = shot.stream_package(
        Order(FolderSource("shot", ("deeper/last.h5", "first.h5")), extraction=Extraction(("image",)))
    )
    first = next(stream)  # the rest of the first image may be waiting to be sent
    (shot.folder / "first.h5").unlink()
    package = zipfile.ZipFile(io.BytesIO(bytes(first) + b"".join(stream)))
    lines = {line["path"]: line for line in json.loads(package.read("manifest.json"))["images"]}

    assert package.testzip() is None
    assert lines["shot/deeper/last.h5"]["problems"] == []


def test_an_image_without_the_variable(shot: Shot) -> None:
    """The manifest reports an image that does not have the selected variable."""
    with h5py.File(shot.folder / "other.h5", "w") as file:
        file["something"] = np.zeros(5)
    lines = shot.make_package(Order(FolderSource("shot"), extraction=Extraction(("image",)))).records

    assert "There is no variable 'image'" in lines["other.h5"]["problems"][0]
    assert lines["first.h5"]["problems"] == []


def test_nothing_at_all_is_an_error(shot: Shot) -> None:
    """If no image can be packed, the failure of the first image is raised."""
    with pytest.raises(BadSelection, match="There is no variable 'nope'"):
        shot.make_package(Order(FolderSource("shot"), extraction=Extraction(("nope",))))
    with pytest.raises(Unreadable, match="HTML page"):
        shot.make_package(Order(FolderSource("shot/login.hdf")))


def test_a_file_that_changes_interrupts_the_package(shot: Shot) -> None:
    """If an archived file changes while it is sent, no program accepts the result as a package."""
    large = shot.folder / "large.h5"
    large.write_bytes(bytes(8 << 20))
    stream = shot.stream_package(Order(FolderSource("shot", ("large.h5",)), extraction=Extraction(raw=True)))
    got = [bytes(next(stream))]
    with large.open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"other")
    with pytest.raises(Unreadable, match="has changed"):
        got.extend(map(bytes, stream))

    assert sum(map(len, got)) < 8 << 20
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(got)))


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "kind", "sentence"),
    [
        (Order(FolderSource("nowhere")), NotFound, "There is nothing"),
        (Order(FolderSource("shot", ("nope.h5",))), BadSelection, "no image 'nope.h5' in 'shot'"),
        (Order(FolderSource("shot", diagnostics=("SOP",))), BadSelection, "no images of sop"),
        (Order(FolderSource("shot/first.h5/raw")), BadSelection, "raw=1"),
        (Order(FolderSource("shot/first.h5/~background_subtracted")), BadSelection, "transform="),
        (Order(FolderSource("shot/~stack-shot-5")), BadSelection, "not of a stack"),
        (Order(FolderSource("shot"), format_name="doc"), BadSelection, "no format 'doc'"),
        (
            Order(FolderSource("shot"), format_name="nc", extraction=Extraction(raw=True)),
            BadSelection,
            "as they are in the archive",
        ),
        (Order(FolderSource("shot"), format_name="nc", container="nc4"), BadSelection, "has none"),
        (Order(FolderSource("shot", ("first.h5",), ("SOP",))), BadSelection, "not both"),
    ],
    ids=str,
)
def test_refusals(order: PackageOrder, kind: type[Exception], sentence: str, shot: Shot) -> None:
    """An order that does not fit is refused in a sentence that says what would fit."""
    with pytest.raises(kind, match=sentence):
        shot.make_package(order)


@pytest.mark.parametrize("bounds", [PackageLimits(3, 1 << 24), PackageLimits(10, 1000)], ids=str)
def test_too_much(bounds: PackageLimits, shot: Shot) -> None:
    """Too many images or bytes are refused before any value is read; the sentence has an alternative."""
    order = Order(FolderSource("shot"))
    with pytest.raises(TooLarge, match="POST /api/v1/exports"):
        plan_package(shot.catalog, order, select_entries(shot.catalog, order, bounds.max_images), LIMITS, bounds)


def test_an_image_that_is_too_large(shot: Shot) -> None:
    """An image that exceeds the limit of a response is reported; its archived file can be packed."""
    samples.write_image(shot.folder / "great.h5", np.zeros((2, 512, 512), "u2"))
    package = shot.make_package(Order(FolderSource("shot")))

    assert "MiB" in package.records["great.h5"]["problems"][0]
    assert "great.h5" in shot.make_package(Order(FolderSource("shot"), extraction=Extraction(raw=True))).names


# Trees --------------------------------------------------------------------------------------------------------------


def test_tree(shot: Shot) -> None:
    """In a tree, each image is a group, and the attributes of the dataset are the manifest."""
    order = Order(FolderSource("shot"), container="nc4", context=RequestContext("http://s/x"))
    items = plan_package(shot.catalog, order, select_entries(shot.catalog, order, 10), LIMITS, PACKAGE_LIMITS)
    dataset = combine_images(shot.catalog, order, [item for item in items if "hurt" not in item.entry.path], CREATED_AT)
    path = next(str(name) for name in dataset.variables if str(name).endswith("last_h5/image"))

    np.testing.assert_array_equal(dataset[path], FRAMES[0, ::-1])
    assert "login.hdf" in dataset.attrs["left_out"]
    assert dataset.attrs["request"] == "http://s/x"
