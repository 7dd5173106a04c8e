"""Documents as answers: strict JSON, compressed where the client takes it so, and not sent again to who has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import Request
from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import Response

from shotdap.server.api.schemas import Document
from shotdap.server.encoders.json_values import strict, written
from shotdap.server.http.conditional import known
from shotdap.server.http.response import Reply, compressed, respond

__all__ = ["api_url", "compact", "disposition", "document", "host", "json_reply", "linked", "page_url", "quoted"]

_TAG_BYTES: Final = 16
_JSON: Final = "application/json"
_SAFE: Final = "/~!$&'()*+,;=:@"  # what a path may hold as it is (RFC 3986, 3.3)


def host(request: Request) -> str:
    """The server's URL as the client sees it, what it is mounted below included, without a slash at the end."""
    return str(request.base_url).rstrip("/")


def api_url(request: Request) -> str:
    """The API's."""
    return f"{host(request)}/api/v1"


def quoted(path: str) -> str:
    """A public path as it stands in a URL."""
    return quote(path, safe=_SAFE, errors="replace")


def disposition(kind: str, name: str) -> str:
    """What browsers do with a file, and what they call it (RFC 6266); in two spellings, where one cannot hold it."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'{kind}; filename="{plain}"{extended}'


def page_url(request: Request, resource: str, **asked: str | int | None) -> str:
    """The URL of a resource below the API's, with what is asked of it."""
    said = {name: value for name, value in asked.items() if value is not None}
    query = f"?{urlencode(said, errors='replace')}" if said else ""
    return f"{api_url(request)}/{resource}{query}"


def linked(following: str | None) -> dict[str, str]:
    """The header that leads to the page that follows (RFC 8288)."""
    return {"Link": f'<{following}>; rel="next"'} if following else {}


def json_reply(content: Document, headers: Mapping[str, str] | None = None) -> Reply:
    """A document as strict JSON."""
    try:
        body = to_json(content, inf_nan_mode="strings")
    except PydanticSerializationError:  # an archive's name that is no Unicode
        body = written(strict(asdict(content)))
    return Reply.of(body, _JSON, headers or {})


def document(request: Request, content: Document, headers: Mapping[str, str] | None = None) -> Response:
    """A document that is made anew for each request; who has it already is told so."""
    reply = json_reply(content, headers)
    tag = blake2b(b"".join(reply.blocks), digest_size=_TAG_BYTES).hexdigest()
    kept = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if known(request.headers.get("if-none-match"), tag):
        return respond(Reply("", None, (), kept, 304))
    return compact(request, replace(reply, headers={**reply.headers, **kept}))


def compact(request: Request, reply: Reply) -> Response:
    """A reply as the client takes it."""
    return respond(compressed(reply, request.headers.get("accept-encoding", "")))
