"""The archive that the examples are taken from: the one that `shotdap demo` serves."""

from __future__ import annotations

from pathlib import Path

from shotdap.catalog import Catalog
from shotdap.config import load
from shotdap.server.demo.instructions import prepare

__all__ = ["demo_catalog"]


def demo_catalog(folder: Path) -> Catalog:
    """Make the demonstration archive in a folder, unless it is there, and open its catalog."""
    settings = load(prepare(folder))
    settings.build_catalog()
    trusting = settings.catalog.model_copy(update={"isolate": False})  # its files were written by ourselves
    return settings.model_copy(update={"catalog": trusting}).open_catalog()
