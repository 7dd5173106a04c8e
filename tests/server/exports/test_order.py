"""Orders of exports: their JSON, their plans, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.server.exports.campaign import QUERY, Campaign, make_campaign
from tests.strategies import CountingSource

from shotdap.catalog import BadQuery
from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.config import Site, load_settings
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.exports.export_plan import Plan, plan_export
from shotdap.server.exports.order import (
    JOB_CONTAINERS,
    BadOrder,
    JobOrder,
    Order,
    QuerySource,
    parse_part_options,
    parse_part_value,
)
from shotdap.server.exports.workspace import Workspace
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import TooLarge
from shotdap.server.pictures.levels import Display
from shotdap.server.slice_text import format_part
from shotdap.transforms import BadSelection, BadVariant

MEMORY: Final = 1 << 30

_NAMES = st.text("abcxyz_09", min_size=1, max_size=9)
_BOUNDS = st.none() | st.integers(0, 10**9 - 1)
_SLICES = st.builds(slice, _BOUNDS, _BOUNDS, st.none() | st.integers(1, 9))
_PARTS = st.integers(0, 10**9 - 1) | _SLICES.filter(lambda part: part.stop is None or (part.start or 0) < part.stop)
_EXTRACTIONS = st.builds(
    Extraction,
    st.lists(_NAMES, max_size=3).map(tuple),
    st.dictionaries(_NAMES, _PARTS, max_size=3),
    st.lists(_NAMES, max_size=3).map(tuple),
    st.booleans(),
)
_DISPLAYS = st.builds(
    Display,
    colours=st.sampled_from(["gray", "viridis"]),
    low=st.none() | st.floats(-1e9, 1e9),
    size=st.none() | st.just(9),
)


@given(
    st.builds(
        Order,
        st.builds(QuerySource, st.text()),
        _EXTRACTIONS,
        st.sampled_from(["", *FORMATS]),
        st.sampled_from(JOB_CONTAINERS),
        display=_DISPLAYS,
    )
)
def test_round_trip(order: JobOrder) -> None:
    """An order survives the conversion to text and back."""
    again = Order.from_json(order.to_json())

    assert (again, again.to_json()) == (order, order.to_json())


@given(_PARTS)
def test_parts_round_trip(given_part: slice | int) -> None:
    """A range of a dimension survives the conversion to text and back."""
    assert parse_part_value("y", format_part(given_part)) == given_part


@pytest.mark.parametrize("text", ["", "a", "-1", "1:-2", "1:2:3:4", "1..2", "9" * 5000, ":" * 9])
def test_bad_parts(text: str) -> None:
    """Text that is no range is refused with the name of the dimension and an example."""
    with pytest.raises(BadOrder, match="y=100:400"):
        parse_part_options([f"y={text}"])


@pytest.mark.parametrize("text", ["5:5", "5:2", ":0", "1:9:0"])
def test_empty_parts(text: str) -> None:
    """An empty range is refused, instead of exporting empty images."""
    with pytest.raises(BadSelection, match=f"y={text} holds nothing"):
        parse_part_options([f"y={text}"])


def test_text_without_an_order() -> None:
    """Text that is not the JSON of an order is refused."""
    for text in ("", "{}", "[1]", '{"display": {}}'):
        with pytest.raises(BadOrder):
            Order.from_json(text)


REFUSED: Final[dict[str, tuple[JobOrder, type[Exception], str]]] = {
    "empty": (Order(QuerySource(" ")), BadOrder, "say which images"),
    "bad query": (Order(QuerySource("date:2022-13")), BadQuery, "is no date"),
    "nothing matches": (Order(QuerySource("facility:nif")), BadOrder, "No image matches 'facility:nif'"),
    "no such format": (Order(QuerySource(QUERY), format_name="gif"), BadOrder, "The formats are: "),
    "a format without files": (Order(QuerySource(QUERY), format_name="nc", container="zarr"), BadOrder, "Leave it out"),
    "no such container": (Order(QuerySource(QUERY), container="tar"), BadOrder, "zip"),  # type: ignore[arg-type]
    "no such variable": (
        Order(QuerySource(QUERY), Extraction(("ilumination",))),
        BadOrder,
        "no variable 'ilumination'",
    ),
    "no such dimension": (Order(QuerySource(QUERY), Extraction(part={"z": 3})), BadOrder, "no dimension 'z'"),
    "beyond the end": (Order(QuerySource(QUERY), Extraction(part={"y": slice(0, 999)})), BadOrder, "outside 0 to 11"),
    "no such transform": (Order(QuerySource(QUERY), Extraction(("image",), transforms=("blur",))), BadOrder, "blur"),
    "no transform": (Order(QuerySource(QUERY), Extraction(transforms=("a b",))), BadVariant, "is no step"),
    "transforms of two": (
        Order(QuerySource(QUERY), Extraction(("image", "background"), transforms=("log10",))),
        BadSelection,
        "one",
    ),
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Seven images in two files, one of them unreadable."""
    campaign = make_campaign(tmp_path_factory.mktemp("campaign") / "site", 7, files=2)
    campaign.spoil(0)
    return campaign


