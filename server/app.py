"""The ASGI application: connects a catalog and settings to the routes of all protocols."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Lifespan

from shotdap.catalog import Catalog, ForkServer, FrameStore
from shotdap.config import Settings, SettingsSource, Site
from shotdap.server import api
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.audit.audit_log import AuditLog
from shotdap.server.access.audit.audit_middleware import AuditMiddleware
from shotdap.server.access.audit.failure_log import FailureLog
from shotdap.server.access.audit.failure_middleware import FailureMiddleware
from shotdap.server.access.gate import create_access_middleware, open_identity_provider
from shotdap.server.access.host_middleware import HostMiddleware, HostNames
from shotdap.server.access.limits.limit_middleware import LimitMiddleware
from shotdap.server.access.limits.rate_counters import RateCounters
from shotdap.server.access.limits.rate_limiter import RateLimiter
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.access.limits.sign_in_limiter import SignInLimiter
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.access.trusted_proxies import TrustedProxies
from shotdap.server.answering.answer_process import PRELOADED_MODULE
from shotdap.server.answering.event_loop import respond_in_loop
from shotdap.server.answering.forwarder import FORWARDER_KEY, ForwardingMiddleware, open_forwarder
from shotdap.server.answering.workload import is_forwarded
from shotdap.server.http.errors import respond_with_problem, to_problem
from shotdap.server.http.limits import create_limits
from shotdap.server.http.response import make_response
from shotdap.server.http.security_headers import SECURITY_HEADERS, SecurityHeadersMiddleware
from shotdap.server.pages.assets import create_asset_routes
from shotdap.server.problem_format import find_problem_renderer
from shotdap.server.protocols.zarr import ZarrOptions
from shotdap.server.readiness import Readiness, ReadinessCheck, make_catalog_check, make_pool_check
from shotdap.server.routes import dap, health, sign_in, thredds, zarr
from shotdap.server.search_threads import SearchThreads
from shotdap.server.website.overview.status_page import StatusSources
from shotdap.server.website.website_routes import create_website_routes

_CORS_REQUEST_HEADERS: Final = (
    "Authorization",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Range",
    "XDAP-Accept",
)
_CORS_RESPONSE_HEADERS: Final = (
    *("Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "ETag", "Link", "Retry-After"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    *("Content-Description", "XDAP", "X-DAP", "XDODS-Server", "X-DAP-Server"),
)
_SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes lets another one use the interpreter. With Python's 5 ms, a lookup in the
catalog, which needs the interpreter a dozen times, waits that long each time for each search that runs beside it."""
_STATUS_MESSAGES: Final = {
    404: "There is nothing here; the catalog is at /dap/.",
    405: "Only GET, HEAD and OPTIONS are answered here.",
}


@dataclass(frozen=True)
class WorkerParts:
    """Parts of a worker's application; one whose requests were admitted before they came to it needs none of them."""

    lifespan: Lifespan[Starlette] | None = None
    """Starts and stops what the application needs; without it, it answers every request by itself."""
    access: AccessDatabase | None = None
    """The database of tokens."""
    provider: IdentityProvider | None = None
    """Where users sign in."""
    guards: Sequence[Middleware] = ()
    """Middleware that admits requests or refuses them, in the order in which it sees them."""
    checks: Mapping[str, ReadinessCheck] = field(default_factory=dict)
    """Checks of parts that the application needs beside the catalog, by their names."""
    frames: FrameStore | None = None
    """The decoded frames that processes share."""


_NO_PARTS: Final = WorkerParts()


