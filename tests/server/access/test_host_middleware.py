"""The name of the server in a request, and what proxies say about it: only listed ones count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Final

import httpx
import pytest
from tests.server.limited import receive_all, send, serving_with
from tests.server.wire import parse_dap2_error
from tests.serving import Server

from shotdap.server.access.host_middleware import HostNames
from shotdap.server.access.trusted_proxies import TrustedProxies, find_client_network

NAME: Final = "shots.example.org"
REDIRECT: Final = "/api/v1/shots/shot/1/package"


@pytest.fixture(scope="module")
def named_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with names and a proxy of its own, this machine."""
    settings = {"server.hosts": [NAME, "*.lab.example.org"], "server.trusted_proxies": ["127.0.0.1"]}
    with serving_with(tmp_path_factory.mktemp("listed"), settings) as server:
        yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on loopback that lists nothing."""
    with serving_with(tmp_path_factory.mktemp("plain"), {}) as server:
        yield server


def get(server: Server, path: str, headers: Mapping[str, str]) -> httpx.Response:
    """Send a request."""
    return httpx.get(f"{server.url}{path}", headers=headers, trust_env=False)


@pytest.mark.parametrize("name", [NAME, NAME.upper(), f"{NAME}:8443", "a.lab.example.org", "a.b.lab.example.org:80"])
def test_listed_name(name: str, named_server: Server) -> None:
    """A request for a listed name, with a port or without, is answered with URLs of that name."""
    answer = get(named_server, "/", {"Host": name})

    assert answer.status_code == 200
    assert answer.json()["catalog"].lower() == f"http://{name.lower()}/dap/"


@pytest.mark.parametrize("name", ["evil.example", "lab.example.org", f"{NAME}.evil.example", "127.0.0.1", "[::1]:80"])
def test_other_name(name: str, named_server: Server) -> None:
    """A request for another name is refused in the format of the protocol, and the sentence says what to do."""
    answer = get(named_server, "/dap/shot/one.h5.dds", {"Host": name})
    code, sentence = parse_dap2_error(answer.text)

    assert (answer.status_code, code) == (421, 421)
    assert "server.hosts" in sentence


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_by_address(path: str, named_server: Server) -> None:
    """A load balancer may ask for the server's health by its address."""
    assert get(named_server, path, {"Host": "10.0.0.1"}).status_code == 200


@pytest.mark.parametrize(
    "hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a/b\r\n", b"Host: a@b\r\n", b"Host: a:b\r\n", b"Host: \r\n"]
)
def test_no_name(hosts: bytes, plain: Server) -> None:
    """A request without a name, with two, or with something else, is refused."""
    request = b"GET / HTTP/1.1\r\nConnection: close\r\n" + hosts + b"\r\n"

    assert receive_all(send(plain.port, request)).startswith(b"HTTP/1.1 400 ")


def test_http_1_0(plain: Server) -> None:
    """A client of HTTP/1.0 need not send a name; it gets URLs with the address."""
    answer = receive_all(send(plain.port, b"GET / HTTP/1.0\r\n\r\n"))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert f"http://127.0.0.1:{plain.port}/dap/".encode() in answer


FORWARDED: Final = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": NAME, "X-Forwarded-For": "203.0.113.7"}


def test_listed_proxy(named_server: Server) -> None:
    """A listed proxy says how it was asked, in URLs of answers too; the name that it gives has to be listed."""
    answer = get(named_server, "/", {"Host": "127.0.0.1", **FORWARDED})
    heavy = get(named_server, "/api/v1/images/shot/one.h5", {"Host": "127.0.0.1", **FORWARDED})
    other = get(named_server, "/", {**FORWARDED, "Host": NAME, "X-Forwarded-Host": "evil.example"})

    assert answer.json()["catalog"] == f"https://{NAME}/dap/"
    assert "max-age" in answer.headers["strict-transport-security"]
    assert heavy.json()["links"]["dap"].startswith(f"https://{NAME}/dap/")
    assert other.status_code == 421


def test_other_client(plain: Server) -> None:
    """Headers of another client about its way do not count."""
    answer = get(plain, "/", FORWARDED)

    assert answer.json()["catalog"] == f"{plain.url}/dap/"
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    ("addresses", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("10.1.2.3, 10.1.2.4", "10.1.2.3"),
        ("203.0.113.7, nonsense", "10.0.0.1"),
        ("nonsense, 10.1.2.3", "10.1.2.3"),
        ("", "10.0.0.1"),
    ],
)
def test_client_address(addresses: str, client: str) -> None:
    """The client is the last address that is not that of a listed proxy: what it said itself comes before."""
    scope = {
        "client": ("10.0.0.1", 5000),
        "scheme": "http",
        "headers": [(b"x-forwarded-for", each.encode()) for each in addresses.split("; ")],
    }
    TrustedProxies([ip_network("10.0.0.0/8")]).apply_headers(scope)

    assert scope["client"][0] == client


def test_networks_of_clients() -> None:
    """Limits count an address of IPv4, and a network of 64 bits of IPv6."""
    assert find_client_network("203.0.113.7") == "203.0.113.7"
    assert find_client_network("2001:db8::7") == find_client_network("2001:db8::ffff:8") != find_client_network("::1")


def test_names_of_the_machine() -> None:
    """Without a list, a server of a network is asked by the machine's names, and by the address that leads to it."""
    names = HostNames(["localhost", "shots"], has_addresses=True)

    assert [names.includes(name, "10.1.0.7") for name in ("shots", "localhost", "10.1.0.7")] == [True] * 3
    assert [names.includes(name, "10.1.0.7") for name in ("evil.example", "10.1.0.8", "")] == [False] * 3
    assert names.includes("[fd00::7]", "fd00::7")
