"""Make docs/transforms.md and its pictures anew: ``make pictures``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from docs.make.archive import demo_catalog
from docs.make.page import page
from docs.make.pictures import picture

from shotdap.transforms import TRANSFORMS

_DOCS = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the page, and a picture for each transform; what else is among the pictures goes."""
    pictures = _DOCS / "pictures"
    with TemporaryDirectory() as folder:
        catalog = demo_catalog(Path(folder))
        (_DOCS / "transforms.md").write_text(page(catalog), "utf-8")
        for name in TRANSFORMS:
            (pictures / f"{name}.png").write_bytes(picture(catalog, name))
            print(f"docs/pictures/{name}.png")
    for each in pictures.glob("*.png"):
        if each.stem not in TRANSFORMS:
            each.unlink()


if __name__ == "__main__":
    main()
