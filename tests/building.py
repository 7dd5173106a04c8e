"""A build in its own process, which can be killed, or run beside others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Final
from unittest.mock import patch

from shotdap.catalog import Fact, PathTemplate, Row, SqlIndex, Superseded, Watermark, build_catalog
from shotdap.catalog.build import builder

__all__ = ["OVERTAKEN", "ROWS", "start_build"]

ROWS: Final = 3000
OVERTAKEN: Final = 3
"""The exit code of a build that was overtaken by a later one."""

_BATCH: Final = 50  # rows between two transactions: many moments at which the build can be killed
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.building", "alembic.command"])  # so that a new process starts at once


@dataclass(frozen=True)
class _Made:
    """An archive of invented rows; three share each version, and many ask for the same path."""

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        for number in range(ROWS):
            if since is None or number // 3 >= int(str(since)):
                shot, diagnostic, name = number % 97, f"D{number % 7}", f"n{number % 50}.hdf"
                facts: dict[str, Fact] = {
                    "facility": "OMEGA",
                    "shot": shot,
                    "diagnostic": diagnostic,
                    "name": name,
                    "date": "2022-05-19",
                }
                yield Row(str(number), f"{number}.hdf", number // 3, facts)

    def count_rows(self, since: Watermark | None = None, /) -> int:
        return sum(1 for _ in self.read_rows(since))


def start_build(url: str) -> ForkServerProcess:
    """Start a process that builds a catalog of the invented rows."""
    process = _CONTEXT.Process(target=_build, args=(url,))
    process.start()
    return process


def _build(url: str) -> None:
    with patch.object(builder, "_BATCH_SIZE", _BATCH):
        try:
            build_catalog(_Made(), SqlIndex(url), PathTemplate())
        except Superseded:
            raise SystemExit(OVERTAKEN) from None
