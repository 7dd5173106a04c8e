"""Commands that show what the catalog has."""

from __future__ import annotations

from typing import Annotated

import typer

from shotdap.server.cli.common_options import ConfigOption, FolderOption, JsonOption, open_site


def search(  # noqa: PLR0913, PLR0917 — typer makes an option of each
    query: Annotated[list[str], typer.Argument(help="What to look for: diagnostic:P510 shot:103700..103800")],
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="The number of images to show.", min=1)] = 100,
    after: Annotated[str | None, typer.Option(help="Continue after an earlier page, by its token.")] = None,
    facets: Annotated[
        bool, typer.Option("--facets", help="Count the matching images instead of showing them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find images, the newest first; docs/searching.md has the language."""
    from shotdap.server.cli import output

    catalog, text = open_site(config).open_catalog(), " ".join(query)
    if facets:
        output.print_facets(catalog.count_facets(text), as_json=as_json)
    else:
        output.print_page(output.search_all(catalog, text, after, limit), as_json=as_json)


def explain(
    path: Annotated[str, typer.Argument(help="The public path of an image, or of a variant of it.")],
    variable: Annotated[str, typer.Argument(help="A variable of it.")],
    config: ConfigOption = None,
    folder: FolderOption = None,
) -> None:
    """Show how a variable is made: from which files, by which transforms, with which options."""
    from shotdap.server.cli import output

    catalog = open_site(config, folder).open_catalog()
    origins = catalog.image(path).list_origins()
    if variable not in origins:
        raise typer.BadParameter(f"{path} has no variable {variable!r}; it has: {', '.join(origins)}.")
    output.print_origin(origins[variable])
