"""``shotdap audit``: reports of who read what; for the administrator of a site."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from shotdap.server.cli.common_options import ConfigOption, JsonOption, make_source, open_site

app = typer.Typer(no_args_is_help=True, help="Report who read what.")


@app.command("who-read")
def show_readers(
    path: Annotated[str, typer.Argument(help="An image or a folder: omega/62328/asbo1/asbo1_s62328")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who has read an image, or images below a folder: how often, how much, first and last."""
    from shotdap.server.access.audit.audit_log import open_audit
    from shotdap.server.access.audit.audit_report import list_readers, to_row
    from shotdap.server.cli import output

    records = open_audit(make_source(config).load()).iter_records()
    output.print_rows([to_row(each, "user") for each in list_readers(records, path.strip("/"))], as_json=as_json)


@app.command("what-read")
def show_paths(
    user: Annotated[str, typer.Argument(help="A user's name; or an address, of those who did not sign in.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a user has read: how often, how much, first and last."""
    from shotdap.server.access.audit.audit_log import open_audit
    from shotdap.server.access.audit.audit_report import list_paths, to_row
    from shotdap.server.cli import output

    records = open_audit(make_source(config).load()).iter_records()
    output.print_rows([to_row(each, "path") for each in list_paths(records, user)], as_json=as_json)


@app.command("summary")
def show_summary(
    config: ConfigOption = None,
    campaign: Annotated[str, typer.Option(help="All images of this campaign.")] = "",
    path: Annotated[str, typer.Option(help="This image, or what is below this folder.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Summarize for a campaign's PI who has read its images: how often, how much, first and last."""
    from shotdap.server.access.audit.audit_log import open_audit
    from shotdap.server.access.audit.audit_report import summarize, to_row
    from shotdap.server.cli import output

    if bool(campaign) == bool(path):
        raise typer.BadParameter("give --campaign or --path")
    site = open_site(config)
    paths = {path.strip("/")}
    if campaign:
        quoted = campaign.replace("\\", "\\\\").replace('"', '\\"')
        page = output.search_all(site.open_catalog(), f'campaign:"{quoted}"', None, sys.maxsize)
        paths = {entry.path for entry in page.entries}
    rows = [to_row(each, "user") for each in summarize(open_audit(site.settings).iter_records(), paths)]
    output.print_rows(rows, as_json=as_json)
