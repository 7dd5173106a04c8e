"""Virtual variables: correct numbers, computed only for what is requested."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from tests.strategies import QUICK, CountingSource, index_each, indexers, make_numbered

from shotdap.catalog.readers.lazy import FrameCache, create_lazy_variable
from shotdap.transforms import (
    BadRecipe,
    Recipe,
    Selection,
    Transform,
    add_variables,
    bytes_read,
    create_recipe,
    known_transforms,
)
from shotdap.transforms.virtual.footprint import halo, whole

SUBTRACTED = create_recipe("background_subtracted", "subtract_background", ["image", "background"])
CHUNKED = pytest.mark.parametrize("chunked", [True, False])


def make_dataset(image: CountingSource, background: CountingSource) -> xr.Dataset:
    """Return an image and its background."""
    return xr.Dataset(
        {
            "image": create_lazy_variable(("y", "x"), image, {"units": "count", "long_name": "frame of the shot"}),
            "background": create_lazy_variable(("y", "x"), background, {}),
        }
    )


def make_noise(*shape: int, seed: int) -> CountingSource:
    return CountingSource(np.random.default_rng(seed).integers(0, 2**16, shape).astype("u2"))


def scale_linearly(image: xr.DataArray, *, factor: float = 2, offset: float = 0) -> xr.DataArray:
    return image * np.float32(factor) + np.float32(offset)


def subtract_mean(image: xr.DataArray) -> xr.DataArray:
    return image - np.float32(image.values.mean())


def filter_maximum(image: xr.DataArray, *, size: int = 3) -> xr.DataArray:
    return image.copy(data=ndimage.maximum_filter(image.values, size))


SCALED = Transform(scale_linearly)
CONTRAST = Transform(subtract_mean, whole)
WIDEST = Transform(filter_maximum, halo(lambda options: options.size // 2), dtype=None)


class TestSubtraction:
    @pytest.mark.parametrize("dtypes", [("u2", "u2"), (">u2", ">u2"), ("u1", "i2"), ("f8", "u2")])
    def test_does_not_wrap(self, dtypes: tuple[str, str]) -> None:
        """A count below the background's gives a negative difference, exactly, in float32."""
        image, background = np.array([3, 0, 200], dtypes[0]), np.array([5, 255, 100], dtypes[1])
        dataset = xr.Dataset({"image": ("x", image), "background": ("x", background)})
        difference = add_variables(dataset, [SUBTRACTED]).background_subtracted

        assert difference.dtype == np.dtype("f4")
        assert difference.values.tolist() == [-2, -255, 100]

    def test_every_difference_is_exact(self) -> None:
        """float32 holds the greatest and the least difference of two 16-bit counts."""
        dataset = make_dataset(
            CountingSource(np.array([[65535, 0]], "u2")), CountingSource(np.array([[0, 65535]], "u2"))
        )

        assert add_variables(dataset, [SUBTRACTED]).background_subtracted.values.tolist() == [[65535, -65535]]

    def test_attributes(self) -> None:
        """The difference has the image's units and its own name, and records how it was computed."""
        dataset = add_variables(make_dataset(make_noise(2, 3, seed=0), make_noise(2, 3, seed=1)), [SUBTRACTED])

        assert json.loads(dataset.background_subtracted.attrs.pop("options")) == dict(SUBTRACTED.validated_options)
        assert dataset.background_subtracted.attrs == {
            "units": "count",
            "long_name": "image with its background subtracted",
            "transform": "subtract_background",
            "inputs": "image, background",
        }


