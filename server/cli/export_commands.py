"""Commands that write many images to files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from shotdap.server.cli.common_options import FORMAT_NAMES, ConfigOption, FolderOption, make_source, open_site
from shotdap.server.exports import JobContainer

_INTERRUPTED_STATUS: Final = 130  # the status of shells

_VariableOption = Annotated[list[str] | None, typer.Option(help="A variable to take; all if none is named.")]
_TransformOption = Annotated[
    list[str] | None, typer.Option(help="A transform with options: median_filter-size-5; applied in this order.")
]


def package(  # noqa: PLR0913, PLR0917 — typer makes an option of each
    path: Annotated[str, typer.Argument(help="A folder, such as a shot: omega/62328; or an image.")],
    out: Annotated[Path, typer.Argument(help="The ZIP file to make.", dir_okay=False)],
    diagnostic: Annotated[list[str] | None, typer.Option(help="Only the images of a diagnostic.")] = None,
    variable: _VariableOption = None,
    transform: _TransformOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="The unmodified files of the archive.")] = False,
    member: Annotated[str, typer.Option(help=f"The format of each file: {', '.join(FORMAT_NAMES)}.")] = "",
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> None:
    """Pack the images of a shot into one ZIP file, with their descriptions; see docs/packages.md."""
    from shotdap.server.cli.package import save_package
    from shotdap.server.exports.order import FolderSource, Order
    from shotdap.server.extraction import Extraction

    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.absolute().parent} for {out.name}")
    source = FolderSource(path.strip("/"), diagnostics=tuple(diagnostic or ()))
    extraction = Extraction(tuple(variable or ()), transforms=tuple(transform or ()), raw=raw)
    save_package(open_site(config, folder), Order(source, extraction, member), out)


def export(  # noqa: PLR0913, PLR0917 — typer makes an option of each
    query: Annotated[str, typer.Argument(help="The images: 'diagnostic:P510 shot:103700..103800'")],
    out: Annotated[Path, typer.Argument(help="The file or folder to make, or to resume.")],
    variable: _VariableOption = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Part of a dimension, a range or an index: y=100:400, x=5.")
    ] = None,
    transform: _TransformOption = None,
    format: Annotated[str, typer.Option(help=f"The format of each file: {', '.join(FORMAT_NAMES)}.")] = "",  # noqa: A002 — the option's name
    to: Annotated[JobContainer, typer.Option(help="The container to make.")] = "folder",
    raw: Annotated[bool, typer.Option("--raw", help="The files' own variables, as they are.")] = False,
    scheduler: Annotated[str | None, typer.Option(help="The address of a Dask scheduler: tcp://host:8786.")] = None,
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> None:
    """Export many images at once; after an interruption the same command resumes. See docs/jobs.md."""
    from shotdap.server.cli.export import export_now
    from shotdap.server.exports.order import Order, QuerySource, parse_part_options
    from shotdap.server.extraction import Extraction

    extraction = Extraction(tuple(variable or ()), parse_part_options(part or ()), tuple(transform or ()), raw)
    order = Order(QuerySource(query), extraction, format, to)
    try:
        is_successful = export_now(order, out, make_source(config, folder, {"exports.scheduler": scheduler}))
    except KeyboardInterrupt:
        typer.echo("Stopped; the same command goes on from here.", err=True)
        sys.exit(_INTERRUPTED_STATUS)
    if not is_successful:
        sys.exit(1)
