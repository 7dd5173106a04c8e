"""Stacks: what one says of each image is what the image alone says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import QUICK, CountingSource

from shotdap.catalog import BadStack
from shotdap.catalog.collections.stack import DifferingPolicy, Layer, RaggedPolicy, stack_images
from shotdap.catalog.readers.lazy import create_lazy_variable

MICROMETRES: Final = {"units": "um"}


def image(
    x: Any = (0.0, 1.0, 2.0),  # noqa: ANN401 — whatever NumPy makes an array of
    attributes: Mapping[str, Any] | None = None,
    dtype: str = "u2",
    coordinate: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """An image of two rows whose columns lie at x."""
    positions = np.asarray(x)
    values = np.arange(2 * positions.size).reshape(2, -1).astype(dtype)
    return dataset({"image": (("y", "x"), values, dict(attributes or {}))}, {"x": ("x", positions, coordinate or {})})


def dataset(
    variables: Mapping[str, Any], coordinates: Mapping[str, Any] | None = None, attrs: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """A dataset without indexes, as the catalog's are."""
    made = {
        name: each if isinstance(each, xr.Variable) else xr.Variable(*each)
        for name, each in (coordinates or {}).items()
    }
    return xr.Dataset(variables, coords=xr.Coordinates(made, indexes={}), attrs=dict(attrs or {}))


def stack(*images: xr.Dataset, ragged: RaggedPolicy = "refuse", differing: DifferingPolicy = "refuse") -> xr.Dataset:
    return stack_images([Layer(f"i{n}", 100 + n, each) for n, each in enumerate(images)], ragged, differing, {})


class TestCoordinates:
    def test_same(self) -> None:
        """A coordinate that is the same in all images stays one."""
        made = stack(image(), image())

        assert made["x"].dims == ("x",)
        assert made["image"].dims == ("shot", "y", "x")
        assert "x" not in made["image"].attrs["coordinates"].split()

    def test_different(self) -> None:
        """One that differs lies along shot, its dimension has another name, and variables name it."""
        made = stack(image(), image((0.0, 2.0, 4.0)))

        assert made["x"].dims == ("shot", "x_index")
        assert made["x"].values.tolist() == [[0, 1, 2], [0, 2, 4]]
        assert "x" in made.coords
        assert made["image"].dims == ("shot", "y", "x_index")
        assert "x" in made["image"].attrs["coordinates"].split()

    @pytest.mark.parametrize("other", [(0, 1, 2), ("0", "1", "2")])
    def test_types(self, other: Sequence[object]) -> None:
        """Numbers and texts make no stack; whole numbers and others do, as what holds both."""
        if isinstance(other[0], str):
            with pytest.raises(BadStack, match=r"differ in x, .* numbers in i0, text in i1"):
                stack(image(), image(np.array(other, object)))
        else:
            assert stack(image(), image(other))["x"].values.tolist() == [[0, 1, 2], [0, 1, 2]]

    def test_nan(self) -> None:
        """A coordinate with missing values is the same as its like."""
        assert stack(image((0, np.nan, 1)), image((0, np.nan, 1)))["x"].dims == ("x",)

    def test_padded(self) -> None:
        """Of images of different sizes, the longest coordinate is everyone's only if the others are its beginning."""
        alike = stack(image((0.0, 1.0)), image((0.0, 1.0, 2.0)), ragged="pad")
        shifted = stack(image((1.0, 2.0)), image((0.0, 1.0, 2.0)), ragged="pad")

        assert alike["x"].values.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(shifted["x"].values, [[1, 2, np.nan], [0, 1, 2]])

    def test_missing(self) -> None:
        """Where one image has none, it is left out and named, and no client counts pixels in its place."""
        made = stack(image(), dataset({"image": (("y", "x"), np.zeros((2, 3), "u2"))}))

        assert made["image"].dims == ("shot", "y", "x_index")
        assert "x" not in made.variables
        assert made.attrs["left_out"] == "x: it is not in i1"

    def test_taken_name(self) -> None:
        """The new name of a dimension is one that nothing else has."""
        first, second = (each.assign(x_index=((), 7)) for each in (image(), image((0.0, 2.0, 4.0))))

        assert stack(first, second)["image"].dims == ("shot", "y", "x_index_2")

    def test_groups(self) -> None:
        """A dimension of a group gets its new name there."""
        layers = [dataset({"A/v": ("A/t", np.arange(2))}, {"A/t": ("A/t", np.arange(2) * n)}) for n in (1, 2)]

        assert stack(*layers)["A/v"].dims == ("shot", "A/t_index")

    @pytest.mark.parametrize(("size", "read", "dimensions"), [(10, 10, ("t",)), (100_000, 0, ("shot", "t_index"))])
    def test_reads(self, size: int, read: int, dimensions: tuple[str, ...]) -> None:
        """No pixel is read to stack images; a coordinate is, but not a long one, which counts as different."""
        pixels = CountingSource(np.zeros((4, size)))
        lines = [CountingSource(np.arange(float(size))) for _ in range(2)]
        made = stack(
            *(
                dataset(
                    {"image": create_lazy_variable(("y", "t"), pixels, {})},
                    {"t": create_lazy_variable(("t",), each, {})},
                )
                for each in lines
            )
        )

        assert made["t"].dims == dimensions
        assert [each.count for each in lines] == [read, read]
        assert not pixels.reads


