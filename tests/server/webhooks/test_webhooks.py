"""Webhooks of a real server, with real receivers: what they are told, and what they are not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.in_process import serve_app
from tests.server.website.busy_day import NEW_SHOT, BusyDay, build_busy_day
from tests.serving import find_free_port, serving

from shotdap.catalog import EVERYTHING
from shotdap.catalog.time_limit import limit_time
from shotdap.config import BadSettings, Site, load_settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.webhooks.cursor_store import CursorStore
from shotdap.server.webhooks.sender import WebhookSender
from shotdap.server.webhooks.webhook import Webhook, load_webhooks

DOCUMENT: Final = Path(__file__).resolve().parents[3] / "docs/webhooks.md"
SECRET: Final = "a-secret-of-at-least-32-characters-0"  # noqa: S105 — of these tests
SECONDS: Final = 60  # on a busy machine; it takes two or three
RULES: Final = """
[[access.rules]]
groups = ["staff"]

[[access.rules]]
groups = ["visar"]
facts = { diagnostic = "ASBO*" }
"""


@dataclass
class Recorder:
    """Receivers, one for each path, which answer with the statuses that a test gives, and then with 204."""

    messages: defaultdict[str, list[tuple[dict[str, Any], Request]]] = field(default_factory=lambda: defaultdict(list))
    statuses: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    async def receive(self, request: Request) -> Response:
        """Answer a message."""
        name, body = request.path_params["name"], await request.body()
        signed = f"{request.headers['shotdap-timestamp']}.".encode() + body
        expected = f"v1={hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()}"
        assert request.headers["shotdap-signature"] == expected
        self.messages[name].append((json.loads(body), request))
        status = self.statuses[name].pop(0) if self.statuses[name] else 204
        return Response(status_code=status, headers={"Location": "/stolen"} if status == 307 else {})

    def list_paths(self, name: str) -> list[str]:
        """Return the paths that a receiver was told, in their order."""
        return [change["path"] for message, _ in self.messages[name] for change in message["changes"]]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> BusyDay:
    """An archive into which the tests deliver images."""
    return build_busy_day(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    """The receivers of this process, and their messages."""
    return Recorder()


@pytest.fixture(scope="module")
def receiver(day: BusyDay) -> Iterator[tuple[str, Path]]:
    """The receiver of the documentation: its URL, and the file with what it prints."""
    folder = day.folder
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "secret").chmod(0o600)
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    (folder / "receiver.py").write_text(code)
    port, printed = find_free_port(), folder / "printed"
    command = [sys.executable, str(folder / "receiver.py"), str(folder / "secret"), str(port)]
    with printed.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: accepts(port))
        yield f"http://127.0.0.1:{port}", printed
        process.kill()


@pytest.fixture(scope="module")
def config(day: BusyDay, recorder: Recorder, receiver: tuple[str, Path]) -> Iterator[Path]:
    """The settings of a server with several webhooks."""
    app = Starlette(routes=[Route("/{name}", recorder.receive, methods=["GET", "POST"])])
    with serve_app(app) as url:
        targets = {
            "documented": (receiver[0], 'groups = ["staff"]'),
            "visar": (f"{url}/visar", 'groups = ["visar"]'),
            "sop": (f"{url}/sop", 'groups = ["staff"]\nfacts = { diagnostic = "SOP" }\npaths = ["omega"]'),
            "nobody": (f"{url}/nobody", ""),
        }
        text = "".join(
            f'\n[[webhooks.targets]]\nname = "{name}"\nurl = "{target}"\nsecret_file = "secret"\n{more}\n'
            for name, (target, more) in targets.items()
        )
        day.config.write_text(day.config.read_text() + RULES + text)
        yield day.config


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Wait until a condition holds; return whether it does in time."""
    deadline = time.monotonic() + SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_so()


