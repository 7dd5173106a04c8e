"""Every client, over all its protocols, for every feature: right, or the client's own bug is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from tests.clients.matrix.clients import CLIENTS, Client, ClientRequest
from tests.clients.matrix.features import FEATURES, RIGHT, SILENT, Conditions, judge, write_files
from tests.clients.matrix.notes import NOTES, find_note
from tests.clients.matrix.page import Cells, list_versions, render_page
from tests.conftest import skip_absent
from tests.serving import Server, serving

PAGE: Final = Path(__file__).parents[3] / "docs" / "clients.md"
RENEW: Final = os.environ.get("SHOTDAP_RENEW") == "1"
PAIRS: Final = [(client, protocol) for client in CLIENTS for protocol in client.protocols]
AT_ONCE: Final = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the clients read."""
    folder = tmp_path_factory.mktemp("matrix")
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the folder."""
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server:
        yield server


@pytest.fixture(scope="module")
def cells(server: Server, folder: Path) -> Cells:
    """The results of all installed clients, several of which run at once."""
    installed = [(client, protocol) for client, protocol in PAIRS if is_installed(client)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = pool.map(lambda pair: _test_features(pair[0], pair[1], server.url, folder), installed)
        return {
            (client.name, protocol, feature): result
            for (client, protocol), row in zip(installed, rows, strict=True)
            for feature, result in row.items()
        }


def is_installed(client: Client) -> bool:
    return not client.program or shutil.which(client.program) is not None


def _test_features(client: Client, protocol: str, url: str, folder: Path) -> dict[str, str]:
    features = [feature for feature in FEATURES if protocol in feature.protocols]
    answers, output = client.run([ClientRequest.from_feature(feature, url, protocol) for feature in features])
    conditions = Conditions(protocol, folder, client.unpacks, client.digits, client.fill)
    return {
        feature.name: judge(feature, words, output, conditions)
        for feature, words in zip(features, answers, strict=True)
    }


@pytest.mark.parametrize(("client", "protocol"), PAIRS, ids=[f"{client.name}-{protocol}" for client, protocol in PAIRS])
class TestMatrix:
    def test_values(self, cells: Cells, client: Client, protocol: str) -> None:
        """Values that a client reads are right, or a note names the client's own bug."""
        if not is_installed(client):
            skip_absent(f"{client.program} is not installed")
        names = [feature.name for feature in FEATURES if protocol in feature.protocols and not feature.fails]
        unlike = {feature: result for feature in names if (result := cells[client.name, protocol, feature]) != RIGHT}

        assert {
            feature: result for feature, result in unlike.items() if not find_note(client.name, protocol, feature)
        } == {}

    def test_failures(self, cells: Cells, client: Client, protocol: str) -> None:
        """No client takes a failed request for a successful one, and none dies of it."""
        if not is_installed(client):
            skip_absent(f"{client.program} is not installed")
        result = {
            cells[client.name, protocol, feature.name]
            for feature in FEATURES
            if feature.fails and protocol in feature.protocols
        }

        assert not result & {SILENT, "crash"}


def test_notes(cells: Cells) -> None:
    """Each note explains a cell that is not right."""
    unlike = [cell for cell, result in cells.items() if result != RIGHT]
    idle = [note for note in NOTES if not any(note.is_about(*cell) for cell in unlike)]
    if not all(map(is_installed, CLIENTS)):
        skip_absent("not every client is installed")

    assert idle == []


def test_page(cells: Cells) -> None:
    """The page of the documentation contains the results (`make matrix` renews it)."""
    if not all(map(is_installed, CLIENTS)):
        skip_absent("not every client is installed")
    if RENEW:
        PAGE.write_text(render_page(cells))
    documented = PAGE.read_text()
    if list_versions() not in documented:
        skip_absent("the page is about other versions of the clients; `make matrix` renews it")

    assert documented == render_page(cells)
