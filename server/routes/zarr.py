"""Zarr: ``/zarr/<path>/<key>``, of every image, raw file, variant, shot and stack, in versions 2 and 3.

A response is prepared completely, as those of DAP. A document or chunk that the client has already is a
``304`` before any file is opened. A missing document is a 404, as readers look for many; a missing chunk is a 410, as
they would take a 404 for zeros.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Changed, NotFound, TooMany, Unreadable, require_process, retry_if_changed
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.http.blocks import split_bytes
from shotdap.server.http.byte_range import apply_range
from shotdap.server.http.conditional import Validator
from shotdap.server.http.errors import NoChunk, answer, render_json_problem
from shotdap.server.http.limits import Limits, check_attributes, check_cost
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, RunFunction, compress_response, run_in_thread
from shotdap.server.protocols.zarr import Hierarchy, ZarrOptions, is_chunk_key
from shotdap.server.routes.loop_cost import require_process_if_costly
from shotdap.server.routes.zarr_store import StoreCaches, StoreMatch, ZarrStores
from shotdap.transforms import working_memory

_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS_HEADERS: Final = MappingProxyType({"Allow": ", ".join(_METHODS), "Accept-Ranges": "bytes"})
_JSON_MEDIA_TYPE: Final = "application/json"
_EMPTY_CHUNK_INDEX: Final = re.compile(r"/c/(?:\d+/)*/")  # no key; slashes before it are no part of it
_BINARY_MEDIA_TYPE: Final = "application/octet-stream"


def create_zarr_routes(
    catalogs: RequestCatalogs, limits: Limits, options: ZarrOptions, run: RunFunction = run_in_thread
) -> list[Route]:
    """Create the routes of both versions.

    Args:
        catalogs: of the images.
        limits: how much one request may ask for.
        options: how datasets are divided into chunks and compressed.
        run: prepares the response to a request.
    """
    caches = StoreCaches()

    def respond(request: HttpRequest) -> HttpResponse:
        path = "/".join(filter(None, request.path.split("/")))
        stores = ZarrStores(catalogs.open(request), options, caches)
        zarr_request = _ZarrRequest(request, stores, limits, path)

        def respond_once() -> HttpResponse:
            if _EMPTY_CHUNK_INDEX.search(request.path):
                raise NotFound(f"There is neither a Zarr document nor a chunk at {request.path!r}.")
            return zarr_request.respond()

        response = answer(lambda: retry_if_changed(respond_once), render_json_problem, f"/zarr/{path}")
        response = apply_range(response, request)
        is_complete = not request.only_headers and "range" not in request.headers
        return compress_response(response, request) if is_complete else response

    async def serve_zarr(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS_HEADERS))
        return await run(request, respond)

    return [Route("/zarr/{path:path}", serve_zarr, methods=list(_METHODS))]


@dataclass(frozen=True)
class _ZarrRequest:
    """A request for a key of a store."""

    request: HttpRequest
    stores: ZarrStores
    limits: Limits
    path: str
    """Public path of the image, followed by the key, without empty segments."""

    def respond(self) -> HttpResponse:
        """Return the response of the first store that has the key.

        Raises:
            NotFound: no store has it.
            NoChunk: it is the key of a chunk, and no store has it.
        """
        for match in self.stores.find_matches(self.path):
            response = self._respond_from_store(match) if match.key else None
            if response is not None:
                return response
        try:
            store = self.stores.find_store(self.path)
        except NotFound:
            if is_chunk_key(self.path):
                raise NoChunk(
                    f"There is no chunk {self.path!r}: no such array is there, or none as large as that."
                ) from None
            raise NotFound(f"There is neither a Zarr document nor a chunk at {self.path!r}.") from None
        raise NotFound(f"{store.path!r} is a Zarr store; open it as one. Its first document is zarr.json in it.")

    def _respond_from_store(self, match: StoreMatch) -> HttpResponse | None:
        """Return what a store has under a key; `None` if it does not have it."""
        stores = self.stores
        if match.is_collection:
            require_process()
        try:
            state = stores.get_state(match)
        except TooMany:
            if "/" in match.key:  # below a folder that is too large to be a store there may be one
                return None
            raise
        validator = Validator.from_dependencies(
            state.modified,
            stores.catalog.diagnostics_fingerprint,
            state.fingerprint,
            "zarr",
            match.key,
            repr(stores.options),
        )
        if validator.is_not_modified(self.request):
            return validator.prepare_not_modified()
        try:
            response = self._read_key(match.key, stores.get_hierarchy(match, state))
        except Changed:
            raise
        except Unreadable:  # a copy that was read from may be gone, and can be made again
            if not stores.drop_hierarchy(match, state):
                raise
            response = self._read_key(match.key, stores.get_hierarchy(match, state))
        return None if response is None else validator.add_headers(response)

    def _read_key(self, key: str, hierarchy: Hierarchy) -> HttpResponse | None:
        only_headers = self.request.only_headers
        if not is_chunk_key(key):
            check_attributes(hierarchy.dataset, self.limits)
        document = hierarchy.get_document(key)
        if document is not None:
            return HttpResponse(_JSON_MEDIA_TYPE, len(document), () if only_headers else (document,))
        chunk = hierarchy.get_chunk(key)
        if chunk is None:
            return None
        # Only the cost is checked: `ZarrOptions` limits the size of a chunk.
        advice = "Read a variable that needs fewer images whole."
        check_cost(chunk.bytes_read, working_memory(chunk.variable), self.limits, advice)
        if only_headers and chunk.size is not None:
            return HttpResponse(_BINARY_MEDIA_TYPE, chunk.size, ())
        require_process_if_costly([chunk.variable[chunk.region]])
        encoded = chunk.encode()
        blocks = () if only_headers else tuple(split_bytes(encoded))
        return HttpResponse(_BINARY_MEDIA_TYPE, len(encoded), blocks)