def accepts(port: int) -> bool:
    """Check whether a server listens."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def count_cursors(day: BusyDay) -> int:
    """Return how many webhooks have begun: they tell what happens from then on."""
    with suppress(sqlite3.OperationalError), sqlite3.connect(day.folder / "access.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM webhook_cursors WHERE token <> ''").fetchone()
        return int(count)
    return 0


def test_webhooks(day: BusyDay, config: Path, recorder: Recorder, receiver: tuple[str, Path]) -> None:
    """Receivers are told what their accounts may read, again until they accept it, and after a restart, too."""
    now = datetime.now()  # noqa: DTZ005 — as the archive's times are
    log, later = day.folder / "server.log", day.folder / "later.log"
    recorder.statuses["sop"] = [500, 307]
    with serving(log, "--config", config):
        assert wait_until(lambda: count_cursors(day) == 4)
        for name in ("SOP", "ASBO1"):
            day.deliver(NEW_SHOT, name, now)
        assert wait_until(lambda: f"asbo1_s{NEW_SHOT}" in receiver[1].read_text())
        assert wait_until(lambda: f"sop_s{NEW_SHOT}" in receiver[1].read_text())
        assert wait_until(lambda: len(recorder.messages["sop"]) >= 3)  # refused, redirected, accepted
    day.deliver(NEW_SHOT + 1, "SOP", now)
    day.deliver(NEW_SHOT + 1, "ASBO1", now)
    with serving(later, "--config", config):
        assert wait_until(lambda: f"omega/{NEW_SHOT + 1}/sop/sop_s{NEW_SHOT + 1}" in recorder.list_paths("sop"))
        assert wait_until(lambda: f"asbo1_s{NEW_SHOT + 1}" in receiver[1].read_text())
        assert wait_until(lambda: f"asbo1_s{NEW_SHOT + 1}" in str(recorder.list_paths("visar")))

    ids = [message["id"] for message, _ in recorder.messages["sop"][:3]]
    logs = log.read_text() + later.read_text()
    assert len(set(ids)) == 1
    assert {request.headers["shotdap-event-id"] for _, request in recorder.messages["sop"][:3]} == {*ids}
    assert {path.split("/")[2] for path in recorder.list_paths("visar")} == {"asbo1"}
    assert {path.split("/")[2] for path in recorder.list_paths("sop")} == {"sop"}
    assert recorder.messages["nobody"] == []
    assert recorder.messages["stolen"] == []
    assert "Webhook sop: its receiver answered 500; the next attempt is in 2 s" in logs
    assert SECRET not in logs


def test_forged(receiver: tuple[str, Path]) -> None:
    """The documented receiver refuses a message whose signature is of another secret, or of another time."""
    body = b'{"changes": [{"path": "forged"}]}'
    for secret, age in (("another", 0), (SECRET, 3600)):
        sent = str(int(time.time()) - age)
        digest = hmac.new(secret.encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Shotdap-Timestamp": sent, "Shotdap-Signature": f"v1={digest}"}
        assert httpx.post(receiver[0], content=body, headers=headers, trust_env=False).status_code == 401

    assert "forged" not in receiver[1].read_text()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"url": "http://analysis.example.org/"}, "url must be https"),
        ({"url": "file:///etc/passwd"}, "url must be https"),
        ({"secret_file": "absent"}, "cannot be read"),
        ({"secret_file": "empty"}, "secret_file is empty"),
        ({"secret_file": "open"}, "others may read"),
        ({"name": "twice"}, "two have the name 'twice'"),
    ],
)
def test_refused_settings(tmp_path: Path, changes: dict[str, str], part: str) -> None:
    """A webhook that would send over an open network, or without a secret, is refused when the server starts."""
    for name, text, mode in (("good", SECRET, 0o600), ("empty", "\n", 0o600), ("open", SECRET, 0o644)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    target = {"name": "one", "url": "https://analysis.example.org/", "secret_file": "good", **changes}
    lines = "\n".join(f'{key} = "{value}"' for key, value in target.items())
    again = f"[[webhooks.targets]]\n{lines}\n" if changes == {"name": "twice"} else ""
    (tmp_path / "shotdap.toml").write_text(f"[[webhooks.targets]]\n{lines}\n{again}")

    with pytest.raises(BadSettings, match=re.escape(part)):
        load_webhooks(load_settings(tmp_path / "shotdap.toml"))


def test_slow_catalog(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A catalog that takes too long ends no webhook: it is told later."""
    day = build_busy_day(tmp_path)
    settings = load_settings(day.config)
    database = AccessDatabase.from_settings(settings)
    webhook = Webhook("slow", "http://127.0.0.1:9/", SECRET, EVERYTHING)
    sender = WebhookSender(webhook, Site(settings).open_catalog(), CursorStore(database), "", 1.0)

    async def run_for_a_moment() -> bool:
        with limit_time(0.0):
            task = asyncio.create_task(sender.run())
        await asyncio.to_thread(wait_until, lambda: "TooSlow" in caplog.text or task.done())
        is_running = not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return is_running

    assert asyncio.run(asyncio.wait_for(run_for_a_moment(), SECONDS))
    database.close()
