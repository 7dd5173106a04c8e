"""Zarr over HTTP: requests of readers, caches and browsers besides the bytes themselves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from tests import samples
from tests.server.conftest import LOGIN_PAGE, Site
from tests.serving import Server, serving

STORE = "/zarr/frames.h5"
CHUNK = f"{STORE}/image/c/0/0"
FRAME = np.dtype("u2").itemsize * 1200 * 1400
SETTINGS = '[zarr]\nchunk_mib = 1\ncompression = "zstd"\n'


@pytest.fixture(scope="module")
def other(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the same folder with other settings."""
    folder = tmp_path_factory.mktemp("other")
    config = folder / "shotdap.toml"
    config.write_text(
        f'[archive]\nfolder = "{site.folder}"\n[server]\nmax_read_mib = 5\nmax_answer_mib = 5\n'
        f'cors_origins = ["https://notebooks.example.org"]\n{SETTINGS}'
    )
    with serving(folder / "server.log", "--config", config) as server:
        yield server


def get(site: Site, path: str, **headers: str) -> httpx.Response:
    return site.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def get_document(site: Site, path: str) -> Any:  # noqa: ANN401 — JSON
    return get(site, path).raise_for_status().json()


def get_message(answer: httpx.Response) -> str:
    said = answer.json()
    assert said["status"] == answer.status_code
    return str(said["message"])


def test_documents_and_chunks(site: Site) -> None:
    """Both versions are below one URL, each with its documents and its keys of chunks; the bytes are the frame's."""
    new, old = get_document(site, f"{STORE}/zarr.json"), get_document(site, f"{STORE}/.zmetadata")
    image = site.frames["image"].astype("<u2").tobytes()

    assert new["consolidated_metadata"]["metadata"]["image"]["dimension_names"] == ["y", "x"]
    assert old["metadata"]["image/.zattrs"]["_ARRAY_DIMENSIONS"] == ["y", "x"]
    assert get_document(site, f"{STORE}/image/zarr.json")["data_type"] == "uint16"
    assert get_document(site, f"{STORE}/image/.zarray")["dtype"] == "<u2"
    for key in ("image/c/0/0", "image/0.0"):
        answer = get(site, f"{STORE}/{key}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.content == image


@pytest.mark.parametrize(
    "path",
    [
        "//frames.h5/zarr.json",
        "/frames.h5//zarr.json",
        "/frames.h5/zarr.json/",
        "/frames%2Eh5/zarr.json",
        "/frames.h5%2Fzarr.json",
    ],
)
def test_equivalent_urls(path: str, site: Site) -> None:
    """Additional slashes, and unnecessarily encoded characters, change nothing."""
    assert get(site, f"/zarr{path}").content == get(site, f"{STORE}/zarr.json").content


@pytest.mark.parametrize(
    "key", ["zarr.json", ".zmetadata", "image/c/0/0", "background_subtracted/0.0", "image/.zarray"]
)
def test_head(key: str, site: Site) -> None:
    """HEAD has the headers of GET, including its length, and no body."""
    plain = {"Accept-Encoding": "identity"}
    head, whole = (site.client.request(method, f"{STORE}/{key}", headers=plain) for method in ("HEAD", "GET"))
    same = ("etag", "content-length", "content-type", "accept-ranges", "cache-control", "last-modified")

    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in same} == {name: whole.headers[name] for name in same}
    assert int(head.headers["content-length"]) == len(whole.content)


