"""What a server asks of others: its identity provider, where the settings say so. Webhooks have tests of their own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.in_process import serve_app

from shotdap.config import load_settings
from shotdap.server.access.authentication import NotAvailable, NotSignedIn
from shotdap.server.access.sign_in.identity_provider import IdentityProvider

METADATA: Final = "/.well-known/openid-configuration"
KEY: Final = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@dataclass
class FakeProvider:
    """A provider whose description a test may change, and the paths that it was asked for."""

    url: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def create_app(self) -> Starlette:
        """Create its application."""
        return Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        path = request.url.path
        self.asked.append(path)
        if path == METADATA:
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            return JSONResponse({"issuer": self.url, **{name: f"{self.url}/{name}" for name in names}, **self.changes})
        if path == "/moved":
            return RedirectResponse(f"{self.url}/internal")
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})

    def connect(self) -> IdentityProvider:
        """Return the server's side of it."""
        settings = load_settings(
            overrides={
                "oidc.issuer": self.url,
                "oidc.client_id": "shotdap",
                "oidc.audience": "shots",
                "oidc.public_url": "http://127.0.0.1",
            }
        )
        return IdentityProvider(settings.oidc)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A provider on this machine."""
    made = FakeProvider()
    with serve_app(made.create_app()) as url:
        made.url = url
        yield made


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "file:///etc/passwd", "gopher://127.0.0.1", "//x", 7])
def test_endpoints(name: str, url: object, provider: FakeProvider) -> None:
    """A description of the provider that names URLs without https is refused before any of them is asked."""
    provider.changes = {name: url}
    with pytest.raises(NotAvailable, match=name):
        asyncio.run(provider.connect().find_endpoints())

    assert provider.asked == [METADATA]


def test_redirect(provider: FakeProvider) -> None:
    """A redirect is not followed: it could lead to a server that only this one reaches."""
    provider.changes = {"jwks_uri": f"{provider.url}/moved"}
    with pytest.raises(NotAvailable):
        asyncio.run(provider.connect().find_endpoints())

    assert provider.asked == [METADATA, "/moved"]


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_urls_in_tokens(header: str, provider: FakeProvider) -> None:
    """A token that says where its key is does not make the server ask there."""
    claim = {"alg": "RS256", "kid": "two", "typ": "at+jwt", header: f"{provider.url}/evil"}
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (claim, {})]
    with pytest.raises(NotSignedIn, match="does not publish"):
        asyncio.run(provider.connect().verify_access_token(f"{'.'.join(parts)}.AAAA"))

    assert set(provider.asked) == {METADATA, "/jwks_uri"}
