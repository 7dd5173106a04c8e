"""Recipes that an image's page shows: each is run by the real program, and gives the values that are shown."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.serving import Server, make_environment

from shotdap.config import Site, load_settings

IMAGE: Final = "omega/62328/asbo1/asbo1_s62328"
VIEWS: Final = {
    "part": (f"{IMAGE}?y=100:140&x=50:90", "", "background_subtracted", (slice(100, 140), slice(50, 90))),
    "region": (f"{IMAGE}?variable=image&region=330:350,110:125", "", "image", (slice(330, 350), slice(110, 125))),
    "variant": (
        f"{IMAGE}/~background_subtracted~median_filter-size-5?y=400:420",
        "/~background_subtracted~median_filter-size-5",
        "result",
        (slice(400, 420), slice(None)),
    ),
}
"""The page, the variant, the variable, and the part that the recipes open."""
SECONDS: Final = 120
PRINT_PYTHON: Final = '\nprint(values.shape, repr(float(values.astype("f8").sum())), values.dtype)'

Array = NDArray[Any]


@pytest.fixture(scope="module", params=VIEWS)
def recipes_and_values(request: pytest.FixtureRequest, demo: Server, archive: Path) -> tuple[dict[str, str], Array]:
    """The recipes of a page by language, and the values that they open."""
    page, variant, variable, part = VIEWS[request.param]
    text = httpx.get(f"{demo.url}/images/{page}", headers={"Accept": "text/html"}, trust_env=False, timeout=60).text
    recipes = {
        name: unescape(code)
        for name, code in re.findall(r'<pre[^>]* id="code-(\w+)"[^>]*>(.*?)</pre>', text, re.DOTALL)
    }
    catalog = Site(load_settings(archive / "shotdap.toml")).open_catalog()
    return recipes, np.asarray(catalog.open(f"{IMAGE}{variant}")[variable].values[part])


def run(command: list[str], folder: Path) -> str:
    """Run a program in a folder; return what it prints."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=folder, env=make_environment(), timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("language", ["python", "zarr", "pydap"])
def test_python(language: str, recipes_and_values: tuple[dict[str, str], Array], tmp_path: Path) -> None:
    """The lines for Python give the values, by each library."""
    recipes, expected = recipes_and_values
    printed = run([sys.executable, "-W", "ignore", "-c", recipes[language] + PRINT_PYTHON], tmp_path)

    assert printed.split(") ")[0] + ")" == str(expected.shape)
    assert float(printed.split()[-2]) == expected.astype("f8").sum()


@pytest.mark.parametrize("language", ["curl", "wget", "ncks"])
def test_files(
    language: str, recipes_and_values: tuple[dict[str, str], Array], tmp_path: Path, require: Callable[[str], None]
) -> None:
    """The lines for a shell make a file with the values."""
    require(language)
    recipes, expected = recipes_and_values
    run(["bash", "-c", recipes[language]], tmp_path)
    (file,) = tmp_path.glob("out.*")
    with netCDF4.Dataset(file) as dataset:
        values = dataset.variables["result" if "result" in dataset.variables else recipes_variable(recipes)][:]

    np.testing.assert_array_equal(np.asarray(values).reshape(expected.shape), expected)


def recipes_variable(recipes: dict[str, str]) -> str:
    """Return the variable that the lines for Python read."""
    match = re.search(r'ds\["(\w+)"\]', recipes["python"])
    assert match is not None
    return match[1]


@pytest.mark.parametrize("language", ["matlab", "octave"])
def test_octave(
    language: str, recipes_and_values: tuple[dict[str, str], Array], tmp_path: Path, require: Callable[[str], None]
) -> None:
    """The lines for MATLAB and Octave give the values, the columns first."""
    require("octave")
    recipes, expected = recipes_and_values
    before = "pkg load netcdf\n" if language == "matlab" else ""
    after = '\nprintf("%d %d %.17g\\n", size(values), sum(double(values(:))));'
    printed = run(["octave", "--quiet", "--no-gui", "--eval", before + recipes[language] + after], tmp_path).split()

    assert tuple(map(int, printed[-3:-1])) == expected.T.shape
    assert float(printed[-1]) == pytest.approx(expected.astype("f8").sum(), rel=1e-14)


def test_idl(recipes_and_values: tuple[dict[str, str], Array], tmp_path: Path, require: Callable[[str], None]) -> None:
    """The lines for IDL give the values in GDL, the columns first."""
    require("gdl")
    recipes, expected = recipes_and_values
    after = "\nPRINT, SIZE(values, /DIMENSIONS)\nPRINT, TOTAL(DOUBLE(values)), FORMAT='(E25.16)'\nEXIT\n"
    (tmp_path / "recipe").write_text(recipes["idl"] + after)
    printed = run(["gdl", "-quiet", "recipe"], tmp_path).split()

    assert tuple(map(int, printed[-3:-1])) == expected.T.shape
    assert float(printed[-1]) == pytest.approx(expected.astype("f8").sum(), rel=1e-14)


def test_r(recipes_and_values: tuple[dict[str, str], Array], tmp_path: Path, require: Callable[[str], None]) -> None:
    """The lines for R give the values, the columns first."""
    require("Rscript")
    recipes, expected = recipes_and_values
    after = '\ncat(dim(values), sprintf("%.17g", sum(values)), "\\n")'
    printed = run(["Rscript", "-e", recipes["r"] + after], tmp_path).split()

    assert tuple(map(int, printed[-3:-1])) == expected.T.shape
    assert float(printed[-1]) == pytest.approx(expected.astype("f8").sum(), rel=1e-14)


def test_no_secret(demo: Server) -> None:
    """A server that is open to everybody shows no line to sign in, and no recipe has a token."""
    page = httpx.get(f"{demo.url}/images/{IMAGE}", headers={"Accept": "text/html"}, trust_env=False, timeout=60).text

    assert "TOKEN" not in page
    assert "sd_" not in page
