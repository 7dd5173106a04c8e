"""What is in a package: images as they were asked for, what explains them, and a line for what cannot be had."""

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
from tests.server.packaging.conftest import BOUNDS, FRAMES, LIMITS, MADE, Shot
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


def read(content: bytes) -> xr.Dataset:
    """A netCDF-4 file's content."""
    return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")


# Members ------------------------------------------------------------------------------------------------------------


def test_each_image_is_a_file(shot: Shot) -> None:
    """All that can be had of a folder's images is in it, virtual variables too, by the paths that they have there."""
    package = shot.package(Order(FolderSource("shot")))

    assert package.names == ["deeper/last.h5.nc4", "first.h5.nc4"]
    np.testing.assert_array_equal(read(package.file.read("first.h5.nc4"))["background_subtracted"], SUBTRACTED)


def test_parts_of_variables(shot: Shot) -> None:
    """Of each image as much goes in as is wanted: variables, and parts of their dimensions."""
    wanted = Extraction(("background_subtracted",), {"y": slice(3, 9, 2), "x": 5})
    package = shot.package(Order(FolderSource("shot", ("first.h5",)), extraction=wanted, format_name="nc"))
    found = xr.load_dataset(io.BytesIO(package.file.read("first.h5.nc")), engine="scipy")

    assert package.names == ["first.h5.nc"]
    np.testing.assert_array_equal(found["background_subtracted"], SUBTRACTED[3:9:2, 5])


def test_transforms(shot: Shot) -> None:
    """Images go in with transforms applied, which the manifest names."""
    wanted = Extraction(("background_subtracted",), transforms=("crop-rows-0_9",))
    package = shot.package(Order(FolderSource("shot", ("first.h5",)), extraction=wanted))

    np.testing.assert_array_equal(read(package.file.read("first.h5.nc4"))["result"], SUBTRACTED[:10])
    assert "crop" in package.lines["first.h5"]["provenance"]["result"]["made_by"]


def test_files_as_archived(shot: Shot) -> None:
    """Files of the archive go in to the byte, those that cannot be read too."""
    package = shot.package(Order(FolderSource("shot"), extraction=Extraction(raw=True)))

    assert package.names == ["deeper/last.h5", "first.h5", "hurt.h5", "login.hdf"]
    for name in package.names:
        assert package.file.read(name) == (shot.folder / name).read_bytes()


def test_one_image(shot: Shot) -> None:
    """A package may be of a single image."""
    assert shot.package(Order(FolderSource("shot/first.h5"))).names == ["first.h5.nc4"]


def test_names_differ_where_no_case_is_told(shot: Shot) -> None:
    """Two files whose names differ by case only, which are one on Windows, get different names."""
    samples.write_image(shot.folder / "FIRST.h5", FRAMES)
    names = shot.package(Order(FolderSource("shot"), extraction=Extraction(raw=True))).names

    assert len({name.casefold() for name in names}) == len(names) == 5


# What explains them -------------------------------------------------------------------------------------------------


def test_manifest(shot: Shot) -> None:
    """The manifest tells of each image its member, what that is made of, and whether anything is wrong with it."""
    package = shot.package(
        Order(
            FolderSource("shot"),
            extraction=Extraction(("background_subtracted",)),
            context=RequestContext("http://s/x", "http://s"),
        )
    )
    manifest, line = package.manifest, package.lines["first.h5"]
    (member,) = line["members"]
    source = (shot.folder / "first.h5").read_bytes()

    assert (manifest["request"], manifest["made"]) == ("http://s/x", MADE.isoformat())
    assert line["url"] == "http://s/dap/shot/first.h5"
    assert line["health"] == "unseen"
    assert line["source"]["size"] == len(source)
    assert member["sha256"] == sha256(package.file.read(member["name"])).hexdigest()
    assert member["size"] == package.file.getinfo(member["name"]).file_size
    assert member["variables"]["background_subtracted"]["dimensions"] == {"y": 30, "x": 40}
    assert line["provenance"]["background_subtracted"]["made_by"] == "subtract_background(image, background)"
    assert line["problems"] == []


