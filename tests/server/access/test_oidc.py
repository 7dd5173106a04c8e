"""Sign-in with a real identity provider: browsers, programs, and everything that must not sign in anybody."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
import uvicorn
from cryptography.hazmat.primitives import hashes, hmac
from joserfc.jwk import RSAKey
from starlette.types import ASGIApp
from tests import samples
from tests.conftest import made_once
from tests.identity_provider import (
    CLIENT_SECRET,
    IdentityProviderServer,
    install_provider,
    make_key,
    providing,
    submit_forms,
)
from tests.serving import SHOTDAP, Server, find_free_port, make_environment, run_shotdap, serving

from shotdap.config import BadSettings, Settings, Site, load_settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.authentication import SESSION_COOKIE
from shotdap.server.access.gate import create_access_middleware, open_identity_provider
from shotdap.server.access.sign_in.device_flow import DeviceCode, DeviceFlowError, exchange_for_token, sign_in_by_device
from shotdap.server.access.sign_in.identity_provider import IdentityProvider
from shotdap.server.app import WorkerParts, create_app
from shotdap.server.routes.sign_in import is_own_page

AUDIENCE: Final = "https://images.example.org"
PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
LASERS: Final = "/dap/omega/1.h5.dds"
STAFF: Final = "/dap/ep/2.h5.dds"
SECONDS_TO_START: Final = 30


@dataclass(frozen=True)
class Laboratory:
    """An identity provider, and two workers of a server that trusts it."""

    provider: IdentityProviderServer
    settings: Settings
    workers: tuple[str, str]
    """Their URLs."""

    @property
    def url(self) -> str:
        """The server's URL, as the provider knows it."""
        return self.workers[0]

    def sign_in(self, account: str, page: str = "") -> tuple[httpx.Client, httpx.Response]:
        """Return a browser that has signed in, and the page to which it came back."""
        browser = make_browser()
        form = browser.get(f"{self.url}/login", params={"next": page} if page else {})
        return browser, submit_forms(browser, form, account, urlsplit(self.provider.issuer).netloc)

    def get(self, target: str, jwt: str) -> httpx.Response:
        """Ask as a program with a JWT."""
        return httpx.get(f"{self.url}{target}", headers={"Authorization": f"Bearer {jwt}"}, trust_env=False, timeout=60)

    def sign(self, claims: dict[str, Any] | None = None, key: RSAKey | None = None, **header: str) -> str:
        """Return a JWT as the provider signs it for a user of the group of lasers."""
        return self.provider.sign({"aud": AUDIENCE, "groups": ["lasers"], **(claims or {})}, key, **header)


BROWSERS: Final[list[httpx.Client]] = []


def make_browser() -> httpx.Client:
    """Return a new browser, which is closed when the test ends."""
    BROWSERS.append(httpx.Client(follow_redirects=True, trust_env=False, timeout=120, headers=PAGE))
    return BROWSERS[-1]


@pytest.fixture(autouse=True)
def _close_browsers() -> Iterator[None]:
    yield
    while BROWSERS:
        BROWSERS.pop().close()


def create_worker(settings: Settings) -> ASGIApp:
    """Create the application of one worker, which answers every request by itself."""
    access, provider = AccessDatabase.from_settings(settings), open_identity_provider(settings)
    guards = create_access_middleware(settings, access, provider)
    parts = WorkerParts(access=access, provider=provider, guards=guards)
    return create_app(Site(settings).open_catalog(), settings, parts)