class TestLaziness:
    def test_dask_by_default(self) -> None:
        """A virtual variable is a dask array of one chunk, and on request one that is lazy without dask."""
        dataset = make_dataset(make_noise(4, 6, seed=0), make_noise(4, 6, seed=1))

        assert add_variables(dataset, [SUBTRACTED]).background_subtracted.chunks == ((4,), (6,))
        assert add_variables(dataset, [SUBTRACTED], chunked=False).background_subtracted.chunks is None

    @CHUNKED
    def test_extending_reads_nothing(self, *, chunked: bool) -> None:
        """Adding a virtual variable reads no number."""
        image, background = make_noise(4, 6, seed=0), make_noise(4, 6, seed=1)
        add_variables(make_dataset(image, background), [SUBTRACTED], chunked=chunked)

        assert image.reads == background.reads == []

    @CHUNKED
    @QUICK
    @given(data=st.data())
    def test_any_indexing(self, *, chunked: bool, data: st.DataObject) -> None:
        """Every kind of indexing returns NumPy's numbers."""
        shape = data.draw(st.tuples(st.integers(1, 5), st.integers(0, 5)))
        image, background = make_noise(*shape, seed=0), make_noise(*shape, seed=1)
        indices = data.draw(indexers(shape))
        difference = add_variables(make_dataset(image, background), [SUBTRACTED], chunked=chunked).background_subtracted
        found = difference.isel(dict(zip(("y", "x"), indices, strict=True))).values

        assert np.array_equal(found, index_each(image.values.astype("f4") - background.values.astype("f4"), indices))

    @CHUNKED
    def test_slice_reads_its_slice(self, *, chunked: bool) -> None:
        """A slice reads the same slice of each input, and nothing else."""
        image, background = make_noise(20, 30, seed=0), make_noise(20, 30, seed=1)
        dataset = add_variables(make_dataset(image, background), [SUBTRACTED], chunked=chunked)
        Selection({"background_subtracted": (slice(2, 20, 5), slice(3, 7))}).apply(dataset).load()

        assert image.indices == background.indices == [([2, 7, 12, 17], [3, 4, 5, 6])]

    @CHUNKED
    def test_index_reads_its_row(self, *, chunked: bool) -> None:
        """One row reads one row."""
        image, background = make_noise(20, 30, seed=0), make_noise(20, 30, seed=1)
        add_variables(make_dataset(image, background), [SUBTRACTED], chunked=chunked).background_subtracted[
            3, 4:6
        ].load()

        assert (image.count, background.count) == (2, 2)

    @CHUNKED
    def test_whole(self, *, chunked: bool) -> None:
        """A variable that needs the whole image reads it whole, and any slice of it is correct."""
        image = make_noise(6, 8, seed=0)
        recipe = Recipe("contrast", CONTRAST, ("image",))
        dataset = add_variables(make_dataset(image, make_noise(6, 8, seed=1)), [recipe], chunked=chunked)
        found = dataset.contrast[2:4, ::3].values

        assert image.reads == [(slice(0, 6, 1), slice(0, 8, 1))]
        assert np.allclose(found, (image.values - np.float32(image.values.mean()))[2:4, ::3])

    def test_whole_is_cached(self) -> None:
        """A variable that needs the whole image is computed once with a memo, and states what that reads."""
        image = make_noise(6, 8, seed=0)
        known: dict[Hashable, Any] = {}

        def remember(name: Hashable, compute: Callable[[], Any]) -> Any:  # noqa: ANN401 — an array
            known.setdefault(name, None)
            known[name] = compute() if known[name] is None else known[name]
            return known[name]

        recipes = [Recipe("contrast", CONTRAST, ("image",)), Recipe("doubled", SCALED, ("contrast",))]
        dataset = add_variables(
            make_dataset(image, make_noise(6, 8, seed=1)), recipes, remember=remember, chunked=False
        )
        first = dataset.doubled[2:4].values

        assert np.array_equal(dataset.doubled.values[2:4], first)
        assert len(image.reads) == 1
        assert bytes_read(dataset.variables["contrast"]) == bytes_read(dataset.variables["doubled"][2:4]) == 96

    @CHUNKED
    def test_halo(self, *, chunked: bool) -> None:
        """A variable that needs its neighbours reads the slice and some pixels around it, inside the image."""
        image = make_noise(20, 30, seed=0)
        recipe = Recipe("widest", WIDEST, ("image",), {"size": 5})
        dataset = add_variables(make_dataset(image, make_noise(20, 30, seed=1)), [recipe], chunked=chunked)
        found = dataset.widest[1:4:2, 10].values

        assert np.array_equal(found, ndimage.maximum_filter(image.values, 5)[1:4:2, 10])
        assert image.indices == [(list(range(6)), list(range(8, 13)))]

    @CHUNKED
    def test_inputs_of_other_dimensions(self, *, chunked: bool) -> None:
        """An input may lack dimensions, or have them in another order."""
        image, row = make_numbered(3, 4), make_numbered(4)
        dataset = xr.Dataset({"image": (("y", "x"), image), "row": ("x", row), "turned": (("x", "y"), image.T)})
        recipes = [create_recipe(name, "subtract_background", ["image", name[2:]]) for name in ("a_row", "a_turned")]
        made = add_variables(dataset, recipes, chunked=chunked)

        assert made.a_row[1:, 2].values.tolist() == (image - row.astype("f4"))[1:, 2].tolist()
        assert made.a_turned[0, ::2].values.tolist() == [0, 0]

    @CHUNKED
    @pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
    def test_no_numbers(self, shape: tuple[int, ...], *, chunked: bool) -> None:
        """Inputs without dimensions, or without elements, give a variable of the same shape."""
        values = np.full(shape, 5, "u2")
        dims = ("y", "x")[: len(shape)]
        dataset = add_variables(
            xr.Dataset({"image": (dims, values), "background": (dims, values)}), [SUBTRACTED], chunked=chunked
        )

        assert np.array_equal(dataset.background_subtracted.values, np.zeros(shape, "f4"))


