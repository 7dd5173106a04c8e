"""``shotdap diagnostic``: commands for people who describe diagnostics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shotdap.server.cli.common_options import ConfigOption, open_site

app = typer.Typer(no_args_is_help=True, help="Try descriptions of diagnostics.")


@app.command("check")
def check_diagnostic(
    file: Annotated[Path | None, typer.Argument(help="An image file.", dir_okay=False)] = None,
    image: Annotated[str | None, typer.Option(help="The public path of an image of the catalog, instead.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show which description of a diagnostic matches an image, and why the others do not."""
    from shotdap.catalog.names import encode_path_segment
    from shotdap.server.cli import output

    if (file is None) == (image is None):
        raise typer.BadParameter("name a FILE, or an --image of the catalog")
    catalog = open_site(config, file and file.resolve().parent).open_catalog()
    entry = catalog.find_entry(str(image) if file is None else encode_path_segment(file.name))
    for line in catalog.explain_labelling(entry):
        output.print_line(line)
