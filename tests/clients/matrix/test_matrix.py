"""Every client, over every protocol it speaks, for every feature: right, or the client's own bug is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from tests.clients.matrix.asking import ASKS, RIGHT, SILENT, Circumstances, judged, write_files
from tests.clients.matrix.clients import CLIENTS, Client, Question
from tests.clients.matrix.notes import NOTES, note_of
from tests.clients.matrix.page import Cells, page, versions
from tests.conftest import skip_absent
from tests.serving import Server, serving

PAGE: Final = Path(__file__).parents[3] / "docs" / "clients.md"
RENEW: Final = os.environ.get("SHOTDAP_RENEW") == "1"
PAIRS: Final = [(client, protocol) for client in CLIENTS for protocol in client.protocols]
AT_ONCE: Final = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the clients are asked for."""
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
    """What all clients that are installed say, several at once."""
    installed = [(client, protocol) for client, protocol in PAIRS if is_installed(client)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = pool.map(lambda pair: _row(pair[0], pair[1], server.url, folder), installed)
        return {
            (client.name, protocol, feature): said
            for (client, protocol), row in zip(installed, rows, strict=True)
            for feature, said in row.items()
        }


def is_installed(client: Client) -> bool:
    return not client.program or shutil.which(client.program) is not None


def _row(client: Client, protocol: str, url: str, folder: Path) -> dict[str, str]:
    asks = [ask for ask in ASKS if protocol in ask.protocols]
    said, output = client.said([Question.of(ask, url, protocol) for ask in asks])
    circumstances = Circumstances(protocol, folder, client.unpacks, client.digits, client.fill)
    return {ask.feature: judged(ask, words, output, circumstances) for ask, words in zip(asks, said, strict=True)}


@pytest.mark.parametrize(("client", "protocol"), PAIRS, ids=[f"{client.name}-{protocol}" for client, protocol in PAIRS])
class TestMatrix:
    def test_values(self, cells: Cells, client: Client, protocol: str) -> None:
        """What a client reads is right, or a note names the client's own bug."""
        if not is_installed(client):
            skip_absent(f"{client.program} is not installed")
        asked = [ask.feature for ask in ASKS if protocol in ask.protocols and not ask.fails]
        unlike = {feature: said for feature in asked if (said := cells[client.name, protocol, feature]) != RIGHT}

        assert {feature: said for feature, said in unlike.items() if not note_of(client.name, protocol, feature)} == {}

    def test_failures(self, cells: Cells, client: Client, protocol: str) -> None:
        """No client takes a request that failed for one that did not, and none dies of it."""
        if not is_installed(client):
            skip_absent(f"{client.program} is not installed")
        said = {cells[client.name, protocol, ask.feature] for ask in ASKS if ask.fails and protocol in ask.protocols}

        assert not said & {SILENT, "crash"}


def test_notes(cells: Cells) -> None:
    """Each note explains something that is not right."""
    unlike = [cell for cell, said in cells.items() if said != RIGHT]
    idle = [note for note in NOTES if not any(note.explains(*cell) for cell in unlike)]
    if not all(map(is_installed, CLIENTS)):
        skip_absent("not every client is installed")

    assert idle == []


def test_page(cells: Cells) -> None:
    """The page of the documentation is what the clients say (`make matrix` renews it)."""
    if not all(map(is_installed, CLIENTS)):
        skip_absent("not every client is installed")
    if RENEW:
        PAGE.write_text(page(cells))
    documented = PAGE.read_text()
    if versions() not in documented:
        skip_absent("the page is about other versions of the clients; `make matrix` renews it")

    assert documented == page(cells)
