"""A deployment's choices, turned into objects: ``load().open_catalog()``."""

from __future__ import annotations

from shotdap.config.descriptions import BadDiagnostic, load_diagnostics
from shotdap.config.settings import BadSettings, Settings, load_defaults, load_settings

__all__ = ["BadDiagnostic", "BadSettings", "Settings", "load_defaults", "load_diagnostics", "load_settings"]
