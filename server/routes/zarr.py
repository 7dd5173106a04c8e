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

from shotdap.catalog import Catalog, Changed, NotFound, TooMany, Unreadable, retry_changed
from shotdap.server.http.byte_range import part_of
from shotdap.server.http.conditional import validator_of
from shotdap.server.http.errors import NoChunk, problem
from shotdap.server.http.limits import Limits, refuse_attributes, refuse_cost
from shotdap.server.http.response import Block, Reply, compressed, respond
from shotdap.server.protocols.zarr import Chunk, Hierarchy, Options, is_chunk
from shotdap.server.routes.listing import json_reply
from shotdap.server.routes.zarr_store import Found, Stores
from shotdap.transforms import working_memory

__all__ = ["routes"]

_LOG = logging.getLogger("shotdap.zarr")

_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS: Final = MappingProxyType({"Allow": ", ".join(_METHODS), "Accept-Ranges": "bytes"})
_JSON: Final = "application/json"
_BINARY: Final = "application/octet-stream"
_BLOCK: Final = 512 << 10


def routes(catalog: Catalog, limits: Limits, options: Options) -> list[Route]:
    """The routes of both versions.

    Args:
        catalog: where the images are.
        limits: how much one request may ask for.
        options: how datasets are cut and packed.
    """
    stores = Stores(catalog, options)

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS))
        path = "/".join(filter(None, request.path_params["path"].split("/")))
        asked = _Asked(stores, limits, path, request.headers, only_headers=request.method == "HEAD")
        return respond(await run_in_threadpool(_made, asked))

    return [Route("/zarr/{path:path}", answer, methods=list(_METHODS))]


@dataclass(frozen=True)
class _Asked:
    """A request, as far as it matters here."""

    stores: Stores
    limits: Limits
    path: str
    """The image's public path, and the key behind it."""
    headers: Mapping[str, str]
    only_headers: bool


def _made(asked: _Asked) -> Reply:
    """The reply as the client takes it: a part of it, or all of it packed."""
    reply = _answered(asked)
    if "range" in asked.headers and not asked.only_headers:
        return part_of(reply, asked.headers)
    return compressed(part_of(reply, {}), asked.headers.get("accept-encoding", "") if not asked.only_headers else "")


def _answered(asked: _Asked) -> Reply:
    try:
        return retry_changed(lambda: _found(asked))
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        trouble = problem(error)
        if not trouble.expected:
            _LOG.exception("failed to answer %s", asked.path)
        reply = json_reply({"status": trouble.status, "message": trouble.message}, trouble.status)
        return replace(reply, headers={**reply.headers, **trouble.headers})


def _found(asked: _Asked) -> Reply:
    """The answer of the first store that has what is asked for."""
    for found in asked.stores.found(asked.path):
        reply = _in_store(asked, found)
        if reply is not None:
            return reply
    raise _nothing(asked)


def _in_store(asked: _Asked, found: Found) -> Reply | None:
    """What a store has under a key; `None` if that is nothing."""
    if not found.key:
        return None
    stores = asked.stores
    try:
        state = stores.state(found)
    except TooMany:
        if "/" in found.key:  # below a folder that is too large to be a store there may be one
            return None
        raise
    current = validator_of(stores.catalog, state, "zarr", found.key, repr(stores.options))
    if current.knows(asked.headers):
        return current.not_modified()
    try:
        reply = _reply(asked, found.key, stores.hierarchy(found.address, state))
    except Changed:
        raise
    except Unreadable:  # a copy that was read from may be gone, and can be made again
        if not stores.forget(found.address, state):
            raise
        reply = _reply(asked, found.key, stores.hierarchy(found.address, state))
    return None if reply is None else current.on(reply)


def _reply(asked: _Asked, key: str, hierarchy: Hierarchy) -> Reply | None:
    if not is_chunk(key):
        refuse_attributes(hierarchy.dataset, asked.limits)
    document = hierarchy.document(key)
    if document is not None:
        return Reply(_JSON, len(document), () if asked.only_headers else (document,))
    chunk = hierarchy.chunk(key)
    if chunk is None:
        return None
    _check(chunk, asked.limits)
    if asked.only_headers and chunk.size is not None:
        return Reply(_BINARY, chunk.size, ())
    encoded = chunk.encode()
    return Reply(_BINARY, len(encoded), () if asked.only_headers else tuple(_blocks(encoded)))


def _check(chunk: Chunk, limits: Limits) -> None:
    """Refuse what is too much, before any of it is read; that a chunk is not too large in itself `Options` see to.

    Raises:
        TooLarge: it is.
    """
    advice = "Read a variable that needs fewer images whole."
    refuse_cost(chunk.bytes_read, working_memory(chunk.variable), limits, advice)


def _blocks(encoded: memoryview) -> Iterator[Block]:
    return (encoded[start : start + _BLOCK] for start in range(0, len(encoded), _BLOCK))


def _nothing(asked: _Asked) -> Exception:
    """Why there is no answer."""
    try:
        store = asked.stores.at(asked.path)
    except NotFound:
        if is_chunk(asked.path):
            return NoChunk(f"There is no chunk {asked.path!r}: no such array is there, or none as large as that.")
        return NotFound(f"There is neither a Zarr document nor a chunk at {asked.path!r}.")
    return NotFound(f"{store.path!r} is a Zarr store; open it as one. Its first document is zarr.json in it.")
