"""The identity provider of a laboratory (OpenID Connect): its endpoints, its keys, and the tokens that it signs.

The keys are kept: a provider that is away does not sign out anybody. They are fetched again when a token names one
that is not known, because a provider replaces its keys, and now and then, because it withdraws some.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from shotdap.config import BadSettings
from shotdap.config.secret_file import read_secret
from shotdap.config.settings import OidcSettings
from shotdap.server.access.authentication import NotAvailable, NotSignedIn
from shotdap.server.http.outgoing import create_outgoing_client, is_safe_url

_LOG = logging.getLogger("shotdap.access")
_KEYS_LIFETIME: Final = 600.0  # seconds after which keys are fetched again, while the known ones are used
_RETRY_SECONDS: Final = 5.0  # after a failure; sooner than after a success, as then there may be no keys at all
_LEEWAY: Final = 30  # seconds by which clocks may differ
_KEY_TYPES: Final = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}
"""By the beginning of an algorithm's name. None is symmetric: a public key is never taken for a shared secret."""
_ACCESS_TOKEN_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_ERROR_CODE: Final = re.compile(r"[a-z_]{1,60}")
_Key = RSAKey | ECKey | OKPKey


@dataclass(frozen=True)
class _PublishedKey:
    """A key that a provider signs with."""

    name: object
    algorithm: object
    """The only one it is for; `None` if it is for all of its type."""
    key: _Key

    def fits(self, algorithm: str, name: object) -> bool:
        """Check whether the key can have signed a token with this header."""
        is_of_type = isinstance(self.key, _KEY_TYPES[algorithm[:2]])
        return is_of_type and self.algorithm in {None, algorithm} and (name is None or self.name == name)


