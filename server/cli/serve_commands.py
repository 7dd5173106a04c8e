"""Commands that serve an archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from shotdap.server.cli.common_options import (
    ConfigOption,
    FolderOption,
    HostOption,
    OpenOption,
    PortOption,
    WorkersOption,
    make_source,
)
from shotdap.single_threaded import forbid_library_threads


def serve(  # noqa: PLR0913, PLR0917 — an option each
    config: ConfigOption = None,
    folder: FolderOption = None,
    host: HostOption = None,
    port: PortOption = None,
    workers: WorkersOption = None,
    open_to_all: OpenOption = False,
) -> None:
    """Serve a catalog, or a directory tree, over OPeNDAP.

    A site is closed: requests need a token, which `shotdap token create` makes. A directory tree without a site's
    settings is open to everybody on this machine.
    """
    forbid_library_threads()
    from shotdap.config.settings import CONFIG_VARIABLE, MODE_VARIABLE
    from shotdap.server.serve import run_server

    overrides = {"server.host": host, "server.port": port, "server.workers": workers}
    if open_to_all or (folder and not config and not {CONFIG_VARIABLE, MODE_VARIABLE} & os.environ.keys()):
        overrides["access.mode"] = "open"
    run_server(make_source(config, folder, overrides))


def demo(
    folder: Annotated[Path, typer.Option(help="The folder of the demonstration's archive.")] = Path("demo"),
    host: HostOption = None,
    port: PortOption = None,
) -> None:
    """Make a small archive of realistic images, build its catalog, and serve it."""
    forbid_library_threads()
    from shotdap.config import BadSettings, Site
    from shotdap.server.cli import output
    from shotdap.server.demo.instructions import format_instructions, prepare_demo
    from shotdap.server.serve import run_server

    try:
        with output.console.status("Making an archive of laser-shot images …"):
            config = prepare_demo(folder)
    except OSError as error:
        raise BadSettings(f"The demonstration cannot be made in {folder}: {error.strerror or error}.") from error
    source = make_source(config, overrides={"server.host": host, "server.port": port, "access.mode": "open"})
    site = Site(source.load())
    output.build_with_progress(site)
    site.close_connections()
    run_server(source, lambda url: output.print_line(format_instructions(url)))
