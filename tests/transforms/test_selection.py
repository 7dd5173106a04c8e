"""Selections narrow like slicing, without reading, or the error says what does not fit."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import HUGE, QUICK, CountingSource, any_selections, datasets, make_numbered, selections

from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.transforms import BadSelection, Hyperslab, Selection


@pytest.fixture
def source() -> CountingSource:
    return CountingSource(make_numbered(4, 10))


@pytest.fixture
def dataset(source: CountingSource) -> xr.Dataset:
    """An image with the numbers of its pixels, a scalar, and an array without elements."""
    coordinates = {
        name: create_lazy_variable((name,), CountingSource(make_numbered(size)), {})
        for name, size in {"y": 4, "x": 10}.items()
    }
    return xr.Dataset(
        {
            "image": create_lazy_variable(("y", "x"), source, {}),
            "background": create_lazy_variable(("y", "x"), CountingSource(make_numbered(4, 10)), {}),
            "gain": create_lazy_variable((), CountingSource(np.array(3.5)), {}),
            "empty": create_lazy_variable(("record", "x"), CountingSource(np.empty((0, 10))), {}),
        },
        coords=xr.Coordinates(coordinates, indexes={}),
    )


def get_refusal(dataset: xr.Dataset, selection: Selection) -> str:
    with pytest.raises(BadSelection) as caught:
        selection.apply(dataset)
    return str(caught.value)


def slice_by_numpy(variable: xr.Variable, hyperslab: Hyperslab) -> NDArray[Any]:
    """Index an array with a hyperslab by NumPy."""
    return np.asarray(variable.values)[hyperslab]


def select_or_refuse(dataset: xr.Dataset, selection: Selection) -> tuple[set[Hashable], str]:
    """Return the names of the selected variables, or the sentence of the refusal."""
    try:
        return set(selection.apply(dataset).compute().variables), ""
    except BadSelection as error:
        return set(), str(error)


class TestProperties:
    @QUICK
    @given(st.data())
    def test_narrow_then_compute(self, data: st.DataObject) -> None:
        """Narrowing, then computing, gives the numbers of computing, then slicing."""
        dataset = data.draw(datasets())
        selection = data.draw(selections(dataset))
        assume(selection.hyperslabs)
        expected = {name: slice_by_numpy(dataset.variables[name], slab) for name, slab in selection.hyperslabs.items()}
        narrowed = selection.apply(dataset)

        assert set(narrowed.variables) == set(expected)
        assert all(np.array_equal(narrowed.variables[name].values, values) for name, values in expected.items())

    @QUICK
    @given(st.data())
    def test_any_selection(self, data: st.DataObject) -> None:
        """Any selection narrows any dataset, or is refused with a sentence."""
        dataset = data.draw(datasets())
        selection = data.draw(any_selections(dataset))
        found, sentence = select_or_refuse(dataset, selection)

        assert (found <= set(dataset.variables) and not sentence) or (not found and sentence.endswith("."))

    @QUICK
    @given(st.data())
    def test_metadata_is_kept(self, data: st.DataObject) -> None:
        """Attributes, encodings, the order of the variables, and the coordinates stay as they were."""
        dataset = data.draw(datasets())
        narrowed = data.draw(selections(dataset)).apply(dataset)

        assert (narrowed.attrs, narrowed.encoding) == (dataset.attrs, dataset.encoding)
        assert list(narrowed.data_vars) == [name for name in dataset.data_vars if name in narrowed.variables]
        assert set(narrowed.coords) == {name for name in dataset.coords if name in narrowed.variables}
        for name, variable in narrowed.variables.items():
            whole = dataset.variables[name]
            assert (variable.attrs, variable.encoding, variable.dtype) == (whole.attrs, whole.encoding, whole.dtype)

    @QUICK
    @given(st.data())
    def test_result_is_the_callers_own(self, data: st.DataObject) -> None:
        """The dataset does not notice what a caller does with a selection."""
        dataset = data.draw(datasets())
        before = dataset.copy(deep=True)
        held = {name: variable._data for name, variable in dataset.variables.items()}  # noqa: SLF001 — lazy or not
        selected = data.draw(selections(dataset)).apply(dataset).load()
        for variable in selected.variables.values():
            variable.attrs["changed"] = 1
            variable.encoding["changed"] = 1
        selected.attrs["changed"] = 1
        selected["new"] = 1

        assert all(variable._data is held[name] for name, variable in dataset.variables.items())  # noqa: SLF001 — as above
        assert dataset.identical(before)
        assert dataset.encoding == before.encoding
        assert all(variable.encoding == before[name].encoding for name, variable in dataset.variables.items())


class TestNarrowing:
    def test_reads_nothing(self, dataset: xr.Dataset, source: CountingSource) -> None:
        """Narrowing reads nothing; computing reads only the hyperslab."""
        narrowed = Selection({"image": (slice(1, 3), slice(0, 10, 4)), "y": (slice(0, 2),)}).apply(dataset)
        before = list(source.reads)
        narrowed.load()

        assert before == []
        assert source.indices == [([1, 2], [0, 4, 8])]

    def test_nothing_selected_is_everything(self, dataset: xr.Dataset, source: CountingSource) -> None:
        """A selection without variables selects all of them."""
        selected = Selection().apply(dataset)

        assert source.reads == []
        assert selected.identical(dataset)

    def test_indexed_dataset(self) -> None:
        """A dataset with xarray's own indexes is narrowed as well."""
        indexed = xr.Dataset({"image": (("y", "x"), make_numbered(2, 3))}, {"x": [10, 20, 30]})
        narrowed = Selection({"image": (slice(0, 2), slice(1, 3)), "x": (slice(1, 3),)}).apply(indexed)

        assert narrowed.x.values.tolist() == [20, 30]
        assert narrowed.image.values.tolist() == [[1, 2], [4, 5]]

    def test_cut_alike(self, dataset: xr.Dataset) -> None:
        """Variables with equal slices keep sharing their dimensions."""
        cut = (slice(0, 2), slice(0, 10, 3))
        narrowed = Selection({"image": cut, "background": cut, "x": cut[1:]}).apply(dataset)

        assert dict(narrowed.sizes) == {"y": 2, "x": 4}

    def test_cut_differently(self, dataset: xr.Dataset) -> None:
        """A dimension with several slices keeps its name where it is whole, and gets numbers elsewhere."""
        narrowed = Selection(
            {"image": (slice(0, 4), slice(0, 5)), "background": (slice(2, 3), slice(0, 10)), "x": (slice(1, 2),)}
        ).apply(dataset)

        assert narrowed.image.dims == ("y", "x_1")
        assert narrowed.background.dims == ("y_1", "x")
        assert narrowed.x.dims == ("x_2",)
        assert dict(narrowed.sizes) == {"y": 4, "y_1": 1, "x": 10, "x_1": 5, "x_2": 1}

    def test_fresh_names_are_free(self) -> None:
        """The new name of a dimension is unique."""
        source = make_numbered(3)
        dataset = xr.Dataset({"a": ("n", source), "b": ("n", source), "n_1": ("m", source), "n_2": ("n_3", source)})
        narrowed = Selection({"a": (slice(0, 1),), "b": (slice(0, 2),)}).apply(dataset)

        assert {str(name) for name in narrowed.dims}.isdisjoint({"n_1", "n_2", "n_3"})

    def test_no_dimensions(self, dataset: xr.Dataset) -> None:
        """A variable without dimensions is selected by its name."""
        assert Selection({"gain": ()}).apply(dataset).gain.values == 3.5

    @pytest.mark.parametrize("stop", [0, 1, None, HUGE])
    def test_length_zero(self, dataset: xr.Dataset, stop: int | None) -> None:
        """A dimension of length zero accepts any slice, because pydap requests the maximum."""
        narrowed = Selection({"empty": (slice(0, stop), slice(2, 4))}).apply(dataset)

        assert narrowed.empty.values.shape == (0, 2)


