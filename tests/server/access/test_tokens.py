"""Tokens against a real server of two workers: what they open, what stays hidden, and their end."""

from __future__ import annotations

import re
import string
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import numpy as np
import pytest
from starlette.middleware import Middleware
from tests import samples
from tests.catalog.index.test_visibility import find_by_search
from tests.rows import DEFAULT, Rows
from tests.server.answering.test_workload import iter_get_routes
from tests.serving import Server, run_shotdap, serving

from shotdap.catalog import Catalog, DirectoryArchive, Row, SqlIndex, build_catalog
from shotdap.config import Site, load_settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.access_middleware import AccessMiddleware
from shotdap.server.access.policy import Policy
from shotdap.server.access.principal import Scope
from shotdap.server.access.route_scopes import find_scope
from shotdap.server.access.token_authenticator import TokenAuthenticator
from shotdap.server.access.token_store import TokenStore, User
from shotdap.server.app import WorkerParts, create_app

SETTINGS: Final = """
[archive]
root = "files"
[catalog]
index = "catalog.db"
[server]
workers = 2
[access]
path_links = true
[[access.rules]]
groups = ["staff"]
[[access.rules]]
users = ["*"]
facts = { campaign = "DRACO*" }
"""
OWN: Final = "omega/1/sop/open_image"
HIDDEN: Final = "omega/1/sop/secret_image"
SECRETS: Final = ("secret_image", "SECRET")
WITHIN: Final = 1.0  # seconds, for a revocation to be known everywhere


@dataclass(frozen=True)
class Lab:
    """A closed server, and the tokens of two users."""

    server: Server
    config: Path
    staff: str
    guest: str

    def get(self, target: str, token: str, **headers: str) -> httpx.Response:
        """Send a request with a token as the password of Basic; a new connection may lead to any worker."""
        auth = ("anybody", token) if token else None
        return httpx.get(f"{self.server.url}{target}", auth=auth, headers=headers, timeout=60, trust_env=False)

    def make_token(self, *options: str) -> str:
        """Make a token on the command line."""
        made = run_shotdap("token", "create", *options, "--config", self.config)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "files").mkdir()
    rows = []
    for name, campaign in (("open_image", "DRACO-7"), ("secret_image", "SECRET")):
        samples.write_image(folder / "files" / f"{name}.h5", np.arange(24, dtype="u2").reshape(2, 3, 4))
        facts: dict[str, Any] = {"facility": "OMEGA", "shot": 1, "diagnostic": "SOP", "name": f"{name}.h5"}
        rows.append(Row(name, f"{name}.h5", 1, facts | {"campaign": campaign, "date": "2026-01-01"}))
    index = SqlIndex.open_sqlite(folder / "catalog.db")
    build_catalog(Rows(rows), index, DEFAULT)
    assert sorted(find_by_search(index)) == [OWN, HIDDEN]
    index.close()
    config = folder / "site.toml"
    config.write_text(SETTINGS)
    unserved = Lab(Server(0, None, folder), config, "", "")  # type: ignore[arg-type]
    staff = unserved.make_token("alice", "--group", "staff", "--scope", "read", "--scope", "export")
    guest = unserved.make_token("bob")
    with serving(folder / "log", "--config", config, mode="token") as server:
        yield Lab(server, config, staff, guest)


def test_challenges(lab: Lab) -> None:
    """Whatever is asked for without a token is 401 with both challenges; health is not."""
    for target in (
        f"/dap/{OWN}.dds",
        f"/dap/{OWN}.das",
        "/dap/",
        "/api/v1/images",
        f"/zarr/{OWN}/zarr.json",
        "/thredds/",
    ):
        answer = lab.get(target, "")
        assert answer.status_code == 401, target
        assert [each.split()[0] for each in answer.headers.get_list("www-authenticate")] == ["Basic", "Bearer"]
    assert httpx.head(f"{lab.server.url}/dap/{OWN}.dds", trust_env=False).status_code == 401
    assert lab.get("/health", "").status_code == 200
    for wrong in ("sd_wrong", "x" * 46, "ü"):
        assert lab.get("/dap/", wrong).status_code == 401


def test_ways_to_send_it(lab: Lab) -> None:
    """A token is taken as Bearer and as a password; answers are private to whoever asked."""
    bearer = lab.get(f"/dap/{OWN}.dds", "", Authorization=f"Bearer {lab.guest}")
    basic = lab.get(f"/dap/{OWN}.dds", lab.guest)

    assert (bearer.status_code, basic.status_code) == (200, 200)
    assert bearer.content == basic.content
    assert "private" in basic.headers["cache-control"]
    assert {"Authorization", "Cookie"} <= set(re.split(r",\s*", basic.headers["vary"]))