class TestMeaning:
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("units", ("um", "mm")),
            ("units", ("um", None)),
            ("scale_factor", (0.5, 0.25)),
            ("_FillValue", (np.int16(-1), np.int16(-2))),
            ("missing_value", (np.nan, 0.0)),
            ("missing_value", (np.nan, "nan")),
            ("_Unsigned", (None, "true")),
            ("standard_name", ("time", "height")),
            ("flag_meanings", ("a b", "b a")),
        ],
    )
    def test_refused(self, name: str, values: tuple[object, object]) -> None:
        """Variables whose numbers mean something else make no stack, and the sentence says what differs where."""
        first, second = (image(attributes={} if value is None else {name: value}) for value in values)

        with pytest.raises(
            BadStack, match=f"differ in image, .*{name}: .* in i0 and 1 other, .* in i2.*differing-omit"
        ):
            stack(first, first, second)

    def test_omitted(self) -> None:
        """If that is asked for, they are left out and named; the others are there."""
        first, second = (image(attributes={"units": units}) for units in ("J", "eV"))
        made = stack(first, second, differing="omit")

        assert set(made.variables) == {"shot", "path", "x"}
        assert made.attrs["left_out"] == "image: its images differ: units: J in i0, eV in i1"

    def test_units_of_coordinate(self) -> None:
        """A coordinate in other units makes no stack, even of the same numbers."""
        with pytest.raises(BadStack, match=r"differ in x, .*units: um in i0, mm in i1"):
            stack(image(coordinate=MICROMETRES), image(coordinate={"units": "mm"}))

    def test_dimensions(self) -> None:
        """Images that lie otherwise make no stack."""
        with pytest.raises(BadStack, match="dimensions: y x in i0, x y in i1"):
            stack(image(), image().transpose("x", "y"))

    def test_same_units_of_nan(self) -> None:
        """What is the same is so whatever its type: NaN, or a number as another type has it."""
        first, second = (
            image(attributes={"missing_value": value, "valid_range": limits})
            for value, limits in ((np.nan, np.array([0, 9], "u2")), (np.float32("nan"), np.array([0, 9], "i4")))
        )
        made = stack(first, second)["image"].attrs

        assert set(made) == {"missing_value", "valid_range", "coordinates"}


class TestAttributes:
    def test_of_variable(self) -> None:
        """Attributes that only describe are those of all images; others are named."""
        first = image(attributes={"units": "count", "long_name": "a", "gain": 1, "only": 1})
        made = stack(first, image(attributes={"units": "count", "long_name": "b", "gain": 2}))["image"].attrs

        assert made["units"] == "count"
        assert made["differing_attributes"] == "long_name, gain, only"
        assert not made.keys() & {"long_name", "gain", "only"}

    def test_of_dataset(self) -> None:
        """So are the images' own."""
        made = stack(image().assign_attrs(camera="C1", gain=1), image().assign_attrs(camera="C1", gain=2))

        assert made.attrs == {"camera": "C1", "differing_attributes": "gain"}

    def test_types(self) -> None:
        """Images of different types lie in one that holds them, and the variable names them."""
        made = stack(image(dtype="u1"), image(dtype="i2"))["image"]

        assert made.dtype == np.int16
        assert made.attrs["image_types"] == "uint8, int16"

    def test_references(self) -> None:
        """Auxiliary coordinates that images name are named; those that are left out are not."""
        variables = {"image": ("x", np.zeros(3), {"coordinates": "lat lon"}), "lat": ("x", np.zeros(3))}
        first = dataset({**variables, "lon": ("x", np.zeros(3))})

        assert stack(first, dataset(variables))["image"].attrs["coordinates"] == "lat path"


class TestValues:
    @pytest.mark.parametrize("dtype", ["i8", "u8"])
    def test_inexact(self, dtype: str) -> None:
        """A whole number that the stack's type cannot hold is an error, never another number."""
        small, large = (dataset({"v": ("n", np.array(values, dtype))}) for values in ([2**53], [2**53 + 1, 5]))
        made = stack(small, large, ragged="pad")["v"]

        np.testing.assert_array_equal(made[0].values, [2**53, np.nan])
        assert made[1, 1].values == 5
        with pytest.raises(BadStack, match=r"v has whole numbers beyond 2\*\*53, which float64"):
            _ = made.values

    @pytest.mark.parametrize("dtype", [object, "U3"])
    def test_text(self, dtype: Any) -> None:  # noqa: ANN401 — whatever NumPy takes for a type
        """Texts are filled up with empty ones."""
        first, second = (dataset({"v": ("n", np.array(values, dtype))}) for values in (["a"], ["bcd", "e"]))

        assert stack(first, second, ragged="pad")["v"].values.tolist() == [["a", ""], ["bcd", "e"]]

    def test_own_names(self) -> None:
        """What an image calls like the stack's own coordinates, or their dimension, is there under another name."""
        along = [dataset({"path": ("shot", np.array([n, n + 1]))}) for n in (1, 2)]
        single = [dataset({"image": ("x", np.zeros(2), {"coordinates": "shot"})}, {"shot": ((), 5)}) for _ in (1, 2)]
        made, other = stack(*along), stack(*single)

        assert made["shot"].values.tolist() == [100, 101]
        assert made["path"].values.tolist() == ["i0", "i1"]
        assert made["file_path"].dims == ("shot", "file_shot")
        assert made["file_path"].values.tolist() == [[1, 2], [2, 3]]
        assert made["file_path"].attrs["original_name"] == "path"
        assert other["shot"].values.tolist() == [100, 101]
        assert other["file_shot"].values.tolist() == [5, 5]
        assert other["image"].attrs["coordinates"] == "file_shot path"