@dataclass(frozen=True)
class Endpoints:
    """URLs of a provider; empty for what it does not have."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    end_session: str
    takes_basic: bool
    """Whether a client sends its secret as the password of Basic; otherwise in the body."""


@dataclass(frozen=True)
class _Document:
    """Documents that a provider published when it was last asked."""

    endpoints: Endpoints
    keys: tuple[_PublishedKey, ...]
    time: float


class IdentityProvider:
    """The provider of a site. Nothing is fetched before it is needed.

    Args:
        settings: of the provider.

    Raises:
        BadSettings: a setting is missing or not valid; see `check_provider_settings`.
    """

    def __init__(self, settings: OidcSettings) -> None:
        check_provider_settings(settings)
        self.settings = settings
        self._secret = read_secret("oidc.client_secret_file", settings.client_secret_file)
        self._lock = asyncio.Lock()
        self._document: _Document | None = None
        self._failure = ""
        self._next_attempt = 0.0
        self._renewal: asyncio.Task[None] | None = None

    @property
    def end_session_url(self) -> str:
        """The page on which a user signs out from the provider; empty while it is not known."""
        url = self._document.endpoints.end_session if self._document else ""
        return f"{url}?client_id={quote(self.settings.client_id, safe='')}" if url else ""

    async def find_endpoints(self) -> Endpoints:
        """Return the endpoints.

        Raises:
            NotAvailable: they are not known, and the provider does not answer.
        """
        if self._document is None:
            await self._renew()
        if self._document is None:
            raise NotAvailable(self._failure)
        return self._document.endpoints

    async def verify_access_token(self, text: str) -> Mapping[str, Any]:
        """Return the claims of an access token that the provider signed for this server, and that is valid now.

        Raises:
            NotSignedIn: it is no such token.
            NotAvailable: the key is not known, and the provider does not answer.
        """
        header = _parse_header(text)
        if str(header.get("typ", "")).lower() not in _ACCESS_TOKEN_TYPES:
            raise NotSignedIn("This JWT is no access token.")
        claims = await self._verify(text, header, self.settings.audience)
        if "cnf" in claims:
            raise NotSignedIn("This JWT is bound to a key of its client, and is not accepted as Bearer.")
        return claims

    async def exchange_code(self, code: str, verifier: str, redirect_url: str, nonce: str) -> Mapping[str, Any]:
        """Exchange the code with which a browser came back for verified claims about its user.

        Args:
            code: the provider's.
            verifier: of PKCE, whose hash began the sign-in.
            redirect_url: to which the browser came back.
            nonce: which the sign-in began with, and which the ID token has to repeat.

        Returns:
            The claims of the ID token, with those of the userinfo endpoint that it does not have.

        Raises:
            NotSignedIn: the provider refused the code, or signed something else.
            NotAvailable: the provider does not answer.
        """
        endpoints, settings = await self.find_endpoints(), self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_url,
        }
        basic: httpx.BasicAuth | None = None
        if self._secret is not None and endpoints.takes_basic:  # both are form-encoded (RFC 6749, 2.3.1)
            basic = httpx.BasicAuth(quote(settings.client_id, safe=""), quote(self._secret, safe=""))
        else:
            form |= {"client_id": settings.client_id, **({"client_secret": self._secret} if self._secret else {})}
        answer = await self._ask("POST", endpoints.token, data=form, auth=basic)
        text = answer.get("id_token")
        if not isinstance(text, str):
            raise NotSignedIn("The identity provider sent no ID token.")
        claims = await self._verify(text, _parse_header(text), settings.client_id)
        if claims.get("nonce") != nonce or claims.get("azp", settings.client_id) != settings.client_id:
            raise NotSignedIn("The identity provider's ID token belongs to another sign-in.")
        access_token = answer.get("access_token")
        if not endpoints.userinfo or not isinstance(access_token, str):
            return claims
        more = await self._ask("GET", endpoints.userinfo, headers={"Authorization": f"Bearer {access_token}"})
        if more.get("sub") != claims.get("sub"):
            raise NotSignedIn("The identity provider describes another user than it signed in.")
        return {**more, **claims}

    async def _verify(self, text: str, header: Mapping[str, Any], audience: str) -> Mapping[str, Any]:
        """Return the claims of a JWT after its algorithm, signature, issuer, audience and times are checked."""
        algorithm = header.get("alg")
        if algorithm not in self.settings.algorithms:
            raise NotSignedIn(f"The algorithm {algorithm!r} of this JWT is not accepted (oidc.algorithms).")
        key = await self._find_key(algorithm, header.get("kid"))
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        signatures = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        try:
            claims = jwt.decode(text, key, registry=signatures).claims
        except (JoseError, ValueError):
            raise NotSignedIn("The signature of this JWT is not valid.") from None
        try:
            registry.validate(claims)
        except ExpiredTokenError:
            raise NotSignedIn("This JWT has expired; sign in again.") from None
        except JoseError as error:
            raise NotSignedIn(f"This JWT is not valid here: {error.description}.") from None
        return claims

    async def _find_key(self, algorithm: str, name: object) -> _Key:
        """Return the key with a name, or the only one for an algorithm if the token names none."""
        document = self._document
        if document and time.monotonic() - document.time > _KEYS_LIFETIME and not self._renewal:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(lambda _: setattr(self, "_renewal", None))
        key = self._choose_key(algorithm, name)
        if key is None:
            await self._renew()
            key = self._choose_key(algorithm, name)
        if key is not None:
            return key
        if self._failure:
            raise NotAvailable(self._failure)
        raise NotSignedIn("This JWT is signed with a key that the identity provider does not publish.")

    def _choose_key(self, algorithm: str, name: object) -> _Key | None:
        keys = [each.key for each in self._document.keys if each.fits(algorithm, name)] if self._document else []
        return keys[0] if keys and (name is not None or len(keys) == 1) else None

    async def _renew(self) -> None:
        """Ask the provider for its endpoints and keys, unless it was asked a moment ago."""
        async with self._lock:
            now = time.monotonic()
            if now < self._next_attempt:
                return
            try:
                self._document = await self._fetch_document(now)
            except (NotAvailable, NotSignedIn) as error:
                self._failure = str(error)
                _LOG.warning("The keys of %s are not renewed. %s", self.settings.issuer, error)
            else:
                self._failure = ""
            pause = self.settings.keys_seconds
            self._next_attempt = time.monotonic() + (min(pause, _RETRY_SECONDS) if self._failure else pause)

    async def _fetch_document(self, now: float) -> _Document:
        issuer = self.settings.issuer
        metadata = await self._ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise NotAvailable("The identity provider calls itself otherwise than oidc.issuer does.")
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        endpoints = Endpoints(
            self._get_url(metadata, "authorization_endpoint"),
            self._get_url(metadata, "token_endpoint"),
            self._get_url(metadata, "jwks_uri"),
            self._get_url(metadata, "userinfo_endpoint", optional=True),
            self._get_url(metadata, "end_session_endpoint", optional=True),
            "client_secret_basic" in methods or "client_secret_post" not in methods,
        )
        keys = (await self._ask("GET", endpoints.keys)).get("keys")
        if not isinstance(keys, list):
            raise NotAvailable("The identity provider publishes no keys.")
        return _Document(endpoints, tuple(_import_keys(keys)), now)

    def _get_url(self, metadata: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
        url = metadata.get(name)
        if url is None and optional:
            return ""
        if not isinstance(url, str) or not is_safe_url(url):
            raise NotAvailable(f"The identity provider's {name} is no URL with https.")
        return url

    async def _ask(self, method: str, url: str, **options: Any) -> Mapping[str, Any]:  # noqa: ANN401 — httpx's options
        """Return the JSON object with which the provider answers.

        Raises:
            NotSignedIn: it refuses.
            NotAvailable: it does not answer, or not so.
        """
        try:
            async with (
                asyncio.timeout(self.settings.seconds),
                create_outgoing_client(self.settings.seconds) as client,
            ):
                response = await client.request(method, url, **options)
                document = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:  # ValueError: not JSON
            _LOG.warning("The identity provider failed at %s: %s", url, type(error).__name__)
            raise NotAvailable("The identity provider does not answer now; try again later.") from None
        if not isinstance(document, dict) or response.is_server_error or response.is_redirect:
            raise NotAvailable("The identity provider does not answer as it should; try again later.")
        if response.is_client_error:
            code = document.get("error")
            said = code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else response.status_code
            raise NotSignedIn(f"The identity provider refused: {said}.")
        return document


def check_provider_settings(settings: OidcSettings) -> None:
    """Check that the settings describe a provider.

    Raises:
        BadSettings: a setting is missing, or a URL is neither https nor on this machine.
    """
    for name in ("issuer", "client_id", "audience", "public_url"):
        if not getattr(settings, name):
            raise BadSettings(f'oidc.{name} is empty; access.mode = "oidc" needs it. See docs/sign-in.md.')
    if not is_safe_url(settings.issuer):
        raise BadSettings("oidc.issuer: https is needed, except on this machine.")
    public = urlsplit(settings.public_url)
    if public.scheme not in {"http", "https"} or not public.netloc or public.query or public.fragment:
        raise BadSettings('oidc.public_url is no URL of a server, such as "https://images.example.org".')
    if "openid" not in settings.scopes:
        raise BadSettings('oidc.scopes: "openid" must be among them.')


def _parse_header(text: str) -> Mapping[str, Any]:
    try:
        return jws.extract_compact(text.encode()).headers()
    except (JoseError, ValueError):
        raise NotSignedIn("This is no JWT with a signature.") from None


def _import_keys(keys: list[Any]) -> Iterator[_PublishedKey]:
    """Yield the keys for signatures; a provider may publish others that this server cannot use."""
    for key in keys:
        try:
            imported = JWKRegistry.import_key(key)
            use, name, algorithm = (key.get(member) for member in ("use", "kid", "alg"))
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
        if isinstance(imported, RSAKey | ECKey | OKPKey) and use in {None, "sig"}:
            yield _PublishedKey(name, algorithm, imported)
