"""Explanations of cells of the matrix that are not right. Each sentence names a client's own bug or limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["NOTES", "Note", "find_note"]


@dataclass(frozen=True)
class Note:
    """A sentence, and the cells that it explains; without features, all of a client's."""

    sentence: str
    clients: tuple[str, ...]
    protocols: tuple[str, ...]
    features: tuple[str, ...] = ()

    def is_about(self, client: str, protocol: str, feature: str) -> bool:
        """Check whether it explains this cell."""
        return client in self.clients and protocol in self.protocols and feature in (self.features or (feature,))


NOTES: Final = (
    Note(
        "pydap keeps the backslashes that DAP2 puts before quotation marks and backslashes.",
        ("pydap", "xarray, pydap"),
        ("DAP2",),
        ("odd attributes",),
    ),
    Note(
        "netCDF-C takes `[0:2:2]` in a URL for `[0]`. Strides that a program asks for (`ncread`, …) are right.",
        ("ncdump", "nccopy"),
        ("DAP2",),
        ("stride",),
    ),
    Note(
        "octave-netcdf does not know netCDF-4's strings. DAP2 brings them as characters.",
        ("Octave",),
        ("DAP4",),
        ("strings", "one string", "attribute of a group", "odd attributes"),
    ),
    Note("R has no -2147483648; it is R's `NA`.", ("R",), ("DAP2", "DAP4"), ("int32",)),
    Note("R's numbers are exact to 2⁵³.", ("R",), ("DAP4",), ("int64", "uint64")),
    Note("R's ncdf4 reads no attributes of groups.", ("R",), ("DAP4",), ("attribute of a group",)),
    Note("GDL gives fewer values than were asked for where there is a stride.", ("GDL",), ("DAP2",), ("stride",)),
    Note(
        "GDL knows neither netCDF-4's groups and strings nor its unsigned and 64-bit types, and dies of an attribute"
        " that is a string. Use DAP2 with it.",
        ("GDL",),
        ("DAP4",),
    ),
    Note(
        "libdap expects the variables of groups before those around them, against the specification. Ask for one group"
        " at a time.",
        ("getdap4",),
        ("DAP4",),
        ("several variables",),
    ),
)


def find_note(client: str, protocol: str, feature: str) -> int:
    """Return the number of the note that explains a cell, from 1; 0 if there is none."""
    numbers = (number for number, note in enumerate(NOTES, 1) if note.is_about(client, protocol, feature))
    return next(numbers, 0)