class TestRefusals:
    def test_unknown_variable(self, dataset: xr.Dataset) -> None:
        """The error for an unknown name lists the known ones."""
        message = get_refusal(dataset, Selection({"imagine": ()}))

        assert "'imagine'" in message
        assert "image, background, gain, empty" in message

    def test_number_of_indices(self, dataset: xr.Dataset) -> None:
        """The error for a wrong number of indices lists the dimensions and their lengths."""
        message = get_refusal(dataset, Selection({"image": (slice(0, 1),)}))

        assert message == "image has the dimensions y (4), x (10), so it takes 2 indices in brackets, not 1."

    def test_indices_of_a_number(self, dataset: xr.Dataset) -> None:
        """A variable without dimensions accepts no index."""
        assert "gain has no dimensions" in get_refusal(dataset, Selection({"gain": (slice(0, 1),)}))

    @pytest.mark.parametrize(
        ("cut", "part"),
        [
            (slice(0, 11), "index 10 is outside 0 to 9"),
            (slice(10, None), "index 10 is outside 0 to 9"),
            (slice(3, HUGE), f"index {HUGE - 1} is outside 0 to 9"),
            (slice(-1, 5), "no index -1"),
            (slice(5, 3), "5:1:2 does not go up"),
            (slice(0, 5, 0), "0:0:4 does not go up"),
            (slice(0, 5, -1), "0:-1:4 does not go up"),
        ],
    )
    def test_indices(self, dataset: xr.Dataset, cut: slice, part: str) -> None:
        """The error for an invalid index contains its variable, its dimension and what would be valid."""
        message = get_refusal(dataset, Selection({"image": (slice(0, 4), cut)}))

        assert message.startswith("image, dimension x: ")
        assert part in message