@pytest.fixture(scope="module")
def plan(campaign: Campaign) -> Callable[..., Plan]:
    """A function that plans an order."""
    catalog = Site(load_settings(campaign.config)).open_catalog()

    def plan(order: JobOrder, **bounds: Any) -> Plan:  # noqa: ANN401 — as `plan_export` has them
        return plan_export(catalog, order, **{"memory_limit": MEMORY, **bounds})

    return plan


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, plan: Callable[..., Plan]) -> None:
    """An order that cannot be right is refused before work starts, in a sentence that says why."""
    order, kind, words = REFUSED[what]
    with pytest.raises(kind, match=words):
        plan(order)


def test_planned(plan: Callable[..., Plan], campaign: Campaign) -> None:
    """A plan has all matching images, also unreadable ones, each with its own name."""
    result = plan(Order(QuerySource(QUERY), Extraction(("image",)), "nc"))

    assert sorted((item.path, item.name) for item in result.items) == [
        (campaign.get_path(number), f"{campaign.get_path(number)}.nc") for number in range(7)
    ]
    assert [item.number for item in result.items] == list(range(7))
    assert result.estimate > 7 * 12 * 16 * 2


def test_no_pixel_is_read(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan reads only headers, whatever the cost of the first image."""
    catalog = Site(load_settings(campaign.config)).open_catalog()
    sources: list[CountingSource] = []

    def open_counting(path: str, *, chunked: bool) -> xr.Dataset:
        source = CountingSource(np.ones((12, 16), "f4"))
        sources.append(source)
        return xr.Dataset({"image": create_lazy_variable(("y", "x"), source, {"of": path, "chunked": str(chunked)})})

    monkeypatch.setattr(catalog, "open", open_counting)
    plans = [
        plan_export(catalog, Order(QuerySource(QUERY), format_name=name), memory_limit=MEMORY)
        for name in ("nc", "png", "tiff", "")
    ]

    assert [plan.estimate for plan in plans] == [7 * 12 * 16 * 4] * 4
    assert [source.count for source in sources] == [0] * 4


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff", "npy", "csv"])
def test_unsuitable_format(name: str, plan: Callable[..., Plan]) -> None:
    """A format that cannot hold the selected variables is refused before work starts."""
    with pytest.raises(BadOrder, match="can be exported in this way"):
        plan(Order(QuerySource(QUERY), Extraction(("image", "background")), name))


def test_a_slow_image(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a timeout, a plan does not wait for the first image; the export finds errors later."""
    catalog, over = Site(load_settings(campaign.config)).open_catalog(), Event()

    def open_slowly(path: str, *, chunked: bool) -> xr.Dataset:  # noqa: ARG001 — as the catalog's
        over.wait()
        raise BadSelection(path)

    monkeypatch.setattr(catalog, "open", open_slowly)
    try:
        result = plan_export(catalog, Order(QuerySource(QUERY)), memory_limit=MEMORY, timeout=0.01)
    finally:
        over.set()

    assert (len(result.items), result.estimate) == (7, 0)
    with pytest.raises(BadOrder):
        plan_export(catalog, Order(QuerySource(QUERY)), memory_limit=MEMORY, timeout=60)


def test_too_many(plan: Callable[..., Plan]) -> None:
    """Too many images are refused with an alternative; exactly the limit is accepted."""
    assert len(plan(Order(QuerySource(QUERY)), max_images=7).items) == 7
    with pytest.raises(TooLarge, match=r"More than 6 images match.*shotdap export"):
        plan(Order(QuerySource(QUERY)), max_images=6)


def test_too_much_memory(plan: Callable[..., Plan]) -> None:
    """Images that take more memory than a worker has are refused, with the setting to change."""
    with pytest.raises(BadOrder, match=r"exports\.memory_mib"):
        plan(Order(QuerySource(QUERY)), memory_limit=100)


def test_existing_targets(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """A target with another export is not touched, nor is one that is no export."""
    workspace, order = Workspace(tmp_path / "out"), Order(QuerySource(QUERY), container="folder")
    workspace.begin_export(order, plan(order).items)
    (tmp_path / "mine").write_text("my own")

    assert workspace.resume_export(order) == plan(order).items
    with pytest.raises(BadOrder, match="another export"):
        workspace.resume_export(Order(QuerySource(QUERY), Extraction(("image",)), container="folder"))
    with pytest.raises(BadOrder, match="exists already"):
        Workspace(tmp_path / "mine").resume_export(order)
