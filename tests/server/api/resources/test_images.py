"""Images over the REST API: descriptions, parts, files, conditional requests, byte ranges, and refusals."""

from __future__ import annotations

import gzip
import io
import json
import socket
from pathlib import Path
from typing import Any, Final

import h5netcdf
import httpx
import numpy as np
import pytest
from tests import direct
from tests.serving import Server

from shotdap.server.encoders.formats import FORMATS

PATH: Final = "omega/103741/p510_2/p510_2_s103741"
IMAGE: Final = f"images/{PATH}"


@pytest.fixture(scope="module")
def frames(archive: Path) -> dict[str, Any]:
    """The content of the image's file, read without shotdap."""
    return direct.read_frames(direct.find_stored(archive, "OMEGA", "p510_2_s103741.hdf"))


def get_values(answer: httpx.Response, name: str) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    with h5netcdf.File(io.BytesIO(answer.content), "r") as file:
        return np.asarray(file.variables[name][...])


def get_detail(answer: httpx.Response, status: int) -> str:
    """Return the sentence of a problem document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    return str(document["detail"])


class TestDescription:
    def test_whole(self, api: httpx.Client) -> None:
        """The description contains the facts of the image, its variables, and links to the values."""
        found = api.get(IMAGE).json()
        variables = {each["name"]: each for each in found["variables"]}

        assert found["facts"]["shot"] == 103741
        assert (found["path"], found["health"], len(found["sha256"])) == (PATH, "ok", 64)
        assert variables["image"]["dtype"] == "uint16"
        assert variables["image"]["dimensions"] == [{"name": "y", "size": 512}, {"name": "x", "size": 548}]
        assert variables["background_subtracted"]["virtual"]
        assert not variables["image"]["virtual"]
        assert variables["background_subtracted"]["units"] == "count"

    def test_links(self, api: httpx.Client) -> None:
        """Each link leads to a response, except for protocols that are served elsewhere."""
        links = api.get(IMAGE).json()["links"]
        of_here = {name: url for name, url in links.items() if name != "zarr"}
        statuses = {name: api.get(url).status_code for name, url in of_here.items()}

        assert set(statuses.values()) == {200}, statuses

    def test_part(self, api: httpx.Client) -> None:
        """A description is of the requested variable, part or transform."""
        found = api.get(f"{IMAGE}?variable=background_subtracted&transform=median_filter-size-5&y=100:400:2").json()
        variables = {each["name"]: each for each in found["variables"]}

        assert found["path"] == f"{PATH}/~background_subtracted~median_filter-size-5"
        assert variables["result"]["dimensions"][0] == {"name": "y", "size": 150}

    def test_formats(self, api: httpx.Client, frames: dict[str, Any]) -> None:
        """A description's links give the described data in each format."""
        formats = api.get(f"{IMAGE}?variable=image&y=3:9").json()["formats"]

        np.testing.assert_array_equal(get_values(api.get(formats["nc4"]), "image"), frames["image"][3:9])

    def test_compressed(self, api: httpx.Client) -> None:
        """A client that accepts gzip gets it, with another ETag that is equally valid."""
        with api.stream("GET", IMAGE, headers={"Accept-Encoding": "gzip"}) as answer:
            body = b"".join(answer.iter_raw())
        again = api.get(IMAGE, headers={"If-None-Match": answer.headers["etag"]})

        assert json.loads(gzip.decompress(body))["path"] == PATH
        assert again.status_code == 304