@contextmanager
def serving_app(app: ASGIApp, port: int) -> Iterator[str]:
    """Serve an application from a thread of this process while the block lasts."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + SECONDS_TO_START
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def opening_laboratory(program: Path, folder: Path, **oidc: object) -> Iterator[Laboratory]:
    ports = (find_free_port(), find_free_port())
    url = f"http://127.0.0.1:{ports[0]}"
    secret = folder / "secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    secret.chmod(0o600)
    (folder / "images/omega").mkdir(parents=True)
    (folder / "images/ep").mkdir()
    samples.write_image(folder / "images/omega/1.h5", np.zeros((2, 3, 4), "u2"))
    samples.write_image(folder / "images/ep/2.h5", np.zeros((2, 3, 4), "u2"))
    rules = [{"groups": ["lasers"], "paths": ["omega"]}, {"groups": ["staff"], "paths": ["omega", "ep"]}]
    with ExitStack() as stack:
        provider = stack.enter_context(providing(program, f"{url}/login/callback", make_key("one")))
        choices = {
            "issuer": provider.issuer,
            "client_id": "shotdap",
            "client_secret_file": secret,
            "device_client_id": "shotdap-login",
            "audience": AUDIENCE,
            "resource": AUDIENCE,
            "public_url": url,
            "export_groups": ["staff"],
            "service_groups": {"harvester": ["lasers"]},
            **oidc,
        }
        settings = load_settings(
            None,
            {
                "access.mode": "oidc",
                "access.database": folder / "access.db",
                "access.rules": rules,
                "archive.folder": folder / "images",
                "exports.folder": folder / "exports",
                **{f"oidc.{name}": value for name, value in choices.items()},
            },
        )
        first, second = (stack.enter_context(serving_app(create_worker(settings), port)) for port in ports)
        yield Laboratory(provider, settings, (first, second))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the provider's program."""
    return made_once("oidc_provider", tmp_path_factory, install_provider)


@pytest.fixture(scope="module")
def laboratory(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A laboratory whose provider is there, with one key."""
    with opening_laboratory(program, tmp_path_factory.mktemp("laboratory")) as opened:
        yield opened


# Browsers -----------------------------------------------------------------------------------------------------------


def find_provider_link(page: str) -> str:
    """Return the link of the page for sign-in that leads to the provider."""
    (link,) = re.findall(r'href="(/login[^"]*)"', page)
    return unescape(link)


def test_sign_in(laboratory: Laboratory) -> None:
    """A signed-out browser is sent to the sign-in, and comes back to its page; its groups say what exists for it."""
    browser = make_browser()
    ways = browser.get(f"{laboratory.url}{LASERS}?image%5B0:1%5D%5B1%5D")
    form = browser.get(f"{laboratory.url}{find_provider_link(ways.text)}")
    page = submit_forms(browser, form, "alice@lasers", urlsplit(laboratory.provider.issuer).netloc)

    assert (page.status_code, str(page.url)) == (200, f"{laboratory.url}{LASERS}?image%5B0:1%5D%5B1%5D")
    assert page.text.startswith("Dataset {")
    assert page.headers["Cache-Control"].startswith("private")
    assert browser.get(f"{laboratory.url}{STAFF}").status_code == 404
    assert browser.get(f"{laboratory.url}/api/v1/exports").status_code == 403


def test_cookie(laboratory: Laboratory) -> None:
    """The cookie of a session is for no script and no other site's form; the database does not have its secret."""
    browser = make_browser()
    answers: list[httpx.Response] = []
    browser.event_hooks["response"].append(answers.append)
    form = browser.get(f"{laboratory.url}/login")
    submit_forms(browser, form, "alice@lasers", urlsplit(laboratory.provider.issuer).netloc)
    (line,) = (
        line
        for answer in answers
        for line in answer.headers.get_list("set-cookie")
        if line.startswith(f"{SESSION_COOKIE}=")
    )
    secret = browser.cookies[SESSION_COOKIE]
    database = laboratory.settings.access.database
    stored = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))

    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in line.split(";")}
    assert len(secret) == 43
    assert secret.encode() not in stored


