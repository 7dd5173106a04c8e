"""The content of the archive over the REST API: lists and their pages, counts, changes; and the prototype's URLs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serving import Server

from shotdap import __version__


def iterate_pages(api: httpx.Client, first: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of a list by following their links."""
    url: str | None = first
    while url:
        answer = api.get(url)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        yield found
        url = found["next"]
        assert answer.links.get("next", {}).get("url") == url


class TestLists:
    def test_images(self, api: httpx.Client) -> None:
        """The pages of a search contain each image once, whatever their size."""
        whole = [image["path"] for image in api.get("images", params={"q": "facility:omega"}).json()["images"]]
        paged = [
            image["path"] for page in iterate_pages(api, "images?q=facility:omega&limit=4") for image in page["images"]
        ]

        assert paged == whole
        assert len(set(whole)) == len(whole) == 15

    @pytest.mark.parametrize("limit", [1, 2, 5, 1000])
    def test_shots(self, api: httpx.Client, limit: int) -> None:
        """The pages of shots contain each shot of each facility once, and all images."""
        shots = [each for page in iterate_pages(api, f"shots?limit={limit}") for each in page["shots"]]
        keys = [(each["shot"], each["facility"]) for each in shots]

        assert len(set(keys)) == len(keys)
        assert [number for number, _ in keys] == sorted((number for number, _ in keys), reverse=True)
        assert sum(each["images"] for each in shots) == api.get("facets").json()["total"]

    def test_shots_of_a_facility(self, api: httpx.Client) -> None:
        """Shots of a facility are found by its name, and by its name in public paths."""
        spelled, named = (api.get("shots", params={"facility": name}).json() for name in ("omega-ep", "OMEGA EP"))

        assert [each["shot"] for each in spelled["shots"]] == [25386, 25384]
        assert spelled == named

    def test_shot(self, api: httpx.Client) -> None:
        """A shot has its images and diagnostics, and its links lead to it and to the search for them."""
        found = api.get("shots/omega/103741").json()
        paths = [each["path"] for each in found["images"]]
        searched = api.get(found["links"]["images"]).json()["images"]

        assert found["diagnostics"] == {"P510": 1, "P510_2": 2, "PTD": 1, "XRFC_FILM": 2}
        assert "omega/103741/p510_2/p510_2_s103741" in paths
        assert paths == sorted(each["path"] for each in searched)
        assert api.get(found["links"]["self"]).json() == found

    def test_one_number_two_shots(self, api: httpx.Client) -> None:
        """A number of two facilities gives two shots."""
        omega, ep = (api.get(f"shots/{name}/25386").json() for name in ("omega", "omega-ep"))

        assert (omega["facility"], ep["facility"]) == ("OMEGA", "OMEGA EP")
        assert {each["path"] for each in omega["images"]}.isdisjoint(each["path"] for each in ep["images"])

    def test_counts(self, api: httpx.Client) -> None:
        """Facilities, diagnostics and facets count the same images."""
        facets = api.get("facets", params={"q": "shot:103741"}).json()
        facilities = {each["name"]: each["images"] for each in api.get("facilities").json()["facilities"]}
        diagnostics = api.get("diagnostics").json()

        assert facets["counts"]["facility"] == {"OMEGA": 6}
        assert facilities == {"OMEGA": 15, "OMEGA EP": 2}
        assert {each["name"]: each["images"] for each in diagnostics["diagnostics"]}["SOP"] == 3
        assert "background_subtracted" in next(
            each["virtual"] for each in diagnostics["descriptions"] if each["name"] == "p510"
        )

    def test_changes(self, api: httpx.Client) -> None:
        """All images are changes since the beginning; after the last change there are none."""
        since, paths = 0, []
        while True:
            found = api.get("changes", params={"since": since, "limit": 5}).json()
            paths += [each["path"] for each in found["changes"]]
            since = found["token"]
            if not found["more"]:
                break

        assert len(set(paths)) == api.get("facets").json()["total"]
        assert api.get("changes", params={"since": since}).json() == {"changes": [], "token": since, "more": False}

    def test_not_modified(self, api: httpx.Client) -> None:
        """An unchanged list gives 304."""
        tag = api.get("facets").headers["etag"]

        assert api.get("facets", headers={"If-None-Match": tag}).status_code == 304

    def test_without_a_catalog(self, every: Server) -> None:
        """For a folder, counts are unavailable and the error says so; its images are found and described."""
        with httpx.Client(base_url=f"{every.url}/api/v1/", trust_env=False, timeout=60) as api:
            assert api.get("facets").status_code == 404
            assert [each["path"] for each in api.get("images?q=every").json()["images"]] == ["every.h5", "every.hdf"]
            found = api.get("attributes/every.h5").json()

        odd = found["variables"]["attributed"]
        assert (odd["not_a_number"], odd["infinite"], odd["great"]) == ("NaN", "-Infinity", str(2**60))


