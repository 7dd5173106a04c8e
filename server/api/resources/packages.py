"""Data packages: ``GET /api/v1/packages/<path>``, of a shot, of any other folder, or of one image.

The one URI is that of the folder, because that is what a package is of: a shot is a folder, and so is a diagnostic of a
shot, and a directory tree that has no shots. ``/shots/<facility>/<shot>/package`` leads there.

What can be refused is refused before the status line: each image has been opened then, and weighed. What fails later is
a line of the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from shotdap.catalog import Address, Catalog, Entry, NotFound, State, Unreadable
from shotdap.config.settings import PackagesSettings
from shotdap.server.api.dependencies import parameters, query_of
from shotdap.server.api.middleware import only_headers
from shotdap.server.api.problem_details import others, refusal
from shotdap.server.api.responses import api_url, disposition, host, quoted
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports.package import (
    KINDS,
    Bounds,
    Item,
    Kind,
    Order,
    chosen,
    packed,
    stored,
    surveyed,
    tree,
    zipped,
)
from shotdap.server.http.conditional import Validator, validator_of
from shotdap.server.http.errors import TooLarge
from shotdap.server.http.limits import Limits, refuse_size
from shotdap.server.http.response import Reply, respond, streamed
from shotdap.server.protocols.rest import LOOKS, PARTS, parse

__all__ = ["router"]

_EXAMPLE: Final = "omega/62328"
_ZIP: Final = "application/zip"
_NAMES: Final = ("format", "image", "diagnostic", "member", *PARTS, *LOOKS)
"""The parameters of a package."""

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_TREES: Final = {FORMATS[name].media_type: _BINARY for name in KINDS if name in FORMATS}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The package.",
        "content": {_ZIP: _BINARY, **_TREES},
        "headers": {"ETag": {"description": "What `If-None-Match` takes; weak.", "schema": {"type": "string"}}},
    },
}
_MOVED: Final[dict[int | str, dict[str, Any]]] = {
    308: {
        "description": "It is at the URI of its folder.",
        "headers": {"Location": {"description": "That URI, with the parameters.", "schema": {"type": "string"}}},
    },
}


def _documented() -> dict[str, Any]:
    """The parameters, of which `format` means another thing than elsewhere."""
    extra = parameters(*_NAMES)
    for each in extra["parameters"]:
        if each["name"] == "format":
            each["description"] = "A ZIP file, with a file for each image; or one tree of all images."
            each["schema"] = {"type": "string", "enum": [*KINDS], "default": "zip"}
            each["example"] = "zip"
    return extra


@dataclass(frozen=True)
class _Package:
    """A package that only has to be made."""

    catalog: Catalog
    limits: Limits
    order: Order
    items: tuple[Item, ...]
    headers: Mapping[str, str]
    only_headers: bool

    def called(self, ending: str) -> dict[str, str]:
        """The headers, with the name of the file that the client is to keep."""
        name = f"{self.order.name}{ending}"
        return {**self.headers, "Content-Disposition": disposition("attachment", name)}


def router(catalog: Catalog, limits: Limits, settings: PackagesSettings) -> APIRouter:
    """The routes of data packages."""
    routes = APIRouter(tags=["packages"])
    bounds = Bounds(settings.max_images, settings.max_mib << 20)

    @routes.get(
        "/packages/{path:path}",
        response_class=Response,
        operation_id="package",
        summary="A data package of a shot, or of any folder",
        responses={**_RESPONSES, **others(404, 413)},
        openapi_extra=_documented(),
    )
    def package(
        request: Request,
        path: Annotated[
            str, Path(description="The public path of a folder, such as a shot's; or of an image.", examples=[_EXAMPLE])
        ],
    ) -> Response:
        """All images of a folder, or some, as one file that is made while it is sent.

        A ZIP file has a manifest (sizes, hashes, provenance, health), a README and checksums with it; what cannot be
        read is a line of the manifest. With `raw`, the files are as they are in the archive.
        """
        order = _order(request, path)
        order.check()
        entries = chosen(catalog, order, bounds.images)
        current = _validator(catalog, order, entries)
        if current.knows(request.headers):
            return respond(current.not_modified())
        items = surveyed(catalog, order, entries, limits, bounds)
        make = _ANSWERS[order.kind]
        return make(_Package(catalog, limits, order, items, current.headers, only_headers(request)))

    @routes.get(
        "/shots/{facility}/{shot}/package",
        status_code=308,
        response_class=Response,
        operation_id="package_of_a_shot",
        summary="Where the data package of a shot is",
        responses={**_MOVED, 404: refusal(404)},
        openapi_extra=_documented(),
    )
    def package_of_a_shot(
        request: Request,
        facility: Annotated[str, Path(description="As in public paths.", examples=["omega"], min_length=1)],
        shot: Annotated[int, Path(examples=[103741])],
    ) -> Response:
        """Where the data package of a shot is; parameters are kept, if they can be understood."""
        path = f"{facility}/{shot}"
        _order(request, path).check()
        _insist_on_folder(catalog, path)
        query = query_of(request)
        return RedirectResponse(f"{api_url(request)}/packages/{quoted(path)}{f'?{query}' if query else ''}", 308)

    return routes


def _order(request: Request, path: str) -> Order:
    """What a request asks for.

    Raises:
        BadSelection: a parameter cannot be read.
    """
    sought = parse(query_of(request), _NAMES)
    return Order(
        path.strip("/"),
        tuple(sought.values.get("image", ())),
        tuple(sought.values.get("diagnostic", ())),
        sought.wanted,
        sought.values.get("format", "zip"),
        sought.values.get("member", ""),
        sought.display,
        sought.looks,
        str(request.url),
        host(request),
    )


def _insist_on_folder(catalog: Catalog, path: str) -> None:
    try:
        catalog.children(path, limit=1)
    except NotFound as error:
        raise NotFound(
            f"There is no folder {path!r}. Where paths do not begin with facility and shot, the package of any folder"
            " is at /packages/FOLDER."
        ) from error


def _validator(catalog: Catalog, order: Order, entries: tuple[Entry, ...]) -> Validator:
    """The validator of a package: a look at each file. It is weak, as the package says when it was made."""
    together = State.joint(order.path, (_state(catalog, Address(entry, is_raw=order.is_archived)) for entry in entries))
    return replace(validator_of(catalog, together, order.url), is_weak=True)


def _state(catalog: Catalog, address: Address) -> State:
    """The state of an image; one that cannot be read has one, too."""
    try:
        return catalog.state(address)
    except Unreadable as error:
        return State(f"{address.path}: {error}", 0)


def _zip(package: _Package) -> Response:
    headers = package.called(".zip")
    if package.only_headers:
        return respond(Reply(_ZIP, None, (), headers))
    members = packed(package.catalog, package.order, package.items, package.limits, datetime.now(UTC))
    return streamed(zipped(members), _ZIP, headers)


def _zarr(package: _Package) -> Response:
    """All images as one Zarr store, in a ZIP file that is made chunk by chunk.

    A chunk that cannot be had breaks the file off: one that is not in a store would be read as zeros.
    """
    headers = package.called(".zarr.zip")
    if package.only_headers:
        return respond(Reply(_ZIP, None, (), headers))
    dataset = tree(package.catalog, package.order, package.items, datetime.now(UTC))
    return streamed(zipped(stored(dataset)), _ZIP, headers)


def _tree(package: _Package) -> Response:
    """All images in one file, which is made in memory."""
    format_ = FORMATS[package.order.kind]
    dataset = tree(package.catalog, package.order, package.items, datetime.now(UTC))
    try:
        refuse_size(dataset, package.limits)
    except TooLarge as error:
        raise TooLarge(f"{error} As format=zip or zarr it would go out piece by piece.") from error
    headers = package.called(format_.ending)
    if package.only_headers:
        return respond(Reply(format_.media_type, None, (), headers))
    encoded = format_.encode(dataset.compute(), package.order.display)
    return respond(Reply(format_.media_type, encoded.size, encoded.blocks, headers))


_ANSWERS: Final[Mapping[Kind, Callable[[_Package], Response]]] = MappingProxyType(
    {"zip": _zip, "nc4": _tree, "h5": _tree, "zarr": _zarr}
)