def test_cookie_over_tls(laboratory: Laboratory) -> None:
    """A server that browsers reach by https has cookies that they send by https only."""
    settings = laboratory.settings.model_copy(
        update={"oidc": laboratory.settings.oidc.model_copy(update={"public_url": "https://images.example.org/shots/"})}
    )
    with serving_app(create_worker(settings), find_free_port()) as url:
        answer = httpx.get(f"{url}/login", trust_env=False, timeout=60)

    assert "; Secure" in answer.headers["Set-Cookie"]
    assert "Path=/shots/login/callback" in answer.headers["Set-Cookie"]
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["redirect_uri"] == [
        "https://images.example.org/shots/login/callback"
    ]


def test_programs(laboratory: Laboratory) -> None:
    """A program without credentials is answered by 401 with both challenges, not by the page of a provider."""
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "text/html, image/gif, *; q=.2", "User-Agent": "Java/17.0.1"}):
        answer = httpx.get(f"{laboratory.url}{LASERS}", headers=headers, trust_env=False, timeout=60)

        assert answer.status_code == 401
        assert [each.partition(" ")[0] for each in answer.headers.get_list("WWW-Authenticate")] == ["Basic", "Bearer"]
    assert httpx.head(f"{laboratory.url}{LASERS}", headers=PAGE, trust_env=False).status_code == 401


def test_logout(laboratory: Laboratory) -> None:
    """A logout ends the session for all workers at once, also for whoever has copied the cookie."""
    browser, _ = laboratory.sign_in("alice@lasers")
    copied = {SESSION_COOKIE: browser.cookies[SESSION_COOKIE]}
    before = [httpx.get(f"{url}{LASERS}", cookies=copied, trust_env=False, timeout=60) for url in laboratory.workers]
    button = browser.get(f"{laboratory.url}/logout")
    answer = browser.post(f"{laboratory.url}/logout", headers={"Origin": laboratory.url})
    after = [httpx.get(f"{url}{LASERS}", cookies=copied, trust_env=False, timeout=60) for url in laboratory.workers]

    assert [each.status_code for each in before] == [200, 200]
    assert '<form method="post" action="/logout">' in button.text
    assert (answer.status_code, SESSION_COOKIE in browser.cookies) == (200, False)
    assert f"{laboratory.provider.issuer}/session/end?client_id=shotdap" in answer.text
    assert [each.status_code for each in after] == [401, 401]
    assert "session has ended" in after[0].text


def test_groups_follow(laboratory: Laboratory) -> None:
    """A user who signs in again with fewer groups has fewer in the sessions that are open, too."""
    first, _ = laboratory.sign_in("bob@staff")
    assert first.get(f"{laboratory.url}{STAFF}").status_code == 200

    laboratory.sign_in("bob@lasers")

    assert first.get(f"{laboratory.url}{STAFF}").status_code == 404


def test_new_session(laboratory: Laboratory) -> None:
    """A sign-in begins a new session, and ends the one that the browser had: nobody can plant one."""
    browser, _ = laboratory.sign_in("alice@lasers")
    before = browser.cookies[SESSION_COOKIE]
    browser.get(f"{laboratory.url}/login")
    answer = httpx.get(f"{laboratory.url}{LASERS}", cookies={SESSION_COOKIE: before}, trust_env=False, timeout=60)

    assert browser.cookies[SESSION_COOKIE] != before
    assert answer.status_code == 401


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "old"])
def test_expiry(*, idle: bool, program: Path, tmp_path: Path) -> None:
    """A session ends after its lifetime, or if it is not used; the browser can then sign in again."""
    lifetimes = {"idle_minutes": 0.5 / 60} if idle else {"session_hours": 0.5 / 3600}
    with opening_laboratory(program, tmp_path, **lifetimes) as laboratory:
        browser, _ = laboratory.sign_in("alice@lasers")
        time.sleep(0.6)
        answer = browser.get(f"{laboratory.url}{LASERS}", follow_redirects=False)
        ways = browser.get(f"{laboratory.url}{LASERS}")
        again = browser.get(f"{laboratory.url}{find_provider_link(ways.text)}")

    assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (303, "/sign-in")
    assert again.text.startswith("Dataset {")


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:1"])
def test_foreign_origin(laboratory: Laboratory, origin: str | None) -> None:
    """A page of another site changes nothing with the cookie of a browser, nor does one that hides where it is from."""
    browser, _ = laboratory.sign_in("alice@staff")
    headers = {} if origin is None else {"Origin": origin}
    answers = [browser.post(f"{laboratory.url}{path}", headers=headers) for path in ("/logout", "/api/v1/exports")]
    own = browser.post(f"{laboratory.url}/api/v1/exports", headers={"Origin": laboratory.url}, json={})

    assert [answer.status_code for answer in answers] == [403, 403]
    assert own.status_code == 400
    assert browser.get(f"{laboratory.url}{STAFF}").status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "\\\\evil.example",
        "javascript:1",
    ],
)
def test_open_redirect(laboratory: Laboratory, page: str) -> None:
    """A sign-in never leads to another server."""
    _, answer = laboratory.sign_in("alice@lasers", page)

    assert answer.url == f"{laboratory.url}/"
    assert not is_own_page(page)


