"""Entries as documents: an image in one item of a list."""

from __future__ import annotations

from shotdap.catalog import ChangePage, Entry
from shotdap.server.api.responses import get_api_url, quote_path
from shotdap.server.api.schemas import ChangeFeed, Facts, ImageChange, ImageSummary
from shotdap.server.encoders.json_values import describe_attributes
from shotdap.server.http.request import HttpRequest


def encode_facts(entry: Entry) -> Facts:
    """Convert the facts from the archive's row into strict JSON."""
    return describe_attributes(entry.facts)  # type: ignore[return-value]  # texts and numbers


def build_image_summary(request: HttpRequest, entry: Entry) -> ImageSummary:
    """Build the summary of an image in a list, with links."""
    path = quote_path(entry.path)
    links = {
        "self": f"{get_api_url(request)}/images/{path}",
        "thumbnail": f"{get_api_url(request)}/thumbnails/{path}",
        "dap": f"{request.base_url}/dap/{path}",
    }
    return ImageSummary(entry.path, encode_facts(entry), entry.health.value, entry.reason or None, links)


def build_change_feed(request: HttpRequest, page: ChangePage) -> ChangeFeed:
    """Build the document of some changes."""
    changes = [
        ImageChange(each.path, None if each.entry is None else build_image_summary(request, each.entry))
        for each in page.changes
    ]
    return ChangeFeed(changes, page.token, page.has_more)