def create_app(catalog: Catalog, settings: Settings, parts: WorkerParts = _NO_PARTS) -> Starlette:
    """Create the server as an ASGI application.

    Args:
        catalog: of the images.
        settings: of the site.
        parts: of a worker's application; without them it admits every request.
    """
    server = settings.server
    catalogs = RequestCatalogs(catalog)
    limits = create_limits(settings)
    search_threads = SearchThreads(settings.catalog.search_seconds)
    zarr_options = ZarrOptions(settings.zarr.chunk_mib << 20, limits.answer, settings.zarr.compression)
    access, provider = parts.access, parts.provider
    readiness = Readiness({"catalog": make_catalog_check(catalog), **parts.checks})
    # Lets pages of other sites read responses, such as a laboratory's notebooks in the browser; never with the cookies
    # of this site: such a page sends a token of its own.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=server.cors_origins,
        allow_methods=dap.METHODS,
        allow_headers=_CORS_REQUEST_HEADERS,
        expose_headers=_CORS_RESPONSE_HEADERS,
    )
    return Starlette(
        routes=[
            *create_website_routes(
                catalogs, limits, settings, search_threads, access, provider, StatusSources(readiness, parts.frames)
            ),
            *create_asset_routes(),
            *health.create_health_routes(readiness),
            *(sign_in.create_sign_in_routes(access, provider) if access and provider else []),
            *dap.create_dap_routes(catalogs, limits, respond_in_loop, compress_data=server.compress_data),
            *thredds.create_thredds_routes(catalogs),
            *zarr.create_zarr_routes(catalogs, limits, zarr_options, respond_in_loop),
            *api.create_rest_routes(catalogs, limits, settings, search_threads, readiness, access),
        ],
        middleware=[
            Middleware(SecurityHeadersMiddleware),
            *([cors] if server.cors_origins else []),
            *parts.guards,
            Middleware(ForwardingMiddleware, is_forwarded=is_forwarded),
        ],
        exception_handlers={HTTPException: _handle_http_error, Exception: _handle_failure},
        lifespan=parts.lifespan,
    )


def create_worker_app(site: Site, source: SettingsSource, counts: SharedCounts) -> Starlette:
    """Create the application of one worker process.

    It opens no file of the archive. Reader processes do, and answer processes take what would hold up the event loop;
    they run from the start of the application to its end.

    Args:
        site: what it serves.
        source: from which reader processes load the settings of the site.
        counts: of what goes on in all workers.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    settings = site.settings
    fork_server = ForkServer((PRELOADED_MODULE,))
    fork_server.fork()
    store = site.open_frame_store()
    readers = site.make_reader_pool(source, fork_server)
    access = AccessDatabase.from_settings(settings)
    counters = RateCounters(access, settings.server.workers)
    limiter = RateLimiter(settings.limits, counters, counts)
    sign_ins = SignInLimiter(settings.limits, counters, counts.key)

    @asynccontextmanager
    async def run_processes(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with open_forwarder(site, store, readers, fork_server) as forwarder:
            yield {FORWARDER_KEY: forwarder}
        await counters.close()

    provider, audit = open_identity_provider(settings), AuditLog.from_settings(settings)
    proxies, names = TrustedProxies(settings.server.trusted_proxies), HostNames.from_settings(settings)
    guards = [
        Middleware(HostMiddleware, proxies=proxies, names=names),  # first, as it says whose the request is
        *([Middleware(AuditMiddleware, log=audit)] if audit else []),
        Middleware(FailureMiddleware, log=FailureLog.from_settings(settings)),
        *create_access_middleware(settings, access, provider, sign_ins),
        Middleware(LimitMiddleware, limiter=limiter, settings=settings.limits, counts=counts),
    ]
    checks = {"readers": make_pool_check(readers, settings.server.read_seconds)}
    parts = WorkerParts(run_processes, access, provider, guards, checks, store)
    return create_app(site.open_pooled_catalog(readers, store), settings, parts)


async def _handle_failure(request: Request, error: Exception) -> Response:
    """Answer where something failed outside the routes; Starlette logs the error. No middleware sees this answer."""
    renderer = find_problem_renderer(request.scope)
    response = respond_with_problem(to_problem(error), renderer)
    return make_response(response.with_headers({**SECURITY_HEADERS, **response.headers}))


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """Refuse a request that no route takes, in the format of the protocol that its path belongs to."""
    problem = to_problem(error)
    problem = replace(problem, message=_STATUS_MESSAGES.get(problem.status, problem.message))
    return make_response(respond_with_problem(problem, find_problem_renderer(request.scope)))