def test_planted_cookie(laboratory: Laboratory) -> None:
    """Nor does it if somebody changed the page in the cookie of the sign-in."""
    browser = make_browser()
    form = browser.get(f"{laboratory.url}/login")
    (cookie,) = (each for each in browser.cookies.jar if each.name.startswith("shotdap_login_"))
    browser.cookies.set(cookie.name, f"{cookie.value}//evil.example", cookie.domain, cookie.path)
    page = submit_forms(browser, form, "alice@lasers", urlsplit(laboratory.provider.issuer).netloc)

    assert page.url == f"{laboratory.url}/"


def finish(laboratory: Laboratory, change: Callable[[str], str]) -> tuple[httpx.Client, httpx.Response]:
    """Sign in with a browser, and change the URL by which it comes back."""
    browser = make_browser()
    form = browser.get(f"{laboratory.url}/login")
    found: list[str] = []

    def catch(response: httpx.Response) -> None:
        location = response.headers.get("Location", "")
        if "/login/callback" in location and not found:
            found.append(location)
            response.headers["Location"] = f"{laboratory.url}/health"

    browser.event_hooks["response"].append(catch)
    submit_forms(browser, form, "alice@lasers", urlsplit(laboratory.provider.issuer).netloc)
    return browser, browser.get(change(found[0]))


def test_other_browser(laboratory: Laboratory) -> None:
    """A link with the code of somebody's sign-in signs in nobody else; nor does a code work twice."""
    links: list[str] = []
    browser, answer = finish(laboratory, lambda url: links.append(url) or url)  # type: ignore[func-returns-value]
    victim = make_browser()

    assert answer.url == f"{laboratory.url}/"
    assert victim.get(links[0]).status_code == 400
    assert SESSION_COOKIE not in victim.cookies
    assert browser.get(links[0]).status_code == 400


@pytest.mark.parametrize(
    ("old", "new", "status", "sentence"),
    [
        ("state=", "state=x", 400, "did not begin in this browser"),
        ("code=", "code=x", 403, "refused: invalid_grant"),
        ("code=", "error=access_denied&old=", 403, "did not sign you in: access_denied"),
        ("iss=http", "iss=https", 403, "another identity provider"),
    ],
)
def test_changed_answer(laboratory: Laboratory, old: str, new: str, status: int, sentence: str) -> None:
    """State, code and issuer of the provider's answer are checked, and a page says what was wrong."""
    browser, answer = finish(laboratory, lambda url: url.replace(old, new))

    assert (answer.status_code, sentence in answer.text) == (status, True), answer.text
    assert SESSION_COOKIE not in browser.cookies


# Programs -----------------------------------------------------------------------------------------------------------