TARGETS: Final = (
    f"/dap/{HIDDEN}", f"/dap/{HIDDEN}.dds", f"/dap/{HIDDEN}.dods?image", f"/dap/{HIDDEN}.dmr", f"/dap/{HIDDEN}.html",
    f"/dap/{HIDDEN}.nc4", f"/dap/{HIDDEN}/raw.dds", f"/dap/{HIDDEN}/~median_filter-size-3.dds", f"/fileServer/{HIDDEN}",
    f"/zarr/{HIDDEN}/zarr.json", f"/api/v1/images/{HIDDEN}", f"/api/v1/thumbnails/{HIDDEN}",
    f"/api/v1/statistics/{HIDDEN}", f"/images/{HIDDEN}",
    f"/api/v1/attributes/{HIDDEN}", f"/api/v1/provenance/{HIDDEN}",
)  # fmt: skip
LISTS: Final = (
    "/dap/omega/1/sop", "/dap/omega/1.dds", "/dap/omega/1.dmr", "/dap/omega/~stack-diagnostic-SOP.dds",
    "/api/v1/images?q=",
    "/api/v1/images?q=secret*", "/api/v1/changes", "/api/v1/facets", "/api/v1/shots", "/api/v1/shots/omega/1",
    "/api/v1/diagnostics", "/api/v1/facilities", "/thredds/catalog/omega/1/sop/catalog.xml",
    "/search?q=sop", "/search?q=secret*", "/search?q=1&view=list", "/shots", "/shots/omega/1",
    "/zarr/omega/1/zarr.json", "/api/image/get/raw?shot=1",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_hidden(lab: Lab, target: str) -> None:
    """An image that one may not see answers like one that does not exist, to the letter; others see it."""
    hidden, absent = lab.get(target, lab.guest), lab.get(target.replace("secret_image", "absent_imag1"), lab.guest)

    assert lab.get(target, lab.staff).status_code in {200, 308}
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("secret_image", "absent_imag1") == absent.text


@pytest.mark.parametrize("target", LISTS)
def test_lists(lab: Lab, target: str) -> None:
    """No list, count or collection reveals a hidden image, by content or by its validator."""
    seen, all_of_it = lab.get(target, lab.guest), lab.get(target, lab.staff)

    assert seen.status_code in {200, 400, 404} or all_of_it.status_code == seen.status_code
    assert not any(secret in seen.text.replace("secret*", "") for secret in SECRETS)
    if "etag" in seen.headers and seen.content != all_of_it.content:
        assert seen.headers["etag"] != all_of_it.headers["etag"]


def test_counts(lab: Lab) -> None:
    """Counts are of what one may see."""
    assert [lab.get("/api/v1/facets", token).json()["total"] for token in (lab.guest, lab.staff)] == [1, 2]


def test_scopes(lab: Lab) -> None:
    """A token without a scope is refused what needs it, with the scope's name."""
    refused = lab.get("/api/v1/packages/omega/1", lab.guest)

    assert refused.status_code == 403
    assert "'export'" in refused.json()["detail"]
    assert lab.get("/api/v1/packages/omega/1", lab.staff).status_code == 200


def test_restricted_tokens(lab: Lab) -> None:
    """A token that is restricted shows a part of what its owner sees, and makes no others."""
    narrow = lab.make_token("alice", "--campaign", "SECRET")
    wide = lab.make_token("bob", "--campaign", "SECRET")

    assert lab.get(f"/dap/{HIDDEN}.dds", narrow).status_code == 200
    assert lab.get(f"/dap/{OWN}.dds", narrow).status_code == 404
    assert lab.get(f"/dap/{HIDDEN}.dds", wide).status_code == 404


def ask_for_tokens(lab: Lab, token: str, method: str, target: str = "", **options: Any) -> httpx.Response:  # noqa: ANN401 — JSON
    """Send a request to the tokens of a user."""
    url = f"{lab.server.url}/api/v1/tokens{target}"
    return httpx.request(method, url, auth=("x", token), trust_env=False, timeout=60, **options)


@pytest.mark.parametrize("options", [("--campaign", "SECRET"), ("--path", OWN, "--days", "1", "--link")])
def test_who_manages_no_tokens(lab: Lab, options: tuple[str, ...]) -> None:
    """With a restricted token, or a link that somebody else has, nobody makes, sees or revokes its owner's tokens."""
    narrow, whole = lab.make_token("carol", *options), lab.make_token("carol")
    (newest, *_) = ask_for_tokens(lab, whole, "GET").json()["tokens"]

    assert ask_for_tokens(lab, narrow, "POST", json={"name": "more"}).status_code == 403
    assert ask_for_tokens(lab, narrow, "GET").status_code == 403
    assert ask_for_tokens(lab, narrow, "DELETE", f"/{newest['id']}").status_code == 403
    assert lab.get(f"/dap/{OWN}.dds", whole).status_code == 200


def test_the_end_of_a_token(lab: Lab) -> None:
    """A token makes none that lasts longer than itself."""
    brief = lab.make_token("dave", "--days", "1")
    made = [ask_for_tokens(lab, brief, "POST", json={"name": "x", **days}).json() for days in ({}, {"days": 9})]
    ends = [datetime.fromisoformat(each["expires"]) for each in made]

    assert all(end - datetime.now(UTC) <= timedelta(days=1) for end in ends)


def test_what_an_owner_may_do_now(lab: Lab) -> None:
    """All tokens of a user follow what the administrator lets the user do."""
    token = lab.make_token("erin", "--scope", "read", "--scope", "export")
    assert lab.get("/api/v1/packages/omega/1", token).status_code == 200
    changed = run_shotdap("token", "user", "erin", "--scope", "read", "--config", lab.config)
    assert changed.returncode == 0
    time.sleep(WITHIN)

    assert lab.get("/api/v1/packages/omega/1", token).status_code == 403
    assert lab.get("/dap/", token).status_code == 200


@pytest.mark.parametrize("path", ["/", ""])
def test_a_restriction_to_everything(lab: Lab, path: str) -> None:
    """A token that would be restricted to the empty path is refused; one without a path is not restricted."""
    answer = ask_for_tokens(lab, lab.guest, "POST", json={"name": "x", "path": path})

    assert answer.status_code == (400 if path else 201)


def test_links(lab: Lab) -> None:
    """A link opens one image, reads only, and is part of all URLs in answers; other tokens are no links."""
    link = lab.make_token("alice", "--path", OWN, "--days", "1", "--link")
    answer = lab.get(f"/k/{link}/dap/{OWN}.dds", "")

    assert answer.status_code == 200
    assert f"/k/{link}/dap/{OWN}" in lab.get(f"/k/{link}/api/v1/images/{OWN}", "").text
    assert lab.get(f"/k/{link}/dap/{HIDDEN}.dds", "").status_code == 404
    assert lab.get(f"/k/{link}/api/v1/packages/omega/1", "").status_code == 403
    assert lab.get(f"/k/{lab.staff}/dap/{OWN}.dds", "").status_code == 401
    refused = run_shotdap("token", "create", "alice", "--link", "--config", lab.config)
    assert refused.returncode == 2
    assert "expires" in refused.stderr


def test_own_tokens(lab: Lab) -> None:
    """Users make, list and revoke their own tokens, with no more scopes than they have; the secret is shown once."""
    url, auth = f"{lab.server.url}/api/v1/tokens", ("x", lab.guest)
    made = httpx.post(url, json={"name": "mine", "days": 2}, auth=auth, trust_env=False, timeout=60).json()
    beyond = httpx.post(url, json={"name": "all", "scopes": ["admin"]}, auth=auth, trust_env=False, timeout=60)
    listed = httpx.get(url, auth=auth, trust_env=False, timeout=60)

    assert lab.get(f"/dap/{OWN}.dds", made["secret"]).status_code == 200
    assert beyond.status_code == 403
    assert made["id"] in [each["id"] for each in listed.json()["tokens"]]
    assert made["secret"] not in listed.text
    other = httpx.delete(f"{url}/{made['id']}", auth=("x", lab.staff), trust_env=False, timeout=60)
    own = httpx.delete(f"{url}/{made['id']}", auth=auth, trust_env=False, timeout=60)
    assert (other.status_code, own.status_code) == (404, 204)


def connect_to_each_worker(lab: Lab, stack: ExitStack) -> dict[int, httpx.Client]:
    """Return a client of each worker, whose connection stays open."""
    clients: dict[int, httpx.Client] = {}
    workers = lab.server.find_children("shotdap worker")
    deadline = time.monotonic() + 60
    while len(clients) < len(workers):
        assert time.monotonic() < deadline
        client = stack.enter_context(httpx.Client(base_url=lab.server.url, trust_env=False, timeout=60))
        client.get("/health")
        clients.setdefault(find_worker(workers, client), client)
    return clients


def find_worker(workers: list[int], client: httpx.Client) -> int:
    """Return the worker that has the other end of a client's only connection."""
    (connection,) = client._transport._pool.connections  # type: ignore[attr-defined]  # noqa: SLF001 — httpx does not tell
    stream = connection._connection._network_stream  # noqa: SLF001
    _, port = stream.get_extra_info("client_addr")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in rows if row[2].endswith(f":{port:04X}")]
    return next(
        worker
        for worker in workers
        if any(
            Path(fd).is_symlink() and fd.readlink().name == f"socket:[{inode}]"
            for fd in Path(f"/proc/{worker}/fd").iterdir()
        )
    )