class TestValues:
    @pytest.mark.parametrize(
        ("query", "name", "cut"),
        [
            ("variable=image", "image", np.s_[:, :]),
            ("variable=background_subtracted&y=100:400", "background_subtracted", np.s_[100:400, :]),
            ("variable=background_subtracted&y=3&x=5:50:7", "background_subtracted", np.s_[3, 5:50:7]),
        ],
    )
    def test_cut(self, api: httpx.Client, frames: dict[str, Any], query: str, name: str, cut: Any) -> None:  # noqa: ANN401
        """The values are those of the file, sliced as in Python."""
        np.testing.assert_array_equal(get_values(api.get(f"{IMAGE}?{query}&format=nc4"), name), frames[name][cut])

    def test_band(self, api: httpx.Client, frames: dict[str, Any]) -> None:
        """A band is the mean over its rows, without the last of the range, as everywhere."""
        answer = api.get(f"{IMAGE}?variable=image&band=rows:100:200&x=10:20&format=nc4")

        np.testing.assert_allclose(get_values(answer, "result"), frames["image"][100:200, 10:20].mean(axis=0))

    def test_raw(self, api: httpx.Client, frames: dict[str, Any]) -> None:
        """The raw file has its own names."""
        answer = api.get(f"{IMAGE}?raw=true&format=nc4")

        np.testing.assert_array_equal(get_values(answer, "Streak_array")[0], frames["image"])

    def test_requests_as_in_the_readme(self, api: httpx.Client, frames: dict[str, Any]) -> None:
        """Parameters that a client's library encodes mean the same, including brackets and colons."""
        asked = {"variable": "background_subtracted", "format": "nc4", "y": "100:400"}
        answer = api.get(IMAGE, params=asked)

        np.testing.assert_array_equal(
            get_values(answer, "background_subtracted"), frames["background_subtracted"][100:400]
        )

    def test_encoded_slashes(self, api: httpx.Client) -> None:
        """A path with encoded slashes is the same path."""
        assert api.get(f"images/{PATH.replace('/', '%2F')}").json()["path"] == PATH

    def test_named(self, api: httpx.Client) -> None:
        """A file has a name for downloads."""
        answer = api.head(f"{IMAGE}?variable=image&format=nc4")

        assert answer.headers["content-disposition"] == 'attachment; filename="p510_2_s103741_image.nc4"'

    @pytest.mark.parametrize(
        ("asked", "extension"), [("format=png", "png"), ("transform=median_filter-size-3&format=tiff", "tiff")]
    )
    def test_named_without_a_variable(self, api: httpx.Client, asked: str, extension: str) -> None:
        """A file of the default variable has only the image's name."""
        answer = api.head(f"{IMAGE}?{asked}")

        assert answer.headers["content-disposition"].endswith(f'; filename="p510_2_s103741.{extension}"')

    def test_accept(self, api: httpx.Client) -> None:
        """Without a format, a client that does not accept JSON gets the format of its media type, or an error."""
        netcdf = api.get(f"{IMAGE}?variable=image&y=0:3", headers={"Accept": "application/x-netcdf"})

        assert netcdf.headers["content-type"] == "application/x-netcdf"
        assert "Accept" in netcdf.headers["vary"]
        assert "The formats are" in get_detail(api.get(IMAGE, headers={"Accept": "video/mp4"}), 406)

    def test_picture(self, api: httpx.Client) -> None:
        """The request of the documentation gives a picture that browsers show."""
        asked = {"variable": "background_subtracted", "format": "png", "y": "100:400", "cmap": "viridis"}
        answer = api.get(IMAGE, params=asked)

        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"].startswith("inline")
        assert answer.content.startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", FORMATS)
    def test_deterministic(self, api: httpx.Client, name: str) -> None:
        """The same request has the same response, to the byte, so that its ETag and its byte ranges are valid."""
        what = (
            "band=rows:100:200&variable=image" if FORMATS[name].content_kind == "lineout" else "variable=image&y=0:30"
        )
        first, second = (api.get(f"{IMAGE}?{what}&format={name}") for _ in range(2))

        assert first.status_code == 200, first.text
        assert first.content == second.content
        assert first.headers["etag"] == second.headers["etag"]


