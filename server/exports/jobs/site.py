"""The jobs of a deployment: where they are, and what tells them from those of others."""

from __future__ import annotations

from hashlib import blake2b

from shotdap.config import Settings
from shotdap.server.exports.jobs.store import JobStore, Quotas

__all__ = ["build_quotas", "open_job_store"]


def open_job_store(settings: Settings) -> JobStore | None:
    """The jobs of the site that settings describe; `None` where they want none."""
    folder = settings.exports.folder
    if folder is None:
        return None
    catalog = (settings.archive.folder, settings.catalog.url or settings.catalog.index)
    name = blake2b(repr(tuple(map(str, catalog))).encode(), digest_size=16).hexdigest()
    return JobStore(folder.resolve(), name)


def build_quotas(settings: Settings) -> Quotas:
    """What the jobs of users may take."""
    exports = settings.exports
    return Quotas(exports.jobs_per_user, exports.user_mib << 20, exports.folder_mib << 20)
