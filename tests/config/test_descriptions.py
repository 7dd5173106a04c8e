"""Descriptions of diagnostics: a site adds one by a TOML file, without code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pytest

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config import BadDiagnostic
from shotdap.config.descriptions import load_diagnostics

SHIPPED = files("shotdap.config").joinpath("diagnostics")
EXAMPLE = SHIPPED.joinpath("two_frames.toml").read_text("utf-8")
OWN = EXAMPLE.replace("two_frames", "own").replace("Streak_array", "site_array").replace('"y", "x"', '"row", "column"')


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "diagnostics").mkdir()
    return tmp_path / "diagnostics"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    with h5py.File(tmp_path / "root" / "image", "w") as file:
        file["site_array"] = np.arange(24, dtype="u2").reshape(2, 3, 4)
    return tmp_path / "root"


def get_refusal(site: Path) -> str:
    with pytest.raises(BadDiagnostic) as caught:
        load_diagnostics(site)
    return str(caught.value)


def test_shipped() -> None:
    """Every shipped description is consistent, and has a unique name."""
    names = [diagnostic.name for diagnostic in load_diagnostics()]

    assert "two_frames" in names
    assert len(set(names)) == len(names)


def test_own_diagnostic(site: Path, root: Path) -> None:
    """A TOML file in the site's folder makes image, background and difference of a new camera's files."""
    before = set(Catalog(DirectoryArchive(root), root, load_diagnostics(site)).open("image").variables)
    (site / "own.toml").write_text(OWN)
    after = Catalog(DirectoryArchive(root), root, load_diagnostics(site)).open("image")

    assert before == {"site_array"}
    assert after.image.dims == ("row", "column")
    assert after.background_subtracted.values.tolist() == [[-12] * 4] * 3


def test_other_files_are_left_alone(site: Path) -> None:
    """Files without the extension of TOML are no descriptions."""
    for name in ("README.md", "own.toml.bak", "own.toml~"):
        (site / name).write_text("nothing of the kind")

    assert len(load_diagnostics(site)) == len(load_diagnostics())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name = ", "is not TOML"),
        ("", "name"),
        (f"colour = 1\n{OWN}", "colour"),
        (OWN.replace("subtract_background", "subtract"), "subtract"),
        (OWN.replace('inputs = ["image", "background"]', 'inputs = ["image"]'), "background"),
        (f"{OWN}\noptions = {{ clip = 7 }}\n", "clip"),
        (f"{OWN}\noptions = {{ cut = true }}\n", "Its options are: "),
        (f'{OWN}\nlocality = "nowhere"\n', "locality"),
        (OWN.replace("own", "café").encode("latin-1"), "is not TOML"),
    ],
)
def test_bad_description(site: Path, text: str | bytes, part: str) -> None:
    """An inconsistent description is refused with its file's name and the reason."""
    (site / "own.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    message = get_refusal(site)

    assert message.startswith("own.toml")
    assert part in message


def test_extended_recipes(site: Path) -> None:
    """A description that extends another has its recipes too; recipes of the same names replace them."""
    (site / "own.toml").write_text(
        'name = "own"\nextends = "two_frames"\ntitle = "own"\n'
        + find_recipe("background_subtracted", "subtract_background", ["image", "background"], "{ clip = true }")
        + find_recipe("part", "crop", ["despeckled"], "{ rows = [1, 2] }")
    )
    (own,) = (each for each in load_diagnostics(site) if each.name == "own")
    named = {each.name: each for each in own.recipes}

    assert {"background_subtracted", "despeckled", "part"} <= named.keys()
    assert named["background_subtracted"].options == {"clip": True}


RECIPE = """
[[recipes]]
name = "{name}"
transform = "{transform}"
inputs = {inputs}
options = {options}
"""


def find_recipe(name: str, transform: str, inputs: list[str], options: str = "{}") -> str:
    return RECIPE.format(name=name, transform=transform, inputs=inputs, options=options)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            find_recipe("a", "subtract_background", ["image", "b"])
            + find_recipe("b", "subtract_background", ["a", "background"]),
            "These need one another, a → b → a: ",
        ),
        (find_recipe("a", "subtract_background", ["a", "background"]), "These need one another, a → a"),
        (find_recipe("a", "subtract_background", ["image", "dark"]), "needs dark, which is not there"),
        (find_recipe("a", "subtract_background", ["image", "dark.image"]), "dark is not related. Related are: none"),
        (find_recipe("a", "crop", ["row"]), "it needs an image, which has rows and columns; this has (row)"),
        (find_recipe("a", "crop", ["image"], "{ rows = [9, 3] }"), "the first must not be greater than the last"),
        (find_recipe("crop", "crop", ["image"]), "crop is a transform; in URLs"),
        (find_recipe("background_subtracted", "crop", ["image"]), "Two recipes make background_subtracted"),
        (find_recipe("a-b", "crop", ["image"]), "name"),
        (find_recipe("a", "crop", ["image"], '{ rows = { attribute = "]" } }'), "']' is no attribute"),
    ],
)
def test_bad_graph(site: Path, text: str, part: str) -> None:
    """Cycles, missing inputs and dimensions that do not fit are found when the configuration is loaded."""
    (site / "own.toml").write_text(OWN + text)
    message = get_refusal(site)

    assert message.startswith("own.toml")
    assert part in message


def test_no_folder(tmp_path: Path) -> None:
    """The error for a missing folder names it."""
    assert "nonesuch" in get_refusal(tmp_path / "nonesuch")
