"""The contract of every transform, as tests: for those of shotdap, and for a site's own.

Subclass `TransformContract` in a test module, name the transform, and give it inputs as they come from a camera:

    class TestGamma(TransformContract):
        transform = GAMMA

        def inputs(self, rng):
            return (xr.DataArray(rng.integers(0, 4096, (40, 50), dtype="u2"), dims=("y", "x")),)

It needs pytest and Hypothesis: ``pip install shotdap[testing]``.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xarray.backends import BackendArray
from xarray.core import indexing

from shotdap.transforms.virtual.dataset import add_variables
from shotdap.transforms.virtual.footprint import Footprint
from shotdap.transforms.virtual.recipe import Recipe
from shotdap.transforms.virtual.transform import Transform

_MEMORY_TEST_SIDE = 512  # pixels of an image whose memory is measured
_SUPPRESSED_CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.differing_executors)
_SETTINGS = settings(deadline=None, max_examples=25, suppress_health_check=_SUPPRESSED_CHECKS)


def slices(size: int) -> st.SearchStrategy[slice]:
    """Generate slices of a dimension of this length, not empty, with steps."""
    starts = st.integers(0, size - 1)
    return starts.flatmap(
        lambda start: st.builds(slice, st.just(start), st.integers(start + 1, size), st.integers(1, max(1, size // 3)))
    )


def measure_peak_memory(compute: Callable[[], object]) -> int:
    """Return the peak of the bytes that Python and NumPy allocate during a computation.

    Memory that C libraries allocate for themselves is not included.
    """
    tracemalloc.start()
    try:
        compute()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TransformContract:
    """Tests of a transform; a subclass names the transform, and makes inputs for it."""

    transform: ClassVar[Transform]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Options to try, besides others that the transform's own tests try."""

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        """Make inputs in memory, in the order of the function's arguments: realistic, and small."""
        raise NotImplementedError

    def _make_dataset(self, options: Mapping[str, Any], *, chunked: bool) -> tuple[xr.Dataset, xr.DataArray]:
        """Make a dataset with the virtual variable ``made``, and the result of the function for the whole inputs."""
        inputs = dict(zip(self.transform.inputs, self.inputs(np.random.default_rng(0)), strict=True))
        dataset = xr.Dataset({name: each.variable for name, each in inputs.items()})
        recipe = Recipe("made", self.transform, self.transform.inputs, options)
        made = self.transform.function(*inputs.values(), **dict(self.transform.validate_options(options)))
        return add_variables(dataset, [recipe], chunked=chunked), made

    def test_declared(self) -> None:
        """The function's result has the dimensions and the shape that the transform declared, and its type holds it."""
        for options in self.variants:
            dataset, made = self._make_dataset(options, chunked=False)
            variable = dataset.variables["made"]
            values = np.asarray(variable.values)

            assert set(made.dims) == set(self._find_footprint(options).sizes)
            assert values.shape == variable.shape
            assert values.dtype == variable.dtype
            np.testing.assert_array_equal(values, self._order_values(made, options).astype(variable.dtype))

    @_SETTINGS
    @given(data=st.data())
    def test_narrowing_commutes(self, data: st.DataObject) -> None:
        """Any part of the result is that part of the whole result, to the bit, with dask and without."""
        options = data.draw(st.sampled_from(self.variants), "options")
        chunked = data.draw(st.booleans(), "chunked")
        dataset, made = self._make_dataset(options, chunked=chunked)
        variable = dataset.variables["made"]
        cuts = tuple(data.draw(slices(size), str(name)) for name, size in variable.sizes.items())
        whole = self._order_values(made, options).astype(variable.dtype)

        np.testing.assert_array_equal(variable[cuts].values, whole[cuts])

    def test_one_value(self) -> None:
        """A single value is the one of the whole result."""
        for options in self.variants:
            dataset, made = self._make_dataset(options, chunked=False)
            variable = dataset.variables["made"]
            where = tuple(size // 2 for size in variable.shape)
            whole = self._order_values(made, options).astype(variable.dtype)

            np.testing.assert_array_equal(variable[where].values, whole[where])

    def test_opening_computes_nothing(self) -> None:
        """A virtual variable is made without reading its inputs."""
        for options in self.variants:
            recipe = Recipe("made", self.transform, self.transform.inputs, options)
            inputs = zip(self.transform.inputs, self.inputs(np.random.default_rng(0)), strict=True)
            lazy = {
                name: xr.Variable(each.dims, indexing.LazilyIndexedArray(_UnreadableArray(each.variable)), each.attrs)
                for name, each in inputs
            }
            extended = add_variables(xr.Dataset(lazy), [recipe], chunked=False)

            assert extended["made"].attrs["transform"] == self.transform.name

    def test_inputs_are_left_alone(self) -> None:
        """The function writes nothing into its inputs."""
        for options in self.variants:
            inputs = [each.copy(deep=True) for each in self.inputs(np.random.default_rng(0))]
            before = [each.copy(deep=True) for each in inputs]
            self.transform.function(*inputs, **dict(self.transform.validate_options(options)))

            assert all(each.identical(was) for each, was in zip(inputs, before, strict=True))

    def test_memory(self) -> None:
        """The function takes no more memory beside its inputs than the transform states, whatever their type."""
        for options in self.variants:
            checked = self.transform.validate_options(options)
            small = self.inputs(np.random.default_rng(0))
            self.transform.function(*small, **dict(checked))  # what it imports when it is first called does not count
            largest = max(small, key=lambda each: each.size)
            times = (  # repeat rows and columns, so that memory for each pixel dominates
                {name: -(-_MEMORY_TEST_SIDE // largest.sizes[name]) for name in largest.dims[-2:]}
                if largest.ndim > 1
                else {}
            )
            large = [
                xr.DataArray(
                    np.tile(each.values, [times.get(name, 1) for name in each.dims]), dims=each.dims, attrs=each.attrs
                )
                for each in small
            ]
            largest_type = [each.astype(np.float64) if each.dtype.kind in "iuf" else each for each in large]
            for inputs in large, largest_type:
                stated = self._find_footprint(options, inputs).memory.estimate_bytes(max(each.size for each in inputs))
                peak = measure_peak_memory(partial(_compute_values, self.transform, inputs, dict(checked)))

                assert peak <= stated, f"{peak:,} bytes, and {stated:,} are stated"

    def test_documented(self) -> None:
        """The docstring says in a line what it does, and has a section for arguments and one for the result."""
        text = self.transform.function.__doc__ or ""

        assert self.transform.summary.endswith(".")
        assert "Args:" in text
        assert "Returns:" in text

    def _find_footprint(self, options: Mapping[str, Any], inputs: Sequence[xr.DataArray] = ()) -> Footprint:
        inputs = inputs or self.inputs(np.random.default_rng(0))
        sizes = [{str(name): size for name, size in each.sizes.items()} for each in inputs]
        return self.transform.footprint_of(sizes, self.transform.validate_options(options))

    def _order_values(self, made: xr.DataArray, options: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        names = list(self._find_footprint(options).sizes)
        return np.asarray((made.transpose(*names) if names else made).values)


def _compute_values(
    transform: Transform, inputs: Sequence[xr.DataArray], options: Mapping[str, Any]
) -> np.ndarray[Any, Any]:
    """Compute the values of a virtual variable."""
    values = np.asarray(transform.function(*inputs, **options).values)
    return values.astype(transform.infer_dtype([each.variable for each in inputs]), copy=False)


class _UnreadableArray(BackendArray):
    """An array of the same type and shape as a variable that must not be read."""

    def __init__(self, variable: xr.Variable) -> None:
        self.shape = variable.shape
        self.dtype = variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        raise AssertionError("a value was read")
