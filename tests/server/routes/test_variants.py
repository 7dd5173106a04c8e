"""Variants and provenance, from a running server."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from prov.model import ProvDocument
from tests.server.conftest import Site
from tests.server.wire import parse_dap2_error, parse_dap4_error

IMAGE = "frames.h5"
VARIANT = f"{IMAGE}/~background_subtracted-scale-2~crop-columns-3_9-rows-10_20"


def test_canonical_url(site: Site) -> None:
    """A non-canonical URL of a variant redirects to the canonical one, with its query."""
    asked = f"{IMAGE}/~background_subtracted-scale-2.0-clip-no~crop-rows-10_20-columns-3_9.dods?result[0:1]"
    moved = site.get(asked)

    assert moved.status_code == 308
    assert moved.headers["location"] == f"{site.server.dap(VARIANT)}.dods?result[0:1]"
    assert site.get(f"{VARIANT}.dds").status_code == 200


def test_variant_without_changes(site: Site) -> None:
    """A variant without changes is the image itself."""
    assert site.get(f"{IMAGE}/~background_subtracted-scale-1.dds").headers["location"] == site.server.dap(
        f"{IMAGE}.dds"
    )


def test_name(site: Site) -> None:
    """A variant's dataset has the name of its image."""
    assert site.get(f"{VARIANT}.dds").text.rstrip().endswith("} frames.h5;")


def test_tags(site: Site) -> None:
    """Each variant has its own ETags; a client with the current response gets 304."""
    one, other = (site.get(f"{IMAGE}/~image~crop-rows-1_{last}.dds") for last in (2, 3))
    again = site.client.get(f"/dap/{IMAGE}/~image~crop-rows-1_2.dds", headers={"If-None-Match": one.headers["etag"]})

    assert one.headers["etag"] != other.headers["etag"]
    assert again.status_code == 304


@pytest.mark.parametrize("suffix", [".html", ".info", ".dmr.html", ".ascii", ".nc", ".nc4", ".dsr", ".dmr", ""])
def test_every_answer(suffix: str, site: Site) -> None:
    """Pages, downloads and listings support variants too."""
    answer = site.get(f"{VARIANT}{suffix}")

    assert answer.status_code == 200
    assert "result" in answer.content.decode("latin-1") or suffix == ".dsr"


def test_links_of_pages(site: Site) -> None:
    """The form of a variant builds URLs of that variant."""
    page = site.get(f"{VARIANT}.html").text

    assert site.server.dap(VARIANT) in page
    assert "Variant <code>~background_subtracted-scale-2~crop" in page
    assert f'href="/fileServer/{IMAGE}"' in page


@pytest.mark.parametrize(
    ("segment", "words"),
    [
        ("~nonesuch", "There is no variable and no transform 'nonesuch'. The variables are: "),
        ("~image~median_filter-size-4", "median_filter does not take this: size: "),
        ("~image~median_filter-size-3001", "size: "),
        ("~image~crop-rows-0_9999", "1199"),
        ("~image~crop-", "is no step of a variant; write NAME-OPTION-VALUE"),
        ("~image" + "~crop" * 8, "it may have 8"),
        ("~image~subtract_background-background-../../secret", "no image"),
        ("~", "is no step of a variant"),
    ],
)
def test_refusals(segment: str, words: str, site: Site) -> None:
    """An invalid variant of an image is refused in words of the protocol, with what would be valid."""
    dap2, dap4 = site.get(f"{IMAGE}/{segment}.dds"), site.get(f"{IMAGE}/{segment}.dmr")

    assert dap2.status_code == dap4.status_code == (404 if "/" in segment else 400)
    assert words in parse_dap2_error(dap2.text)[1]
    assert words in parse_dap4_error(dap4.text)[1]


def test_no_image(site: Site) -> None:
    """A variant of a missing image is not found."""
    assert site.get("nonesuch/~image~crop.dds").status_code == 404


def test_reading_is_bounded(site: Site) -> None:
    """The response for a variant that needs whole images states what it reads, which is within the limit here."""
    answer = site.get(f"{IMAGE}/~image~percentiles-levels-50.dods?result")

    assert answer.status_code == 200
    assert np.frombuffer(answer.content[-8:], ">f8")[0] == np.percentile(site.frames["image"], 50)


class TestProvenance:
    def test_document(self, site: Site) -> None:
        """The document is PROV-JSON that the library of PROV's authors reads, and links the variable to the file."""
        answer = site.get(f"{VARIANT}.prov?result")
        document = ProvDocument.deserialize(BytesIO(answer.content), format="json")
        labels = {str(label) for record in document.get_records() for label in record.get_attribute("prov:label")}

        assert answer.headers["content-type"] == "application/json"
        assert {"result", "image", "background", "crop(background_subtracted, columns=(3, 9), rows=(10, 20))"} <= labels

    def test_counts(self, site: Site) -> None:
        """For a single variable, the document counts its negative and missing values."""
        entities = site.get(f"{IMAGE}.prov?background_subtracted").json()["entity"]
        counts = next(each for name, each in entities.items() if name.endswith("#background_subtracted"))

        assert counts["shotdap:negative"]["$"] == str(np.count_nonzero(site.frames["background_subtracted"] < 0))
        assert counts["shotdap:missing"]["$"] == "0"

    def test_all(self, site: Site) -> None:
        """Without a name, the document describes all virtual variables, and reads no pixel."""
        entities = site.get(f"{IMAGE}.prov").json()["entity"]

        assert any(name.endswith("#background_subtracted") for name in entities)

    def test_unknown(self, site: Site) -> None:
        """The error for an unknown variable lists the known ones."""
        refusal = site.get(f"{IMAGE}.prov?nonesuch")

        assert refusal.status_code == 400
        assert "There is no variable 'nonesuch' here. The variables are: " in parse_dap2_error(refusal.text)[1]

    def test_link(self, site: Site) -> None:
        """A virtual variable's attributes have its URL, and that of its explanation; both respond."""
        attributes = site.get(f"{VARIANT}.das").text.partition("    result {")[2].partition("\n    }")[0]
        links = [line.split('"')[1] for line in attributes.splitlines() if "derived_at" in line or "provenance" in line]

        assert len(links) == 2
        assert [site.get(link).status_code for link in links] == [200, 200]