class TestNewDimensions:
    def test_names(self) -> None:
        """The dimensions of a crop are its own, with the positions of its pixels."""
        dataset = make_dataset(make_noise(20, 30, seed=0), make_noise(20, 30, seed=1))
        dataset = dataset.assign_coords(xr.Coordinates({"x": ("x", np.arange(30) * 10)}, indexes={}))
        made = add_variables(dataset, [create_recipe("part", "crop", ["image"], {"columns": [4, 8]})]).part

        assert dict(made.sizes) == {"y": 20, "x_part": 5}
        assert made.x_part.values.tolist() == [40, 50, 60, 70, 80]

    def test_chain(self) -> None:
        """Along a chain, the last result still has the positions of its pixels in the first input."""
        dataset = make_dataset(make_noise(20, 30, seed=0), make_noise(20, 30, seed=1))
        dataset = dataset.assign_coords(xr.Coordinates({"x": ("x", np.arange(30) * 10)}, indexes={}))
        crop = replace(create_recipe("part", "crop", ["image"], {"columns": [4, 9]}), hidden=True, suffix="result")
        binned = replace(create_recipe("bins", "bin_pixels", ["part"], {"rows": 1}), hidden=True, suffix="result")
        made = add_variables(dataset, [crop, binned, create_recipe("result", "median_filter", ["bins"])]).result

        assert dict(made.sizes) == {"y": 20, "x_result": 3}
        assert made.x_result.values.tolist() == [45, 65, 85]

    def test_single_number(self) -> None:
        """A result of a single number is cached like any other."""
        kept = FrameCache(1 << 20).get_memo("file")
        dataset = make_dataset(make_noise(4, 5, seed=0), make_noise(4, 5, seed=1))
        made = add_variables(dataset, [create_recipe("most", "maximum", ["image"])], remember=kept, chunked=False).most

        assert made.values == made.values == dataset.image.values.max()

    def test_hidden(self) -> None:
        """A variable that only serves another recipe is not in the dataset."""
        step = Recipe("step", SCALED, ("image",), hidden=True)
        extended = add_variables(
            make_dataset(make_noise(2, 3, seed=0), make_noise(2, 3, seed=1)), [step, Recipe("made", SCALED, ("step",))]
        )

        assert set(extended.variables) == {"image", "background", "made"}

    def test_coordinate(self) -> None:
        """A recipe can create a coordinate."""
        recipe = Recipe("distance", SCALED, ("image",), coordinate=True)

        assert set(add_variables(xr.Dataset({"image": ("x", make_numbered(3))}), [recipe]).coords) == {"distance"}


