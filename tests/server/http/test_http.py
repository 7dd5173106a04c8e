"""HTTP: conditional requests, methods, compression, limits, and pages of other sites."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from html import unescape
from typing import Final, TypeAlias
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
from tests import direct, samples
from tests.server.conftest import Site
from tests.server.wire import exchange_bytes, parse_dap2_error, parse_dap2_values, parse_dap4_error
from tests.serving import Server, serving

ANSWERS: Final = (
    ".dds?image[0:9][]",
    ".das",
    ".dods?image[0:9][0:9]",
    ".dods?mean(image,y)",
    ".ascii?y[0:9]",
    ".dmr",
    ".dap?dap4.ce=/image[0:9][0:9]",
    ".nc4?y",
    ".html",
    ".info",
)


Field: TypeAlias = tuple[str, str | int | float | bool | None]  # the type that httpx accepts


# Conditional requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ANSWERS)
def test_unchanged_responses_are_not_sent_again(answer: str, site: Site) -> None:
    """A response has a strong ETag and a date; a client that sends either gets 304 without a body."""
    first = site.get(f"frames.h5{answer}")
    tag = first.headers["etag"]

    assert re.fullmatch(r'"[0-9a-f]{32}(-gzip)?"', tag)
    assert first.headers["cache-control"] == "no-cache"
    for headers in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": first.headers["last-modified"]},
    ):
        again = site.client.get(f"/dap/frames.h5{answer}", headers=headers)

        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"].replace("-gzip", "") == tag.replace("-gzip", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"other"'},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "nonsense"},
        {"If-None-Match": '"other"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ],
)
def test_changed_responses_are_sent(headers: dict[str, str], site: Site) -> None:
    """Another ETag, an earlier date or an invalid date gets the response; an ETag has precedence over a date."""
    assert site.client.get("/dap/frames.h5.dds", headers=headers).status_code == 200


def test_tags_tell_answers_apart(site: Site) -> None:
    """No two requests share an ETag."""
    tags = [site.get(f"frames.h5{answer}").headers["etag"] for answer in ANSWERS]

    assert len(set(tags)) == len(tags)


def test_a_new_file_has_a_new_tag(site: Site) -> None:
    """A replaced file invalidates a client's copy."""
    path = site.folder / "tagged.h5"
    samples.write_image(path, np.zeros((2, 3, 4), "u2"))
    headers = {"If-None-Match": site.get("tagged.h5.dods").headers["etag"]}
    samples.write_image(site.folder / ".tagged", np.ones((2, 3, 4), "u2"))
    (site.folder / ".tagged").replace(path)
    again = site.client.get("/dap/tagged.h5.dods", headers=headers)

    assert again.status_code == 200
    assert parse_dap2_values(again.content)["image"].min() == 1


def test_a_304_reads_nothing(site: Site) -> None:
    """A 304 takes only a look at the file, which may be damaged."""
    (site.folder / "damaged.h5").write_bytes(bytes(1000))

    assert site.client.get("/dap/damaged.h5/raw.dods", headers={"If-None-Match": "*"}).status_code == 304
    assert site.client.get("/dap/damaged.h5/raw.dods").status_code == 500


