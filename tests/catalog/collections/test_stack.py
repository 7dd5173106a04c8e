"""A stack describes each of its images exactly as the image does alone."""

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


def make_image(
    x: Any = (0.0, 1.0, 2.0),  # noqa: ANN401 — whatever NumPy makes an array of
    attributes: Mapping[str, Any] | None = None,
    dtype: str = "u2",
    coordinate: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return an image of two rows whose columns have the positions x."""
    positions = np.asarray(x)
    values = np.arange(2 * positions.size).reshape(2, -1).astype(dtype)
    return make_dataset(
        {"image": (("y", "x"), values, dict(attributes or {}))}, {"x": ("x", positions, coordinate or {})}
    )


def make_dataset(
    variables: Mapping[str, Any], coordinates: Mapping[str, Any] | None = None, attrs: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Return a dataset without indexes, like those of the catalog."""
    result = {
        name: each if isinstance(each, xr.Variable) else xr.Variable(*each)
        for name, each in (coordinates or {}).items()
    }
    return xr.Dataset(variables, coords=xr.Coordinates(result, indexes={}), attrs=dict(attrs or {}))


def stack(*images: xr.Dataset, ragged: RaggedPolicy = "refuse", differing: DifferingPolicy = "refuse") -> xr.Dataset:
    return stack_images([Layer(f"i{n}", 100 + n, each) for n, each in enumerate(images)], ragged, differing, {})


class TestCoordinates:
    def test_same(self) -> None:
        """A coordinate that is equal in all images is not stacked."""
        result = stack(make_image(), make_image())

        assert result["x"].dims == ("x",)
        assert result["image"].dims == ("shot", "y", "x")
        assert "x" not in result["image"].attrs["coordinates"].split()

    def test_different(self) -> None:
        """A coordinate that differs is stacked, its dimension is renamed, and variables refer to it."""
        result = stack(make_image(), make_image((0.0, 2.0, 4.0)))

        assert result["x"].dims == ("shot", "x_index")
        assert result["x"].values.tolist() == [[0, 1, 2], [0, 2, 4]]
        assert "x" in result.coords
        assert result["image"].dims == ("shot", "y", "x_index")
        assert "x" in result["image"].attrs["coordinates"].split()

    @pytest.mark.parametrize("other", [(0, 1, 2), ("0", "1", "2")])
    def test_types(self, other: Sequence[object]) -> None:
        """Numbers and texts cannot be stacked; integers and floats can, in a type that represents both."""
        if isinstance(other[0], str):
            with pytest.raises(BadStack, match=r"differ in x, .* numbers in i0, text in i1"):
                stack(make_image(), make_image(np.array(other, object)))
        else:
            assert stack(make_image(), make_image(other))["x"].values.tolist() == [[0, 1, 2], [0, 1, 2]]

    def test_nan(self) -> None:
        """Missing values of a coordinate are equal to each other."""
        assert stack(make_image((0, np.nan, 1)), make_image((0, np.nan, 1)))["x"].dims == ("x",)

    def test_padded(self) -> None:
        """For images of different sizes, the longest coordinate is shared only if the others are its first values."""
        alike = stack(make_image((0.0, 1.0)), make_image((0.0, 1.0, 2.0)), ragged="pad")
        shifted = stack(make_image((1.0, 2.0)), make_image((0.0, 1.0, 2.0)), ragged="pad")

        assert alike["x"].values.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(shifted["x"].values, [[1, 2, np.nan], [0, 1, 2]])

    def test_missing(self) -> None:
        """A coordinate that one image lacks is left out and named; pixel numbers do not replace it."""
        result = stack(make_image(), make_dataset({"image": (("y", "x"), np.zeros((2, 3), "u2"))}))

        assert result["image"].dims == ("shot", "y", "x_index")
        assert "x" not in result.variables
        assert result.attrs["left_out"] == "x: it is not in i1"

    def test_taken_name(self) -> None:
        """The new name of a dimension is unique."""
        first, second = (each.assign(x_index=((), 7)) for each in (make_image(), make_image((0.0, 2.0, 4.0))))

        assert stack(first, second)["image"].dims == ("shot", "y", "x_index_2")

    def test_groups(self) -> None:
        """A renamed dimension stays in its group."""
        layers = [make_dataset({"A/v": ("A/t", np.arange(2))}, {"A/t": ("A/t", np.arange(2) * n)}) for n in (1, 2)]

        assert stack(*layers)["A/v"].dims == ("shot", "A/t_index")

    @pytest.mark.parametrize(("size", "read", "dimensions"), [(10, 10, ("t",)), (100_000, 0, ("shot", "t_index"))])
    def test_reads(self, size: int, read: int, dimensions: tuple[str, ...]) -> None:
        """Stacking reads no pixels; it reads coordinates, except long ones, which count as different."""
        pixels = CountingSource(np.zeros((4, size)))
        lines = [CountingSource(np.arange(float(size))) for _ in range(2)]
        result = stack(
            *(
                make_dataset(
                    {"image": create_lazy_variable(("y", "t"), pixels, {})},
                    {"t": create_lazy_variable(("t",), each, {})},
                )
                for each in lines
            )
        )

        assert result["t"].dims == dimensions
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
        """Variables whose numbers differ in meaning are refused; the message names the difference and the images."""
        first, second = (make_image(attributes={} if value is None else {name: value}) for value in values)

        with pytest.raises(
            BadStack, match=f"differ in image, .*{name}: .* in i0 and 1 other, .* in i2.*differing-omit"
        ):
            stack(first, first, second)

    def test_omitted(self) -> None:
        """On request they are left out and named; the other variables are stacked."""
        first, second = (make_image(attributes={"units": units}) for units in ("J", "eV"))
        result = stack(first, second, differing="omit")

        assert set(result.variables) == {"shot", "path", "x"}
        assert result.attrs["left_out"] == "image: its images differ: units: J in i0, eV in i1"

    def test_units_of_coordinate(self) -> None:
        """A coordinate in other units is refused, even if its numbers are equal."""
        with pytest.raises(BadStack, match=r"differ in x, .*units: um in i0, mm in i1"):
            stack(make_image(coordinate=MICROMETRES), make_image(coordinate={"units": "mm"}))

    def test_dimensions(self) -> None:
        """Images with another order of dimensions are refused."""
        with pytest.raises(BadStack, match="dimensions: y x in i0, x y in i1"):
            stack(make_image(), make_image().transpose("x", "y"))

    def test_same_units_of_nan(self) -> None:
        """Attributes are equal although their types differ: NaN is equal to NaN, and numbers to numbers."""
        first, second = (
            make_image(attributes={"missing_value": value, "valid_range": limits})
            for value, limits in ((np.nan, np.array([0, 9], "u2")), (np.float32("nan"), np.array([0, 9], "i4")))
        )
        result = stack(first, second)["image"].attrs

        assert set(result) == {"missing_value", "valid_range", "coordinates"}


class TestAttributes:
    def test_of_variable(self) -> None:
        """Descriptive attributes that all images share are kept; the names of others are listed."""
        first = make_image(attributes={"units": "count", "long_name": "a", "gain": 1, "only": 1})
        result = stack(first, make_image(attributes={"units": "count", "long_name": "b", "gain": 2}))["image"].attrs

        assert result["units"] == "count"
        assert result["differing_attributes"] == "long_name, gain, only"
        assert not result.keys() & {"long_name", "gain", "only"}

    def test_of_dataset(self) -> None:
        """The same is true of attributes of datasets."""
        result = stack(make_image().assign_attrs(camera="C1", gain=1), make_image().assign_attrs(camera="C1", gain=2))

        assert result.attrs == {"camera": "C1", "differing_attributes": "gain"}

    def test_types(self) -> None:
        """Images of different types are stacked in a type that represents both; an attribute lists the types."""
        result = stack(make_image(dtype="u1"), make_image(dtype="i2"))["image"]

        assert result.dtype == np.int16
        assert result.attrs["image_types"] == "uint8, int16"

    def test_references(self) -> None:
        """References of images to auxiliary coordinates are kept, except to those that are left out."""
        variables = {"image": ("x", np.zeros(3), {"coordinates": "lat lon"}), "lat": ("x", np.zeros(3))}
        first = make_dataset({**variables, "lon": ("x", np.zeros(3))})

        assert stack(first, make_dataset(variables))["image"].attrs["coordinates"] == "lat path"


class TestValues:
    @pytest.mark.parametrize("dtype", ["i8", "u8"])
    def test_inexact(self, dtype: str) -> None:
        """An integer that the stack's type cannot represent is an error, never another number."""
        small, large = (make_dataset({"v": ("n", np.array(values, dtype))}) for values in ([2**53], [2**53 + 1, 5]))
        result = stack(small, large, ragged="pad")["v"]

        np.testing.assert_array_equal(result[0].values, [2**53, np.nan])
        assert result[1, 1].values == 5
        with pytest.raises(BadStack, match=r"v has whole numbers beyond 2\*\*53, which float64"):
            _ = result.values

    @pytest.mark.parametrize("dtype", [object, "U3"])
    def test_text(self, dtype: Any) -> None:  # noqa: ANN401 — whatever NumPy takes for a type
        """Texts are padded with empty texts."""
        first, second = (make_dataset({"v": ("n", np.array(values, dtype))}) for values in (["a"], ["bcd", "e"]))

        assert stack(first, second, ragged="pad")["v"].values.tolist() == [["a", ""], ["bcd", "e"]]

    def test_own_names(self) -> None:
        """A variable or dimension with the name of a stack's own coordinate is renamed."""
        along = [make_dataset({"path": ("shot", np.array([n, n + 1]))}) for n in (1, 2)]
        single = [
            make_dataset({"image": ("x", np.zeros(2), {"coordinates": "shot"})}, {"shot": ((), 5)}) for _ in (1, 2)
        ]
        result, other = stack(*along), stack(*single)

        assert result["shot"].values.tolist() == [100, 101]
        assert result["path"].values.tolist() == ["i0", "i1"]
        assert result["file_path"].dims == ("shot", "file_shot")
        assert result["file_path"].values.tolist() == [[1, 2], [2, 3]]
        assert result["file_path"].attrs["original_name"] == "path"
        assert other["shot"].values.tolist() == [100, 101]
        assert other["file_shot"].values.tolist() == [5, 5]
        assert other["image"].attrs["coordinates"] == "file_shot path"


# Any images -----------------------------------------------------------------------------------------------------------

UNITS: Final = st.none() | st.sampled_from(["um", "mm"])
NUMBERS: Final = st.sampled_from([0, 1, 2.5, np.float32(2.5), float("nan"), "1"])


@st.composite
def images(draw: st.DrawFn) -> list[xr.Dataset]:
    """Draw images that are often similar: of few sizes, coordinates, units, types and attributes."""
    same = draw(st.booleans())
    size = draw(st.integers(1, 3))
    return [draw(_images(size if same else draw(st.integers(1, 3)))) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def _images(draw: st.DrawFn, size: int) -> xr.Dataset:
    def attributes() -> dict[str, Any]:
        drawn = {"units": draw(UNITS), "gain": draw(st.none() | NUMBERS), "long_name": draw(UNITS)}
        return {name: value for name, value in drawn.items() if value is not None}

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
    return make_dataset(variables, coordinates, attributes())


def is_same(value: Any, other: Any) -> bool:  # noqa: ANN401 — any attribute
    if isinstance(value, str) or isinstance(other, str):
        return type(value) is type(other) and bool(value == other)
    return np.array_equal(value, other, equal_nan=True)


def assert_attributes(stacked: Mapping[Any, Any], own: Mapping[Any, Any], every: Sequence[Mapping[Any, Any]]) -> None:
    """Assert that each attribute of an image is the stack's or listed as differing, and the stack has no others."""
    differing = str(stacked.get("differing_attributes", "")).split(", ")
    for name, value in own.items():
        assert (name in differing) != (name in stacked and is_same(stacked[name], value))
    for name in differing if "differing_attributes" in stacked else ():
        assert any(name in each for each in every)
    ours = {"differing_attributes", "image_types", "coordinates", "left_out", "original_name"}
    for name in stacked.keys() - ours:
        assert name in own


@QUICK
@given(layers=images(), ragged=st.sampled_from(["refuse", "pad"]))
def test_any_images(layers: list[xr.Dataset], ragged: RaggedPolicy) -> None:
    """A stack of any images has the values, coordinates, units and attributes of each, or lists what it left out."""
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
    result = stack(*layers, ragged=ragged, differing="omit")
    for number, layer in enumerate(layers):
        assert_attributes(result.attrs, layer.attrs, [each.attrs for each in layers])
        for name, variable in layer.variables.items():
            name_in_stack = "file_shot" if name == "shot" else str(name)
            if name_in_stack not in result.variables:
                assert f"{name_in_stack}: " in result.attrs["left_out"]
                continue
            stacked = result.variables[name_in_stack]
            values = stacked[number].values if "shot" in stacked.dims else stacked.values[: variable.size]
            filled = np.full(values.shape, np.nan)
            filled[tuple(slice(size) for size in variable.shape)] = variable.values
            np.testing.assert_array_equal(values, filled)
            assert_attributes(stacked.attrs, variable.attrs, [each.variables[name].attrs for each in layers])
            assert stacked.attrs.get("units") == variable.attrs.get("units")
            assert all(result.variables[each].dims == (each,) for each in stacked.dims if each in result.variables)
