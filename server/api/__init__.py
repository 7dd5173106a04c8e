"""The REST API, version 1, below ``/api/v1``: each resource is one module with a router.

Rule 1: every resource has one URI. What is derived of an image has a URI beside it, ``/statistics/<path>``; values of
an image are selected by the query of its own URI.
Rule 2: a request is parsed, and the size of its answer is checked, before any values are read.
Rule 3: every failure is a problem document, which explains what would be right.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from shotdap import __version__
from shotdap.config import Settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api import swagger
from shotdap.server.api.middleware import ApiMiddleware
from shotdap.server.api.openapi import API_DESCRIPTION, API_TAGS, register_openapi
from shotdap.server.api.problem_details import register_problem_handlers, render_problem
from shotdap.server.api.resources import (
    archive_contents,
    change_stream,
    derived,
    export_jobs,
    failures,
    images,
    legacy,
    packages,
    service,
    shots,
    sign_in_description,
    tokens,
)
from shotdap.server.http.limits import Limits
from shotdap.server.readiness import Readiness
from shotdap.server.search_threads import SearchThreads

__all__ = ["create_api", "create_rest_routes", "render_problem"]


def create_rest_routes(  # noqa: PLR0913, PLR0917 — all that the routes need
    catalogs: RequestCatalogs,
    limits: Limits,
    settings: Settings,
    search_threads: SearchThreads,
    readiness: Readiness,
    access: AccessDatabase | None,
) -> list[Mount | Route]:
    """Create the routes of the API, of its documentation, and of the URLs of the laboratory's prototype."""
    version_1 = create_api(catalogs, limits, settings, search_threads, readiness, access)

    async def serve_legacy_alias(scope: Scope, receive: Receive, send: Send) -> None:
        root: str = scope["root_path"]
        await version_1({**scope, "root_path": root.removesuffix("/image")}, receive, send)

    return [Mount("/api/v1", version_1), Mount("/api/image", serve_legacy_alias), *swagger.create_docs_routes()]


def create_api(  # noqa: PLR0913, PLR0917 — likewise
    catalogs: RequestCatalogs,
    limits: Limits,
    settings: Settings,
    search_threads: SearchThreads,
    readiness: Readiness,
    access: AccessDatabase | None,
) -> FastAPI:
    """Create the API as an application, to be mounted at ``/api/v1``."""
    app = FastAPI(
        title="shotdap",
        version=__version__,
        summary="The images of a laser-fusion laboratory, described, searched, and cut on the server.",
        description=API_DESCRIPTION,
        openapi_tags=API_TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (
        service.create_service_router(readiness),
        sign_in_description.create_sign_in_description_router(settings),
        archive_contents.create_archive_router(catalogs, search_threads),
        change_stream.create_change_stream_router(catalogs),
        shots.create_shots_router(catalogs, search_threads),
        images.create_images_router(catalogs, limits, search_threads),
        derived.create_derived_router(catalogs, limits),
        packages.create_packages_router(catalogs, limits, settings.packages),
        legacy.create_legacy_router(catalogs, limits, search_threads),
        export_jobs.create_exports_router(catalogs, settings),
        tokens.create_tokens_router(access),
        failures.create_failures_router(catalogs, settings),
    ):
        app.include_router(router)
    register_problem_handlers(app)
    app.add_middleware(ApiMiddleware, max_query_length=limits.query)
    register_openapi(app)
    return app
