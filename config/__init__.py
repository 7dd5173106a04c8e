"""A deployment's settings, and what they describe, opened: ``Site(load_settings()).open_catalog()``."""

from __future__ import annotations

from shotdap.config.descriptions import BadDiagnostic
from shotdap.config.settings import BadSettings, Settings, SettingsSource, load_settings
from shotdap.config.site import Site

__all__ = [
    "BadDiagnostic",
    "BadSettings",
    "Settings",
    "SettingsSource",
    "Site",
    "load_settings",
]