class TestService:
    def test_version(self, api: httpx.Client) -> None:
        """The service states its version, and its links lead on."""
        found = api.get("version").json()

        assert found["version"] == __version__
        assert {api.get(url).status_code for url in found["links"].values()} == {200}

    def test_health(self, api: httpx.Client) -> None:
        """A healthy server reports itself and its catalog as healthy."""
        assert api.get("health").json() == api.get("health/ready").json() == {"status": "ok"}

    def test_transforms(self, api: httpx.Client) -> None:
        """Each transform is listed with its options and their ranges."""
        found = {each["name"]: each for each in api.get("transforms").json()["transforms"]}
        (size,) = found["median_filter"]["options"]

        assert (size["schema"]["minimum"], size["schema"]["maximum"], size["schema"]["default"]) == (3, 31, 3)
        assert api.get("transforms/median_filter").json() == found["median_filter"]

    def test_formats(self, api: httpx.Client) -> None:
        """The formats are listed with their media types."""
        found = {each["name"]: each["media_type"] for each in api.get("formats").json()["formats"]}

        assert found["nc4"] == "application/x-netcdf"

    def test_root(self, demo: Server) -> None:
        """The server's root links to the API and to its documentation."""
        found = httpx.get(demo.url, trust_env=False).json()

        assert httpx.get(found["api"], trust_env=False).json()["version"] == __version__
        assert httpx.get(found["documentation"], trust_env=False).status_code == 200


class TestPrototype:
    """The URLs of the laboratory's prototype."""

    ONE = "shot=103741&diagnostic=P510_2&name=p510_2_s103741"

    def test_alias(self, demo: Server, api: httpx.Client) -> None:
        """The alias gives the same response as the image."""
        own = api.get("images/omega/103741/p510_2/p510_2_s103741?variable=background_subtracted&format=nc4&y=3:9")
        alias = httpx.get(f"{demo.url}/api/image/get/subtracted?{self.ONE}&format=nc4&y=3:9", trust_env=False)

        assert alias.status_code == 200
        assert alias.content == own.content

    def test_several(self, demo: Server) -> None:
        """If several images match, they are listed."""
        asked = "image?shot=103741&diagnostic=P510_2&format=nc4"
        answer = httpx.get(f"{demo.url}/api/image/get/{asked}", trust_env=False)

        assert answer.status_code == 409
        assert "omega/103741/p510_2/p510_2_s103741" in answer.json()["images"]

    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            ("subtracted?shot=1", 404),
            ("subtracted", 400),
            ("subtracted?shot=x", 400),
            ("subtracted?shot=103741&shot=103741", 400),
            ("subtracted?shot=103741&variable=image", 400),
            ("flattened?shot=103741", 400),
        ],
    )
    def test_refused(self, demo: Server, asked: str, status: int) -> None:
        """A URL without an image, or an invalid one, gives a problem document."""
        answer = httpx.get(f"{demo.url}/api/image/get/{asked}", trust_env=False)

        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
