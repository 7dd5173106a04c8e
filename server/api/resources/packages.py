"""Data packages: ``GET /api/v1/packages/<path>``, of a shot, of any other folder, or of one image.

The only URI is that of the folder, because a package contains a folder: a shot is a folder, and so are a diagnostic of
a shot, and a directory tree that has no shots. ``/shots/<facility>/<shot>/package`` redirects there.

What can be refused is refused before the status line: by then each image was opened, and its size estimated. What fails
later is recorded in the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from starlette.responses import RedirectResponse, Response

from shotdap.catalog import Catalog, Entry, NotFound, Unreadable
from shotdap.config.settings import PackagesSettings
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import ApiRequest, build_openapi_parameters
from shotdap.server.api.problem_details import describe_failure, describe_other_responses
from shotdap.server.api.responses import format_disposition, get_api_url, quote_path
from shotdap.server.encoders.formats import FORMATS
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
from shotdap.server.http.conditional import Validator
from shotdap.server.http.errors import TooLarge
from shotdap.server.http.limits import Limits, check_size
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response, stream_response
from shotdap.server.protocols.rest import DISPLAY_PARAMETERS, EXTRACTION_PARAMETERS, parse_image_params

_EXAMPLE_FOLDER: Final = "omega/62328"
_ZIP_MEDIA_TYPE: Final = "application/zip"
_PARAMETER_NAMES: Final = ("format", "image", "diagnostic", "member", *EXTRACTION_PARAMETERS, *DISPLAY_PARAMETERS)
"""The names of the parameters of a package."""

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
    """Describe the parameters; `format` has another meaning than elsewhere."""
    extra = build_openapi_parameters(*_PARAMETER_NAMES)
    for each in extra["parameters"]:
        if each["name"] == "format":
            each["description"] = "A ZIP file, with a file for each image; or one tree of all images."
            each["schema"] = {"type": "string", "enum": [*PACKAGE_CONTAINERS], "default": "zip"}
            each["example"] = "zip"
    return extra


@dataclass(frozen=True)
class _PackageRequest:
    """A request for a package that can be made."""

    catalog: Catalog
    limits: Limits
    order: PackageOrder
    items: tuple[PackageItem, ...]
    headers: Mapping[str, str]
    """The validators of the response."""
    only_headers: bool

    def build_headers(self, extension: str) -> dict[str, str]:
        """Build the headers of the response, with the name under which the client stores the file."""
        name = f"{self.order.source.file_stem}{extension}"
        return {**self.headers, "Content-Disposition": format_disposition("attachment", name)}


def create_packages_router(catalogs: RequestCatalogs, limits: Limits, settings: PackagesSettings) -> APIRouter:
    """Create the routes of data packages."""
    routes = APIRouter(tags=["packages"])
    package_limits = PackageLimits(settings.max_images, settings.max_mib << 20)

    @routes.get(
        "/packages/{path:path}",
        response_class=Response,
        operation_id="package",
        summary="A data package of a shot, or of any folder",
        responses={**_RESPONSES, **describe_other_responses(404, 413)},
        openapi_extra=_build_openapi_extra(),
    )
    def get_package(
        request: ApiRequest,
        path: Annotated[
            str,
            Path(
                description="The public path of a folder, such as a shot's; or of an image.", examples=[_EXAMPLE_FOLDER]
            ),
        ],
    ) -> Response:
        """Pack all images of a folder, or some, into one file that is encoded while it is sent.

        A ZIP file contains a manifest (sizes, hashes, provenance, health), a README and checksums; an image that cannot
        be read is recorded in the manifest. With `raw`, it contains the files of the archive without changes.
        """
        order = _parse_order(request, path)
        order.validate()
        catalog = catalogs.open(request)
        entries = select_entries(catalog, order, package_limits.max_images)
        validator = _create_package_validator(catalog, order, entries)
        if validator.is_not_modified(request):
            return make_response(validator.prepare_not_modified())
        items = plan_package(catalog, order, entries, limits, package_limits)
        package = _PackageRequest(catalog, limits, order, items, validator.headers, request.only_headers)
        return _respond_with_package(package)

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
        request: ApiRequest,
        facility: Annotated[str, Path(description="As in public paths.", examples=["omega"], min_length=1)],
        shot: Annotated[int, Path(examples=[103741])],
    ) -> Response:
        """Redirect to the data package of a shot; parameters are kept, and have to be valid."""
        path = f"{facility}/{shot}"
        _parse_order(request, path).validate()
        try:
            catalogs.open(request).list_children(path, limit=1)
        except NotFound as error:
            raise NotFound(
                f"There is no folder {path!r}. Where paths do not begin with facility and shot, the package of any"
                " folder is at /packages/FOLDER."
            ) from error
        query = f"?{request.query}" if request.query else ""
        return RedirectResponse(f"{get_api_url(request)}/packages/{quote_path(path)}{query}", 308)

    return routes


def _parse_order(request: HttpRequest, path: str) -> PackageOrder:
    """Parse a request into the order of a package.

    Raises:
        BadSelection: a parameter cannot be parsed.
    """
    params = parse_image_params(request.query, _PARAMETER_NAMES)
    source = FolderSource(
        path.strip("/"), tuple(params.options.get("image", ())), tuple(params.options.get("diagnostic", ()))
    )
    return Order(
        source,
        params.extraction,
        params.options.get("member", ""),
        params.options.get("format", "zip"),
        params.display,
        RequestContext(request.url, request.base_url, params.display_parameters),
    )


def _create_package_validator(catalog: Catalog, order: PackageOrder, entries: tuple[Entry, ...]) -> Validator:
    """Create the validator of a package from the version of each file: a weak one, as a package contains its date."""
    fingerprints, modified = [], 0
    for entry in entries:
        image = catalog.image_from_entry(entry, is_raw=order.has_archived_files)
        try:
            fingerprints.append(image.fingerprint)
            modified = max(modified, image.modified)
        except Unreadable as error:  # what cannot be read is recorded in the package, too
            fingerprints.append(f"{image.path}: {error}")
    dependencies = (catalog.diagnostics_fingerprint, order.source.path, *fingerprints, order.context.request_url)
    return Validator.from_dependencies(modified, *dependencies, is_weak=True)


def _respond_with_package(package: _PackageRequest) -> Response:
    container, now = package.order.container, datetime.now(UTC)
    if container in {"zip", "zarr"}:
        headers = package.build_headers(".zip" if container == "zip" else ".zarr.zip")
        if package.only_headers:
            return make_response(HttpResponse(_ZIP_MEDIA_TYPE, None, (), headers))
        if container == "zip":
            members = pack_members(package.catalog, package.order, package.items, package.limits, now)
        else:  # a chunk that cannot be read ends the file early: readers would take a missing one for zeros
            members = iter_store_members(combine_images(package.catalog, package.order, package.items, now))
        return stream_response(stream_zip(members), _ZIP_MEDIA_TYPE, headers)
    output_format = FORMATS[container]  # one file of all images, which is encoded in memory
    dataset = combine_images(package.catalog, package.order, package.items, now)
    try:
        check_size(dataset, package.limits)
    except TooLarge as error:
        raise TooLarge(f"{error} As format=zip or zarr it would go out piece by piece.") from error
    headers = package.build_headers(output_format.extension)
    if package.only_headers:
        return make_response(HttpResponse(output_format.media_type, None, (), headers))
    file = output_format.encode(dataset.compute(), package.order.display)
    return make_response(HttpResponse(output_format.media_type, file.size, file.blocks, headers))
