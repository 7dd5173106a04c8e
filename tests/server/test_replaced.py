"""While files are replaced and rewritten, a response is of one version of its file, or is refused for now."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tests.replacing import Outcome, changing, send_requests, write_versions
from tests.serving import serving

# This number takes some seconds; 10,000 requests were tried once.
ANSWERS = int(os.environ.get("REPLACED_ANSWERS", "400"))
CLIENTS = 4
SECONDS = 0.02  # between two changes


def test_each_answer_is_of_one_version(tmp_path: Path) -> None:
    """No response is mixed or torn, no ETag has two contents, and a refusal asks to retry; most requests succeed."""
    for folder in ("images", "aside"):
        (tmp_path / folder).mkdir()
    versions = write_versions(tmp_path / "images", tmp_path / "aside")
    outcome, lock = Outcome(), threading.Lock()
    with (
        serving(tmp_path / "server.log", "--folder", tmp_path / "images") as server,
        changing(tmp_path / "images", versions, SECONDS, outcome),
    ):
        each = ANSWERS // CLIENTS
        clients = [
            threading.Thread(
                target=send_requests,
                args=(server.url, versions, each),
                kwargs={"seed": seed, "outcome": outcome, "lock": lock},
            )
            for seed in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    assert outcome.mixed == []
    assert outcome.ambiguous == []
    assert outcome.surprises == []
    assert outcome.count == each * CLIENTS
    assert outcome.statuses[200] > outcome.count / 2
