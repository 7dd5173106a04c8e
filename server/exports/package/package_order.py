"""What is ordered: which images, as what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from shotdap.server.encoders.formats import FORMATS, Format
from shotdap.server.extraction import Wanted
from shotdap.server.pictures.levels import Display
from shotdap.transforms import BadSelection

__all__ = ["KINDS", "MEMBER", "Kind", "Order"]

MEMBER: Final = "nc4"
"""The format of each member of a package where nobody says which: it holds all that an image is."""

Kind: TypeAlias = Literal["zip", "nc4", "h5", "zarr"]
"""One file for each image, in a ZIP file; or a tree of all, in one file of netCDF-4 or HDF5, or a Zarr store."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True)
class Order:
    """A data package as it is asked for."""

    path: str
    """The public path of a folder, or of one image; empty for the folder of all."""
    images: tuple[str, ...] = ()
    """Which images of the folder, by their paths or what of these is below the folder; empty for all."""
    diagnostics: tuple[str, ...] = ()
    """Of which diagnostics, as the archive's rows call them, case ignored; empty for all."""
    wanted: Wanted = field(default_factory=Wanted)
    """What of each image; `Wanted.raw` asks, of a ZIP file, for the very files of the archive."""
    kind: Kind = "zip"
    member: str = ""
    """The name of each member's format; empty for `MEMBER`."""
    display: Display = field(default_factory=Display)
    looks: tuple[str, ...] = ()
    """What of `display` was asked for, by the names of parameters."""
    url: str = ""
    """The request, which anybody can repeat."""
    host: str = ""
    """The server's URL, without a slash at the end; public paths are below ``/dap`` of it."""

    @property
    def format(self) -> Format:
        """The format of each member that is computed.

        Raises:
            BadSelection: there is none of this name.
        """
        name = self.member or MEMBER
        if name not in FORMATS:
            raise BadSelection(f"There is no format {name!r}; a member may be {', '.join(FORMATS)}.")
        return FORMATS[name]

    @property
    def expands(self) -> int:
        """How many bytes of a file one byte of values becomes at most."""
        return self.format.expands if self.kind == "zip" else 1

    @property
    def name(self) -> str:
        """What the package is called, without an ending: ``omega_62328``."""
        return self.path.replace("/", "_") or "images"

    @property
    def is_archived(self) -> bool:
        """Whether the members are the files of the archive, as they are."""
        return self.kind == "zip" and self.wanted.raw

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            BadSelection: it does.
        """
        if self.kind not in KINDS:
            raise BadSelection(f"format={self.kind}: a package is {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
        if self.member and self.kind != "zip":
            raise BadSelection(f"member={self.member} is for the files in a ZIP file; format={self.kind} has none.")
        if self.is_archived and (self.wanted != Wanted(raw=True) or self.member):
            raise BadSelection(
                "raw=1 packs the files as they are in the archive: it goes with no variable, part, transform or member."
                " Leave out either."
            )
        if self.images and self.diagnostics:
            raise BadSelection("Name images by image=…, or their diagnostics by diagnostic=…, not both.")
        if self.looks and (self.kind != "zip" or self.format.holds != "picture"):
            pictures = ", ".join(each.name for each in FORMATS.values() if each.holds == "picture") or "none yet"
            raise BadSelection(f"{', '.join(self.looks)} is for pictures: member={pictures}.")
        _ = self.format
