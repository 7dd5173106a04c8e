"""Invalid requests are refused in the protocol's own words, by a sentence that helps and reveals no secrets."""

from __future__ import annotations

import random
import re
from typing import Final

import pytest
from tests.server.conftest import Site
from tests.server.wire import exchange_bytes, parse_dap2_error, parse_dap2_values, parse_dap4_error, parse_status
from tests.serving import Server

READERS: Final = {".dods": parse_dap2_error, ".dap": parse_dap4_error}
SECRETS: Final = (
    "Traceback",
    'File "',
    "site-packages",
    "SELECT ",
    "sqlite",
    "/tmp/",  # noqa: S108
    "/home/",
    "/root/",
    "shotdap.server",
)
NOT_OURS: Final = "by a fault of its own"

# The request by DAP2 and by DAP4, and the response: a status, and a pattern of the sentence.
REFUSALS: Final = {
    "unknown path": ("nowhere.h5.dods", "nowhere.h5.dap", 404, "'nowhere.h5'"),
    "unknown variable": ("frames.h5.dods?imago", "frames.h5.dap?dap4.ce=/imago", 400, "image"),
    "out of range": (
        "frames.h5.dods?image[0:1200][0]",
        "frames.h5.dap?dap4.ce=/image[0:1200][0]",
        400,
        "0 to 1199",
    ),
    "far out of range": (
        "frames.h5.dods?image[0][4000000000]",
        "frames.h5.dap?dap4.ce=/image[0][4000000000]",
        400,
        "0 to 1399",
    ),
    "backward": ("frames.h5.dods?image[9:1:3][0]", "frames.h5.dap?dap4.ce=/image[9:1:3][0]", 400, "backwards|before"),
    "step of zero": ("frames.h5.dods?image[0:0:3][0]", "frames.h5.dap?dap4.ce=/image[0:0:3][0]", 400, "1 or more"),
    "too few indices": ("frames.h5.dods?image[0]", "frames.h5.dap?dap4.ce=/image[0]", 400, "2 indices"),
    "bad grammar": ("frames.h5.dods?image[0:", "frames.h5.dap?dap4.ce=/image[0:", 400, r"\[0:"),
    "bad index": ("frames.h5.dods?image[a][-1]", "frames.h5.dap?dap4.ce=/image[a][-1]", 400, r"\[a\]"),
    "HTML page": ("login.hdf.dods", "login.hdf.dap", 500, "HTML page"),
    "cut short": ("short.h5.dods", "short.h5.dap", 500, "cut short"),
    "below nothing": ("deeper/still.dods", "deeper/still.dap", 404, "'deeper/still'"),
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("what", REFUSALS)
def test_refusal(what: str, suffix: str, site: Site) -> None:
    """An invalid request gets its status, and a sentence that helps, in its protocol's form of errors."""
    over_dap2, over_dap4, code, words = REFUSALS[what]
    answer = site.get(over_dap2 if suffix == ".dods" else over_dap4)
    told, sentence = READERS[suffix](answer.text)

    assert (answer.status_code, told) == (code, code)
    assert re.search(words, sentence)
    assert_discreet(answer.text, site)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("path", ["iaw_ccd/IAW_CCD-s112059", "ats_ccd/ATS_CCD-s112059"])
def test_faults_of_the_archive(path: str, suffix: str, demo: Server, site: Site) -> None:
    """An image whose file is missing, or no image, is refused with the reason."""
    answer = site.client.get(f"{demo.dap('omega/112059')}/{path}{suffix}")
    told, sentence = READERS[suffix](answer.text)

    assert (answer.status_code, told) == (500, 500)
    assert ("missing" if "iaw" in path else "HTML page") in sentence
    assert_discreet(answer.text, site)


@pytest.mark.parametrize("suffix", [".dds", ".das", ".dods", ""])
def test_words_of_dap2(suffix: str, site: Site) -> None:
    """Requests of DAP2, or of no protocol, are refused in DAP2's words and headers."""
    answer = site.get(f"nowhere{suffix}")

    assert parse_dap2_error(answer.text)[0] == 404
    assert answer.headers["content-description"] == "dods_error"
    assert answer.headers["xdap"] == "2.0"
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("suffix", [".dmr", ".dmr.xml", ".dap"])
def test_words_of_dap4(suffix: str, site: Site) -> None:
    """Requests of DAP4 are refused in DAP4's words and headers."""
    answer = site.get(f"nowhere{suffix}")

    assert parse_dap4_error(answer.text)[0] == 404
    assert answer.headers["content-type"].startswith("application/vnd.opendap.dap4.error+xml")
    assert answer.headers["x-dap"] == "4.0"


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_methods_that_change_something(method: str, suffix: str, site: Site) -> None:
    """A method that would change something is not allowed."""
    answer = site.client.request(method, f"/dap/frames.h5{suffix}")

    assert (answer.status_code, READERS[suffix](answer.text)[0]) == (405, 405)
    assert "GET" in answer.headers["allow"]


def test_a_long_query(site: Site) -> None:
    """netCDF-C requests every small variable in one URL: queries of 64 kB are accepted."""
    _, body = request_raw(site, f"frames.h5.dods?{','.join(['y[0:1:9]'] * 7_111)}")

    assert parse_dap2_values(body)["y"].tolist() == list(range(10))


@pytest.mark.parametrize(("suffix", "query"), [(".dods", "y[0:1:9],"), (".dap", "dap4.ce=/y[0:1:9];")])
def test_too_long_a_query(suffix: str, query: str, site: Site) -> None:
    """A query of 200 kB is refused in the protocol's words, even if it is valid otherwise."""
    head, body = request_raw(site, f"frames.h5{suffix}?{query * (200_000 // len(query))}")

    assert head.startswith(b"HTTP/1.1 414 ")
    assert READERS[suffix](body.decode())[0] == 414


def request_raw(site: Site, target: str) -> tuple[bytes, bytes]:
    """Send a request without changing any character; return head and body of the response."""
    request = f"GET /dap/{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head, _, body = exchange_bytes(site.server.port, request.encode()).partition(b"\r\n\r\n")
    return head, body


OUTSIDE: Final = (
    "../secret.h5",
    "..%2fsecret.h5",
    "..%2Fsecret.h5",
    "%2e%2e/secret.h5",
    "%2e%2e%2fsecret.h5",
    "%252e%252e%252fsecret.h5",
    "..%5csecret.h5",
    "deeper/../../secret.h5",
    "deeper/../frames.h5",
    "./frames.h5",
    "/frames.h5",
    "frames.h5/",
    "frames.h5/.",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "_x2E__x2E_/secret.h5",
    "_x2E__x2E__x2F_secret.h5",
    "_x2F_etc_x2F_passwd",
    "frames.h5%00",
    "frames.h5_x00_",
    "%00",
    "out.h5",
    "out/secret.h5",
    "ring.h5",
    ".hidden.h5",
    "_x2E_hidden.h5",
    "frames.h5_xFFFFFF_",
    "frames.h5_xD800_",
    f"{'a' * 5000}.h5",
    "%ff%fe",
)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_the_folder(path: str, suffix: str, site: Site) -> None:
    """No spelling of a path, and no link, leads out of the folder or to hidden files: the response is 404."""
    head, body = request_raw(site, f"{path}{suffix}")

    assert head.startswith(b"HTTP/1.1 404 ")
    assert READERS[suffix](body.decode())[0] == 404
    assert_discreet(body.decode(), site)


def test_links_and_hidden_files_are_not_listed(site: Site) -> None:
    """A listing contains only what can be opened: nothing hidden, and no link that leads out."""
    names = {child["name"] for child in site.get("").json()["children"]}

    assert {"frames.h5", "login.hdf", "short.h5", "deeper"} <= names
    assert names.isdisjoint({".hidden.h5", "out.h5", "out", "ring.h5"})


@pytest.mark.parametrize("seed", range(30))
def test_garbage(seed: int, site: Site) -> None:
    """Garbage gets a refusal or a closed connection, and the next request its response; nothing is a server fault."""
    logged = site.server.log.stat().st_size
    answer = exchange_bytes(site.server.port, make_garbage(random.Random(seed)))  # noqa: S311 — nothing depends on it

    assert parse_status(answer) in {0, 200, 400, 404, 405, 413, 414, 431}
    assert NOT_OURS not in answer.decode("latin-1")
    assert parse_dap2_values(site.get("frames.h5.dods?y[0:3]").content)["y"].tolist() == [0, 1, 2, 3]
    assert b"Traceback" not in site.server.log.read_bytes()[logged:]


def make_garbage(rng: random.Random) -> bytes:
    """Return a request that is noise, or HTTP with noise around it."""
    noise = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200)))
    if rng.random() < 0.2:
        return noise + b"\r\n\r\n"
    alphabet = "image[]:,;/{}|=%&+0123456789-.\\\"'<>()²µ"
    expression = "".join(rng.choice(alphabet) for _ in range(rng.randrange(60)))
    target = rng.choice(
        [
            f"/dap/frames.h5.dods?image{expression}",
            f"/dap/frames.h5.dap?dap4.ce=/image{expression}",
            f"/dap/frames.h5.dap?{expression}",
            f"/dap/{expression}.dds",
            f"/{expression}",
        ]
    )
    method = rng.choice(["GET", "GET", "HEAD", "BREW"])
    header = noise.replace(b"\r", b"").replace(b"\n", b"")
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ".encode() + header + b"\r\n\r\n"


def assert_discreet(text: str, site: Site) -> None:
    """Check that a body reveals nothing of the machine."""
    assert [secret for secret in (*SECRETS, str(site.folder.parent)) if secret in text] == []
