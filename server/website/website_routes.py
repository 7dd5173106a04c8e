"""All routes of the pages for people."""

from __future__ import annotations

from starlette.routing import Route

from shotdap.config import Settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.http.limits import Limits
from shotdap.server.search_threads import SearchThreads
from shotdap.server.website.account.exports_page import create_export_routes
from shotdap.server.website.account.failed_calls_page import create_failed_calls_routes
from shotdap.server.website.account.sign_in_page import create_sign_in_pages
from shotdap.server.website.account.token_page import create_token_routes
from shotdap.server.website.comparison.compare_page import create_compare_routes
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.live.live_page import create_live_routes
from shotdap.server.website.overview.diagnostic_pages import create_diagnostic_routes
from shotdap.server.website.overview.search_suggestions import create_suggestion_routes
from shotdap.server.website.overview.status_page import StatusSources, create_status_routes
from shotdap.server.website.page_response import PageResponder
from shotdap.server.website.picture_page import create_picture_routes
from shotdap.server.website.search_page import create_search_routes
from shotdap.server.website.shot_pages import create_shot_routes
from shotdap.server.website.start_page import create_start_routes


def create_website_routes(  # noqa: PLR0913, PLR0917 — all that the routes need
    catalogs: RequestCatalogs,
    limits: Limits,
    settings: Settings,
    search_threads: SearchThreads,
    access: AccessDatabase | None,
    provider: IdentityProvider | None,
    status: StatusSources,
) -> list[Route]:
    """Create the routes of the pages.

    Args:
        catalogs: of the images.
        limits: how much one request may ask for.
        settings: of the site.
        search_threads: in which the catalog is searched.
        access: the database of tokens; without it, there are no pages about them.
        provider: where users sign in, if there is one.
        status: what administrators are told of.
    """
    responder, names = PageResponder(catalogs, search_threads), KnownNamesCache()
    return [
        *create_start_routes(responder, names),
        *create_shot_routes(responder, names),
        *create_live_routes(responder, names),
        *create_search_routes(responder, names),
        *create_diagnostic_routes(responder, catalogs, limits, names),
        *create_suggestion_routes(responder, names),
        *create_picture_routes(catalogs, limits),
        *create_compare_routes(catalogs, limits),
        *create_export_routes(responder, settings, names),
        *create_status_routes(responder, settings, status),
        *create_failed_calls_routes(catalogs, settings),
        *(create_token_routes(access) if access else []),
        *(create_sign_in_pages(access, provider, settings.oidc) if access else []),
    ]
