"""The catalog of a request: what the principal must not see does not exist in it."""

from __future__ import annotations

from typing import Final

import cachebox

from shotdap.catalog import Catalog, Visibility
from shotdap.server.access.principal import get_principal
from shotdap.server.http.request import HttpRequest

_MAX_REMEMBERED: Final = 1024


class RequestCatalogs:
    """The only way from a route to the catalog.

    Args:
        catalog: of all images.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # A restricted catalog knows nothing of requests; to make one takes longer than to find an image in it.
        self._restricted: cachebox.LRUCache[Visibility, Catalog] = cachebox.LRUCache(_MAX_REMEMBERED)

    def open(self, request: HttpRequest) -> Catalog:
        """Return the catalog as the principal of a request sees it."""
        visibility = get_principal(request.state).visibility
        restricted = self._restricted.get(visibility)
        if restricted is None:
            restricted = self._restricted[visibility] = self._catalog.restrict(visibility)
        return restricted

    def read_last_change(self) -> str:
        """Return a text that another one follows with every change, whoever may see it: not for a client."""
        return self._catalog.make_present_token()
