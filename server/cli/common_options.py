"""Options that several commands have, and the settings that they override.

This module and those of the commands import only what the command line itself needs, so that ``shotdap --help`` is
fast. Each command imports the rest when it runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:  # the packages take long to import
    from shotdap.config import SettingsSource, Site

FORMAT_NAMES: Final = (
    "nc", "nc4", "zarr", "h5", "npz", "mat", "json", "npy", "tiff", "tiff_deflated", "csv", "png", "jpeg", "webp",
)  # fmt: skip
"""The keys of `FORMATS`, for help texts; a test compares them."""

ConfigOption = Annotated[Path | None, typer.Option(help="The site's settings, a TOML file.", dir_okay=False)]
FolderOption = Annotated[
    Path | None, typer.Option(help="A directory tree to use as the archive, without any database.", file_okay=False)
]
HostOption = Annotated[str | None, typer.Option(help="The address to listen at.")]
PortOption = Annotated[int | None, typer.Option(help="The port to listen at.", min=1, max=65535)]
WorkersOption = Annotated[int | None, typer.Option(help="Processes that answer requests.", min=1)]
OpenOption = Annotated[
    bool, typer.Option("--open", help="Everybody on this machine sees everything, whatever the settings say.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def make_source(
    config: Path | None, folder: Path | None = None, overrides: Mapping[str, str | int | None] | None = None
) -> SettingsSource:
    """Return the source of a command's settings; options that the user gave override the file and the environment."""
    from shotdap.config import SettingsSource
    from shotdap.config.settings import CONFIG_VARIABLE

    values = {"archive.folder": folder and folder.resolve(), **(overrides or {})}
    given = {name: value for name, value in values.items() if value is not None}
    file = config or (Path(variable) if (variable := os.environ.get(CONFIG_VARIABLE)) else None)
    return SettingsSource(file and file.absolute(), given)  # not resolved: relative paths start from a link's folder


def open_site(config: Path | None, folder: Path | None = None) -> Site:
    """Return the site that a command works on."""
    from shotdap.config import Site

    return Site(make_source(config, folder).load())