# Any images -----------------------------------------------------------------------------------------------------------

UNITS: Final = st.none() | st.sampled_from(["um", "mm"])
NUMBERS: Final = st.sampled_from([0, 1, 2.5, np.float32(2.5), float("nan"), "1"])


@st.composite
def images(draw: st.DrawFn) -> list[xr.Dataset]:
    """Images that are often alike: of few sizes, coordinates, units, types and attributes."""
    same = draw(st.booleans())
    size = draw(st.integers(1, 3))
    return [draw(_images(size if same else draw(st.integers(1, 3)))) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def _images(draw: st.DrawFn, size: int) -> xr.Dataset:
    def attributes() -> dict[str, Any]:
        given = {"units": draw(UNITS), "gain": draw(st.none() | NUMBERS), "long_name": draw(UNITS)}
        return {name: value for name, value in given.items() if value is not None}

    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    offset = draw(st.integers(0, 9))
    dtype = draw(st.sampled_from(["u1", "u2", "i4", "f4", "f8", "i8"]))
    variables["image"] = (("y", "x"), (np.arange(2 * size).reshape(2, size) + offset).astype(dtype), attributes())
    if draw(st.booleans()):
        variables["shot"] = ((), np.int32(offset), attributes())
    if draw(st.booleans()):
        step = draw(st.sampled_from([0.0, 1.0, np.nan]))
        coordinates["x"] = ("x", np.arange(size) * step, attributes())
    if draw(st.booleans()):
        coordinates["time"] = ("x", np.arange(size) * draw(st.sampled_from([1, 2])), attributes())
    return dataset(variables, coordinates, attributes())


def is_same(value: Any, other: Any) -> bool:  # noqa: ANN401 — any attribute
    if isinstance(value, str) or isinstance(other, str):
        return type(value) is type(other) and bool(value == other)
    return np.array_equal(value, other, equal_nan=True)


def assert_told(found: Mapping[Any, Any], own: Mapping[Any, Any], every: Sequence[Mapping[Any, Any]]) -> None:
    """Each attribute of an image is the stack's, or named as one that differs; what the stack says, all images say."""
    differing = str(found.get("differing_attributes", "")).split(", ")
    for name, value in own.items():
        assert (name in differing) != (name in found and is_same(found[name], value))
    for name in differing if "differing_attributes" in found else ():
        assert any(name in each for each in every)
    ours = {"differing_attributes", "image_types", "coordinates", "left_out", "original_name"}
    for name in found.keys() - ours:
        assert name in own


@QUICK
@given(layers=images(), ragged=st.sampled_from(["refuse", "pad"]))
def test_any_images(layers: list[xr.Dataset], ragged: RaggedPolicy) -> None:
    """Of any images, a stack has each image's values, coordinates, units and attributes, or names what it has not."""
    common = [
        name
        for name in layers[0].variables
        if all(name in each.variables for each in layers)
        and len({each.variables[name].attrs.get("units") for each in layers}) == 1
    ]
    sizes = {layer.variables[name].sizes.get("x") for name in common for layer in layers} - {None}
    if not common or (ragged == "refuse" and len(sizes) > 1):
        with pytest.raises(BadStack, match="ask for ragged-pad" if common else "have no variable in common"):
            stack(*layers, ragged=ragged, differing="omit")
        return
    made = stack(*layers, ragged=ragged, differing="omit")
    for number, layer in enumerate(layers):
        assert_told(made.attrs, layer.attrs, [each.attrs for each in layers])
        for name, variable in layer.variables.items():
            called = "file_shot" if name == "shot" else str(name)
            if called not in made.variables:
                assert f"{called}: " in made.attrs["left_out"]
                continue
            found = made.variables[called]
            values = found[number].values if "shot" in found.dims else found.values[: variable.size]
            filled = np.full(values.shape, np.nan)
            filled[tuple(slice(size) for size in variable.shape)] = variable.values
            np.testing.assert_array_equal(values, filled)
            assert_told(found.attrs, variable.attrs, [each.variables[name].attrs for each in layers])
            assert found.attrs.get("units") == variable.attrs.get("units")
            assert all(made.variables[each].dims == (each,) for each in found.dims if each in made.variables)
