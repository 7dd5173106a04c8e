"""The job store and the quotas that a site's settings describe."""

from __future__ import annotations

from hashlib import blake2b

from shotdap.config import Settings
from shotdap.server.exports.jobs.store import JobStore, Quotas


def open_job_store(settings: Settings) -> JobStore | None:
    """Open the jobs of a site; `None` if its settings have no folder for exports."""
    folder = settings.exports.folder
    if folder is None:
        return None
    catalog = (settings.archive.folder, settings.catalog.url or settings.catalog.index)
    site_id = blake2b(repr(tuple(map(str, catalog))).encode(), digest_size=16).hexdigest()
    return JobStore(folder.resolve(), site_id)


def build_quotas(settings: Settings) -> Quotas:
    """Return the quotas of a site's users."""
    exports = settings.exports
    return Quotas(exports.jobs_per_user, exports.user_mib << 20, exports.folder_mib << 20)
