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

from shotdap.catalog import Catalog, ContentState, Entry, ImageAddress, NotFound, Unreadable
from shotdap.config.settings import PackagesSettings
from shotdap.server.api.dependencies import build_openapi_parameters, get_query_string
from shotdap.server.api.middleware import is_head_request
from shotdap.server.api.problem_details import describe_failure, describe_other_responses
from shotdap.server.api.responses import format_disposition, get_api_url, get_base_url, quote_path
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports import Container
from shotdap.server.exports.containers.zarr_groups import iter_store_members
from shotdap.server.exports.containers.zip_file import stream_zip
from shotdap.server.exports.order import (
    PACKAGE_CONTAINERS,
    FolderSource,
    Order,
    PackageOrder,
    RequestContext,
)
from shotdap.server.exports.package_members import pack_members
from shotdap.server.exports.package_plan import PackageItem, PackageLimits, plan_package, select_entries
from shotdap.server.exports.package_tree import combine_images
from shotdap.server.http.conditional import Validator, create_validator
from shotdap.server.http.errors import TooLarge
from shotdap.server.http.limits import Limits, refuse_size
from shotdap.server.http.response import PreparedResponse, make_response, stream_response
from shotdap.server.protocols.rest import DISPLAY_PARAMETERS, EXTRACTION_PARAMETERS, parse_image_params

__all__ = ["create_packages_router"]

_EXAMPLE_FOLDER: Final = "omega/62328"
_ZIP_MEDIA_TYPE: Final = "application/zip"
_PARAMETER_NAMES: Final = ("format", "image", "diagnostic", "member", *EXTRACTION_PARAMETERS, *DISPLAY_PARAMETERS)
"""The parameters of a package."""

_BINARY_SCHEMA: Final = {"schema": {"type": "string", "format": "binary"}}
_TREE_CONTENT: Final = {FORMATS[name].media_type: _BINARY_SCHEMA for name in PACKAGE_CONTAINERS if name in FORMATS}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The package.",
        "content": {_ZIP_MEDIA_TYPE: _BINARY_SCHEMA, **_TREE_CONTENT},
        "headers": {"ETag": {"description": "What `If-None-Match` takes; weak.", "schema": {"type": "string"}}},
    },
}
_REDIRECT_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    308: {
        "description": "It is at the URI of its folder.",
        "headers": {"Location": {"description": "That URI, with the parameters.", "schema": {"type": "string"}}},
    },
}


def _build_openapi_extra() -> dict[str, Any]:
    """The parameters, of which `format` means another thing than elsewhere."""
    extra = build_openapi_parameters(*_PARAMETER_NAMES)
    for each in extra["parameters"]:
        if each["name"] == "format":
            each["description"] = "A ZIP file, with a file for each image; or one tree of all images."
            each["schema"] = {"type": "string", "enum": [*PACKAGE_CONTAINERS], "default": "zip"}
            each["example"] = "zip"
    return extra


@dataclass(frozen=True)
class _PackageRequest:
    """A package that only has to be made."""

    catalog: Catalog
    limits: Limits
    order: PackageOrder
    items: tuple[PackageItem, ...]
    headers: Mapping[str, str]
    only_headers: bool

    def build_headers(self, ending: str) -> dict[str, str]:
        """The headers, with the name of the file that the client is to keep."""
        name = f"{self.order.source.file_stem}{ending}"
        return {**self.headers, "Content-Disposition": format_disposition("attachment", name)}


def create_packages_router(catalog: Catalog, limits: Limits, settings: PackagesSettings) -> APIRouter:
    """The routes of data packages."""
    routes = APIRouter(tags=["packages"])
    bounds = PackageLimits(settings.max_images, settings.max_mib << 20)

    @routes.get(
        "/packages/{path:path}",
        response_class=Response,
        operation_id="package",
        summary="A data package of a shot, or of any folder",
        responses={**_RESPONSES, **describe_other_responses(404, 413)},
        openapi_extra=_build_openapi_extra(),
    )
    def get_package(
        request: Request,
        path: Annotated[
            str,
            Path(
                description="The public path of a folder, such as a shot's; or of an image.", examples=[_EXAMPLE_FOLDER]
            ),
        ],
    ) -> Response:
        """All images of a folder, or some, as one file that is made while it is sent.

        A ZIP file has a manifest (sizes, hashes, provenance, health), a README and checksums with it; what cannot be
        read is a line of the manifest. With `raw`, the files are as they are in the archive.
        """
        order = _parse_order(request, path)
        order.validate()
        entries = select_entries(catalog, order, bounds.max_images)
        current = _create_package_validator(catalog, order, entries)
        if current.is_not_modified(request.headers):
            return make_response(current.prepare_not_modified())
        items = plan_package(catalog, order, entries, limits, bounds)
        make = _HANDLERS[order.container]
        return make(_PackageRequest(catalog, limits, order, items, current.headers, is_head_request(request)))

    @routes.get(
        "/shots/{facility}/{shot}/package",
        status_code=308,
        response_class=Response,
        operation_id="package_of_a_shot",
        summary="Where the data package of a shot is",
        responses={**_REDIRECT_RESPONSES, 404: describe_failure(404)},
        openapi_extra=_build_openapi_extra(),
    )
    def redirect_shot_package(
        request: Request,
        facility: Annotated[str, Path(description="As in public paths.", examples=["omega"], min_length=1)],
        shot: Annotated[int, Path(examples=[103741])],
    ) -> Response:
        """Where the data package of a shot is; parameters are kept, if they can be understood."""
        path = f"{facility}/{shot}"
        _parse_order(request, path).validate()
        _check_folder(catalog, path)
        query = get_query_string(request)
        return RedirectResponse(
            f"{get_api_url(request)}/packages/{quote_path(path)}{f'?{query}' if query else ''}", 308
        )

    return routes