def test_revocation(lab: Lab) -> None:
    """A token that is revoked on the command line opens nothing any more, on either worker, within a second."""
    token = lab.make_token("alice", "--name", "to be revoked")
    listed = run_shotdap("token", "list", "--json", "--config", lab.config)
    (identifier,) = re.findall(r'"id": "(\w+)",\s+"user": "alice",\s+"name": "to be revoked"', listed.stdout)
    with ExitStack() as stack:
        clients = connect_to_each_worker(lab, stack)
        assert len(clients) == 2
        auth = ("any", token)
        assert [client.get("/dap/", auth=auth).status_code for client in clients.values()] == [200, 200]
        assert run_shotdap("token", "revoke", identifier, "--config", lab.config).returncode == 0
        time.sleep(WITHIN)

        assert [client.get("/dap/", auth=auth).status_code for client in clients.values()] == [401, 401]


def test_entropy(tmp_path: Path) -> None:
    """A secret has 256 random bits: each digit of it takes every value, and no two secrets are alike."""
    store = TokenStore(AccessDatabase(f"sqlite:///{tmp_path / 'access.db'}"))
    store.put_user(User("alice"))
    secrets = [store.create_token("alice", "x", [Scope.READ])[0].removeprefix("sd_") for _ in range(200)]
    digits = string.digits + string.ascii_letters

    assert len(set(secrets)) == 200
    assert {len(secret) for secret in secrets} == {43}
    assert len(digits) ** 43 > 2**256
    for position in range(1, 43):  # the first digit cannot be any: 62^43 is more than 2^256
        assert len({secret[position] for secret in secrets}) > 50