def test_restored_times_give_a_new_tag(site: Site) -> None:
    """Programs that restore or synchronise files set the old time; the ETag changes nevertheless."""
    path = site.folder / "restored.h5"
    samples.write_image(path, np.zeros((2, 3, 4), "u2"))
    headers = {"If-None-Match": site.get("restored.h5.dods").headers["etag"]}
    status = path.stat()
    samples.write_image(path, np.ones((2, 3, 4), "u2"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = site.client.get("/dap/restored.h5.dods", headers=headers)

    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert again.status_code == 200
    assert parse_dap2_values(again.content)["image"].min() == 1


@pytest.mark.parametrize("target", ["frames.h5.dods?nope", "nowhere.dds", "frames.h5.ver", ""])
def test_errors_and_listings_have_no_tag(target: str, site: Site) -> None:
    """Neither errors nor listings may be cached."""
    assert "etag" not in site.get(target).headers


# Methods ------------------------------------------------------------------------------------------------------------


def test_options(site: Site) -> None:
    """OPTIONS lists the methods and the protocols."""
    answer = site.client.options("/dap/frames.h5.dods")

    assert answer.status_code == 204
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert answer.headers["xdap"] == "4.0"


def test_head_has_the_length(site: Site) -> None:
    """HEAD of DAP2 values has the length of the response, though nothing is computed."""
    for query in ("image", "background_subtracted[0:9][0:9],y", "mean(image,y)"):
        head, got = site.client.head(f"/dap/frames.h5.dods?{query}"), site.get(f"frames.h5.dods?{query}")

        assert int(head.headers["content-length"]) == len(got.content)
        assert head.headers["etag"] == got.headers["etag"]


# Compression --------------------------------------------------------------------------------------------------------


def request_raw(site: Site, target: str, accepted: str) -> tuple[httpx.Headers, bytes]:
    """Return headers and body as they were sent, without decompression."""
    with site.client.stream("GET", f"/dap/{target}", headers={"Accept-Encoding": accepted}) as answer:
        return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize(
    "target", ["frames.h5.das", "frames.h5.ascii?image[0:9][]", "frames.h5.dmr", "frames.h5.html", ""]
)
def test_text_is_compressed_if_accepted(target: str, site: Site) -> None:
    """A text of some length is sent as gzip if the client accepts it; decompressed, it is the text."""
    plain, text = request_raw(site, target, "identity")
    headers, body = request_raw(site, target, "br, gzip;q=0.5")

    assert "content-encoding" not in plain
    if len(text) > 1024:
        assert headers["content-encoding"] == "gzip"
        assert headers["content-length"] == str(len(body))
        assert gzip.decompress(body) == text
        assert headers.get("etag") != plain.get("etag") or "etag" not in plain


@pytest.mark.parametrize("target", ["frames.h5.dods?image", "frames.h5.dap?dap4.ce=/image", "frames.h5.nc4?image"])
def test_data_are_not_compressed(target: str, site: Site) -> None:
    """Images are not compressed: they are noise, and compression only delays them."""
    assert "content-encoding" not in request_raw(site, target, "gzip, deflate")[0]


@pytest.mark.parametrize("accepted", ["gzip;q=0", "deflate", "", "gzip; q=0.000"])
def test_gzip_is_not_sent_unless_accepted(accepted: str, site: Site) -> None:
    """A client that did not accept compression, or refused it, gets none."""
    headers, _ = request_raw(site, "frames.h5.ascii?image[0:9][]", accepted)

    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding"


# Limits, compression of data, other sites ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the same folder with other settings."""
    folder = tmp_path_factory.mktemp("strict")
    config = folder / "shotdap.toml"
    config.write_text(
        f'[archive]\nfolder = "{site.folder}"\n[server]\nmax_answer_mib = 2\nmax_read_mib = 5\nmax_query_kib = 1\n'
        'compress_data = true\ncors_origins = ["https://notebooks.example.org"]\n'
    )
    with serving(folder / "server.log", "--config", config) as server:
        yield server


def find_urls(message: str) -> list[str]:
    """Return the URLs in a message, each on its own line."""
    return re.findall(r"^http://\S+$", message, re.MULTILINE)


def test_large_requests_over_dap2_in_parts(strict: Server, site: Site) -> None:
    """A refusal states the size and the limit, and its URLs together give the whole request."""
    refusal = site.client.get(f"{strict.dap('frames.h5')}.dods?background_subtracted[10:2:1199][],y[5:9]")
    code, message = parse_dap2_error(refusal.text)
    parts = [parse_dap2_values(site.client.get(url).content) for url in find_urls(message)]
    rows = [part["background_subtracted"] for part in parts if "background_subtracted" in part]

    assert (refusal.status_code, code) == (413, 413)
    assert message.startswith("This asks for 3.2 MiB; one answer holds 2.0 MiB at most. These fit:")
    np.testing.assert_array_equal(np.concatenate(rows), site.frames["background_subtracted"][10:1200:2])
    assert [part["y"].tolist() for part in parts if "y" in part] == [[5, 6, 7, 8, 9]]


def test_large_requests_over_dap4_in_parts(strict: Server, site: Site) -> None:
    """The same over DAP4: every URL of the refusal works."""
    refusal = site.client.get(f"{strict.dap('frames.h5')}.dap?dap4.ce=/background_subtracted[0:599][0:1:1399]")
    code, message = parse_dap4_error(refusal.text)

    assert (refusal.status_code, code) == (413, 413)
    assert len(find_urls(message)) == 2
    assert [site.client.get(url).status_code for url in find_urls(message)] == [200, 200]
    assert "/background_subtracted[0:1:" in unquote(find_urls(message)[0])


def test_too_much_as_text_or_file(strict: Server, site: Site) -> None:
    """Text is longer than its values, so its limit is lower; files have the limit of the data."""
    for suffix, query in ((".ascii", "image[0:199][]"), (".nc4", "image")):
        refusal = site.client.get(f"{strict.dap('frames.h5')}{suffix}?{query}")

        assert refusal.status_code == 413
        assert [site.client.get(url).status_code for url in find_urls(parse_dap2_error(refusal.text)[1])][:2] == [
            200,
            200,
        ]


def test_functions_may_not_read_without_end(strict: Server, site: Site) -> None:
    """A function with a small result is refused if it would read too much."""
    refusal = site.client.get(f"{strict.dap('frames.h5')}.dods?mean(image),mean(background)")

    assert refusal.status_code == 413
    assert "6.4 MiB would be read; for one answer 5.0 MiB are at most" in parse_dap2_error(refusal.text)[1]
    assert site.client.get(f"{strict.dap('frames.h5')}.dds?mean(image),mean(background)").status_code == 200


def test_a_long_query_gives_414(strict: Server, site: Site) -> None:
    """A query beyond the server's limit, and a URL beyond the limit of HTTP's parser, are both 414 in DAP's words."""
    refusal = site.client.get(f"{strict.dap('frames.h5')}.dods?{'y,' * 600}y")
    head, _, body = exchange_bytes(
        site.server.port, f"GET /dap/frames.h5.dap?{'y,' * 40000} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    ).partition(b"\r\n\r\n")

    assert (refusal.status_code, parse_dap2_error(refusal.text)[0]) == (414, 414)
    assert head.startswith(b"HTTP/1.1 414 ")
    assert parse_dap4_error(body.decode())[0] == 414


@pytest.mark.parametrize("line", [b"NONSENSE", b"GET /a b c HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_invalid_http_is_refused_in_daps_words(line: bytes, site: Site) -> None:
    """An invalid request line, or a TLS hello on a port without TLS, gets a DAP error at once."""
    head, _, body = exchange_bytes(site.server.port, line + b"\r\n\r\n").partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert parse_dap2_error(body.decode())[0] == 400


def test_data_can_be_compressed_where_a_site_wants_it(strict: Server, site: Site) -> None:
    """With ``server.compress_data``, a client that accepts gzip gets compressed data with the same numbers."""
    answer = site.client.get(f"{strict.dap('frames.h5')}.dods?image[0:99][]", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["content-encoding"] == "gzip"
    np.testing.assert_array_equal(parse_dap2_values(answer.content)["image"], site.frames["image"][:100])


def test_pages_of_other_sites_read_only_where_they_may(strict: Server, site: Site) -> None:
    """``server.cors_origins`` allows pages of its sites to read responses, and no others; without it, none may."""
    origin = {"Origin": "https://notebooks.example.org"}
    allowed = site.client.get(f"{strict.dap('frames.h5')}.dds", headers=origin)
    asked = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    preflight = site.client.options(f"{strict.dap('frames.h5')}.dds", headers=asked)
    other = site.client.get(f"{strict.dap('frames.h5')}.dds", headers={"Origin": "https://other.example.org"})

    assert allowed.headers["access-control-allow-origin"] == origin["Origin"]
    assert "ETag" in allowed.headers["access-control-expose-headers"]
    assert preflight.status_code == 200
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in site.client.get("/dap/frames.h5.dds", headers=origin).headers


# Pages --------------------------------------------------------------------------------------------------------------


def test_the_form_shows_the_constraint(site: Site) -> None:
    """A form at a constraint is filled in with it; every variable has its dimensions and its links."""
    answer = site.get("frames.h5.html?image[0:99][],mean(background,y)&y>=20")
    text = unescape(answer.text)

    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert re.search(r'value="image" checked', text)
    assert not re.search(r'value="background" checked', text)
    assert 'name="i.image" value="0:99"' in text
    assert 'value="mean(background,y)"' in text
    assert 'value="y>=20"' in text
    for link in re.findall(r'href="(/dap/frames\.h5\.[^"#]*)"', text):
        assert site.client.get(link).status_code == 200, link


def test_the_form_works_without_a_script(site: Site) -> None:
    """A browser's request without a script leads to the requested response."""
    fields: list[Field] = [
        ("v", "image"), ("i.image", "0:1"), ("i.image", ""), ("v", "y"), ("i.y", ""),
        ("calls", "max(image,x)"), ("filters", "y>=2&y<9"), ("answer", ".dods"),
    ]  # fmt: skip
    answer = site.client.get("/dap/frames.h5.html", params=fields, follow_redirects=True)
    found = parse_dap2_values(answer.content)

    assert [each.status_code for each in answer.history] == [303]
    np.testing.assert_array_equal(found["image"], site.frames["image"][2:4])
    np.testing.assert_array_equal(found["max_image"], site.frames["image"][2:9].max(1))
    assert found["y"].tolist() == list(range(2, 9))


def test_invalid_input_of_the_form(site: Site) -> None:
    """Invalid input is refused by the response, not by the form."""
    fields: list[Field] = [("v", "image"), ("i.image", "x"), ("v", "nope"), ("answer", ".dds")]
    answer = site.client.get("/dap/frames.h5.html", params=fields, follow_redirects=True)

    assert answer.status_code == 400


@pytest.mark.parametrize("suffix", [".html", ".info"])
def test_failures_are_pages_where_people_look(suffix: str, site: Site) -> None:
    """The error for a missing image, or an invalid constraint, is a page if the request was for a page."""
    for target, status in ((f"nowhere{suffix}", 404), (f"frames.h5{suffix}?nope", 400), (f"login.hdf{suffix}", 500)):
        answer = site.get(target)

        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


def test_help_tells_of_everything(site: Site) -> None:
    """The help page documents every function and every suffix."""
    text = re.sub(r"<[^>]*>", "", unescape(site.get("frames.h5.help").text))

    for word in ("mean(variable, dimension, ...)", "bin(variable, n, ...)", "version()", "scale_factor"):
        assert word in text
    for suffix in (".dds", ".das", ".dods", ".ascii", ".asc", ".ver", ".dmr", ".dap", ".nc", ".nc4", ".html", ".info"):
        assert suffix in text


def test_attributes_are_escaped(every: Server, site: Site) -> None:
    """No text from a file becomes part of a page's markup."""
    text = site.client.get(f"{every.dap('every.h5')}.info").text

    assert "say &#34;so&#34; &amp; &lt;this&gt;" in text
    assert "<this>" not in text


def test_the_text_answer_is_for_people(site: Site) -> None:
    """``.ascii`` and ``.asc`` give the same text, with the numbers of the file."""
    frames = direct.read_frames(site.folder / "frames.h5")
    text = site.get("frames.h5.ascii?image[0:1][0:2]").text

    assert text == site.get("frames.h5.asc?image[0:1][0:2]").text
    assert text.endswith("".join(f"[{row}], {', '.join(map(str, frames['image'][row, :3]))}\n" for row in range(2)))
