"""Data packages: ``GET /api/v1/packages/<path>``, of a shot, of any other folder, or of one image.

The one URI is that of the folder, because that is what a package is of: a shot is a folder, and so is a diagnostic of a
shot, and a directory tree that has no shots. ``/shots/<facility>/<shot>/package`` leads there.

What can be refused is refused before the status line: each image has been opened then, and weighed. What fails later is
a line of the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from shotdap.catalog import Address, Catalog, Entry, State, Unreadable
from shotdap.config.settings import PackagesSettings
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.errors import TooLarge
from shotdap.server.limits import Limits, check
from shotdap.server.packaging import Bounds, Item, Kind, Order, chosen, packed, stored, surveyed, tree, zipped
from shotdap.server.packaging.contents import OTHERWISE, nothing_less
from shotdap.server.replies import Reply, respond, streamed
from shotdap.server.routes.conditional import Validator, validator_of
from shotdap.server.wanted import Part, Wanted
from shotdap.transforms import BadSelection

__all__ = ["router"]

_ZIP: Final = "application/zip"
_OURS: Final = frozenset({"format", "image", "diagnostic", "variable", "transform", "raw", "member"})
"""The parameters that are not dimensions."""
_RANGE: Final = re.compile(r"(\d+)|(\d*):(\d*)(?::(\d+))?", re.ASCII)


_ALL: Final[list[str]] = []
"""Where nothing is named."""

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The package.",
        "content": {_ZIP: {}, FORMATS["nc4"].media_type: {}},
        "headers": {"ETag": {"schema": {"type": "string"}}},
    },
    304: {"description": "The client has it: no file of the archive is other than it was."},
    400: {"description": "What is asked for does not fit; the document says what would."},
    404: {"description": "There is no such folder or image."},
    413: {"description": "It is more than one package may hold; the document says the way round."},
}
_ELSEWHERE: Final[dict[int | str, dict[str, Any]]] = {
    308: {"description": "Where it is."},
    404: {"description": "There is no such shot."},
}


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
        return {**self.headers, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}


def router(catalog: Catalog, limits: Limits, settings: PackagesSettings) -> APIRouter:
    """The routes of data packages."""
    routes = APIRouter(tags=["packages"])
    bounds = Bounds(settings.max_images, settings.max_mib << 20)

    @routes.head("/packages/{path:path}", include_in_schema=False)
    @routes.get("/packages/{path:path}", response_class=Response, responses=_RESPONSES)
    def package(  # noqa: PLR0913, PLR0917 — each is a parameter of the request
        request: Request,
        path: Annotated[str, Path(description="The path of a folder, such as a shot's: omega/62328; or of an image.")],
        format: Annotated[  # noqa: A002 — the parameter's own name
            Kind, Query(description="One file for each image, in a ZIP file; or a tree of all images in one.")
        ] = "zip",
        image: Annotated[list[str], Query(description="Which images, by their paths below the folder.")] = _ALL,
        diagnostic: Annotated[list[str], Query(description="The images of which diagnostics.")] = _ALL,
        variable: Annotated[list[str], Query(description="Which variables of each image.")] = _ALL,
        transform: Annotated[list[str], Query(description="Transforms with options: median_filter-size-5.")] = _ALL,
        raw: Annotated[bool, Query(description="The files as they are in the archive.")] = False,  # noqa: FBT002
        member: Annotated[str, Query(description="The format of each file in a ZIP file.")] = "",
    ) -> Response:
        """All images of a shot, or some, as one file with a manifest and a README.

        Any further parameter is a part of a dimension: ``y=100:400`` or ``time=5``.
        """
        wanted = Wanted(tuple(variable), _parts(request), tuple(transform), raw)
        host = str(request.base_url).rstrip("/")
        order = Order(path, tuple(image), tuple(diagnostic), wanted, format, member, url=str(request.url), host=host)
        order.check()
        entries = chosen(catalog, order, bounds.images)
        current = _validator(catalog, order, entries)
        if current.knows(request.headers):
            return respond(current.not_modified())
        items = surveyed(catalog, order, entries, limits, bounds)
        make = _ANSWERS[order.kind]
        return make(_Package(catalog, limits, order, items, current.headers, request.method == "HEAD"))

    @routes.head("/shots/{facility}/{shot}/package", include_in_schema=False)
    @routes.get("/shots/{facility}/{shot}/package", status_code=308, response_class=Response, responses=_ELSEWHERE)
    def package_of_a_shot(
        request: Request,
        facility: Annotated[str, Path(description="As paths call it: omega.")],
        shot: Annotated[str, Path(description="Its number.")],
    ) -> Response:
        """Where the data package of a shot is; parameters are kept."""
        path = f"{facility}/{shot}"
        catalog.children(path, limit=1)  # to see whether there is such a folder
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/packages/{quote(path)}{query}", 308)

    return routes


def _parts(request: Request) -> dict[str, Part]:
    """The parts of dimensions that are asked for: every parameter that is none of ours."""
    return {name: _part(name, text) for name, text in request.query_params.items() if name not in _OURS}


def _part(name: str, text: str) -> Part:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise BadSelection(f"{name}={text} is neither a part of a dimension, {name}=100:400, nor an index, {name}=5.")
    index, *bounds = found.groups()
    return int(index) if index else slice(*(int(bound) if bound else None for bound in bounds))


def _validator(catalog: Catalog, order: Order, entries: tuple[Entry, ...]) -> Validator:
    """The validator of a package: a look at each file. It is weak, as the package says when it was made."""
    states = [_state(catalog, Address(entry, is_raw=order.is_archived)) for entry in entries]
    together = State(repr([state.text for state in states]), max(state.modified for state in states))
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
        check(dataset, package.limits, nothing_less)
    except TooLarge as error:
        raise TooLarge(f"{error} As format=zip or zarr it would go out piece by piece. {OTHERWISE}") from error
    headers = package.called(format_.ending)
    if package.only_headers:
        return respond(Reply(format_.media_type, None, (), headers))
    encoded = format_.encode(dataset.compute(), package.order.display)
    return respond(Reply(format_.media_type, encoded.size, encoded.blocks, headers))


_ANSWERS: Final[Mapping[Kind, Callable[[_Package], Response]]] = MappingProxyType(
    {"zip": _zip, "nc4": _tree, "h5": _tree, "zarr": _zarr}
)
