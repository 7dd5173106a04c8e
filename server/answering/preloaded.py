"""The application of the answer processes, created when this module is imported.

The process that answer processes are forked from imports it. To import and to create the application takes seconds; a
fork takes milliseconds, and shares the memory. So a process that was killed is replaced at once.
"""

from __future__ import annotations

import logging
from functools import cache

from shotdap.config import BadSettings, SettingsSource, Site
from shotdap.server.answering.answer_process import AnswerService
from shotdap.server.app import create_app

_LOG = logging.getLogger("shotdap.http")


@cache
def open_answer_service() -> AnswerService:
    """Create the application from the settings that the environment names."""
    settings = SettingsSource.from_environment().load()
    site = Site(settings)
    store = site.open_frame_store()
    application = create_app(site.open_sharing_catalog(store), settings)
    site.close_connections()
    return AnswerService(application, store, settings.server.memory_mib << 20)


try:
    open_answer_service()
except BadSettings as error:
    _LOG.debug("no answers: %s", error)
except Exception:  # noqa: BLE001 — without the catalog's database, for example; each process tries again
    _LOG.exception("the application of answer processes could not be created beforehand")
