"""Exports of servers whose catalog, and so whose jobs, are in PostgreSQL."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from zipfile import ZipFile

from tests.postgres import Postgres
from tests.server.exports.campaign import make_campaign, wait_until
from tests.server.exports.test_jobs_over_http import run_server
from tests.serving import find_processes

from shotdap.config import Site, load_settings


def test_jobs_in_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    """Jobs are in the catalog's database: they run there, and survive a server that is killed; no file is made."""
    campaign = make_campaign(tmp_path / "site", 40, files=4)
    settings = campaign.config.read_text().replace("[catalog]", f'[catalog]\nurl = "{postgres.create()}"')
    campaign.config.write_text(settings)
    builder = Site(load_settings(campaign.config))
    builder.build_catalog()
    builder.close_connections()
    with run_server(campaign) as first:
        url = first.create_export(query="shot:50000..50002")
        state = first.wait_until_ended(url)
        content = first.client.get(state["links"]["result"]).content
    with run_server(campaign) as second:
        after = second.get_state(url)
        later = second.wait_until_ended(second.create_export(query="shot:50003"))
        (coordinator,) = second.server.find_children("shotdap exports")
        session = second.server.process.pid
        assert coordinator in find_processes(session)
        os.kill(second.server.process.pid, signal.SIGTERM)
        assert second.server.process.wait(60) == 0
        assert wait_until(lambda: not find_processes(session))

    assert (state["state"], state["done"]) == ("done", 3)
    assert after == state
    assert (later["state"], later["done"]) == ("done", 1)
    assert len(ZipFile(io.BytesIO(content)).namelist()) >= 3
    assert not (campaign.exports / "jobs.db").exists()
