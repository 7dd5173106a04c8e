"""The archive that the examples are taken from: the one that `shotdap demo` serves."""

from __future__ import annotations

from pathlib import Path

from shotdap.catalog import Catalog
from shotdap.config import Site, load_settings
from shotdap.server.demo.instructions import prepare_demo

__all__ = ["demo_catalog"]


def demo_catalog(folder: Path) -> Catalog:
    """Make the demonstration archive in a folder, unless it is there, and open its catalog."""
    settings = load_settings(prepare_demo(folder))
    Site(settings).build_catalog()
    return Site(settings.override({"catalog.isolate": False})).open_catalog()  # its files were written by ourselves
