"""Sign-in, one's own tokens and failed calls, as pages of a closed server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.serving import Server, run_shotdap, serving

PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
SETTINGS: Final = """
[archive]
url = "sqlite:///archive.db"
root = "files"
[catalog]
index = "catalog.db"
[access]
database = "access.db"
[[access.rules]]
users = ["*"]
facts = { facility = "OMEGA" }
"""
OWN: Final = "/shots/omega/62328"
HIDDEN: Final = "/shots/omega-ep/25386"
SECRET: Final = re.compile(r"sd_[A-Za-z0-9]{43}")


@dataclass(frozen=True)
class Closed:
    """A closed server, and its settings."""

    server: Server
    config: Path

    @property
    def url(self) -> str:
        """The URL of the server."""
        return self.server.url

    def make_token(self, *options: str) -> str:
        """Make a token on the command line."""
        made = run_shotdap("token", "create", *options, "--config", self.config)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def open_browser(self) -> httpx.Client:
        """Return a browser without a session."""
        return httpx.Client(base_url=self.url, headers=PAGE, trust_env=False, timeout=60)

    def sign_in(self, token: str, page: str = "/tokens") -> tuple[httpx.Client, httpx.Response]:
        """Return a browser that has sent the form for sign-in, and the answer."""
        browser = self.open_browser()
        fields = {"token": token, "next": page}
        return browser, browser.post("/sign-in", data=fields, headers={"Origin": self.url})


@pytest.fixture(scope="module")
def site(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("closed") / "copy"
    shutil.copytree(archive, folder)
    config = folder / "closed.toml"
    config.write_text(SETTINGS)
    with serving(folder / "closed.log", "--config", config, mode="token") as server:
        yield Closed(server, config)


@pytest.fixture(scope="module")
def token(site: Closed) -> str:
    """A token of Alice."""
    return site.make_token("alice", "--scope", "read", "--scope", "export")


def send(browser: httpx.Client, target: str, /, **fields: str) -> httpx.Response:
    """Send a form of a page of the server."""
    origin = str(browser.base_url).rstrip("/")
    return browser.post(target, data=fields, headers={"Origin": origin})


# Status --------------------------------------------------------------------------------------------------------------


def test_status(site: Closed, token: str) -> None:
    """The status is shown to administrators only; whoever may not see all images sees no request of somebody else."""
    admin = site.make_token("root", "--scope", "read", "--scope", "admin")
    own = {"Authorization": f"Bearer {token}", "Accept": "*/*"}
    with site.open_browser() as browser:
        browser.get("/api/v1/images/omega/112059/iaw_ccd/IAW_CCD-s112059", headers=own)
        hidden = browser.get("/status", headers=own)
        shown = browser.get("/status", headers={"Authorization": f"Bearer {admin}"})

    assert hidden.status_code == 403
    assert shown.status_code == 200
    assert "Everything runs." in shown.text
    assert "IAW_CCD-s112059" not in shown.text


# Sign-in -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", OWN, "/search?q=sop", "/tokens", "/dap/omega/62328/asbo1/asbo1_s62328.html"])
def test_way_to_sign_in(site: Closed, path: str) -> None:
    """A browser that is not signed in is sent to the sign-in, and nothing is revealed; a program gets a challenge."""
    with site.open_browser() as browser:
        answer = browser.get(path)
        form = browser.get(answer.headers["location"])
        program = browser.get(path, headers={"Accept": "*/*"})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")
    assert 'name="token"' in form.text
    assert "62328" not in form.text.replace(OWN, "").replace("/dap/omega/62328/asbo1/asbo1_s62328.html", "")
    assert program.status_code == (200 if path == "/" else 401)


def test_session(site: Closed, token: str) -> None:
    """A token begins a session, which leads back to the page and sees what the token sees."""
    browser, answer = site.sign_in(token, OWN)
    with closing(browser):
        line = answer.headers["set-cookie"]
        page, hidden = browser.get(answer.headers["location"]), browser.get(HIDDEN)

    assert (answer.status_code, answer.headers["location"]) == (303, OWN)
    assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in line.split(";")}
    assert token not in line
    assert page.status_code == 200
    assert "alice" in page.text
    assert hidden.status_code == 404


@pytest.mark.parametrize("wrong", ["", "sd_wrong", "x" * 46, "sd_" + "0" * 43])
def test_wrong_token(site: Closed, wrong: str) -> None:
    """A wrong token and a revoked one have one answer."""
    browser, answer = site.sign_in(wrong)
    browser.close()

    assert answer.status_code == 403
    assert "This token is not known, or has been revoked." in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("page", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_way_back(site: Closed, token: str, page: str) -> None:
    """The way back leads to a page of this server, and nowhere else."""
    browser, answer = site.sign_in(token, page)
    browser.close()

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example"])
def test_foreign_page(site: Closed, token: str, origin: str | None) -> None:
    """A page of another site signs in nobody, makes no token and revokes none."""
    headers = {} if origin is None else {"Origin": origin}
    browser, _ = site.sign_in(token)
    with closing(browser):
        before = browser.get("/tokens").text
        answers = [
            browser.post(path, data={"name": "planted", "days": "7", "token": token, "id": "x"}, headers=headers)
            for path in ("/sign-in", "/tokens", "/tokens/revoke", "/logout")
        ]
        after = browser.get("/tokens").text
    with site.open_browser() as fresh:
        planted = fresh.post("/sign-in", data={"token": token}, headers=headers)

    assert {each.status_code for each in (*answers, planted)} == {403}
    assert "set-cookie" not in planted.headers
    assert "planted" not in after
    assert before == after


def test_sign_out(site: Closed, token: str) -> None:
    """A sign-out ends the session, also for whoever has copied the cookie."""
    browser, _ = site.sign_in(token)
    copied = dict(browser.cookies)
    with closing(browser):
        button = browser.get("/logout")
        answer = send(browser, "/logout")
        again = httpx.get(f"{site.url}/tokens", cookies=copied, headers=PAGE, trust_env=False)

    assert 'action="/logout"' in button.text
    assert "You are signed out" in answer.text
    assert again.status_code == 303


def test_revoked_session(site: Closed) -> None:
    """A session that a token began ends with the token."""
    made = site.make_token("carol")
    browser, _ = site.sign_in(made)
    with closing(browser):
        (id_,) = re.findall(r'name="id" value="(\w+)"', browser.get("/tokens").text)
        send(browser, "/tokens/revoke", id=id_)
        answer = browser.get(OWN)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")


def test_restricted_session(site: Closed) -> None:
    """A session allows no more than its token: no other shot, and no tokens."""
    made = site.make_token("dora", "--path", "omega/62328")
    browser, _ = site.sign_in(made)
    with closing(browser):
        statuses = [browser.get(path).status_code for path in (OWN, "/shots/omega/103741", "/tokens")]
        start = browser.get("/").text

    assert statuses == [200, 404, 403]
    assert "103741" not in start


# Tokens --------------------------------------------------------------------------------------------------------------


def test_tokens(site: Closed, token: str) -> None:
    """A token is made by a form, shown once with the lines to use it, listed and revoked."""
    browser, _ = site.sign_in(token)
    with closing(browser):
        made = send(browser, "/tokens", name="lab <b>PC</b>", days="30", scope="read", path="omega/62328")
        secret = SECRET.findall(unescape(made.text))[0]
        listed = browser.get("/tokens").text
        used = httpx.get(f"{site.url}/dap/omega/62328/asbo1/asbo1_s62328.dds", auth=("any", secret), trust_env=False)
        id_ = re.findall(r'name="id" value="(\w+)"', listed)[0]  # the newest is the first
        revoked = send(browser, "/tokens/revoke", id=id_)
        left = browser.get("/tokens").text

    assert "no-store" in made.headers["cache-control"]
    assert f"HTTP.CREDENTIALS.PASSWORD={secret}" in made.text
    assert f"machine 127.0.0.1 login any password {secret}" in made.text
    assert f"shotdap login {site.url} --token -" in unescape(made.text)
    assert secret not in listed
    assert "lab &lt;b&gt;PC&lt;/b&gt;" in listed
    assert used.status_code == 200
    assert revoked.headers["location"] == "/tokens"
    assert "lab &lt;b&gt;PC" not in left


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "", "days": "30"}, "A token's name has 1 to 100 characters."),
        ({"name": "x", "days": "100000"}, "Say how long the token is valid"),
        ({"name": "x", "days": "30", "path": "/"}, "An empty path would be the whole catalog"),
    ],
)
def test_no_such_token(site: Closed, token: str, fields: dict[str, str], sentence: str) -> None:
    """A form that is not valid is shown again, with the reason."""
    browser, _ = site.sign_in(token)
    with closing(browser):
        answer = send(browser, "/tokens", **fields)

    assert answer.status_code == 400
    assert sentence in unescape(answer.text)


def test_no_more_than_allowed(site: Closed) -> None:
    """Nobody makes a token that may do more than they, by a form that they have changed."""
    browser, _ = site.sign_in(site.make_token("erik"))
    with closing(browser):
        form = browser.get("/tokens").text
        answer = send(browser, "/tokens", name="x", days="7", scope="export")

    assert 'name="scope"' not in form
    assert answer.status_code == 403
    assert not SECRET.search(answer.text)


def test_revoke_others(site: Closed, token: str) -> None:
    """Nobody revokes the token of somebody else."""
    other, _ = site.sign_in(site.make_token("frida"))
    with closing(other):
        (id_,) = re.findall(r'name="id" value="(\w+)"', other.get("/tokens").text)
        browser, _ = site.sign_in(token)
        with closing(browser):
            answer = send(browser, "/tokens/revoke", id=id_)
        still = other.get("/tokens")

    assert answer.status_code == 400
    assert still.status_code == 200


def test_open_server(demo: Server) -> None:
    """A server that is open to everybody has no tokens, and its sign-in leads to the shots."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False) as browser:
        answers = [browser.get(path) for path in ("/tokens", "/sign-in")]
        start = browser.get("/").text

    assert [each.status_code for each in answers] == [404, 303]
    assert 'href="/tokens"' not in start
    assert 'href="/sign-in"' not in start


# Failed calls --------------------------------------------------------------------------------------------------------


def test_failed_calls(site: Closed) -> None:
    """One's own failed calls are listed with the reason and the URL that would work; nobody else sees them."""
    made = site.make_token("greta")
    httpx.get(f"{site.url}/dap/omega/62328/asbo1/asbo1_s6238.dds", auth=("any", made), trust_env=False)
    browser, _ = site.sign_in(made)
    with closing(browser):
        page = unescape(browser.get("/calls").text)
    other, _ = site.sign_in(site.make_token("hanna"))
    with closing(other):
        of_others = other.get("/calls").text

    assert "/dap/omega/62328/asbo1/asbo1_s6238.dds" in page
    assert f"{site.url}/dap/omega/62328/asbo1/asbo1_s62328.dds" in page
    assert "asbo1_s6238" not in of_others