class TestConditions:
    def test_not_modified(self, api: httpx.Client) -> None:
        """A client with the current response gets 304, and one with another gets this response."""
        query = f"{IMAGE}?variable=image&y=0:3&format=nc4"
        tag = api.get(query).headers["etag"]

        assert api.get(query, headers={"If-None-Match": tag}).status_code == 304
        assert api.get(query, headers={"If-None-Match": '"other"'}).status_code == 200
        assert api.get(f"{IMAGE}?variable=image&y=0:4&format=nc4").headers["etag"] != tag

    def test_head(self, api: httpx.Client) -> None:
        """HEAD has the headers of GET, and no body."""
        got, head = (api.request(method, f"{IMAGE}?format=nc4") for method in ("GET", "HEAD"))
        same = ("etag", "content-type", "content-disposition", "last-modified", "vary")

        assert head.content == b""
        assert [head.headers[name] for name in same] == [got.headers[name] for name in same]

    @pytest.mark.parametrize("asked", ["bytes=0-99", "bytes=100-", "bytes=-50", "bytes=5-5", "bytes=3-99999999"])
    def test_range(self, api: httpx.Client, asked: str) -> None:
        """A byte range gives that part of the whole response."""
        query = f"{IMAGE}?variable=image&y=0:300&format=nc4"
        whole = api.get(query).content
        part = api.get(query, headers={"Range": asked})
        first, _, last = part.headers["content-range"].removeprefix("bytes ").partition("/")[0].partition("-")

        assert part.status_code == 206
        assert part.content == whole[int(first) : int(last) + 1]
        assert part.headers["content-range"].endswith(f"/{len(whole)}")

    def test_invalid_ranges(self, api: httpx.Client) -> None:
        """A range outside is refused; several ranges, or one of another version, are ignored."""
        query = f"{IMAGE}?variable=image&y=0:3&format=nc4"
        outside = api.get(query, headers={"Range": "bytes=99999999-"})

        assert "lies outside" in get_detail(outside, 416)
        assert outside.headers["content-range"].startswith("bytes */")
        for headers in ({"Range": "bytes=0-1,5-6"}, {"Range": "lines=1-2"}, {"Range": "bytes=0-1", "If-Range": '"x"'}):
            assert api.get(query, headers=headers).status_code == 200


