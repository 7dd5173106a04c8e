"""An image in one line of a list."""

from __future__ import annotations

from fastapi import Request

from shotdap.catalog import Entry
from shotdap.server.api.responses import api_url, host, quoted
from shotdap.server.api.schemas import Facts, ImageLine
from shotdap.server.encoders.json_values import attributes

__all__ = ["facts", "image_line"]


def facts(entry: Entry) -> Facts:
    """What the archive's row says of an image, as strict JSON."""
    return attributes(entry.facts)  # type: ignore[return-value]  # texts and numbers


def image_line(request: Request, entry: Entry) -> ImageLine:
    """What the catalog knows of an image, with links."""
    path = quoted(entry.path)
    links = {
        "self": f"{api_url(request)}/images/{path}",
        "thumbnail": f"{api_url(request)}/thumbnails/{path}",
        "dap": f"{host(request)}/dap/{path}",
    }
    return ImageLine(entry.path, facts(entry), entry.health.value, entry.reason or None, links)
