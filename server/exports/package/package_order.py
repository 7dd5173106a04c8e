"""What is ordered: which images, as what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.extraction import Extraction
from shotdap.server.pictures.levels import Display
from shotdap.transforms import BadSelection

__all__ = ["CONTAINERS", "DEFAULT_FORMAT", "Container", "Order"]

DEFAULT_FORMAT: Final = "nc4"
"""The format of each member of a package where nobody says which: it holds all that an image is."""

Container: TypeAlias = Literal["zip", "nc4", "h5", "zarr"]
"""One file for each image, in a ZIP file; or a tree of all, in one file of netCDF-4 or HDF5, or a Zarr store."""

CONTAINERS: Final[tuple[Container, ...]] = get_args(Container)


@dataclass(frozen=True)
class Order:
    """A data package as it is asked for."""

    path: str
    """The public path of a folder, or of one image; empty for the folder of all."""
    images: tuple[str, ...] = ()
    """Which images of the folder, by their paths or what of these is below the folder; empty for all."""
    diagnostics: tuple[str, ...] = ()
    """Of which diagnostics, as the archive's rows call them, case ignored; empty for all."""
    extraction: Extraction = field(default_factory=Extraction)
    """What of each image; `Extraction.raw` asks, of a ZIP file, for the very files of the archive."""
    container: Container = "zip"
    format_name: str = ""
    """The name of each member's format; empty for `DEFAULT_FORMAT`."""
    display: Display = field(default_factory=Display)
    display_parameters: tuple[str, ...] = ()
    """What of `display` was asked for, by the names of parameters."""
    request_url: str = ""
    """The request, which anybody can repeat."""
    server_url: str = ""
    """The server's URL, without a slash at the end; public paths are below ``/dap`` of it."""

    @property
    def file_format(self) -> Format:
        """The format of each member that is computed.

        Raises:
            BadSelection: there is none of this name.
        """
        name = self.format_name or DEFAULT_FORMAT
        if name not in FORMATS:
            raise BadSelection(f"There is no format {name!r}; a member may be {', '.join(FORMATS)}.")
        return FORMATS[name]

    @property
    def expansion_factor(self) -> int:
        """How many bytes of a file one byte of values becomes at most."""
        return self.file_format.max_expansion if self.container == "zip" else 1

    @property
    def file_stem(self) -> str:
        """What the package is called, without an ending: ``omega_62328``."""
        return self.path.replace("/", "_") or "images"

    @property
    def has_archived_files(self) -> bool:
        """Whether the members are the files of the archive, as they are."""
        return self.container == "zip" and self.extraction.raw

    def validate(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            BadSelection: it does.
        """
        if self.container not in CONTAINERS:
            raise BadSelection(
                f"format={self.container}: a package is {', '.join(CONTAINERS[:-1])} or {CONTAINERS[-1]}."
            )
        if self.format_name and self.container != "zip":
            raise BadSelection(
                f"member={self.format_name} is for the files in a ZIP file; format={self.container} has none."
            )
        if self.has_archived_files and (self.extraction != Extraction(raw=True) or self.format_name):
            raise BadSelection(
                "raw=1 packs the files as they are in the archive: it goes with no variable, part, transform or member."
                " Leave out either."
            )
        if self.images and self.diagnostics:
            raise BadSelection("Name images by image=…, or their diagnostics by diagnostic=…, not both.")
        if self.display_parameters and (self.container != "zip" or self.file_format.content_kind != "picture"):
            pictures = ", ".join(each.name for each in FORMATS.values() if each.content_kind == "picture") or "none yet"
            raise BadSelection(f"{', '.join(self.display_parameters)} is for pictures: member={pictures}.")
        _ = self.file_format
