"""Thumbnails: which picture stands for an image in lists, its URL, and how long it may be kept."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from urllib.parse import urlencode

from shotdap import __version__
from shotdap.catalog import Catalog, Entry
from shotdap.server.api.responses import quote_path
from shotdap.server.http.request import HttpRequest

THUMBNAIL_SIZES: Final = (256, 512)
"""Pixels of the longer side that pages ask for."""

_FINGERPRINT_BYTES: Final = 8


def compute_thumbnail_fingerprint(catalog: Catalog, entry: Entry) -> str:
    """Compute a hash of what the catalog knows of an image: of another version of its file it is another one."""
    inspection = entry.last_good_inspection
    content = (inspection.sha256, inspection.size, inspection.modified) if inspection else ()
    facts = sorted(entry.facts.items())
    known = repr((__version__, entry.path, entry.file, facts, entry.health, content, catalog.diagnostics_fingerprint))
    return blake2b(known.encode("utf-8", "replace"), digest_size=_FINGERPRINT_BYTES).hexdigest()


def build_thumbnail_url(request: HttpRequest, fingerprint: str, path: str, size: int, **parameters: str) -> str:
    """Build the URL of a thumbnail, without the host.

    Args:
        request: with the path at which the application is mounted.
        fingerprint: see `compute_thumbnail_fingerprint`.
        path: of the image.
        size: pixels of its longer side.
        parameters: others of the REST API, such as its variable.
    """
    query = urlencode({**parameters, "format": "webp", "size": size, "fingerprint": fingerprint})
    return f"{request.root_path}/api/v1/thumbnails/{quote_path(path)}?{query}"


def is_unchanged(catalog: Catalog, entry: Entry) -> bool:
    """Check that the file of an entry is the one that its last good inspection has read.

    Raises:
        Missing: the file does not exist.
        Unreadable: its version cannot be determined.
    """
    inspection = entry.last_good_inspection
    if inspection is None:
        return False
    version = catalog.get_file_version(entry)
    return (version.size, version.modified) == (inspection.size, inspection.modified)