class TestRefusals:
    @pytest.mark.parametrize(
        ("target", "status", "sentence"),
        [
            ("images/omega/1/nowhere", 404, "no folder"),
            ("images/omega/103741", 404, "is a folder, not an image"),
            (f"{IMAGE}?frame=0", 400, "There is no parameter and no dimension 'frame' here. The dimensions are: y, x"),
            (f"{IMAGE}?formt=png", 400, "'formt'='png' is no parameter (variable, transform"),
            (f"{IMAGE}?format=gif", 400, "There is no format 'gif'. The formats are: nc, nc4"),
            (f"{IMAGE}?format=nc4&format=nc", 400, "format is given 2 times"),
            (f"{IMAGE}?variable=nothing", 400, "There is no variable 'nothing' here. The variables are: image"),
            (f"{IMAGE}?y=500:600", 400, "index 599 is outside 0 to 511"),
            (f"{IMAGE}?transform=no_such", 400, "There is no variable and no transform 'no_such'"),
            (f"{IMAGE}?transform=median_filter-size-99", 400, "less than or equal to 31"),
            (f"{IMAGE}?variable=image&variable=background&transform=log10", 400, "Transforms take one variable"),
            (f"{IMAGE}?cmap=viridis", 400, "cmap is for pictures"),
            (f"{IMAGE}?format=nc4&colour_bar=true", 400, "colour_bar is for pictures"),
            (f"{IMAGE}?download=1", 400, "download is for files"),
            ("images/omega/112059/ats_ccd/ATS_CCD-s112059", 500, "The file is an HTML page"),
            ("images?q=date:2022-13", 400, '"2022-13" is no date'),
            ("images?query=x", 400, "query: Extra inputs are not permitted"),
            ("images?limit=0", 400, "limit: Input should be greater than or equal to 1"),
            ("images?limit=5&limit=6", 400, "'limit' is given 2 times"),
            ("images?cursor=x", 400, "not a page token"),
            (f"thumbnails/{PATH}?size=5000", 400, "a thumbnail has 1024 pixels at most"),
            (f"attributes/{PATH}?y=0:3", 400, "'y' is no parameter here"),
            (f"statistics/{PATH}?variable=image&variable=background", 400, "Statistics are of one variable"),
            ("nothing", 404, "There is nothing at /api/v1/nothing"),
            ("transforms/no_such", 404, "There is no transform 'no_such'"),
            ("shots/omega/1", 404, "no image of shot 1"),
            ("shots/nif/1", 404, "The facilities are: omega, omega-ep"),
            ("shots/omega/x", 400, "shot: Input should be a valid integer"),
            ("shots?cursor=e30", 400, "no cursor"),
        ],
    )
    def test_sentence(self, api: httpx.Client, target: str, status: int, sentence: str) -> None:
        """A refused request gives a problem document that says what would be valid."""
        assert sentence in get_detail(api.get(target), status)

    def test_wrong_words_are_marked(self, api: httpx.Client) -> None:
        """The error for an invalid query marks the wrong word."""
        found = api.get("images", params={"q": "laser date:2022-13"}).json()

        assert found["column"] == 12
        assert found["marked"] == "  laser date:2022-13\n             ^^^^^^^"

    def test_other_methods(self, api: httpx.Client) -> None:
        """Other methods are refused, and the response lists the allowed ones."""
        answer = api.post(IMAGE)

        assert get_detail(answer, 405)
        assert "GET" in answer.headers["allow"]

    def test_beside_the_api(self, demo: Server) -> None:
        """A path below ``/api`` that does not exist gives a problem document, too."""
        assert "There is nothing here" in get_detail(httpx.get(f"{demo.url}/api/v2/images", trust_env=False), 404)

    def test_long_urls(self, demo: Server) -> None:
        """A URL that is too long has the status for that, in a problem document."""
        with socket.create_connection(("127.0.0.1", demo.port), timeout=60) as connection:
            connection.sendall(b"GET /api/v1/" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n")
            answer = connection.makefile("rb").read()

        assert answer.startswith(b"HTTP/1.1 414 ")
        assert b"application/problem+json" in answer


def test_statistics(api: httpx.Client, frames: dict[str, Any]) -> None:
    """Statistics of a part are those of its values."""
    found = api.get(f"statistics/{PATH}?variable=background_subtracted&y=100:400&bins=10").json()
    part = frames["background_subtracted"][100:400].astype("f8")

    np.testing.assert_allclose([found["mean"], found["standard_deviation"]], [part.mean(), part.std()])
    assert (found["minimum"], found["maximum"], found["count"]) == (part.min(), part.max(), part.size)
    assert found["negative"] == np.count_nonzero(part < 0)
    assert found["histogram"]["counts"] == np.histogram(part, 10)[0].tolist()
    assert found["units"] == "count"


def test_attributes(api: httpx.Client) -> None:
    """The attributes of an image are strict JSON, including those of the file."""
    found = api.get(f"attributes/{PATH}?variable=image").json()

    assert found["attributes"]["Unit"] == "P510_2"
    assert found["variables"]["image"]["units"] == "count"


def test_provenance(api: httpx.Client) -> None:
    """The provenance of a variable names the transform and the file's hash."""
    answer = api.get(f"provenance/{PATH}?variable=background_subtracted")

    assert "subtract_background" in answer.text
    assert api.get(IMAGE).json()["sha256"] in answer.text


def test_provenance_of_a_result(api: httpx.Client) -> None:
    """The provenance of a transform's result names the transform."""
    answer = api.get(f"provenance/{PATH}?variable=image&transform=median_filter-size-5")

    assert "median_filter" in answer.text
    assert "#result" in answer.text


def test_thumbnail(api: httpx.Client) -> None:
    """A thumbnail is a small PNG."""
    answer = api.get(f"thumbnails/{PATH}")

    assert answer.headers["content-type"] == "image/png"
    assert max(int.from_bytes(answer.content[16:20], "big"), int.from_bytes(answer.content[20:24], "big")) == 256
