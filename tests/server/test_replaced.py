"""While files are replaced and rewritten, an answer is of one version of its file; or it is refused for now."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tests.replacing import Outcome, changing, send_requests, write_versions
from tests.serving import serving

# So many take some seconds; what the server promises was tried with 10,000.
ANSWERS = int(os.environ.get("REPLACED_ANSWERS", "400"))
CLIENTS = 4
SECONDS = 0.02  # between two changes


def test_each_answer_is_of_one_version(tmp_path: Path) -> None:
    """No answer is mixed or torn, no tag names two contents, and a refusal says to come back; most are answered."""
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
