"""Run the server: worker processes below a supervisor, and the processes that work beside them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from uuid import uuid4

from shotdap.catalog.reading.store_folder import hold_folder
from shotdap.config import BadSettings, Settings, SettingsSource, Site
from shotdap.config.database_files import check_database_files
from shotdap.config.settings import FRAMES_VARIABLE
from shotdap.config.site import RUN_VARIABLE
from shotdap.server.access.audit.audit_log import AuditLog
from shotdap.server.access.gate import check_exposure, open_identity_provider
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.access.policy import Policy
from shotdap.server.answering.answer_process import PRELOADED_MODULE
from shotdap.server.app import create_worker_app
from shotdap.server.catalog_poller import run_poller
from shotdap.server.connection_bounds import ConnectionBounds
from shotdap.server.exports.jobs.supervisor import supervise_coordinator
from shotdap.server.webhooks.sender import run_webhooks
from shotdap.server.webhooks.webhook import load_webhooks
from shotdap.server.worker_process import Certificate, WorkerConfig, WorkerOptions
from shotdap.server.worker_supervisor import WorkersFailed, supervise_workers


def run_server(source: SettingsSource, announce: Callable[[str], None] | None = None) -> None:
    """Serve until interrupted; Ctrl-C ends it cleanly.

    All processes are forked from this one, or from its forks, which takes milliseconds: it imports what they need.

    Args:
        source: of the settings.
        announce: called with the URL of the server once it answers, instead of uvicorn's messages.

    Raises:
        BadSettings: there is nothing to serve.
    """
    configured = source.load()
    frames = Site(configured).choose_frame_folder()
    os.environ.update(source.environment)  # a fork server that died is started anew, and is passed nothing
    os.environ[FRAMES_VARIABLE] = str(frames)  # chosen once, as the choice depends on what is free
    os.environ[RUN_VARIABLE] = uuid4().hex
    settings = source.load()
    check_exposure(settings)
    Policy(settings.access)  # fails here, rather than in every worker
    open_identity_provider(settings)  # likewise
    load_webhooks(settings)  # likewise
    AuditLog.from_settings(settings)  # says here that its file cannot be written
    site = Site(settings)
    check_database_files(settings)
    site.open_catalog()  # likewise
    site.close_connections()
    server = settings.server
    counts = SharedCounts(server.workers)
    options = WorkerOptions(
        partial(create_worker_app, site, source, counts),
        server.grace_seconds,
        server.write_seconds,
        ConnectionBounds.from_settings(settings),
        counts,
        _load_certificate(settings),
        access_log=server.access_log,
        is_quiet=announce is not None,
    )
    listener = WorkerConfig(options, server.host, server.port).bind_socket()
    import_module(PRELOADED_MODULE)
    scheme = "https" if options.certificate else "http"
    say_where = partial(announce, f"{scheme}://{server.host}:{server.port}") if announce else lambda: None
    # No memory is kept for a server that may never be started again.
    holding = hold_folder(frames) if configured.catalog.frames is None else nullcontext()
    try:
        with (
            holding,
            run_poller(settings, source),
            run_webhooks(settings, source),
            supervise_coordinator(settings, source),
        ):
            supervise_workers(options, server.workers, listener, say_where)
    except WorkersFailed as error:
        sys.exit(f"shotdap: {error}")


def _load_certificate(settings: Settings) -> Certificate | None:
    """Return the certificate of the settings, if they have one.

    Raises:
        BadSettings: it cannot be used.
    """
    server = settings.server
    if server.tls_certificate is None or server.tls_key is None:
        return None
    certificate = Certificate(server.tls_certificate, server.tls_key)
    try:
        certificate.create_context()
    except OSError as error:  # of TLS, too
        raise BadSettings(
            f"server.tls_certificate, server.tls_key: {server.tls_certificate} and {server.tls_key} are no certificate"
            f" and its key in PEM: {error.strerror or error}."
        ) from error
    return certificate
