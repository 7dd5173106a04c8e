"""Zarr: ``/zarr/<path>/<key>``, of every image, raw file, variant, shot and stack, in versions 2 and 3.

An answer is made whole in a thread, as DAP's are. A document or chunk that the client has already is a ``304`` before
any file is opened. A document that is not there is a 404, for readers look for many; a chunk that is not there is a
410, because they would take a 404 for zeros.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Changed, NotFound, TooMany, Unreadable, retry_if_changed
from shotdap.server.http.byte_range import apply_range
from shotdap.server.http.conditional import create_validator
from shotdap.server.http.errors import NoChunk, to_problem
from shotdap.server.http.limits import Limits, refuse_attributes, refuse_cost
from shotdap.server.http.response import Block, PreparedResponse, compress_response, make_response
from shotdap.server.protocols.zarr import Chunk, Hierarchy, ZarrOptions, is_chunk_key
from shotdap.server.routes.listing import prepare_json
from shotdap.server.routes.zarr_store import StoreMatch, ZarrStores
from shotdap.transforms import working_memory

__all__ = ["create_zarr_routes"]

_LOG = logging.getLogger("shotdap.zarr")

_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS_HEADERS: Final = MappingProxyType({"Allow": ", ".join(_METHODS), "Accept-Ranges": "bytes"})
_JSON_MEDIA_TYPE: Final = "application/json"
_BINARY_MEDIA_TYPE: Final = "application/octet-stream"
_BLOCK_SIZE: Final = 512 << 10


def create_zarr_routes(catalog: Catalog, limits: Limits, options: ZarrOptions) -> list[Route]:
    """The routes of both versions.

    Args:
        catalog: where the images are.
        limits: how much one request may ask for.
        options: how datasets are cut and packed.
    """
    stores = ZarrStores(catalog, options)

    async def serve_zarr(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS_HEADERS))
        path = "/".join(filter(None, request.path_params["path"].split("/")))
        asked = _ZarrRequest(stores, limits, path, request.headers, only_headers=request.method == "HEAD")
        return make_response(await run_in_threadpool(_respond_with_range, asked))

    return [Route("/zarr/{path:path}", serve_zarr, methods=list(_METHODS))]


@dataclass(frozen=True)
class _ZarrRequest:
    """A request, as far as it matters here."""

    stores: ZarrStores
    limits: Limits
    path: str
    """The image's public path, and the key behind it."""
    headers: Mapping[str, str]
    only_headers: bool


def _respond_with_range(asked: _ZarrRequest) -> PreparedResponse:
    """The reply as the client takes it: a part of it, or all of it packed."""
    reply = _handle_request(asked)
    if "range" in asked.headers and not asked.only_headers:
        return apply_range(reply, asked.headers)
    return compress_response(
        apply_range(reply, {}), asked.headers.get("accept-encoding", "") if not asked.only_headers else ""
    )


def _handle_request(asked: _ZarrRequest) -> PreparedResponse:
    try:
        return retry_if_changed(lambda: _find_response(asked))
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        trouble = to_problem(error)
        if not trouble.expected:
            _LOG.exception("failed to answer %s", asked.path)
        reply = prepare_json({"status": trouble.status, "message": trouble.message}, trouble.status)
        return replace(reply, headers={**reply.headers, **trouble.headers})


def _find_response(asked: _ZarrRequest) -> PreparedResponse:
    """The answer of the first store that has what is asked for."""
    for found in asked.stores.find_matches(asked.path):
        reply = _read_from_store(asked, found)
        if reply is not None:
            return reply
    raise _create_not_found(asked)


def _read_from_store(asked: _ZarrRequest, found: StoreMatch) -> PreparedResponse | None:
    """What a store has under a key; `None` if that is nothing."""
    if not found.key:
        return None
    stores = asked.stores
    try:
        state = stores.get_state(found)
    except TooMany:
        if "/" in found.key:  # below a folder that is too large to be a store there may be one
            return None
        raise
    current = create_validator(stores.catalog, state, "zarr", found.key, repr(stores.options))
    if current.is_not_modified(asked.headers):
        return current.prepare_not_modified()
    try:
        reply = _read_key(asked, found.key, stores.get_hierarchy(found.address, state))
    except Changed:
        raise
    except Unreadable:  # a copy that was read from may be gone, and can be made again
        if not stores.drop_hierarchy(found.address, state):
            raise
        reply = _read_key(asked, found.key, stores.get_hierarchy(found.address, state))
    return None if reply is None else current.add_headers(reply)


def _read_key(asked: _ZarrRequest, key: str, hierarchy: Hierarchy) -> PreparedResponse | None:
    if not is_chunk_key(key):
        refuse_attributes(hierarchy.dataset, asked.limits)
    document = hierarchy.get_document(key)
    if document is not None:
        return PreparedResponse(_JSON_MEDIA_TYPE, len(document), () if asked.only_headers else (document,))
    chunk = hierarchy.get_chunk(key)
    if chunk is None:
        return None
    _check_chunk_cost(chunk, asked.limits)
    if asked.only_headers and chunk.size is not None:
        return PreparedResponse(_BINARY_MEDIA_TYPE, chunk.size, ())
    encoded = chunk.encode()
    return PreparedResponse(
        _BINARY_MEDIA_TYPE, len(encoded), () if asked.only_headers else tuple(_split_blocks(encoded))
    )


def _check_chunk_cost(chunk: Chunk, limits: Limits) -> None:
    """Refuse what is too much, before any of it is read; that a chunk is not too large in itself `ZarrOptions` see to.

    Raises:
        TooLarge: it is.
    """
    advice = "Read a variable that needs fewer images whole."
    refuse_cost(chunk.bytes_read, working_memory(chunk.variable), limits, advice)


def _split_blocks(encoded: memoryview) -> Iterator[Block]:
    return (encoded[start : start + _BLOCK_SIZE] for start in range(0, len(encoded), _BLOCK_SIZE))


def _create_not_found(asked: _ZarrRequest) -> Exception:
    """Why there is no answer."""
    try:
        store = asked.stores.resolve_store(asked.path)
    except NotFound:
        if is_chunk_key(asked.path):
            return NoChunk(f"There is no chunk {asked.path!r}: no such array is there, or none as large as that.")
        return NotFound(f"There is neither a Zarr document nor a chunk at {asked.path!r}.")
    return NotFound(f"{store.path!r} is a Zarr store; open it as one. Its first document is zarr.json in it.")
