"""A small shot of good and bad images, and functions that make packages of it in this process."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest
from tests import samples

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config.descriptions import load_diagnostics
from shotdap.server.encoders import Block
from shotdap.server.exports.containers.zip_file import stream_zip
from shotdap.server.exports.order import PackageOrder
from shotdap.server.exports.package_members import pack_members
from shotdap.server.exports.package_plan import PackageLimits, plan_package, select_entries
from shotdap.server.http.limits import Limits

FRAMES: Final = np.random.default_rng(7).integers(0, 2**16, (2, 30, 40), "u2")
LIMITS: Final = Limits(answer=1 << 20, query=1 << 16, read=1 << 30)
PACKAGE_LIMITS: Final = PackageLimits(max_images=10, max_bytes=1 << 24)
CREATED_AT: Final = datetime(2026, 11, 29, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Shot:
    """A folder with a shot in it, and its catalog."""

    folder: Path
    catalog: Catalog

    def stream_package(self, order: PackageOrder) -> Iterator[Block]:
        """Yield the blocks of a package."""
        order.validate()
        items = plan_package(
            self.catalog, order, select_entries(self.catalog, order, PACKAGE_LIMITS.max_images), LIMITS, PACKAGE_LIMITS
        )
        return stream_zip(pack_members(self.catalog, order, items, LIMITS, CREATED_AT))

    def make_package(self, order: PackageOrder) -> Package:
        """Return a complete package."""
        return Package(zipfile.ZipFile(io.BytesIO(b"".join(self.stream_package(order)))))


@dataclass(frozen=True)
class Package:
    """A complete package."""

    file: zipfile.ZipFile

    @property
    def names(self) -> list[str]:
        """The names of the images' members."""
        return [name for name in self.file.namelist() if name not in {"README.txt", "manifest.json", "SHA256SUMS"}]

    @property
    def manifest(self) -> Any:  # noqa: ANN401 — JSON
        """The manifest, as JSON."""
        return json.loads(self.file.read("manifest.json"))

    @property
    def records(self) -> dict[str, Any]:
        """The manifest's record of each image, by the image's name."""
        return {line["path"].rpartition("/")[2]: line for line in self.manifest["images"]}

    @property
    def readme(self) -> str:
        """The text of the README."""
        return self.file.read("README.txt").decode()


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    """A shot with two good images, one with damaged values, and one file that is no image."""
    folder = tmp_path / "shot"
    (folder / "deeper").mkdir(parents=True)
    samples.write_image(folder / "first.h5", FRAMES)
    write_damaged(folder / "hurt.h5")
    (folder / "login.hdf").write_text("<!DOCTYPE html><html>")
    samples.write_image(folder / "deeper/last.h5", FRAMES[:, ::-1])
    return Shot(folder, Catalog(DirectoryArchive(tmp_path), tmp_path, load_diagnostics(None)))


def write_damaged(path: Path) -> None:
    """Write an image with correct headers and damaged compressed values."""
    with h5py.File(path, "w") as file:
        array = file.create_dataset("Streak_array", data=FRAMES, chunks=FRAMES.shape, compression="gzip")
        chunk = array.id.get_chunk_info(0)
    damaged = bytearray(path.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    damaged[middle : middle + 64] = bytes(64)
    path.write_bytes(damaged)
