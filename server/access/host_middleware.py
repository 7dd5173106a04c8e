"""What a request says about its way to the server: the proxies that it passed, and the name of the server in its URL.

The name goes into redirects and documents, and a page of another site may have its own name lead to this server. So a
name counts only if the site lists it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from shotdap.config import Settings
from shotdap.server.access.trusted_proxies import LOCAL_NAME, TrustedProxies, is_local_host
from shotdap.server.http.errors import Problem
from shotdap.server.problem_format import make_refusal

_HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")
_HEALTH_PATHS: Final = frozenset(
    {"/health", "/ready"}
)  # which a load balancer asks by address; their answers name no host
_ANY: Final = "*"


class HostNames:
    """The names under which a server may be asked.

    Args:
        names: as a site lists them: ``shots.example.org``, ``*.example.org``, or ``*`` for all.
        has_addresses: whether the server may also be asked by the address that a connection has led to.
    """

    def __init__(self, names: Sequence[str], *, has_addresses: bool = False) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._domains = tuple(name.lower()[1:] for name in names if name.startswith("*."))
        self._has_addresses = has_addresses

    @classmethod
    def from_settings(cls, settings: Settings) -> HostNames:
        """Return the names of a site. If it lists none: on loopback all of them, else those that the machine has."""
        server = settings.server
        if server.hosts:
            return cls(server.hosts)
        if is_local_host(server.host):
            return cls([_ANY])
        names = {LOCAL_NAME, server.host, socket.gethostname(), socket.getfqdn()}
        return cls(sorted(name for name in names if name), has_addresses=True)

    def includes(self, name: str, address: str) -> bool:
        """Check a name.

        Args:
            name: without a port.
            address: the address of the server's end of the connection.
        """
        name = name.lower()
        return (
            _ANY in self._names
            or name in self._names
            or name.endswith(self._domains)
            or (self._has_addresses and name.strip("[]") == address)
        )


class HostMiddleware:
    """Applies the headers of listed proxies, and refuses requests for other servers.

    Args:
        app: the application.
        proxies: the listed proxies.
        names: the names of the server.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies, names: HostNames) -> None:
        self._app = app
        self._proxies = proxies
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._proxies.apply_headers(scope)
        problem = None if scope["path"] in _HEALTH_PATHS else self._find_problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
            return
        await make_refusal(problem, scope)(scope, receive, send)

    def _find_problem(self, scope: Scope) -> Problem | None:
        """Return the reason to refuse a request."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if not hosts and scope.get("http_version") == "1.0":
            return None  # URLs in the answer get the address of the server
        match = _HOST.fullmatch(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
        if match is None:
            return Problem(400, "A request has one header Host, with the name of the server in its URL.", expected=True)
        server = scope.get("server")
        if self._names.includes(match["name"], server[0] if server else ""):
            return None
        message = (
            f"This server does not answer for the name {match['name']!r}. If it should, its administrator adds the"
            " name to the setting server.hosts."
        )
        return Problem(421, message, expected=True)
