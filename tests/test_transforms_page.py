"""The page docs/transforms.md is correct for every transform, with pictures, and its example package works.

``make pictures`` writes it anew, pictures and all; ``SHOTDAP_RENEW=1`` here only its text.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest
from docs.make.archive import demo_catalog
from docs.make.examples import EXAMPLES
from docs.make.page import page
from docs.make.pictures import picture
from docs.make.style import MOST_BYTES
from PIL import Image

from shotdap.catalog import Catalog
from shotdap.transforms import TRANSFORMS

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
PAGE: Final = DOCS / "transforms.md"
OWN: Final = DOCS / "examples" / "own_transform"
URLS: Final = {name: each.address for name, each in EXAMPLES.items() if not callable(each.ask)}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The catalog of the demonstration archive, made as for the page."""
    return demo_catalog(tmp_path_factory.mktemp("demo"))


def test_page(catalog: Catalog) -> None:
    """The page contains what the transforms state."""
    made = page(catalog)
    if os.environ.get("SHOTDAP_RENEW") == "1":
        PAGE.write_text(made, "utf-8")

    assert PAGE.read_text("utf-8") == made, "make pictures renews it"


def test_all() -> None:
    """Each transform has an example, a section and a picture, and each example and picture belongs to a transform."""
    headings = {line.removeprefix("### ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("### ")}
    pictures = {each.stem for each in (DOCS / "pictures").iterdir()}

    assert headings == pictures == EXAMPLES.keys() == TRANSFORMS.keys()


def test_sizes() -> None:
    """No picture file is large."""
    sizes = {each.name: each.stat().st_size for each in (DOCS / "pictures").iterdir()}

    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}


@pytest.mark.parametrize("name", sorted(URLS))
def test_address(catalog: Catalog, name: str) -> None:
    """The URL of an example is canonical, and its last step is the transform."""
    image = catalog.image(URLS[name])
    recipe = image.list_origins()["result"].recipe

    assert image.path == URLS[name]
    assert recipe is not None
    assert recipe.transform.name == name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_values(catalog: Catalog, name: str) -> None:
    """An example shows something: its result has values, which are not all equal, unless it is one number."""
    values = EXAMPLES[name].shown(catalog, name).after.values
    there = values[values == values]  # noqa: PLR0124 — NaN is not

    assert there.size == 1 if values.ndim == 0 else there.min() < there.max()


@pytest.mark.parametrize("name", ["median_filter", "comb_fit", "row_mean"])
def test_picture(catalog: Catalog, name: str) -> None:
    """A picture is drawn, with the same bytes each time."""
    drawn = picture(catalog, name)
    kept = (DOCS / "pictures" / f"{name}.png").read_bytes()

    assert drawn == picture(catalog, name)
    assert Image.open(BytesIO(drawn)).size == Image.open(BytesIO(kept)).size


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python with the example's package installed."""
    installed = tmp_path / "lab_transforms-1.0.dist-info"
    installed.mkdir()
    (groups,) = tomllib.loads((OWN / "pyproject.toml").read_text())["project"]["entry-points"].items()
    lines = [f"[{groups[0]}]", *(f"{name} = {value}" for name, value in groups[1].items())]
    (installed / "entry_points.txt").write_text("\n".join(lines))
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-transforms\nVersion: 1.0\n")
    for each in OWN.glob("*.py"):
        (tmp_path / each.name).write_text(each.read_text())
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_own_is_known(site: dict[str, str]) -> None:
    """The transform of the example's package is known beside those of shotdap."""
    known = "from shotdap.transforms import known_transforms; print(*known_transforms())"
    done = subprocess.run([sys.executable, "-c", known], env=site, check=False, capture_output=True, text=True)

    assert done.stdout.split() == [*TRANSFORMS, "photoelectrons"], done.stderr


def test_own_is_tested(site: dict[str, str]) -> None:
    """The tests of the example's package pass, including the contract's."""
    folder = site["PYTHONPATH"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
    done = subprocess.run(command, env=site, cwd=folder, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout
