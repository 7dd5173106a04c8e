"""DAP2's constraints: projections, selections by value and functions, by tables and by properties."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.server.protocols.dap2_decoding import decode, encode, make_unreadable

from shotdap.server.protocols import dap2
from shotdap.server.protocols.dap2.filters import Filter, compute_mask_indices
from shotdap.transforms.selection import BadSelection, Selection
from shotdap.transforms.virtual.read_cost import bytes_read

if TYPE_CHECKING:
    from collections.abc import Mapping

CONSTRAINTS: Final[list[tuple[str, dict[str, tuple[slice, ...]]]]] = [
    ("", {}),
    ("image", {"image": ()}),
    ("frame,y,x", {"frame": (), "y": (), "x": ()}),
    ("image[3]", {"image": (slice(3, 4, 1),)}),
    ("a,b[0:1:9][5]", {"a": (), "b": (slice(0, 10, 1), slice(5, 6, 1))}),
    ("b[2:4]", {"b": (slice(2, 5, 1),)}),
    ("image[5:3:19]", {"image": (slice(5, 18, 3),)}),
    ("image[0:1:9223372036854775806]", {"image": (slice(0, 9223372036854775807, 1),)}),
    ("image%5b0%5d%5b10:7:100%5d", {"image": (slice(0, 1, 1), slice(10, 95, 7))}),
    ("image%5B0%3A1%3A0%5D", {"image": (slice(0, 1, 1),)}),
    ("image%25255b0%25255d", {"image": (slice(0, 1, 1),)}),
    ("a,a", {"a": ()}),
    ("a[]", {"a": (slice(0, None, 1),)}),
    ("a[*][3:*][3:2:*]", {"a": (slice(0, None, 1), slice(3, None, 1), slice(3, None, 2))}),
    ("a&", {"a": ()}),
    ("a&&", {"a": ()}),
    (" a , b[ 0 : 1 ] ", {"a": (), "b": (slice(0, 2, 1),)}),
]


@pytest.mark.parametrize(("expression", "parts"), CONSTRAINTS)
def test_expressions_of_clients(expression: str, parts: Mapping[str, tuple[slice, ...]]) -> None:
    """An expression of a client becomes these slices, whose stops are excluded."""
    assert dap2.parse_constraint(expression) == dap2.Constraint(Selection(parts))


A, IMAGE = dap2.Projection("a"), dap2.Projection("image", (slice(0, 100, 1), slice(0, None, 1)))

UNDERSTOOD: Final = [
    ("&a>3", dap2.Constraint(filters=(Filter("a", ">", (3,)),))),
    ("a&y>=1e2&y<+200", dap2.Constraint(
        Selection({"a": ()}), (), (Filter("y", ">=", (100.0,)), Filter("y", "<", (200,)))
    )),
    ("a%26y%253E%3D1", dap2.Constraint(Selection({"a": ()}), (), (Filter("y", ">=", (1,)),))),
    ("&y!={1,2.5,-3}", dap2.Constraint(filters=(Filter("y", "!=", (1, 2.5, -3)),))),
    (r'&s={"a, \"b\"",c}', dap2.Constraint(filters=(Filter("s", "=", ('a, "b"', "c")),))),
    ('&s="a%20b"', dap2.Constraint(filters=(Filter("s", "=", ("a b",)),))),
    ("mean(a)", dap2.Constraint(calls=(dap2.FunctionCall("mean", A),))),
    ("mean(image[0:99][],y)", dap2.Constraint(calls=(dap2.FunctionCall("mean", IMAGE, ("y",)),))),
    ("a, bin( mean(a, 0), 4 ) ,version()", dap2.Constraint(
        Selection({"a": ()}),
        (dap2.FunctionCall("bin", dap2.FunctionCall("mean", A, ("0",)), ("4",)), dap2.FunctionCall("version")),
    )),
    ('mean(a,"y")', dap2.Constraint(calls=(dap2.FunctionCall("mean", A, ("y",)),))),
    ("y%3e=1&y%3c200", dap2.Constraint(filters=(Filter("y", ">=", (1,)), Filter("y", "<", (200,))))),
    ("mean(a),mean(a)", dap2.Constraint(calls=(dap2.FunctionCall("mean", A),))),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "constraint"), UNDERSTOOD)
def test_functions_and_selections_are_understood(expression: str, constraint: dap2.Constraint) -> None:
    """Calls of functions, also nested ones, and selections by value become the entries of the table."""
    assert dap2.parse_constraint(expression) == constraint


REFUSED: Final = [
    ("a&mean(a)>3", "does not read as a selection"),
    ("a&a", "does not read as a selection"),
    ("a&a>", "does not read as a selection"),
    ("a&a>{1,2", "does not read as a selection"),
    ('a&a="x', "does not read as a selection"),
    ("a&a=~x", "regular expression"),
    ("a&" + "&".join(["a>1"] * 65), "more than 64"),
    ("a&a={" + ",".join(["1"] * 257) + "}", "more than 256"),
    ("geogrid(a,1)", "The functions are: mean(variable, dimension, ...), min("),
    ("mean(a,y", "from character 8"),
    ("mean(a,y)[0]", "from character 9"),
    ("mean(" * 9 + "a" + ")" * 9, "8 times at most"),
    (",".join(f"mean(a,{n})" for n in range(65)), "64 are called at most"),
    ("a[1:0]", "selects nothing"),
    ("a[0:0:3]", "selects nothing"),
    ("a[1],a[2]", "asked for twice"),
    ("a[-1]", "does not read as"),
    ("a[:]", "is none of"),
    ("a[*:3]", "is none of"),
    ("a[1 2]", "is none of"),
    ("a[1:2:3:4]", "is none of"),
    ("a[99999999999999999999]", "is none of"),
    ("a%25", "does not read as"),
    ("a,,b", "from character 2"),
    ("a,", "from character 2"),
    ("a+b", "from character 1"),
    ("a[0]b", "from character 4"),
    ("%", "does not read as"),
    ("a[٣]", "does not read as"),
]


@pytest.mark.parametrize(("expression", "reason"), REFUSED)
def test_invalid_projections_are_refused(expression: str, reason: str) -> None:
    """An expression that selects nothing, or contains more than names and indices, is refused in a sentence."""
    with pytest.raises(BadSelection, match=re.escape(reason)):
        dap2.parse_constraint(expression)


LIKE_CONSTRAINTS: Final = r"((a|min\(b(\[\d?:?[\d*]?\])?(,\d)?\)|c\[\d\]),?){0,3}(&(a|b)(=|!=|<|>=)(\d|\"x\"|\{1,2\}))*"


def list_slices(constraint: dap2.Constraint) -> list[slice]:
    called = [call.projection.hyperslab for call in constraint.calls if call.projection]
    pieces = [piece for slab in (*constraint.selection.hyperslabs.values(), *called) for piece in slab]
    assert all(isinstance(piece, slice) for piece in pieces)
    return [piece for piece in pieces if isinstance(piece, slice)]


@given(st.text() | st.text("ab[]:0129,%25BbDd&+( ") | st.from_regex(LIKE_CONSTRAINTS))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Parsing raises `BadSelection`, or returns a selection whose slices all select something."""
    try:
        constraint = dap2.parse_constraint(text)
    except BadSelection as error:
        assert str(error)  # noqa: PT017 - the other outcome is as good
        return

    assert all(
        0 <= piece.start < piece.stop and piece.step > 0 for piece in list_slices(constraint) if piece.stop is not None
    )


@given(st.integers(0, 50), st.integers(1, 60), st.integers(0, 50), st.integers(0, 4))
def test_slices_select_what_the_expression_counts(start: int, stride: int, more: int, times: int) -> None:
    """Percent-encoded any number of times, `[start:stride:stop]` is start, start + stride, … up to stop, included."""
    expression = f"v[{start}:{stride}:{start + more}]"
    for _ in range(times):
        expression = quote(expression, safe="")
    (piece,) = list_slices(dap2.parse_constraint(expression))

    assert list(range(200))[piece] == list(range(start, start + more + 1, stride))


@pytest.mark.parametrize(
    "unit",
    [
        "&a>1",
        "{",
        "min(",
        ",1",
        ")",
        "min(a),",
        '"',
        "\\\\",
        "&",
        "%25",
        "25",
        "a,",
        "a[0]",
        "[",
        " ",
        "[ ]",
        "a[0],b",
        ":",
        "%5B",
    ],
)
@pytest.mark.parametrize("head", ["", "a", "a[", "%", "mean(a", "&a={1", '&a="'])
def test_long_expressions_take_no_longer_than_their_length(unit: str, head: str) -> None:
    """64 kB of any repeated text are parsed in a moment."""
    text = head + unit * (65536 // len(unit))
    start = time.process_time()
    try:
        dap2.parse_constraint(text)
    except BadSelection as error:
        assert len(str(error)) < 500  # noqa: PT017 - the other outcome is as good

    assert time.process_time() - start < 1


# Functions and selections by value ----------------------------------------------------------------------------------


def make_camera_image() -> xr.Dataset:
    """Return an adapted image with the kinds of variables that functions and selections handle."""
    return dap2.adapt_dataset(
        xr.Dataset(
            {
                "image": (("y", "x"), np.arange(48, dtype="u2").reshape(6, 8), {"units": "counts"}),
                "wrapped": (("x",), np.arange(-4, 4).astype("i1"), {"_Unsigned": "true"}),
                "names": (("y",), np.array(["a", "b", "c", "d", "µ", 'q"'], dtype=object)),
                "shot": ((), 62328),
            },
            coords=xr.Coordinates(
                {"y": ("y", np.arange(6) * 10), "x": ("x", np.arange(8, dtype="f4") / 10)}, indexes={}
            ),
        )
    )


IMAGE_VALUES: Final = np.arange(48).reshape(6, 8)

NARROWED: Final[list[tuple[str, dict[str, Any]]]] = [
    ("image&y>=20&y<50", {"image": IMAGE_VALUES[2:5]}),
    ("image,y&y!=20&x<=0.1", {"image": IMAGE_VALUES[[0, 1, 3, 4, 5], :2], "y": [0, 10, 30, 40, 50]}),
    ("image&y={0,50,7}&x>0.55", {"image": IMAGE_VALUES[[0, 5], 6:]}),
    ("x&x={0.1,0.5}", {"x": np.array([0.1, 0.5], "f4")}),
    ("y&y!={0,10}", {"y": [20, 30, 40, 50]}),
    ('y&names={"a","d"}', {"y": [0, 30]}),
    ('y&names="µ"', {"y": [40]}),
    (r'y&names="q\""', {"y": [50]}),
    ("x&wrapped>127", {"x": np.arange(4, dtype="f4") / 10}),
    ("x&y>20", {"x": np.arange(8, dtype="f4") / 10}),
    ("y&y<1000000000000000000", {"y": np.arange(6) * 10}),
    ("image[0:1][0]&y>=20", {"image": IMAGE_VALUES[2:4, :1]}),
    ("image[0:2:2][7]&y!=10", {"image": IMAGE_VALUES[[0, 3], 7:]}),
    ("mean(image)", {"mean_image": 23.5}),
    ("mean(image,y)", {"mean_image": IMAGE_VALUES.mean(0)}),
    ("mean(image,1)", {"mean_image": IMAGE_VALUES.mean(1)}),
    ("min(image,x),max(image,x)", {"min_image": IMAGE_VALUES.min(1), "max_image": IMAGE_VALUES.max(1)}),
    ("mean(image[0:1][],y)", {"mean_image": IMAGE_VALUES[:2].mean(0)}),
    ("mean(image,y)&y>=40", {"mean_image": IMAGE_VALUES[4:].mean(0)}),
    ("mean(image[0][],y)&y>=40", {"mean_image": IMAGE_VALUES[4]}),
    ("bin(y,4),bin(image,1,8)", {"bin_y": [15, 45], "bin_image": IMAGE_VALUES.mean(1, keepdims=True)}),
    ("max(bin(image,3,4),x)", {"max_bin_image": [13.5, 37.5]}),
    ("min(wrapped),max(wrapped),mean(wrapped)", {"min_wrapped": 0, "max_wrapped": 255, "mean_wrapped": 127.5}),
    ("mean(shot)", {"mean_shot": 62328}),
    ("y[0:1],mean(image[2:3][],x)", {"y": [0, 10], "mean_image": [19.5, 27.5]}),
    ("mean(image,y),mean(image,x)", {"mean_image": IMAGE_VALUES.mean(0), "mean_image_2": IMAGE_VALUES.mean(1)}),
]


@pytest.mark.parametrize(("expression", "expected"), NARROWED)
def test_functions_and_selections_give_these_values(expression: str, expected: Mapping[str, Any]) -> None:
    """The values equal those of the same steps in NumPy: selections first, then indices, then functions."""
    narrowed = dap2.parse_constraint(expression).narrow(make_camera_image())
    found = decode(encode(narrowed))

    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(np.asarray(found[name], "f8"), np.asarray(values, "f8"), rtol=1e-7)


UNFIT: Final = [
    ("image&y>100", "nothing is left along y. The values of y go from 0 to 50"),
    ("image&y>20&y<20", "nothing is left"),
    ("image&image>3", "of one dimension, and 'image' is none. Those are: wrapped, names, y, x"),
    ("image&shot=62328", "'shot' is none"),
    ("image&nope=3", "'nope' is none"),
    ('image&y="abc"', "y holds numbers, and 'abc' is none"),
    ("mean(names)", "names is text"),
    ("mean(image,z)", "'z' is no dimension; image has y (0), x (1)"),
    ("mean(image,2)", "'2' is no dimension"),
    ("mean(nope)", "There is no variable 'nope' here"),
    ("mean(image[0],y)", "takes 2 indices"),
    ("mean(image[0:9][],y)", "index 9 is outside 0 to 5"),
    ("bin(image)", "takes a number of pixels"),
    ("bin(image,0)", "takes a number of pixels"),
    ("bin(image,1,2,3)", "for each of y (0), x (1)"),
    ("bin(image,99999999999999999999)", "takes a number of pixels"),
    ("bin(shot,2)", "no dimensions"),
    ("version(image)", "the function is version()"),
    ("mean()", "the function is mean(variable, dimension, ...)"),
]


@pytest.mark.parametrize(("expression", "reason"), UNFIT)
def test_unsuitable_expressions_are_refused(expression: str, reason: str) -> None:
    """A function or a selection that does not fit the dataset is refused in a sentence that helps."""
    with pytest.raises(BadSelection, match=re.escape(reason)):
        dap2.parse_constraint(expression).narrow(make_camera_image())


def test_different_slices_have_different_dimensions() -> None:
    """No client can take the rows of a mean for those of a coordinate with another slice."""
    narrowed = dap2.parse_constraint("y[0:1],mean(image[2:3][],x),bin(image,2),bin(y,2)").narrow(make_camera_image())

    assert dap2.render_dds(narrowed, "d") == (
        "Dataset {\n    Int32 y[y_1 = 2];\n    Float64 mean_image[y_2 = 2];\n"
        "    Float64 bin_image[y_bin2 = 3][x_bin2 = 4];\n    Float64 bin_y[y_bin2 = 3];\n} d;\n"
    )


def test_results_have_provenance() -> None:
    """A result has its units, CF's cell methods, and the call; an extreme of integers has their type."""
    narrowed = dap2.parse_constraint("mean(image[0:2:4][],y),max(image),version()").narrow(make_camera_image())

    assert narrowed["mean_image"].attrs == {
        "units": "counts",
        "cell_methods": "y: mean",
        "function": "mean(image[0:2:4][],y)",
    }
    assert "    Int32 max_image;\n" in dap2.render_dds(narrowed, "d")
    assert str(narrowed["version"].values).startswith("shotdap ")


def test_functions_are_lazy_and_know_their_cost() -> None:
    """Describing a response with functions reads nothing, and states the cost of its values."""
    dataset = xr.Dataset({"image": (("y", "x"), make_unreadable((300, 200), "u2"))})
    narrowed = dap2.parse_constraint("mean(image[0:9][],y),bin(image,4)").narrow(dap2.adapt_dataset(dataset))

    assert dap2.compute_body_size(narrowed, "d") > (200 + 75 * 50) * 8
    assert sum(map(bytes_read, narrowed.variables.values())) == (10 + 300) * 200 * 2


def test_a_selection_that_keeps_a_run_is_a_slice() -> None:
    """Adjacent selected values are read as a slice, and nothing else is read."""
    dataset = xr.Dataset({"image": (("y",), np.arange(100))}, {"y": ("y", np.arange(100))})
    for expression, expected in (("y>=90", slice(90, 100, 1)), ("y={5,7,9}", slice(5, 10, 2)), ("y=3", slice(3, 4, 1))):
        mask = dap2.parse_constraint(f"&{expression}").filters[0].evaluate(dap2.adapt_dataset(dataset).variables["y"])

        assert compute_mask_indices(mask) == expected


def test_every_function_is_documented() -> None:
    """A function has a usage that begins with its name, and a documentation."""
    for name, function in dap2.FUNCTIONS.items():
        assert function.usage.startswith(f"{name}(")
        assert len(function.documentation) > 40


def test_round_trip() -> None:
    """The text of a constraint is parsed to the same constraint."""
    for expression, _ in UNDERSTOOD:
        constraint = dap2.parse_constraint(expression)

        assert dap2.parse_constraint(str(constraint)) == constraint
