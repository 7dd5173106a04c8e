"""The REST API, version 1, below ``/api/v1``: each resource one module with a router."""

from __future__ import annotations

from fastapi import FastAPI

from shotdap import __version__
from shotdap.catalog import Catalog
from shotdap.config import Settings
from shotdap.server.limits import Limits
from shotdap.server.routes.rest import exports
from shotdap.server.routes.rest.problems import answer_problems

__all__ = ["api"]


def api(catalog: Catalog, limits: Limits, settings: Settings) -> FastAPI:
    """The API as an application, to be mounted at ``/api/v1``."""
    del limits  # routers take it: app.include_router(images.router(catalog, limits))
    app = FastAPI(title="shotdap", version=__version__, docs_url=None, redoc_url=None)
    answer_problems(app)
    app.include_router(exports.router(catalog, settings))
    return app
