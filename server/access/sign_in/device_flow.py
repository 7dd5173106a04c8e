"""Sign-in of a user of the command line with the identity provider: the device flow (RFC 8628).

The user opens a page in any browser, on any machine, and enters a code; the command line asks the provider until they
have done so. It never sees a password.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shotdap.server.http.outgoing import is_safe_url

_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_USUAL_INTERVAL: Final = 5  # seconds, if the provider says none (RFC 8628, 3.2)
_SLOWER: Final = 5  # seconds more after each `slow_down`
_REFUSALS: Final = {
    "access_denied": "The sign-in was refused.",
    "expired_token": "The code has expired; begin again.",
}


class DeviceFlowError(Exception):
    """The user cannot be signed in; the message is a sentence for them."""


@dataclass(frozen=True)
class DeviceCode:
    """A code that the user enters on a page of the provider."""

    user_code: str
    page: str
    """URL of the page."""
    page_with_code: str
    """URL of the page with the code in it, for a link or a picture; empty if there is none."""
    seconds: float
    """The time in which the user has to do it."""


def sign_in_by_device(
    client: httpx.Client,
    server_url: str,
    show: Callable[[DeviceCode], None],
    wait: Callable[[float], None] = time.sleep,
) -> str:
    """Sign in a user of a server with its identity provider.

    Args:
        client: asks the server and the provider; its limits of time hold for each question.
        server_url: of the server of images.
        show: shows the code to the user, and returns at once.
        wait: waits for a number of seconds.

    Returns:
        The provider's access token for the server, a JWT.

    Raises:
        DeviceFlowError: the server has no provider, or the provider or the user refuses, or the code has expired.
        httpx.HTTPError: one of them does not answer.
    """
    server = _ask(client, "GET", f"{server_url.rstrip('/')}/api/v1/sign-in")
    if server.get("mode") != "oidc":
        raise DeviceFlowError("This server has no identity provider: ask its administrator for a token.")
    issuer, client_id = str(server["issuer"]), str(server["client_id"])
    if not is_safe_url(issuer):
        raise DeviceFlowError("The server names an identity provider without https.")
    metadata = _ask(client, "GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if metadata.get("issuer") != issuer:
        raise DeviceFlowError(f"What is at {issuer} is another identity provider.")
    begin_url, token_url = metadata.get("device_authorization_endpoint"), metadata.get("token_endpoint")
    if not isinstance(begin_url, str) or not isinstance(token_url, str):
        raise DeviceFlowError("The identity provider has no device flow: make a token in the browser instead.")
    resource = {"resource": str(server["resource"])} if server.get("resource") else {}
    order = {"client_id": client_id, "scope": " ".join(server["scopes"]), **resource}
    begun = _ask(client, "POST", begin_url, data=order)
    code = DeviceCode(
        str(begun["user_code"]),
        str(begun["verification_uri"]),
        str(begun.get("verification_uri_complete", "")),
        float(begun["expires_in"]),
    )
    show(code)
    form = {"grant_type": _GRANT_TYPE, "device_code": str(begun["device_code"]), "client_id": client_id, **resource}
    return _poll(client, token_url, form, float(begun.get("interval", _USUAL_INTERVAL)), code.seconds, wait)


def exchange_for_token(client: httpx.Client, server_url: str, jwt: str, order: Mapping[str, object]) -> str:
    """Exchange a JWT, which expires soon, for a token of the server; return its secret.

    Args:
        client: asks the server.
        server_url: of the server.
        jwt: the provider's access token.
        order: of the token, as ``POST /api/v1/tokens`` takes it: ``{"name": "laptop", "scopes": ["read"]}``.

    Raises:
        DeviceFlowError: the server refuses, with its sentence.
        httpx.HTTPError: the server does not answer.
    """
    headers = {"Authorization": f"Bearer {jwt}"}
    url = f"{server_url.rstrip('/')}/api/v1/tokens"
    return str(_ask(client, "POST", url, json=dict(order), headers=headers)["secret"])


def _poll(  # noqa: PLR0913, PLR0917 — what RFC 8628 polls with
    client: httpx.Client,
    url: str,
    form: dict[str, str],
    interval: float,
    seconds: float,
    wait: Callable[[float], None],
) -> str:
    """Ask the provider until the user has entered the code; see RFC 8628, 3.5."""
    remaining = seconds
    while remaining > 0:
        wait(interval)
        remaining -= interval
        try:
            response = client.post(url, data=form)
        except httpx.TimeoutException:  # the provider is busy: ask less often
            interval *= 2
            continue
        document = _parse_object(response)
        if response.is_success and isinstance(document.get("access_token"), str):
            return str(document["access_token"])
        match document.get("error"):
            case "authorization_pending":
                pass
            case "slow_down":
                interval += _SLOWER
            case error:
                raise DeviceFlowError(_REFUSALS.get(str(error), f"The identity provider refused: {error}."))
    raise DeviceFlowError(_REFUSALS["expired_token"])


def _ask(client: httpx.Client, method: str, url: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 — httpx's options
    response = client.request(method, url, **options)
    document = _parse_object(response)
    if response.is_success:
        return document
    said = document.get("detail", document.get("error_description", document.get("error", response.reason_phrase)))
    raise DeviceFlowError(f"{url} answers {response.status_code}: {said}")


def _parse_object(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}
