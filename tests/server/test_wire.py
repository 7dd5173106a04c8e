"""Bytes on the wire: a slice takes its own bytes and little more, and has the headers that clients need."""

from __future__ import annotations

import re
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx
import numpy as np
import pytest
from tests import samples
from tests.server.conftest import Site
from tests.server.wire import exchange_bytes, parse_dap2_values, parse_dap4_chunks
from tests.serving import Server

SLICE: Final = "background_subtracted[100:3:199][7:1:899]"
VALUES: Final = 34 * 893 * 4
KILOBYTE: Final = 1024
DAP4: Final = "application/vnd.opendap.dap4"


def test_a_slice_is_its_bytes_over_dap2(site: Site) -> None:
    """A slice over DAP2 takes its values and less than a kilobyte, headers of HTTP included."""
    request = f"GET /dap/frames.h5.dods?{SLICE} HTTP/1.1\r\nHost: shotdap\r\nConnection: close\r\n\r\n"
    answer = exchange_bytes(site.server.port, request.encode())
    head, _, body = answer.partition(b"\r\n\r\n")

    assert VALUES < len(answer) < VALUES + KILOBYTE
    assert f"content-length: {len(body)}".encode() in head.lower()
    np.testing.assert_array_equal(
        parse_dap2_values(body)["background_subtracted"], site.frames["background_subtracted"][100:200:3, 7:900]
    )


def test_a_slice_is_its_bytes_over_dap4(site: Site) -> None:
    """A slice over DAP4 takes its description, its values and their checksum."""
    answer = site.get(f"frames.h5.dap?dap4.ce=/{SLICE}")
    (described, dmr), (last, data) = parse_dap4_chunks(answer.content)

    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (described, last) == (4, 5)  # little-endian; little-endian, the last
    assert dmr.startswith(b"<?xml ")
    assert dmr.endswith(b"\r\n")
    assert struct.unpack("<I", data[-4:]) == (zlib.crc32(data[:-4]),)
    expected = site.frames["background_subtracted"][100:200:3, 7:900]
    np.testing.assert_array_equal(np.frombuffer(data[:-4], "<f4").reshape(34, 893), expected)
    assert len(data) == VALUES + 4
    assert len(dmr) < 2 * KILOBYTE


@pytest.mark.parametrize("ask", [".dods?image[0:9][0:9]", ".dap?dap4.ce=/image[0:9][0:9]"])
def test_a_slice_travels_without_the_cameras_attributes(ask: str, demo: Server) -> None:
    """Ten by ten pixels of an image with 130 attributes are a small response, over either protocol."""
    answer = httpx.get(f"{demo.url}/dap/omega/62328/asbo1/asbo1_s62328{ask}", trust_env=False)

    assert answer.status_code == 200
    assert len(answer.content) < 2 * KILOBYTE


def test_checksums_can_be_refused(site: Site) -> None:
    """A client that refuses checksums gets none."""
    (_, dmr), (_, data) = parse_dap4_chunks(site.get(f"frames.h5.dap?dap4.ce=/{SLICE}&dap4.checksum=false").content)

    assert len(data) == VALUES
    assert b"Checksum" not in dmr


@pytest.mark.parametrize("name", ["image", "background", "background_subtracted"])
def test_whole_frame(name: str, site: Site) -> None:
    """A whole frame, sent in many pieces, arrives whole."""
    np.testing.assert_array_equal(
        parse_dap2_values(site.get(f"frames.h5.dods?{name}").content)[name], site.frames[name]
    )


def test_whole_image(site: Site) -> None:
    """Without a constraint all variables are sent, one after the other."""
    found = parse_dap2_values(site.get("frames.h5.dods").content)

    for name, values in site.frames.items():
        np.testing.assert_array_equal(found[name], values)
    np.testing.assert_array_equal(found["y"], np.arange(1200))


def test_several_slices(site: Site) -> None:
    """Variables of one request have independent slices."""
    found = parse_dap2_values(site.get("frames.h5.dods?image[5][0:2:9],background[3:4][8]").content)

    np.testing.assert_array_equal(found["image"], site.frames["image"][5:6, 0:10:2])
    np.testing.assert_array_equal(found["background"], site.frames["background"][3:5, 8:9])


@pytest.mark.parametrize(
    "expression",
    [
        "image[1:2:4][0]",
        "image%5B1:2:4%5D%5B0%5D",
        "image%255b1:2:4%255d%255b0%255d",
        "image%25255b1%3A2%3A4%25255d%25255b0%25255d",
    ],
)
def test_brackets_however_encoded(expression: str, site: Site) -> None:
    """Brackets may be encoded zero to three times, as clients do."""
    found = parse_dap2_values(site.get(f"frames.h5.dods?{expression}").content)

    np.testing.assert_array_equal(found["image"], site.frames["image"][1:5:2, :1])