def test_only_hashes_are_stored(lab: Lab) -> None:
    """The database has no secret, and only its owner may read it."""
    files = list(lab.config.parent.glob("access.db*"))

    assert files
    assert (lab.config.parent / "access.db").stat().st_mode & 0o077 == 0
    assert not any(token.encode() in file.read_bytes() for file in files for token in (lab.staff, lab.guest))


def test_open_to_the_network(tmp_path: Path) -> None:
    """A server that is open to everybody does not listen for other machines, unless its settings say so."""
    refused = run_shotdap("serve", "--folder", tmp_path, "--host", "0.0.0.0", "--port", "1")  # noqa: S104 — refused

    assert refused.returncode == 2
    assert "access.open_anywhere" in refused.stderr


def test_a_database_that_is_away(tmp_path: Path) -> None:
    """While tokens cannot be checked, nobody is let in, and the answer says so."""
    (tmp_path / "file").touch()
    store = TokenStore(AccessDatabase(f"sqlite:///{tmp_path / 'file' / 'access.db'}"))  # no folder can be made there
    settings = load_settings()
    authenticator = TokenAuthenticator(store, Policy(settings.access), path_links=False)
    folder = tmp_path / "images"
    folder.mkdir()
    catalog = Catalog(DirectoryArchive(folder), folder)
    parts = WorkerParts(guards=[Middleware(AccessMiddleware, authenticators=[authenticator])])
    transport = httpx.ASGITransport(create_app(catalog, settings, parts))

    async def ask(target: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(target, headers={"Authorization": "Bearer sd_0123456789"})

    refused = anyio.run(ask, "/dap/")
    assert refused.status_code == 503
    assert "tokens" in refused.text
    assert "retry-after" in refused.headers
    assert anyio.run(ask, "/health").status_code == 200


def test_every_route_has_a_scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each route is in the table of scopes; what is not there needs an administrator."""
    monkeypatch.setenv("SHOTDAP_ARCHIVE__FOLDER", str(tmp_path))
    monkeypatch.setenv("SHOTDAP_EXPORTS__FOLDER", str(tmp_path / "exports"))
    settings = load_settings()
    app = create_app(Site(settings).open_catalog(), settings)

    assert [route for route in iter_get_routes(app.routes) if find_scope(route) is Scope.ADMIN] == ["/status"]
    assert find_scope("/nowhere") is Scope.ADMIN
    assert find_scope("/api/v1/exportsx") is Scope.ADMIN
