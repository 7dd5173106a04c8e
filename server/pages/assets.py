"""Files that pages load: the style sheet, scripts, icons, the viewer.

Their URLs contain a hash of all of them, so that browsers keep them for good, and files that import one another always
come from the same version. A URL without the hash works, too; its answer is validated with each use.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.server.http.conditional import Validator
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, is_gzip_accepted, make_response

_MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "json": "application/json",
        "svg": "image/svg+xml",
        "txt": "text/plain; charset=utf-8",
        "wasm": "application/wasm",
    }
)
"""By the ending of the name; other files are not served."""

_HASH_BYTES: Final = 6
_GZIP_LEVEL: Final = 9  # once for each file
_IMMUTABLE: Final = {"Cache-Control": "max-age=31536000, immutable", "Vary": "Accept-Encoding"}  # seconds: a year


def _iter_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda child: child.name):
        if each.is_dir():
            yield from _iter_files(each, f"{prefix}{each.name}/")
        elif each.name.rpartition(".")[2] in _MEDIA_TYPES:
            yield f"{prefix}{each.name}", each.read_bytes()


_ASSETS: Final[Mapping[str, bytes]] = dict(_iter_files(files("shotdap.server") / "static"))
ASSETS_HASH: Final = blake2b(repr(sorted(_ASSETS.items())).encode(), digest_size=_HASH_BYTES).hexdigest()
"""A hash of all assets."""


def build_asset_url(name: str) -> str:
    """Build the URL of an asset, below the path at which the application is mounted.

    Raises:
        KeyError: there is no such asset: a mistake in a template.
    """
    if name not in _ASSETS:
        raise KeyError(name)
    return f"/static/{ASSETS_HASH}/{name}"


@cache
def find_viewer() -> str:
    """Return the name of the viewer's script, which its build names by its content; empty if it was not built."""
    manifest = _ASSETS.get("viewer/manifest.json")
    return "" if manifest is None else f"viewer/{json.loads(manifest)['script']}"


def create_asset_routes() -> list[Route]:
    """Create the route of the assets."""

    async def serve_asset(request: Request) -> Response:
        path: str = request.path_params["path"]
        name = path.removeprefix(f"{ASSETS_HASH}/")
        if name not in _ASSETS:
            raise HTTPException(404)
        asset_request = HttpRequest.from_starlette(request)
        is_compressed = is_gzip_accepted(asset_request.headers.get("accept-encoding", ""))
        body, encoding = (_compress_asset(name), {"Content-Encoding": "gzip"}) if is_compressed else (_ASSETS[name], {})
        response = HttpResponse.from_body(body, _MEDIA_TYPES[name.rpartition(".")[2]], encoding)
        if name != path:
            return make_response(response.with_headers(_IMMUTABLE))
        return make_response(Validator.from_response(response).respond(asset_request, lambda: response))

    return [Route("/static/{path:path}", serve_asset, methods=["GET"])]


@lru_cache
def _compress_asset(name: str) -> bytes:
    return gzip.compress(_ASSETS[name], _GZIP_LEVEL, mtime=0)
