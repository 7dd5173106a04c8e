"""The archive that the examples are taken from: the one that `shotdap demo` serves."""

from __future__ import annotations

from pathlib import Path

from shotdap.catalog import Catalog
from shotdap.config import Site, load_settings
from shotdap.server.demo.instructions import prepare_demo

__all__ = ["demo_catalog"]


def demo_catalog(folder: Path) -> Catalog:
    """Make the demonstration archive in a folder, unless it is there, and open its catalog."""
    settings_file = prepare_demo(folder)
    Site(load_settings(settings_file)).build_catalog()
    return Site(load_settings(settings_file, {"catalog.isolate": False})).open_catalog()  # we wrote its files ourselves