def test_jwt(laboratory: Laboratory) -> None:
    """A JWT of the provider signs in its user, with the groups in it."""
    jwt = laboratory.sign()

    assert [laboratory.get(target, jwt).status_code for target in (LASERS, STAFF)] == [200, 404]
    assert laboratory.get(STAFF, laboratory.sign({"groups": ["staff"]})).status_code == 200


def make_hmac_token(laboratory: Laboratory) -> str:
    """Return a token with the public key as the secret of HMAC: a server that does not pin algorithms accepts it."""
    pem = laboratory.provider.keys[0].as_pem(private=False)
    _, payload, _ = laboratory.sign().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "one"}).encode()).rstrip(b"=").decode()
    code = hmac.HMAC(pem, hashes.SHA256())
    code.update(f"{head}.{payload}".encode())
    return f"{head}.{payload}.{base64.urlsafe_b64encode(code.finalize()).rstrip(b'=').decode()}"


def make_unsigned_token(laboratory: Laboratory) -> str:
    _, payload, _ = laboratory.sign().split(".")
    return f"{base64.urlsafe_b64encode(json.dumps({'alg': 'none'}).encode()).rstrip(b'=').decode()}.{payload}."


BAD_TOKENS: Final[dict[str, tuple[Callable[[Laboratory], str], str]]] = {
    "expired": (lambda lab: lab.sign({"exp": int(time.time()) - 60}), "expired"),
    "without an expiry": (lambda lab: lab.sign({"exp": None}), "exp"),
    "for later": (lambda lab: lab.sign({"nbf": int(time.time()) + 600}), "not yet valid"),
    "for others": (lambda lab: lab.sign({"aud": "https://other.example"}), "aud"),
    "for nobody": (lambda lab: lab.sign({"aud": None}), "aud"),
    "for browsers": (lambda lab: lab.sign({"aud": "shotdap"}), "aud"),
    "of others": (lambda lab: lab.sign({"iss": "https://evil.example"}), "iss"),
    "unsigned": (make_unsigned_token, "'none'"),
    "with the public key": (make_hmac_token, "'HS256'"),
    "with another algorithm": (lambda lab: lab.sign(key=make_key("one", "RS512"), alg="RS512"), "'RS512'"),
    "with another key": (lambda lab: lab.sign(key=make_key("one")), "signature"),
    "with an unknown key": (lambda lab: lab.sign(key=make_key("other")), "does not publish"),
    "changed": (lambda lab: lab.sign().replace(".", ".e30", 1), "signature"),
    "of another type": (lambda lab: lab.sign(typ="logout+jwt"), "no access token"),
    "bound to a key": (lambda lab: lab.sign({"cnf": {"jkt": "x"}}), "bound to a key"),
    "without a name": (lambda lab: lab.sign({"preferred_username": None}), "preferred_username"),
    "with an empty name": (lambda lab: lab.sign({"preferred_username": ""}), "preferred_username"),
    "with a program's name": (lambda lab: lab.sign({"preferred_username": "service:harvester"}), "begins with"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_bad_jwt(laboratory: Laboratory, kind: str) -> None:
    """A JWT that is not valid here signs in nobody; the answer says why, with both challenges."""
    make, sentence = BAD_TOKENS[kind]
    answer = laboratory.get(LASERS, make(laboratory))

    assert answer.status_code == 401
    assert sentence in answer.text
    assert len(answer.headers.get_list("WWW-Authenticate")) == 2


def test_service_account(laboratory: Laboratory) -> None:
    """A program with an account of its own has the groups that the settings give it; others are refused."""
    known = laboratory.provider.request_service_token("harvester", "harvest", AUDIENCE)
    stranger = laboratory.provider.request_service_token("stranger", "strange", AUDIENCE)
    elsewhere = laboratory.provider.request_service_token("harvester", "harvest", "https://other.example")

    assert [laboratory.get(target, known).status_code for target in (LASERS, STAFF)] == [200, 404]
    assert "no account here" in laboratory.get(LASERS, stranger).text
    assert laboratory.get(LASERS, elsewhere).status_code == 401


def test_rotated_keys(program: Path, tmp_path: Path) -> None:
    """A key that is not known yet is fetched, but not more often than every few seconds."""
    with opening_laboratory(program, tmp_path, keys_seconds=1) as laboratory:
        provider = laboratory.provider
        assert laboratory.get(LASERS, laboratory.sign()).status_code == 200
        provider.stop()
        provider.keys.insert(0, make_key("two"))
        provider.start()
        time.sleep(1)

        assert laboratory.get(LASERS, laboratory.sign()).status_code == 200
        assert laboratory.get(LASERS, laboratory.sign(key=provider.keys[1])).status_code == 200


def test_seldom_asked(program: Path, tmp_path: Path) -> None:
    """Tokens that name unknown keys do not make the server ask the provider for each of them."""
    with opening_laboratory(program, tmp_path, keys_seconds=3600) as laboratory:
        provider = laboratory.provider
        assert laboratory.get(LASERS, laboratory.sign()).status_code == 200
        provider.stop()
        provider.keys.insert(0, make_key("two"))
        provider.start()

        assert laboratory.get(LASERS, laboratory.sign()).status_code == 401


def test_provider_away(program: Path, tmp_path: Path) -> None:
    """While the provider is away, known keys and sessions work; what cannot be checked is 503, with a sentence."""
    with opening_laboratory(program, tmp_path, keys_seconds=1) as laboratory:
        browser, _ = laboratory.sign_in("alice@lasers")
        assert laboratory.get(LASERS, laboratory.sign()).status_code == 200
        laboratory.provider.stop()
        time.sleep(1)
        unknown = laboratory.get(LASERS, laboratory.sign(key=make_key("two")))
        other_worker = httpx.get(
            f"{laboratory.workers[1]}{LASERS}",
            headers={"Authorization": f"Bearer {laboratory.sign()}"},
            trust_env=False,
        )
        page = make_browser().get(f"{laboratory.workers[1]}/login")

        assert laboratory.get(LASERS, laboratory.sign()).status_code == 200
        assert browser.get(f"{laboratory.url}{LASERS}").status_code == 200
        assert (unknown.status_code, other_worker.status_code, page.status_code) == (503, 503, 503)
        assert "identity provider does not answer now" in unknown.text
        assert "identity provider does not answer now" in page.text
        assert unknown.headers["Retry-After"] == "5"
        assert httpx.get(f"{laboratory.workers[1]}/health", trust_env=False, timeout=60).status_code == 200


# The command line ---------------------------------------------------------------------------------------------------


def enter_code(laboratory: Laboratory, code: DeviceCode, account: str) -> httpx.Response:
    """Enter a code as a user does, in their browser."""
    browser = make_browser()
    return submit_forms(browser, browser.get(code.page_with_code), account, urlsplit(laboratory.provider.issuer).netloc)


def test_device_flow(laboratory: Laboratory) -> None:
    """The command line shows a code, waits for the user, and gets a JWT with which it is signed in as them."""
    codes: list[DeviceCode] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:  # the first question came too early
            enter_code(laboratory, codes[0], "alice@lasers")

    with httpx.Client(trust_env=False, timeout=30) as client:
        jwt = sign_in_by_device(client, laboratory.url, codes.append, wait)

    assert codes[0].page == f"{laboratory.provider.issuer}/device"
    assert waits == [5, 5]
    assert [laboratory.get(target, jwt).status_code for target in (LASERS, STAFF)] == [200, 404]


def test_code_is_not_entered(laboratory: Laboratory) -> None:
    """Without the user, the command line gives up when the code has expired."""
    with httpx.Client(trust_env=False, timeout=30) as client, pytest.raises(DeviceFlowError, match="has expired"):
        sign_in_by_device(client, laboratory.url, lambda _: None, lambda _: None)


def test_slow_down() -> None:
    """A provider that is asked too often is asked less often (RFC 8628, 3.5); a refusal of the user is told."""
    errors = iter(("slow_down", "authorization_pending", "slow_down", "access_denied"))
    issuer = "https://login.example.org"
    documents: dict[str, dict[str, Any]] = {
        "/api/v1/sign-in": {"mode": "oidc", "issuer": issuer, "client_id": "c", "scopes": ["openid"], "resource": ""},
        "/.well-known/openid-configuration": {
            "issuer": issuer,
            "device_authorization_endpoint": f"{issuer}/device",
            "token_endpoint": f"{issuer}/token",
        },
        "/device": {
            "device_code": "d",
            "user_code": "A-B",
            "verification_uri": f"{issuer}/enter",
            "expires_in": 600,
            "interval": 1,
        },
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(400, json={"error": next(errors)})
        return httpx.Response(200, json=documents[request.url.path])

    waits: list[float] = []
    client = httpx.Client(transport=httpx.MockTransport(answer))

    with pytest.raises(DeviceFlowError, match="was refused"):
        sign_in_by_device(client, "https://images.example.org", lambda _: None, waits.append)
    assert waits == [1, 6, 6, 11]


def test_description(laboratory: Laboratory, every_folder: Path) -> None:
    """A server says how its users sign in; one without a provider says so."""
    description = httpx.get(f"{laboratory.url}/api/v1/sign-in", trust_env=False, timeout=60).json()

    assert description == {
        "mode": "oidc",
        "issuer": laboratory.provider.issuer,
        "client_id": "shotdap-login",
        "scopes": ["openid", "profile"],
        "resource": AUDIENCE,
        "page": f"{laboratory.url}/login",
    }
    catalog = Site(load_settings(None, {"archive.folder": every_folder})).open_catalog()
    app = create_app(catalog, load_settings(None, {"access.mode": "open"}))
    with (
        serving_app(app, find_free_port()) as url,
        httpx.Client(trust_env=False, timeout=60) as client,
        pytest.raises(DeviceFlowError, match="no identity provider"),
    ):
        sign_in_by_device(client, url, lambda _: None)


# The whole server -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`shotdap serve` with two workers, beside those of the laboratory."""
    folder, oidc, access = tmp_path_factory.mktemp("server"), laboratory.settings.oidc, laboratory.settings.access
    (folder / "shotdap.toml").write_text(f"""
        [archive]
        folder = "{laboratory.settings.archive.folder}"
        [server]
        workers = 2
        [exports]
        folder = ""
        [access]
        database = "{access.database}"
        [oidc]
        issuer = "{oidc.issuer}"
        client_id = "shotdap"
        client_secret_file = "{oidc.client_secret_file}"
        device_client_id = "shotdap-login"
        audience = "{AUDIENCE}"
        resource = "{AUDIENCE}"
        public_url = "{laboratory.url}"
    """)
    with serving(folder / "log", "--config", folder / "shotdap.toml", mode="oidc") as started:
        yield started


def test_token_for_jwt(laboratory: Laboratory, server: Server) -> None:
    """The command line exchanges the JWT, which expires soon, for a token of the server."""
    codes: list[DeviceCode] = []

    def wait(_: float) -> None:
        enter_code(laboratory, codes[0], "carol@lasers")

    with httpx.Client(trust_env=False, timeout=30) as client:
        jwt = sign_in_by_device(client, server.url, codes.append, wait)
        token = exchange_for_token(client, server.url, jwt, {"name": "laptop"})
        with pytest.raises(DeviceFlowError, match="JWT"):
            exchange_for_token(client, server.url, f"{jwt}x", {"name": "laptop"})
        answer = client.get(f"{server.url}{LASERS}", auth=("any", token))

    assert token.startswith("sd_")
    assert answer.status_code == 200


def test_login_on_the_command_line(laboratory: Laboratory, server: Server, tmp_path: Path) -> None:
    """`shotdap login` says what to do in the browser, and stores a token with which the user is signed in."""
    command = [SHOTDAP, "login", server.url, "--name", "laptop", "--home", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=make_environment()
    ) as process:
        assert process.stdout
        assert process.stderr
        said = process.stderr.readline()
        page, link = re.findall(r"https?://\S+", said)
        enter_code(laboratory, DeviceCode("", page, link, 0), "carol@lasers")
        stored = process.stdout.read()

    assert process.returncode == 0
    assert page == f"{laboratory.provider.issuer}/device"
    assert "Signed in at 127.0.0.1" in stored
    auth = httpx.NetRCAuth(str(tmp_path / ".netrc"))
    assert httpx.get(f"{server.url}{LASERS}", auth=auth, trust_env=False, timeout=60).status_code == 200


def test_login_without_a_provider(demo: Server) -> None:
    """`shotdap login` says in a sentence that nobody signs in at a server, or that nobody answers."""
    without = run_shotdap("login", demo.url)
    nowhere = run_shotdap("login", f"http://127.0.0.1:{find_free_port()}")

    assert (without.returncode, nowhere.returncode) == (2, 2)
    assert "has no identity provider" in without.stderr
    assert "does not answer" in nowhere.stderr


def test_logout_on_two_workers(laboratory: Laboratory, server: Server) -> None:
    """No worker process answers the session any more after one has ended it."""
    browser, _ = laboratory.sign_in("alice@lasers")
    copied = {SESSION_COOKIE: browser.cookies[SESSION_COOKIE]}

    def ask() -> set[int]:
        return {
            httpx.get(f"{server.url}{LASERS}", cookies=copied, trust_env=False, timeout=60).status_code
            for _ in range(20)
        }

    before = ask()
    httpx.post(f"{server.url}/logout", cookies=copied, headers={"Origin": laboratory.url}, trust_env=False, timeout=60)

    assert (before, ask()) == ({200}, {401})


def test_missing_settings(tmp_path: Path, every_folder: Path) -> None:
    """A server without the settings of its provider does not start, and says which is missing."""
    (tmp_path / "shotdap.toml").write_text('[oidc]\nclient_id = "x"\n')
    done = subprocess.run(
        [SHOTDAP, "serve", "--config", tmp_path / "shotdap.toml", "--folder", every_folder],
        check=False,
        capture_output=True,
        text=True,
        env=make_environment() | {"SHOTDAP_ACCESS__MODE": "oidc"},
        timeout=60,
    )

    assert done.returncode != 0
    assert "oidc.issuer is empty" in done.stdout + done.stderr


# Settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("issuer", "", "oidc.issuer is empty"),
        ("audience", "", "oidc.audience is empty"),
        ("issuer", "http://login.example.org", "https is needed"),
        ("public_url", "images.example.org", "oidc.public_url is no URL"),
        ("scopes", ("profile",), '"openid" must be among them'),
    ],
)
def test_settings(laboratory: Laboratory, name: str, value: object, sentence: str) -> None:
    """A mistake in the settings is a sentence when the server starts."""
    with pytest.raises(BadSettings, match=re.escape(sentence)):
        IdentityProvider(laboratory.settings.oidc.model_copy(update={name: value}))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_algorithms(algorithm: str) -> None:
    """No setting allows tokens without a signature, or with a secret that the server would have to share."""
    with pytest.raises(BadSettings, match=r"oidc\.algorithms"):
        load_settings(None, {"oidc.algorithms": [algorithm]})


def test_secret_of_others(laboratory: Laboratory, tmp_path: Path) -> None:
    """The secret of the client may be read by the server's account only."""
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o644)

    with pytest.raises(BadSettings, match=r"oidc\.client_secret_file: others may read"):
        IdentityProvider(laboratory.settings.oidc.model_copy(update={"client_secret_file": tmp_path / "secret"}))
