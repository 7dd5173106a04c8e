"""Headers of every answer that keep browsers from using it otherwise than it is meant, and TLS."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import trustme
from tests.server.conftest import Site
from tests.server.limited import PATIENCE, receive_all, send
from tests.serving import Server, find_free_port, run_shotdap, serving

HEADERS: Final = ("x-content-type-options", "referrer-policy", "content-security-policy", "cross-origin-opener-policy")
PAGES: Final = (
    "/dap/frames.h5.html",
    "/dap/frames.h5.info",
    "/dap/frames.h5.dmr.html",
    "/dap/frames.h5.help",
    "/dap/nowhere.html",
    "/thredds/catalog.html",
    "/search?q=frames",
    "/images/frames.h5",
    "/images/nowhere",
    "/shots",
    "/calls",
    "/api/docs",
)
OTHERS: Final = (
    "/",
    "/health",
    "/nowhere",
    "/dap/",
    "/dap/frames.h5.dds",
    "/dap/frames.h5.dods?y[0:1]",
    "/dap/frames.h5.nc4?y",
    "/dap/nowhere.dds",
    "/fileServer/frames.h5",
    "/fileServer/login.hdf",
    "/static/shotdap.css",
    "/api/v1/images/frames.h5",
    "/api/v1/images/frames.h5?format=png",
    "/api/v1/openapi.json",
    "/api/v1/nowhere",
    "/zarr/frames.h5/zarr.json",
)


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_every_answer(path: str, site: Site) -> None:
    """Each answer has each header once, allows scripts and styles of this server only, and names no software."""
    answer = site.client.get(path)
    found = [name for name, _ in answer.headers.multi_items()]
    policy = answer.headers["content-security-policy"]

    assert [found.count(name) for name in HEADERS] == [1] * len(HEADERS)
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.startswith("default-src 'self';" if path in PAGES else "default-src 'none';")
    assert "strict-transport-security" not in found
    assert not {"server", "x-powered-by"} & set(found)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "BREW"])
def test_other_methods(method: str, site: Site) -> None:
    """Answers to other methods, and refusals of the parser, have them too."""
    answer = receive_all(
        send(site.server.port, f"{method} /dap/frames.h5.dds HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    )

    assert all(answer.lower().count(f"\r\n{name}: ".encode()) == 1 for name in HEADERS), answer


@pytest.mark.parametrize("path", PAGES)
def test_pages_without_inline_code(path: str, site: Site) -> None:
    """No page has a script, a style or a handler in its text, which its policy would not allow."""
    text = site.client.get(path).text

    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", text, re.IGNORECASE)


# Pages of other sites -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origins", ['["https://notebooks.example.org"]', '["*"]'])
def test_no_cookies_for_other_sites(origins: str, tmp_path: Path, site: Site) -> None:
    """A page of another site may send a token, but gets no answer that a cookie of this site has opened."""
    config = tmp_path / "shotdap.toml"
    config.write_text(f"[archive]\nfolder = '{site.folder}'\n[server]\ncors_origins = {origins}\n")
    origin = {"Origin": "https://notebooks.example.org", "Cookie": "shotdap_session=x"}
    asked = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with serving(tmp_path / "server.log", "--config", config) as server:
        answer = httpx.get(server.dap("frames.h5.dds"), headers=origin, trust_env=False)
        preflight = httpx.options(server.dap("frames.h5.dds"), headers=asked, trust_env=False)
        posted = httpx.options(
            f"{server.url}/api/v1/exports", headers={**asked, "Access-Control-Request-Method": "POST"}, trust_env=False
        )

    assert answer.headers["access-control-allow-origin"] in {"*", origin["Origin"]}
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert posted.status_code == 400
    assert all("access-control-allow-credentials" not in each.headers for each in (answer, preflight, posted))


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of certificates, made for these tests."""
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_server(authority: trustme.CA, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a certificate."""
    above = tmp_path_factory.mktemp("secured")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(above / "chain.pem")
    certificate.private_key_pem.write_to_path(above / "key.pem")
    config = above / "shotdap.toml"
    config.write_text(
        f"[archive]\nfolder = '{site.folder}'\n[server]\ntls_certificate = 'chain.pem'\ntls_key = 'key.pem'\n"
        "[limits]\nheaders = 20\n"
    )
    with serving(above / "server.log", "--config", config) as server:
        yield server


def make_context(authority: trustme.CA) -> ssl.SSLContext:
    """Return the context of a client that trusts the authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def test_tls(tls_server: Server, authority: trustme.CA, site: Site) -> None:
    """With a certificate the server speaks https, and browsers learn to ask for nothing else."""
    url = f"https://127.0.0.1:{tls_server.port}"
    with httpx.Client(verify=make_context(authority), base_url=url, trust_env=False, timeout=PATIENCE) as client:
        answer = client.get("/dap/frames.h5.dods?background_subtracted")
        document = client.get("/").json()

    assert answer.content == site.get("frames.h5.dods?background_subtracted").content
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert document["catalog"] == f"{url}/dap/"


def test_refusals_over_tls(tls_server: Server, authority: trustme.CA) -> None:
    """Over TLS too, a request that is too large is refused with a clear answer."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100
    answer = receive_all(send(tls_server.port, request, context=make_context(authority)))

    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls(version: ssl.TLSVersion, tls_server: Server, authority: trustme.CA) -> None:
    """Versions of TLS that are broken are refused, and so is http."""
    context = make_context(authority)
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        send(tls_server.port, b"GET / HTTP/1.1\r\n\r\n", context=context)

    assert not receive_all(send(tls_server.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("tls_certificate = 'chain.pem'", "TLS needs both"),
        ("tls_certificate = 'none.pem'\ntls_key = 'none.pem'", "No such file"),
        ("tls_certificate = 'shotdap.toml'\ntls_key = 'shotdap.toml'", "no certificate and its key in PEM"),
    ],
)
def test_bad_certificate(lines: str, sentence: str, tmp_path: Path) -> None:
    """Without a certificate and its key the server does not start, and says why."""
    config = tmp_path / "shotdap.toml"
    config.write_text(f"[archive]\nfolder = '.'\n[access]\nmode = 'open'\n[server]\n{lines}\n")
    done = run_shotdap("serve", "--config", config, "--port", str(find_free_port()))

    assert done.returncode != 0
    assert sentence in " ".join((done.stdout + done.stderr).split())