class TestRecipes:
    @pytest.mark.parametrize("turned", [False, True])
    def test_one_uses_another(self, *, turned: bool) -> None:
        """A recipe may use the result of another, in any order; a slice still reads only its slice."""
        image, background = make_noise(5, 5, seed=0), make_noise(5, 5, seed=1)
        recipes = [SUBTRACTED, Recipe("doubled", SCALED, ("background_subtracted",))]
        dataset = add_variables(make_dataset(image, background), recipes[::-1] if turned else recipes)
        found = dataset.doubled[1:3, 4].values

        assert found.tolist() == (2 * (image.values.astype("f4") - background.values))[1:3, 4].tolist()
        assert (image.count, background.count) == (2, 2)

    def test_other_datasets(self) -> None:
        """An input may be a variable of another dataset."""
        own, flat = (
            make_dataset(make_noise(2, 3, seed=0), make_noise(2, 3, seed=1)),
            make_dataset(make_noise(2, 3, seed=2), make_noise(2, 3, seed=3)),
        )
        recipe = create_recipe("made", "subtract_background", ["image", "dark.image"])
        made = add_variables(own, [recipe], others={"dark": flat}).made

        assert made.values.tolist() == (own.image.values.astype("f4") - flat.image.values).tolist()

    def test_options(self) -> None:
        """Options are passed to the function, and recorded in attributes."""
        dataset = xr.Dataset({"image": ("x", make_numbered(3))})
        made = add_variables(dataset, [Recipe("made", SCALED, ("image",), {"factor": 3, "offset": 1})]).made

        assert made.values.tolist() == [1, 4, 7]
        assert json.loads(made.attrs["options"]) == {"factor": 3, "offset": 1}

    def test_missing_input(self) -> None:
        """A missing input is named."""
        dataset = xr.Dataset({"image": ("x", make_numbered(3))})

        with pytest.raises(BadRecipe, match=r"background_subtracted = .* needs background, which is not there"):
            add_variables(dataset, [SUBTRACTED])

    @pytest.mark.parametrize(
        "background",
        [("z", make_numbered(4)), (("y", "z"), make_numbered(2, 4)), (("y", "x"), np.full((2, 3), "text", object))],
    )
    def test_inputs_that_do_not_fit(self, background: tuple[Any, Any]) -> None:
        """Inputs without common pixels, or without numbers, are refused, instead of giving an outer product."""
        dataset = xr.Dataset({"image": (("y", "x"), make_numbered(2, 3)), "background": background})

        with pytest.raises(BadRecipe):
            add_variables(dataset, [SUBTRACTED])

    def test_result_of_another_shape(self) -> None:
        """A function whose result is not as declared is refused; its values are never returned."""
        wrong = Transform(lambda image: image[:-1])
        made = add_variables(xr.Dataset({"image": ("x", make_numbered(3))}), [Recipe("made", wrong, ("image",))]).made

        with pytest.raises(BadRecipe, match=r"made \(2,\) values in place of \(3,\)"):
            made.load()

    def test_unknown_transform(self) -> None:
        """The error for an unknown transform lists the known ones."""
        with pytest.raises(BadRecipe, match=f"no transform 'subtract'.*{', '.join(sorted(known_transforms()))}"):
            create_recipe("made", "subtract", ["image"])

    @pytest.mark.parametrize(
        ("inputs", "options", "words"),
        [
            (["image"], {}, "takes the inputs image, background"),
            (["image"] * 3, {}, "takes the inputs image, background"),
            (["image", "background"], {"cut": True}, "cut: Extra inputs are not permitted. Its options are: "),
            (["image", "background"], {"scale": "much"}, "scale: "),
            (["image", "background"], {"scale": float("nan")}, "scale: "),
        ],
    )
    def test_inputs_and_options_fit(self, inputs: list[str], options: dict[str, Any], words: str) -> None:
        """Inputs and options that the transform does not accept are refused before any dataset is opened."""
        with pytest.raises(BadRecipe, match=words):
            create_recipe("made", "subtract_background", inputs, options)
