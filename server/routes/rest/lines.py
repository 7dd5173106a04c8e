"""An image in one line of a list."""

from __future__ import annotations

from fastapi import Request

from shotdap.catalog import Entry
from shotdap.server.protocols.plain import plain
from shotdap.server.routes.rest.documents import ImageLine
from shotdap.server.routes.rest.replying import api_url, host, quoted

__all__ = ["image_line"]


def image_line(request: Request, entry: Entry) -> ImageLine:
    """What the catalog knows of an image, with links."""
    path = quoted(entry.path)
    links = {
        "self": f"{api_url(request)}/images/{path}",
        "thumbnail": f"{api_url(request)}/thumbnails/{path}",
        "dap": f"{host(request)}/dap/{path}",
    }
    return ImageLine(entry.path, plain(dict(entry.facts)), entry.health.value, entry.reason or None, links)
