"""Images to measure with: two frames in a camera's layout, with as many attributes as a real file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config.descriptions import load_diagnostics
from shotdap.server.demo import SyntheticImage, Variable, camera_attributes, write_image
from shotdap.server.demo.shot_list import Container

__all__ = ["ImageFile", "open_catalog"]

_CLUSTER = 1  # of P510's cameras


@dataclass(frozen=True)
class ImageFile:
    """A file to write, with its name."""

    name: str
    container: Container
    shape: tuple[int, int]
    """The shape of one frame."""
    deflated: bool

    def __str__(self) -> str:
        """Return a description for a table."""
        stored = "deflated" if self.deflated else "contiguous"
        return f"{self.shape[0]} x {self.shape[1]} {self.container} {stored}"

    def shrink(self, factor: int) -> ImageFile:
        """Return a copy with smaller frames."""
        height, width = self.shape
        return replace(self, shape=(height // factor, width // factor))

    def write(self, folder: Path) -> None:
        """Write the file into a folder; its noise is like a camera's, a few hundred counts that do not deflate well."""
        rng = np.random.default_rng(0)
        frames = rng.poisson(400, (2, *self.shape)).astype(np.uint16)
        chunks = (1, *self.shape) if self.deflated else None
        stack = Variable("Streak_array", frames, camera_attributes.describe_p510(rng), chunks)
        image = SyntheticImage((stack,), camera_attributes.describe_p510_file(_CLUSTER))
        write_image(folder / self.name, image, self.container)


def open_catalog(folder: Path) -> Catalog:
    """Open a folder with the diagnostics that are shipped with shotdap, and with an empty frame cache."""
    return Catalog(DirectoryArchive(folder), folder, load_diagnostics())
