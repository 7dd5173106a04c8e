"""An image in one line of a list."""

from __future__ import annotations

from fastapi import Request

from shotdap.catalog import Entry
from shotdap.server.api.responses import get_api_url, get_base_url, quote_path
from shotdap.server.api.schemas import Facts, ImageSummary
from shotdap.server.encoders.json_values import describe_attributes

__all__ = ["build_image_summary", "encode_facts"]


def encode_facts(entry: Entry) -> Facts:
    """What the archive's row says of an image, as strict JSON."""
    return describe_attributes(entry.facts)  # type: ignore[return-value]  # texts and numbers


def build_image_summary(request: Request, entry: Entry) -> ImageSummary:
    """What the catalog knows of an image, with links."""
    path = quote_path(entry.path)
    links = {
        "self": f"{get_api_url(request)}/images/{path}",
        "thumbnail": f"{get_api_url(request)}/thumbnails/{path}",
        "dap": f"{get_base_url(request)}/dap/{path}",
    }
    return ImageSummary(entry.path, encode_facts(entry), entry.health.value, entry.reason or None, links)
