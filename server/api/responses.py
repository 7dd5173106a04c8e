"""Documents as responses: strict JSON, compressed if the client accepts it, and not sent to a client that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final
from urllib.parse import quote, urlencode

from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import Response

from shotdap.server.api.schemas import Document
from shotdap.server.encoders.json_values import convert_to_json, dump_json
from shotdap.server.http.conditional import Validator
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response

_JSON_MEDIA_TYPE: Final = "application/json"
_SAFE_CHARACTERS: Final = "/~!$&'()*+,;=:@"  # in a path (RFC 3986, 3.3)


def get_api_url(request: HttpRequest) -> str:
    """Return the URL of the API."""
    return f"{request.base_url}/api/v1"


def quote_path(path: str) -> str:
    """Quote a public path for a URL."""
    return quote(path, safe=_SAFE_CHARACTERS, errors="replace")


def format_disposition(kind: str, name: str) -> str:
    """Format ``Content-Disposition`` (RFC 6266), with a second form of a name that ASCII cannot represent."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'{kind}; filename="{plain}"{extended}'


def build_resource_url(request: HttpRequest, resource: str, **parameters: str | int | None) -> str:
    """Build the URL of a resource of the API; parameters that are `None` are left out."""
    values = {name: value for name, value in parameters.items() if value is not None}
    query = f"?{urlencode(values, errors='replace')}" if values else ""
    return f"{get_api_url(request)}/{resource}{query}"


def build_link_header(next_url: str | None) -> dict[str, str]:
    """Build the header that links to the next page (RFC 8288)."""
    return {"Link": f'<{next_url}>; rel="next"'} if next_url else {}


def prepare_document(document: Document, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a document as strict JSON."""
    try:
        body = to_json(document, inf_nan_mode="strings")
    except PydanticSerializationError:  # a name in the archive that is no Unicode
        body = dump_json(convert_to_json(asdict(document)))
    return HttpResponse.from_body(body, _JSON_MEDIA_TYPE, headers)


def respond_with_document(
    request: HttpRequest, document: Document, headers: Mapping[str, str] | None = None
) -> Response:
    """Send a document that is built for each request; its tag is a hash of its bytes."""
    response = prepare_document(document, headers)
    return respond_compressed(request, Validator.from_response(response).respond(request, lambda: response))


def respond_compressed(request: HttpRequest, response: HttpResponse) -> Response:
    """Send a response, compressed if the client accepts it."""
    return make_response(compress_response(response, request))
