"""DAP4's constraints, services and page, from a running server."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.server.conftest import Site
from tests.server.wire import parse_dap4_chunks, parse_dap4_error

SERVICES: Final = "{http://xml.opendap.org/ns/DAP/4.0/dataset-services#}"
SERVICES_TYPE: Final = "application/vnd.opendap.dap4.dataset-services+xml"
BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
REQUIRED: Final = {"dap4/dataset-services", "dap4/dataset-metadata", "dap4/data"}


@pytest.mark.parametrize(
    ("expression", "rows", "columns"),
    [
        ("/background_subtracted[3,0:1][0:2:5,7]", [3, 0, 1], [0, 2, 4, 7]),
        ("/y=[10:2:99];/background_subtracted[][5]", list(range(10, 100, 2)), [5]),
        ("/y=[1,5];/x=[0:9];/background_subtracted", [1, 5], list(range(10))),
        ("/background_subtracted[1199][*]", [1199], list(range(1400))),
    ],
)
def test_values(expression: str, rows: list[int], columns: list[int], site: Site) -> None:
    """Disjoint subsets and redefined dimensions of a virtual variable equal NumPy's result for the file."""
    answer = site.get(f"frames.h5.dap?dap4.checksum=false&dap4.ce={expression}")
    _, (_, data) = parse_dap4_chunks(answer.content)

    np.testing.assert_array_equal(
        np.frombuffer(data, "<f4"), site.frames["background_subtracted"][np.ix_(rows, columns)].ravel()
    )


def test_redefined_dimensions_are_shared(site: Site) -> None:
    """A redefined dimension keeps its name and its map, in the DMR as in the data."""
    expression = "dap4.ce=/y=[0:9];/image;/y"
    dmr = site.get(f"frames.h5.dmr?{expression}").text
    (_, described), *_ = parse_dap4_chunks(site.get(f"frames.h5.dap?dap4.checksum=false&{expression}").content)

    for document in (dmr, described.decode()):
        assert '<Dimension name="y" size="10"/>' in document
        assert '<Map name="/y"/>' in document


def test_function(site: Site) -> None:
    """A function is refused with 400, and a sentence that names the server's alternative."""
    answer = site.get("frames.h5.dap?dap4.function=mean(image)")

    assert answer.status_code == 400
    assert "background_subtracted" in parse_dap4_error(answer.text)[1]


class TestServices:
    @pytest.mark.parametrize("suffix", [".dsr", ".dsr.xml"])
    def test_shape(self, suffix: str, site: Site) -> None:
        """The document has the elements of the specification, in their order."""
        answer = site.get(f"frames.h5{suffix}")
        root = ET.fromstring(answer.text)  # noqa: S314 - our own
        services = root.findall(f"{SERVICES}Service")

        assert answer.headers["content-type"] == SERVICES_TYPE
        assert (root.tag, root.get(BASE)) == (f"{SERVICES}DatasetServices", site.server.dap("frames.h5"))
        assert [version.text for version in root.findall(f"{SERVICES}DapVersion")] == ["4.0", "2.0"]
        assert len(root.findall(f"{SERVICES}ServerSoftwareVersion")) == 1
        assert {str(each.get("role")).removeprefix("http://services.opendap.org/") for each in services} >= REQUIRED
        assert all(
            [child.tag for child in each][:2] == [f"{SERVICES}Description", f"{SERVICES}link"] for each in services
        )

    def test_links(self, site: Site) -> None:
        """Each link gives a response of the type that it names."""
        root = ET.fromstring(site.get("frames.h5.dsr").text)  # noqa: S314 - our own
        links = {str(link.get("href")): str(link.get("type")) for link in root.iter(f"{SERVICES}link")}
        found = {url: site.client.head(url) for url in links}

        assert {url: answer.status_code for url, answer in found.items()} == dict.fromkeys(links, 200)
        assert {url: answer.headers["content-type"].partition(";")[0] for url, answer in found.items()} == links

    def test_negotiated(self, site: Site) -> None:
        """The URL without a suffix gives the services to a client that accepts their type, and JSON to others."""
        services = site.client.get("/dap/frames.h5", headers={"Accept": f"{SERVICES_TYPE}, */*;q=0.1"})
        others = site.get("frames.h5")

        assert services.text == site.get("frames.h5.dsr").text
        assert others.headers["content-type"] == "application/json"
        assert services.headers["vary"] == others.headers["vary"] == "Accept"

    def test_of_a_folder(self, site: Site) -> None:
        """A folder is one dataset, whose services are sent to clients that accept them; others get the listing."""
        services = site.client.get("/dap/deeper", headers={"Accept": SERVICES_TYPE})

        assert "/dap/deeper.dap" in services.text
        assert site.client.get("/dap/deeper").json()["children"]

    def test_of_nothing(self, site: Site) -> None:
        """For a missing image, the response is an error of DAP4."""
        answer = site.get("absent.h5.dsr")

        assert (answer.status_code, parse_dap4_error(answer.text)[0]) == (404, 404)


class TestPage:
    def test_shows(self, site: Site) -> None:
        """The page shows the result of a constraint, and the constraint in its form."""
        page = site.get("frames.h5.dmr.html?dap4.ce=%2Fimage%5B0%3A9%5D%5B5%5D").text

        assert "UInt16 /image[10][1]" in page
        assert 'value="/image[0:9][5]"' in page
        assert "/background_subtracted" not in page

    def test_escapes(self, site: Site) -> None:
        """The content of a constraint is text in the page."""
        answer = site.get('frames.h5.dmr.html?dap4.ce=/image"><script>')

        assert answer.status_code == 400
        assert "<script>" not in answer.text
