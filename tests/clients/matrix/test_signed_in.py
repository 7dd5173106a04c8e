"""Every client, signed in by the files that `shotdap login` writes, with one token for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from tests.clients.matrix.clients import CLIENTS, Client, ClientRequest
from tests.clients.matrix.features import FEATURES, PROTOCOLS, RIGHT, Conditions, judge, write_files
from tests.clients.matrix.notes import find_note
from tests.clients.matrix.page import list_versions
from tests.clients.matrix.test_matrix import AT_ONCE, PAIRS, RENEW, is_installed
from tests.conftest import skip_absent
from tests.serving import run_shotdap, serving

PAGE: Final = Path(__file__).parents[3] / "docs" / "clients-signed-in.md"
FEATURE: Final = next(feature for feature in FEATURES if feature.name == "uint16")
LAST: Final = next(feature for feature in FEATURES if feature.fails)
"""Asked for after it: what a client prints when it ends does not belong to the answer."""

STRANGERS: Final = ("netCDF4-python", "pydap", "ncdump", "getdap")
"""Clients of each library, which are also tried without the files."""

HEAD: Final = """\
# Clients with a token

Each cell is a real client that read an array from a server with `access.mode = "token"`, its values compared with the
file. All of them have the same token, from the files that `shotdap login URL --token -` wrote into an empty home:
`.netrc`, `.ncrc` and `.dodsrc`. Without these files, none of them reads anything. `make matrix` renews this page; a
test fails when it is not what the clients say.
"""
TAIL: Final = """\
netCDF-C is in there twice: 4.9.0, as Debian's programs have it, and the newer one of the Python package netCDF4.
"""


@dataclass(frozen=True)
class Closed:
    """A closed server, and two homes: one signed in, one empty."""

    url: str
    folder: Path
    home: Path
    empty: Path


@pytest.fixture(scope="module")
def closed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """A closed server of the files that the clients read."""
    above = tmp_path_factory.mktemp("closed")
    folder, home, empty = (above / name for name in ("files", "home", "empty"))
    for made in (folder, home, empty):
        made.mkdir()
    write_files(folder)
    config = above / "site.toml"
    config.write_text(f'[archive]\nfolder = "{folder}"\n')
    made_token = run_shotdap("token", "create", "ann", "--config", config)
    with serving(above / "server.log", "--config", config, mode="token") as server:
        stored = run_shotdap("login", server.url, "--token", "-", "--home", home, text=made_token.stdout)
        assert stored.returncode == 0, stored.stderr
        yield Closed(server.url, folder, home, empty)


@pytest.fixture(scope="module")
def cells(closed_site: Closed) -> Mapping[tuple[str, str], str]:
    """The result of each installed client and protocol, signed in."""
    installed = [(client, protocol) for client, protocol in PAIRS if is_installed(client)]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(AT_ONCE) as pool:
        patch.setenv("HOME", str(closed_site.home))
        results = list(pool.map(lambda pair: read_array(closed_site, *pair), installed))
    return {(client.name, protocol): result for (client, protocol), result in zip(installed, results, strict=True)}


def read_array(closed_site: Closed, client: Client, protocol: str) -> str:
    """Read an array with the files of ``$HOME``; return a word for the result."""
    requests = [ClientRequest.from_feature(feature, closed_site.url, protocol) for feature in (FEATURE, LAST)]
    (answer, _), output = client.run(requests)
    conditions = Conditions(protocol, closed_site.folder, client.unpacks, client.digits, client.fill)
    return judge(FEATURE, answer, output, conditions)


@pytest.mark.parametrize(("client", "protocol"), PAIRS, ids=[f"{client.name}-{protocol}" for client, protocol in PAIRS])
def test_one_token(cells: Mapping[tuple[str, str], str], client: Client, protocol: str) -> None:
    """Each client reads the right values, over each of its protocols, or a note names the client's own bug."""
    if not is_installed(client):
        skip_absent(f"{client.program} is not installed")

    assert cells[client.name, protocol] == RIGHT or find_note(client.name, protocol, FEATURE.name)


@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.name in STRANGERS], ids=lambda each: each.name
)
def test_without_files(closed_site: Closed, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the files a client reads nothing."""
    if not is_installed(client):
        skip_absent(f"{client.program} is not installed")
    monkeypatch.setenv("HOME", str(closed_site.empty))

    assert read_array(closed_site, client, client.protocols[0]) != RIGHT


def test_page(cells: Mapping[tuple[str, str], str]) -> None:
    """The page of the documentation contains the results (`make matrix` renews it)."""
    if not all(map(is_installed, CLIENTS)):
        skip_absent("not every client is installed")
    if RENEW:
        PAGE.write_text(render_page(cells))
    documented = PAGE.read_text()
    if list_versions() not in documented:
        skip_absent("the page is about other versions of the clients; `make matrix` renews it")

    assert documented == render_page(cells)


def render_page(cells: Mapping[tuple[str, str], str]) -> str:
    """Return the page of the documentation."""
    rows: list[tuple[str, ...]] = [("client", *PROTOCOLS), ("---", ":-:", ":-:")]
    rows += [(each.name, *(render_cell(cells, each.name, protocol) for protocol in PROTOCOLS)) for each in CLIENTS]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join([HEAD.rstrip(), table, TAIL.rstrip(), f"Versions: {list_versions()}."]) + "\n"


def render_cell(cells: Mapping[tuple[str, str], str], client: str, protocol: str) -> str:
    """Return the result in words; a client's own bug is explained beside all others."""
    result = cells.get((client, protocol), "-")
    is_own_bug = result not in {RIGHT, "-"} and find_note(client, protocol, FEATURE.name)
    return "[its own bug](clients.md#notes)" if is_own_bug else result