def _parse_order(request: Request, path: str) -> PackageOrder:
    """What a request asks for.

    Raises:
        BadSelection: a parameter cannot be read.
    """
    sought = parse_image_params(get_query_string(request), _PARAMETER_NAMES)
    source = FolderSource(
        path.strip("/"), tuple(sought.options.get("image", ())), tuple(sought.options.get("diagnostic", ()))
    )
    return Order(
        source,
        sought.extraction,
        sought.options.get("member", ""),
        sought.options.get("format", "zip"),
        sought.display,
        RequestContext(str(request.url), get_base_url(request), sought.display_parameters),
    )


def _check_folder(catalog: Catalog, path: str) -> None:
    try:
        catalog.list_children(path, limit=1)
    except NotFound as error:
        raise NotFound(
            f"There is no folder {path!r}. Where paths do not begin with facility and shot, the package of any folder"
            " is at /packages/FOLDER."
        ) from error


def _create_package_validator(catalog: Catalog, order: PackageOrder, entries: tuple[Entry, ...]) -> Validator:
    """The validator of a package: a look at each file. It is weak, as the package says when it was made."""
    together = ContentState.combine(
        order.source.path,
        (_read_state(catalog, ImageAddress(entry, is_raw=order.has_archived_files)) for entry in entries),
    )
    return replace(create_validator(catalog, together, order.context.request_url), is_weak=True)


def _read_state(catalog: Catalog, address: ImageAddress) -> ContentState:
    """The state of an image; one that cannot be read has one, too."""
    try:
        return catalog.get_state(address)
    except Unreadable as error:
        return ContentState(f"{address.path}: {error}", 0)


def _respond_zip(package: _PackageRequest) -> Response:
    headers = package.build_headers(".zip")
    if package.only_headers:
        return make_response(PreparedResponse(_ZIP_MEDIA_TYPE, None, (), headers))
    members = pack_members(package.catalog, package.order, package.items, package.limits, datetime.now(UTC))
    return stream_response(stream_zip(members), _ZIP_MEDIA_TYPE, headers)


def _respond_zarr(package: _PackageRequest) -> Response:
    """All images as one Zarr store, in a ZIP file that is made chunk by chunk.

    A chunk that cannot be had breaks the file off: one that is not in a store would be read as zeros.
    """
    headers = package.build_headers(".zarr.zip")
    if package.only_headers:
        return make_response(PreparedResponse(_ZIP_MEDIA_TYPE, None, (), headers))
    dataset = combine_images(package.catalog, package.order, package.items, datetime.now(UTC))
    return stream_response(stream_zip(iter_store_members(dataset)), _ZIP_MEDIA_TYPE, headers)


def _respond_tree(package: _PackageRequest) -> Response:
    """All images in one file, which is made in memory."""
    format_ = FORMATS[package.order.container]
    dataset = combine_images(package.catalog, package.order, package.items, datetime.now(UTC))
    try:
        refuse_size(dataset, package.limits)
    except TooLarge as error:
        raise TooLarge(f"{error} As format=zip or zarr it would go out piece by piece.") from error
    headers = package.build_headers(format_.extension)
    if package.only_headers:
        return make_response(PreparedResponse(format_.media_type, None, (), headers))
    encoded = format_.encode(dataset.compute(), package.order.display)
    return make_response(PreparedResponse(format_.media_type, encoded.size, encoded.blocks, headers))


_HANDLERS: Final[Mapping[Container, Callable[[_PackageRequest], Response]]] = MappingProxyType(
    {"zip": _respond_zip, "nc4": _respond_tree, "h5": _respond_tree, "zarr": _respond_zarr}
)
