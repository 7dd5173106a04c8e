"""A small application that misbehaves on request, in workers below a supervisor; a program of its own."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from shotdap.config import load_settings
from shotdap.server.connection_bounds import ConnectionBounds
from shotdap.server.worker_process import WorkerConfig, WorkerOptions
from shotdap.server.worker_supervisor import supervise_workers

BLOCK: Final = bytes(1 << 19)
BLOCKS: Final = 128
"""Blocks of the large response."""


async def get_process(_: Request) -> JSONResponse:
    """Return the worker's process."""
    return JSONResponse({"pid": os.getpid()})


class _AllocatorState(ctypes.Structure):
    """The answer of mallinfo(3)."""

    _fields_ = (
        ("before", ctypes.c_int * 3),
        ("maps", ctypes.c_int),
        ("after", ctypes.c_int * 6),
    )


async def count_maps(_: Request) -> JSONResponse:
    """Return the number of maps that the allocator makes for an array of 16 MiB."""
    system = ctypes.CDLL(None)
    system.malloc.restype, system.mallinfo.restype = ctypes.c_void_p, _AllocatorState
    before = system.mallinfo().maps
    block = system.malloc(ctypes.c_size_t(16 << 20))
    after = system.mallinfo().maps
    system.free(ctypes.c_void_p(block))
    return JSONResponse(after - before)


async def block_loop(_: Request) -> JSONResponse:
    """Block the event loop for good."""
    time.sleep(3600)  # noqa: ASYNC251 — that is the point
    return JSONResponse({})


async def block_thread(_: Request) -> JSONResponse:
    """Block a thread for good, as the read of a file on a disk that hangs."""
    pipe = os.pipe()
    return JSONResponse(await run_in_threadpool(lambda: os.read(pipe[0], 1)))


async def respond_late(request: Request) -> JSONResponse:
    """Respond after some seconds."""
    await asyncio.sleep(float(request.query_params["seconds"]))
    return JSONResponse({"late": True})


async def send_much(_: Request) -> StreamingResponse:
    """Send 64 MiB."""

    async def iter_blocks() -> AsyncIterator[bytes]:
        for _ in range(BLOCKS):
            yield BLOCK

    return StreamingResponse(iter_blocks(), headers={"Content-Length": str(BLOCKS * len(BLOCK))})


def application() -> Starlette:
    """Create the application."""
    if "FAIL_TO_START" in os.environ:
        raise RuntimeError
    handlers = (get_process, count_maps, block_loop, block_thread, respond_late, send_much)
    return Starlette(routes=[Route(f"/{handler.__name__}", handler) for handler in handlers])


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--grace", type=float, default=10)
    parser.add_argument("--write", type=float, default=60)
    given = parser.parse_args()
    options = WorkerOptions(application, given.grace, given.write, ConnectionBounds.from_settings(load_settings()))
    supervise_workers(options, given.workers, WorkerConfig(options, port=given.port).bind_socket())


if __name__ == "__main__":
    main()