HEADERS: Final = {
    "dds": ("text/plain; charset=utf-8", {"xdap": "2.0", "content-description": "dods_dds"}),
    "das": ("text/plain; charset=utf-8", {"xdap": "2.0", "content-description": "dods_das"}),
    "dods?y[0]": ("application/octet-stream", {"xdap": "2.0", "content-description": "dods_data"}),
    "dmr": (f"{DAP4}.dataset-metadata+xml", {"xdap": "4.0", "x-dap": "4.0"}),
    "dmr.xml": (f"{DAP4}.dataset-metadata+xml", {"xdap": "4.0", "x-dap": "4.0"}),
    "dap?dap4.ce=/y[0]": (f"{DAP4}.data", {"xdap": "4.0", "x-dap": "4.0"}),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("suffix", HEADERS)
def test_headers(suffix: str, method: str, site: Site) -> None:
    """A response has the headers that clients of its protocol need, also to HEAD."""
    answer = site.client.request(method, f"/dap/frames.h5.{suffix}")
    media_type, others = HEADERS[suffix]

    assert answer.status_code == 200
    assert answer.headers["content-type"].removesuffix("; charset=utf-8") == media_type.removesuffix("; charset=utf-8")
    assert others.items() <= dict(answer.headers).items()
    assert "shotdap/" in answer.headers["xdods-server" if others["xdap"] == "2.0" else "x-dap-server"]


@pytest.mark.parametrize("suffix", ["dds", "das", "dods", "dmr", "dap"])
def test_head_has_no_body(suffix: str, site: Site) -> None:
    """HEAD is answered without a body, and its connection stays open."""
    request = (
        f"HEAD /dap/frames.h5.{suffix} HTTP/1.1\r\nHost: shotdap\r\n\r\n"
        "GET /dap/frames.h5.dds HTTP/1.1\r\nHost: shotdap\r\nConnection: close\r\n\r\n"
    )
    first, second, body = exchange_bytes(site.server.port, request.encode()).split(b"\r\n\r\n")

    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 200")
    assert body.startswith(b"Dataset {")


def test_compression_only_if_accepted(site: Site) -> None:
    """A client that does not accept compression gets plain bytes, which netCDF-C 4.9.0 and getdap require."""
    for suffix in ("dds", "dods?y", "dmr", "dap?dap4.ce=/y"):
        answer = site.client.get(f"/dap/frames.h5.{suffix}", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in answer.headers


def test_odd_queries(site: Site) -> None:
    """An empty query, an empty constraint and unknown keys are no errors."""
    for target in ("dds?", "dmr?", "dmr?dap4.ce=", "dmr?dap4.ce=/&zzz=1"):
        assert site.get(f"frames.h5.{target}").status_code == 200


def test_names_of_paths(site: Site) -> None:
    """A file with an unsafe name is listed under a name that every client can request, and is served there."""
    (child,) = site.get("deeper").json()["children"]

    assert re.fullmatch(r"/dap/deeper/[A-Za-z0-9_.-]+", child["url"])
    assert site.client.get(f"{child['url']}.dds").text.startswith("Dataset {\n    Int32 image[y = 30][x = 40];")


def test_many_clients(site: Site) -> None:
    """16 clients at once each get the numbers of their own slice."""

    def is_right(number: int) -> bool:
        name = ("image", "background", "background_subtracted")[number % 3]
        first, step = 10 * number, 1 + number % 4
        with httpx.Client(base_url=site.server.url, trust_env=False, timeout=60) as client:
            answer = client.get(f"/dap/frames.h5.dods?{name}[{first}:{step}:{first + 300}][{number}:1:900]")
        expected = site.frames[name][first : first + 301 : step, number:901]
        return np.array_equal(parse_dap2_values(answer.content)[name], expected)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(is_right, range(48)))


def test_a_client_that_disconnects(site: Site) -> None:
    """A client that disconnects in the middle of a body, even with a reset, affects no other."""
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as connection:
            connection.sendall(b"GET /dap/frames.h5.dods?background_subtracted HTTP/1.1\r\nHost: shotdap\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    np.testing.assert_array_equal(
        parse_dap2_values(site.get("frames.h5.dods?image[7][0:99]").content)["image"], site.frames["image"][7:8, :100]
    )
    assert "Traceback" not in site.server.log.read_text()


def test_a_replaced_file(site: Site) -> None:
    """A file that is replaced while the server runs is served anew, from its next request on."""
    path, first, second = site.folder / "changing.h5", np.full((2, 30, 40), 7, "u2"), np.full((2, 30, 40), 8, "u2")
    samples.write_image(path, first)
    assert parse_dap2_values(site.get("changing.h5.dods?image").content)["image"].max() == 7

    samples.write_image(site.folder / ".new", second)
    (site.folder / ".new").replace(path)

    assert parse_dap2_values(site.get("changing.h5.dods?image").content)["image"].min() == 8

    path.unlink()

    assert site.get("changing.h5.dods?image").status_code == 404