def test_hash_of_the_source(shot: Shot) -> None:
    """A file as archived has its own hash; so has the source of what is computed, where an inspection has seen it."""
    line = shot.package(Order(FolderSource("shot", ("first.h5",)), extraction=Extraction(raw=True))).lines["first.h5"]
    expected = sha256((shot.folder / "first.h5").read_bytes()).hexdigest()

    assert line["source"]["sha256"] == line["members"][0]["sha256"] == expected


def test_readme(shot: Shot) -> None:
    """The README names the shot, each image with its variables and units, what is not there, and how to open it."""
    readme = shot.package(Order(FolderSource("shot"), context=RequestContext("http://s/x"))).readme

    for said in ("Images of shot", "http://s/x", "shot/first.h5", "background_subtracted", "float32", "HTML page"):
        assert said in readme
    for opened in ("xr.open_dataset", "ncread(", "NCDF_OPEN("):
        assert f"{opened}" in readme
    assert max(map(len, readme.splitlines())) < 160


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_readme_says_works(name: str, shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members can be of any format, and the lines of Python in the README open them."""
    variable = "y" if FORMATS[name].content_kind == "lineout" else "image"
    package = shot.package(
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
    assert package.lines["first.h5"]["problems"] == []
    assert code.count("\n") > 0
    for each in found.values():
        if hasattr(each, "close") and not isinstance(each, type):
            each.close()


def test_formats_of_one_array_make_a_file_for_each(shot: Shot) -> None:
    """Of several variables, each is a file of its own where the format holds one; where none is named, the image is."""
    several = Extraction(("image", "background"))
    assert shot.package(Order(FolderSource("shot/first.h5"), extraction=several, format_name="npy")).names == [
        "first.h5.image.npy",
        "first.h5.background.npy",
    ]
    assert shot.package(Order(FolderSource("shot/first.h5"), format_name="png")).names == [
        "first.h5.background_subtracted.png"
    ]


@pytest.mark.parametrize(
    ("program", "arguments"),
    [("sha256sum", ["-c"]), ("unzip", ["-tq"]), ("7z", ["t"]), ("bsdtar", ["-tf"])],
)
def test_programs_take_it(
    program: str, arguments: list[str], shot: Shot, require: Callable[[str], None], tmp_path: Path
) -> None:
    """Programs that unpack and check find nothing wrong."""
    require(program)
    path = tmp_path / "package.zip"
    path.write_bytes(b"".join(shot.blocks(Order(FolderSource("shot")))))
    zipfile.ZipFile(path).extractall(tmp_path / "out")
    argument = "SHA256SUMS" if program == "sha256sum" else str(path)
    done = subprocess.run(
        [program, *arguments, argument], cwd=tmp_path / "out", check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_makes_a_file(shot: Shot, tmp_path: Path) -> None:
    """``shotdap package`` makes the same file without a server, and says what is not in it."""
    out = tmp_path / "out.zip"
    done = run_shotdap("package", "shot", out, "--folder", shot.folder.parent, "--variable", "image")

    assert done.returncode == 0, done.stderr
    assert "shot/login.hdf: The file is an HTML page" in done.stdout
    assert "first.h5.nc4" in zipfile.ZipFile(out).namelist()
    assert [each.name for each in tmp_path.iterdir() if "unfinished" in each.name] == []


def test_the_command_leaves_nothing_where_it_fails(shot: Shot, tmp_path: Path) -> None:
    """A command that fails says why in a sentence, and leaves no file."""
    done = run_shotdap("package", "shot", tmp_path / "out.zip", "--folder", shot.folder.parent, "--variable", "nope")

    assert done.returncode == 2
    assert "There is no variable 'nope'" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["shot"]


# What cannot be had -------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_a_line(shot: Shot) -> None:
    """An image with damaged values, and one that is none, are lines with the reason; the package is whole."""
    package = shot.package(Order(FolderSource("shot")))

    assert package.file.testzip() is None
    for name, reason in (("hurt.h5", "may be damaged"), ("login.hdf", "HTML page")):
        line = package.lines[name]
        assert line["members"] == []
        assert reason in "".join(line["problems"]), line["problems"]
        assert str(shot.folder) not in json.dumps(line)


def test_a_file_that_goes_away_is_a_line(shot: Shot) -> None:
    """A file that is removed while others are being sent is a line, and the package is whole."""
    stream = shot.blocks(Order(FolderSource("shot", ("deeper/last.h5", "first.h5")), extraction=Extraction(("image",))))
    first = next(stream)  # some of what becomes of the first image may be waiting to be sent
    (shot.folder / "first.h5").unlink()
    package = zipfile.ZipFile(io.BytesIO(bytes(first) + b"".join(stream)))
    lines = {line["path"]: line for line in json.loads(package.read("manifest.json"))["images"]}

    assert package.testzip() is None
    assert lines["shot/deeper/last.h5"]["problems"] == []


def test_an_image_without_the_variable_is_a_line(shot: Shot) -> None:
    """Of images that have not what is wanted, the manifest says so."""
    with h5py.File(shot.folder / "other.h5", "w") as file:
        file["something"] = np.zeros(5)
    lines = shot.package(Order(FolderSource("shot"), extraction=Extraction(("image",)))).lines

    assert "There is no variable 'image'" in lines["other.h5"]["problems"][0]
    assert lines["first.h5"]["problems"] == []


def test_nothing_at_all_is_an_error(shot: Shot) -> None:
    """Where no image has what is wanted, there is no package, but what is wrong with the first."""
    with pytest.raises(BadSelection, match="There is no variable 'nope'"):
        shot.package(Order(FolderSource("shot"), extraction=Extraction(("nope",))))
    with pytest.raises(Unreadable, match="HTML page"):
        shot.package(Order(FolderSource("shot/login.hdf")))


def test_a_file_that_changes_under_way_breaks_the_package_off(shot: Shot) -> None:
    """A file of the archive that is another while it is sent leaves no file that any program takes for a package."""
    large = shot.folder / "large.h5"
    large.write_bytes(bytes(8 << 20))
    stream = shot.blocks(Order(FolderSource("shot", ("large.h5",)), extraction=Extraction(raw=True)))
    got = [bytes(next(stream))]
    with large.open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"other")
    with pytest.raises(Unreadable, match="has changed"):
        got.extend(map(bytes, stream))

    assert sum(map(len, got)) < 8 << 20
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(got)))


# What is refused ----------------------------------------------------------------------------------------------------


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
    """What does not fit is refused in a sentence that says what would."""
    with pytest.raises(kind, match=sentence):
        shot.package(order)


@pytest.mark.parametrize("bounds", [PackageLimits(3, 1 << 24), PackageLimits(10, 1000)], ids=str)
def test_too_much(bounds: PackageLimits, shot: Shot) -> None:
    """Too many images, or too much in them, are refused before any value is read; the sentence says the way round."""
    order = Order(FolderSource("shot"))
    with pytest.raises(TooLarge, match="POST /api/v1/exports"):
        plan_package(shot.catalog, order, select_entries(shot.catalog, order, bounds.max_images), LIMITS, bounds)


def test_an_image_that_is_too_large_is_a_line(shot: Shot) -> None:
    """An image that is more than one answer may hold is a line; as its file it can be had."""
    samples.write_image(shot.folder / "great.h5", np.zeros((2, 512, 512), "u2"))
    package = shot.package(Order(FolderSource("shot")))

    assert "MiB" in package.lines["great.h5"]["problems"][0]
    assert "great.h5" in shot.package(Order(FolderSource("shot"), extraction=Extraction(raw=True))).names


# Trees --------------------------------------------------------------------------------------------------------------


def test_tree(shot: Shot) -> None:
    """As a tree, each image is a group, with a dataset's attributes for a manifest."""
    order = Order(FolderSource("shot"), container="nc4", context=RequestContext("http://s/x"))
    items = plan_package(shot.catalog, order, select_entries(shot.catalog, order, 10), LIMITS, BOUNDS)
    dataset = combine_images(shot.catalog, order, [item for item in items if "hurt" not in item.entry.path], MADE)
    path = next(str(name) for name in dataset.variables if str(name).endswith("last_h5/image"))

    np.testing.assert_array_equal(dataset[path], FRAMES[0, ::-1])
    assert "login.hdf" in dataset.attrs["left_out"]
    assert dataset.attrs["request"] == "http://s/x"
