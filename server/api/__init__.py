"""The REST API, version 1, below ``/api/v1``: each resource one module with a router.

Rule 1: every resource has one URI. What is derived of an image has one beside it, ``/statistics/<path>``; what is
wanted of its values is said by the query of its own.
Rule 2: a request is understood, and what it asks for is bounded, before any file is read.
Rule 3: what fails is a problem document, and says what would be right.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from shotdap import __version__
from shotdap.catalog import Catalog
from shotdap.config import Settings
from shotdap.server.api import swagger
from shotdap.server.api.middleware import Answering
from shotdap.server.api.openapi import ABOUT, TAGS, describe
from shotdap.server.api.problem_details import answer_problems, problem_reply
from shotdap.server.api.resources import (
    archive_contents,
    derived,
    export_jobs,
    images,
    legacy,
    packages,
    service,
    shots,
)
from shotdap.server.http.limits import Limits

__all__ = ["api", "problem_reply", "routes"]


def routes(catalog: Catalog, limits: Limits, settings: Settings) -> list[Mount | Route]:
    """The API, its documentation for people, and the way in which the laboratory's prototype was asked."""
    version_1 = api(catalog, limits, settings)

    async def legacy_alias(scope: Scope, receive: Receive, send: Send) -> None:
        root: str = scope["root_path"]
        await version_1({**scope, "root_path": root.removesuffix("/image")}, receive, send)

    return [Mount("/api/v1", version_1), Mount("/api/image", legacy_alias), *swagger.routes()]


def api(catalog: Catalog, limits: Limits, settings: Settings) -> FastAPI:
    """The API as an application, to be mounted at ``/api/v1``."""
    app = FastAPI(
        title="shotdap",
        version=__version__,
        summary="The images of a laser-fusion laboratory, described, searched, and cut on the server.",
        description=ABOUT,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (
        service.router(catalog),
        archive_contents.router(catalog),
        shots.router(catalog),
        images.router(catalog, limits),
        derived.router(catalog, limits),
        packages.router(catalog, limits, settings.packages),
        legacy.router(catalog, limits),
        export_jobs.router(catalog, settings),
    ):
        app.include_router(router)
    answer_problems(app)
    app.add_middleware(Answering, longest=limits.query)
    describe(app)
    return app
