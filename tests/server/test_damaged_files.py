"""A server survives damaged files: it sends an error message, or what the library reads of the file.

`python benchmarks/run.py damage` does the same with thousands of files.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from tests import damaged
from tests.damaged import MODES, CheckedResponse, Mode

NUMBER: Final = 60


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[CheckedResponse], Counter[Mode]]:
    """The responses of two servers for the same damaged files, and the number of processes that died or hung."""
    folder = tmp_path_factory.mktemp("damaged")
    return damaged.serve_damaged(folder, damaged.make_archive(folder, NUMBER))


def test_the_server_lives(outcome: tuple[list[CheckedResponse], Counter[Mode]]) -> None:
    """No file ends a server or a worker, and each request gets a response."""
    responses, deaths = outcome

    assert deaths.total() == 0
    assert [response for response in responses if response.kind == "lost"] == []


@pytest.mark.parametrize("mode", MODES)
def test_no_wrong_number(mode: Mode, outcome: tuple[list[CheckedResponse], Counter[Mode]]) -> None:
    """A successful response contains what the library reads; some files can be read, others cannot."""
    kinds = Counter(response.kind for response in outcome[0] if response.mode == mode)

    assert [response for response in outcome[0] if response.mode == mode and response.kind == "wrong"] == []
    assert kinds["right"] > 0
    assert kinds["error"] > 0


def test_errors(outcome: tuple[list[CheckedResponse], Counter[Mode]]) -> None:
    """Each error is a message of the requested protocol, in a sentence."""
    assert [response for response in outcome[0] if response.kind == "malformed"] == []
    assert all(response.detail.endswith(".") for response in outcome[0] if response.kind == "error")