def test_parts(site: Site) -> None:
    """``Range`` gives a part of a chunk or document, from the start or the end, and 416 after the end."""
    chunk = get(site, CHUNK).content
    part, end = get(site, CHUNK, Range="bytes=10-19"), get(site, CHUNK, Range="bytes=-7")
    behind = get(site, CHUNK, Range=f"bytes={FRAME}-")

    assert (part.status_code, part.content) == (206, chunk[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{FRAME}"
    assert end.content == chunk[-7:]
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{FRAME}")
    assert get(site, f"{STORE}/zarr.json", Range="bytes=0-0", Accept_Encoding="gzip").content == b"{"


def test_not_modified(site: Site) -> None:
    """A client with the current response gets 304, until the file changes; no two chunks share an ETag."""
    path = site.folder / "tagged.h5"
    samples.write_image(path, np.zeros((2, 3, 4), "u2"))
    first = get(site, "/zarr/tagged.h5/image/c/0/0")
    again = get(site, "/zarr/tagged.h5/image/c/0/0", If_None_Match=first.headers["etag"])
    other_key = get(site, "/zarr/tagged.h5/background/c/0/0", If_None_Match=first.headers["etag"])
    samples.write_image(path, np.ones((2, 3, 5), "u2"))
    changed = get(site, "/zarr/tagged.h5/image/c/0/0", If_None_Match=first.headers["etag"])

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert other_key.status_code == 200
    assert (changed.status_code, changed.content) == (200, np.ones((3, 5), "<u2").tobytes())


def test_nothing_is_read_for_a_304(site: Site) -> None:
    """A 304 takes no reading of the file, which may be no image at all."""
    (site.folder / "unread.h5").write_bytes(b"x" * 1000)

    assert get(site, "/zarr/unread.h5/raw/image/c/0/0", If_None_Match="*").status_code == 304
    assert get(site, "/zarr/unread.h5/raw/image/c/0/0").status_code == 500


def test_documents_are_packed_and_chunks_are_not(site: Site) -> None:
    """Documents are sent as gzip to clients that accept it; chunks, which are noise, are not."""
    with site.client.stream("GET", f"{STORE}/zarr.json", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())

    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed))["node_type"] == "group"
    assert "content-encoding" not in get(site, CHUNK, Accept_Encoding="gzip").headers


# Missing keys and files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/frames.h5/.zarray",
        "/frames.h5/nothing/zarr.json",
        "/nowhere/zarr.json",
        "/zarr.json",
        "/",
        "/frames.h5/readme",
        "/frames.h5/image/c//0/0",
        "/frames.h5/image/c/0//0",
    ],
)
def test_no_document(path: str, site: Site) -> None:
    """A missing document is a small 404, because readers request many."""
    answer = get(site, f"/zarr{path}")

    assert answer.status_code == 404
    assert get_message(answer).startswith("There is neither a Zarr document nor a chunk at")
    assert len(answer.content) < 200


@pytest.mark.parametrize("key", ["image/c/9/0", "image/0.9", "image/c/0", "gone/c/0/0", "gone/0.0"])
def test_no_chunk(key: str, site: Site) -> None:
    """A missing chunk is no 404, which readers take for zeros."""
    answer = get(site, f"{STORE}/{key}")

    assert answer.status_code == 410
    assert get_message(answer).startswith(f"There is no chunk 'frames.h5/{key}'")


def test_a_removed_image_is_no_zeros(site: Site) -> None:
    """A chunk of a removed image is a 410 to a reader that still has its documents."""
    path = site.folder / "went.h5"
    samples.write_image(path, np.zeros((2, 3, 4), "u2"))
    assert get(site, "/zarr/went.h5/image/c/0/0").status_code == 200
    path.unlink()

    assert get(site, "/zarr/went.h5/image/c/0/0").status_code == 410


@pytest.mark.parametrize("path", ["/frames.h5", "/frames.h5/", "/deeper", "/frames.h5/raw"])
def test_store_without_a_key(path: str, site: Site) -> None:
    """A request for a store without a key gets the answer that this is a store."""
    answer = get(site, f"/zarr{path}")

    assert answer.status_code == 404
    assert (
        get_message(answer)
        == f"'{path.strip('/')}' is a Zarr store; open it as one. Its first document is zarr.json in it."
    )


@pytest.mark.parametrize("path", ["out.h5", "out/secret.h5", "../secret.h5", ".hidden.h5", "%2E%2E/secret.h5"])
def test_nothing_outside_the_folder(path: str, site: Site) -> None:
    """Nothing outside the folder is available, and nothing hidden in it."""
    for key in ("zarr.json", "image/c/0/0"):
        assert get(site, f"/zarr/{path}/{key}").status_code in {404, 410, 500}


@pytest.mark.parametrize("name", ["login.hdf", "short.h5"])
def test_a_bad_file(name: str, site: Site) -> None:
    """An unreadable file is a 500 with a sentence, and no path of the server."""
    for key in ("zarr.json", "image/c/0/0"):
        answer = get(site, f"/zarr/{name}/{key}")
        assert answer.status_code == 500
        assert get_message(answer)
        assert str(site.folder) not in answer.text
        assert LOGIN_PAGE not in answer.text


def test_impossible_variant(site: Site) -> None:
    """A variant that no transform makes is a 400 with the reason."""
    answer = get(site, f"{STORE}/~no_such_thing/zarr.json")

    assert answer.status_code == 400
    assert "no_such_thing" in get_message(answer)


