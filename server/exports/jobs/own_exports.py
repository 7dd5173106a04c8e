"""The exports of whoever makes a request: planned, ordered, listed, found and ended, as far as they may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope as AsgiScope

from shotdap.catalog import Catalog, NotFound, Visibility
from shotdap.config import Settings
from shotdap.server.access.principal import OPEN_PRINCIPAL, Principal, Scope, get_owner, get_principal
from shotdap.server.exports.export_plan import Plan, plan_export
from shotdap.server.exports.jobs.job_store import Job, JobStore, Quotas, build_quotas
from shotdap.server.exports.order import JobOrder

_OPEN_TIMEOUT: Final = 1.0  # seconds for which an order waits for its first image


class KeyTaken(ValueError):
    """The key of an order belongs to another order; the message is a sentence for the client."""


@dataclass(frozen=True)
class OwnExports:
    """The exports that exist for a principal: their own, and all for administrators.

    Where nobody signs in, anyone who knows the name of a job may see it, and nobody can guess it.
    """

    jobs: JobStore
    settings: Settings
    owner: str
    """Whose new jobs are."""
    principal: Principal

    @classmethod
    def from_scope(cls, jobs: JobStore, settings: Settings, scope: AsgiScope) -> OwnExports:
        """Return the exports of the principal of a request."""
        return cls(jobs, settings, get_owner(scope), get_principal(scope.get("state", {})))

    @property
    def quotas(self) -> Quotas:
        """The most that they may take."""
        return build_quotas(self.settings)

    def plan_job(self, catalog: Catalog, order: JobOrder) -> Plan:
        """List the images of an order, and estimate its size.

        Raises:
            BadOrder, BadQuery, BadSelection, BadVariant, TooLarge, Unsearchable: see `plan_export`.
        """
        exports = self.settings.exports
        return plan_export(
            catalog,
            order,
            max_images=exports.images_per_job,
            memory_limit=exports.max_image_bytes,
            timeout=_OPEN_TIMEOUT,
        )

    def create_job(self, catalog: Catalog, order: JobOrder, key: str | None = None) -> Job:
        """Return the job of an order, a new one, or the one that was ordered with the same key.

        Raises:
            KeyTaken: the key was given with another order.
            OverQuota, NoRoom: see `JobStore.check_quotas`.
            BadOrder, BadQuery, BadSelection, BadVariant, TooLarge, Unsearchable: see `plan_export`.
        """
        job = self.jobs.find_by_key(self.owner, key) if key else None
        if job is None:
            self.jobs.check_quotas(self.owner, 0, self.quotas)
            plan = self.plan_job(catalog, order)
            job = self.jobs.add_job(
                order, plan.items, plan.estimate, self.owner, key, quotas=self.quotas, visibility=catalog.visibility
            )
        if job.order != order.to_json() or not self.may_see(job):  # another request may have used the key meanwhile
            raise KeyTaken("This Idempotency-Key was given with another order; use a new one.")
        return job

    def list_jobs(self) -> Sequence[Job]:
        """List the owner's jobs, the newest first."""
        return [job for job in self.jobs.list_jobs(self.owner) if self.may_see(job)]

    def find_job(self, id_: str) -> Job:
        """Find a job by its name.

        Raises:
            NotFound: there is none.
        """
        job = self.jobs.find_job(id_)
        if job is None or not self.may_see(job):
            hours = f"{self.settings.exports.keep_hours:g}"
            raise NotFound(f"There is no export {id_!r}. What exports make is kept for {hours} hours.")
        return job

    def end_job(self, job: Job) -> None:
        """Cancel a job that waits or runs; remove one that is over, and its result."""
        if not self.jobs.cancel_job(job):
            self.jobs.remove_job(job)

    def may_see(self, job: Job) -> bool:
        """Check whether a job exists for the principal."""
        if self.principal == OPEN_PRINCIPAL or Scope.ADMIN in self.principal.scopes:
            return True
        # A token of the owner that is restricted must not reach the result of a job that was not.
        return job.owner == self.principal.name and self.principal.visibility.includes(
            Visibility.from_json(job.visibility)
        )
