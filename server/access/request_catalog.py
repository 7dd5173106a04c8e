"""The catalog of a request: what the principal must not see does not exist in it."""

from __future__ import annotations

from shotdap.catalog import Catalog
from shotdap.server.access.principal import get_principal
from shotdap.server.http.request import HttpRequest


class RequestCatalogs:
    """The only way from a route to the catalog.

    Args:
        catalog: of all images.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def open(self, request: HttpRequest) -> Catalog:
        """Return the catalog as the principal of a request sees it."""
        return self._catalog.restrict(get_principal(request.state).visibility)

    def read_last_change(self) -> str:
        """Return a text that another one follows with every change, whoever may see it: not for a client."""
        return self._catalog.make_present_token()