@pytest.mark.parametrize("path", ["a/" * 30000, "1." * 30000, "c/1/" * 15000, "1/" * 30000, "1" * 60000])
def test_a_very_long_path(path: str, site: Site) -> None:
    """Of a path with very many names or numbers, only the beginning is looked up, in no time."""
    assert get(site, f"/zarr/{path}x").status_code == 404
    assert get(site, f"/zarr/{path}zarr.json").status_code == 404


def test_methods(site: Site) -> None:
    """OPTIONS lists the methods; a method that would change something is refused."""
    assert site.client.options(CHUNK).headers["allow"] == "GET, HEAD, OPTIONS"
    assert site.client.put(CHUNK, content=b"").status_code == 405


# Settings -----------------------------------------------------------------------------------------------------------


def test_settings(other: Server, site: Site) -> None:
    """``zarr.chunk_mib`` and ``zarr.compression`` change the chunks and the compression, and so the ETags."""
    metadata = get_document(site, f"{other.url}{STORE}/image/zarr.json")
    chunk = get(site, f"{other.url}{CHUNK}")

    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [300, 1400]
    assert metadata["codecs"][1]["name"] == "blosc"
    assert chunk.headers["etag"] != get(site, CHUNK).headers["etag"]
    assert int(site.client.head(f"{other.url}{CHUNK}").headers["content-length"]) == len(chunk.content)


def test_too_much_to_read(other: Server, site: Site) -> None:
    """A chunk that reads too much for one response is refused before anything is read; its documents are not."""
    variant = f"{other.url}{STORE}/~background_subtracted~normalise"
    refusal = get(site, f"{variant}/result/c/0/0")

    assert get(site, f"{variant}/zarr.json").status_code == 200
    assert refusal.status_code == 413
    assert "MiB would be read; for one answer 5.0 MiB are at most" in get_message(refusal)


def test_browsers_of_other_sites(other: Server, site: Site) -> None:
    """A page of an allowed site may request byte ranges, and sees the necessary headers; of another it may not."""
    origin = {"Origin": "https://notebooks.example.org"}
    wants = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range, if-none-match"}
    preflight = site.client.options(f"{other.url}{CHUNK}", headers={**origin, **wants})
    answer = site.client.get(f"{other.url}{CHUNK}", headers={**origin, "Range": "bytes=0-9"})
    seen = answer.headers["access-control-expose-headers"]

    assert preflight.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]
    assert {"Content-Range", "ETag", "Content-Length", "Accept-Ranges"} <= set(seen.split(", "))
    assert "access-control-allow-origin" not in site.client.get(CHUNK, headers=origin).headers


# Folders ------------------------------------------------------------------------------------------------------------


def test_a_folder_and_its_images(site: Site) -> None:
    """A folder is a store with a group for each image, whatever the names; its chunks are the images' own."""
    (child,) = site.get("deeper").json()["children"]
    group = child["name"].replace("-", "_").replace(".", "_")
    metadata = get_document(site, "/zarr/deeper/zarr.json")["consolidated_metadata"]["metadata"]
    chunks = [get(site, f"/zarr/deeper/{name}/image/c/0/0") for name in (group, child["name"])]

    assert group != child["name"]
    assert metadata[group]["attributes"]["path"] == child["name"]
    assert [chunk.content for chunk in chunks] == [chunks[0].content] * 2
    assert len(chunks[0].content) == metadata[f"{group}/image"]["shape"][0] * 40 * 2
    assert get_document(site, f"/zarr/deeper/{group}/.zgroup") == {"zarr_format": 2}


def test_a_change_in_a_folder_is_seen_at_once(site: Site) -> None:
    """A chunk of a folder's image is of the current file, though the folder itself is cached for a while."""
    (site.folder / "changing").mkdir()
    path = site.folder / "changing/one.h5"
    samples.write_image(path, np.zeros((2, 3, 4), "u2"))
    samples.write_image(path.with_name("other.h5"), np.zeros((2, 3, 4), "u2"))
    url = "/zarr/changing/one_h5/image/c/0/0"
    first = [get(site, url) for _ in range(2)]
    samples.write_image(path, np.ones((2, 3, 5), "u2"))
    changed = get(site, url, If_None_Match=first[0].headers["etag"])
    path.unlink()

    assert [each.content for each in first] == [bytes(24)] * 2
    assert (changed.status_code, changed.content) == (200, np.ones((3, 5), "<u2").tobytes())
    assert get(site, url).status_code == 410
    assert "other_h5" in get_document(site, "/zarr/changing/zarr.json")["consolidated_metadata"]["metadata"]
