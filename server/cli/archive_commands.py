"""``shotdap archive``: commands that examine the archive."""

from __future__ import annotations

from typing import Annotated

import typer

from shotdap.server.cli.common_options import ConfigOption, open_site

app = typer.Typer(no_args_is_help=True, help="Look at the archive.")


@app.command("check")
def check_archive(
    config: ConfigOption = None,
    sample: Annotated[int, typer.Option(help="The number of rows to check, with their files.", min=1)] = 100,
) -> None:
    """Check the archive's table and files against the settings; the report is for administrators, and has paths."""
    from shotdap.server.cli import output

    for line in open_site(config).check_archive(sample):
        output.print_line(line)
