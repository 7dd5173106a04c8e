"""DAP4's descriptions of datasets and their attributes, read by two parsers."""

from __future__ import annotations

import warnings
from typing import Any
from xml.etree import ElementTree as ET

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.server.protocols.dap4_decoding import (
    NAMESPACE,
    Array,
    describe,
    make_grouped_dataset,
    make_image_dataset,
    read_attribute_values,
    read_attributes,
)

from shotdap.server.protocols import dap4
from shotdap.transforms.selection import BadSelection

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap imports, imports cgi
    from pydap.parsers.dmr import dmr_to_dataset


def render_attribute(value: object, name: str = "a") -> ET.Element:
    dmr = dap4.render_dmr(xr.Dataset(attrs={name: value}), "d")
    found, *_ = ET.fromstring(dmr)  # noqa: S314 - our own; what follows lists new names
    return found


class TestDmr:
    def test_prolog_and_root(self) -> None:
        """The prolog is at byte 0; the root states the version of DAP4."""
        dmr = dap4.render_dmr(xr.Dataset(), 'a "b" & µ')

        assert dmr == (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" dapVersion="4.0" dmrVersion="2.0"'
            ' name="a &quot;b&quot; &amp; &#181;">\n'
            "</Dataset>\n"
        )

    def test_dims_and_maps_of_the_whole(self) -> None:
        """A whole variable names its dimensions, and its maps are the coordinates on them, except scalars."""
        read = describe(dap4.render_dmr(make_image_dataset(), "d"))

        assert read["/image"].dims == ["/frame", "/y", "/x"]
        assert read["/image"].maps == ["/x", "/y", "/radius"]
        assert read["/names"].maps == []
        assert read["/x"].maps == read["/radius"].maps == []

    def test_coordinates_come_first(self) -> None:
        """Coordinates precede the variables with maps to them (libdap requires it); the rest keeps its order."""
        assert list(describe(dap4.render_dmr(make_image_dataset(), "d"))) == [
            *("/x", "/y", "/radius", "/t0"),
            *("/image", "/mask", "/names", "/gain", "/telescope"),
        ]

    def test_order_is_the_datasets(self) -> None:
        """The order of the constraint has no effect."""
        selection = dap4.parse_constraint("/telescope;/x;/image")

        assert list(describe(dap4.render_dmr(selection.apply(make_image_dataset()), "d", selection))) == [
            *("/x", "/image", "/telescope"),
        ]

    def test_cut(self) -> None:
        """A sliced variable has only anonymous dimensions and no maps, and is no map of another."""
        selection = dap4.parse_constraint("/image[0][][];/mask;/x[0:2];/y[]")
        read = describe(dap4.render_dmr(selection.apply(make_image_dataset()), "d", selection))

        assert (read["/image"].dims, read["/image"].maps) == ([1, 3, 4], [])
        assert (read["/mask"].dims, read["/mask"].maps) == (["/y", "/x"], ["/y"])
        assert (read["/x"].dims, read["/y"].dims) == ([3], ["/y"])

    def test_redefined(self) -> None:
        """A redefined dimension keeps its name and has its new size, unless a variable gives its own indices."""
        selection = dap4.parse_constraint("/y=[0:2:2];/image;/y;/mask[][1]")
        dmr = dap4.render_dmr(selection.apply(make_image_dataset()), "d", selection)
        read = describe(dmr)

        assert '<Dimension name="y" size="2"/>' in dmr
        assert (read["/image"].dims, read["/image"].shape) == (["/frame", "/y", "/x"], (2, 2, 4))
        assert (read["/image"].maps, read["/y"].dims) == (["/y"], ["/y"])
        assert (read["/mask"].dims, read["/mask"].maps) == ([2, 1], [])

    def test_redefined_alone(self) -> None:
        """A redefinition without variables narrows all of them."""
        selection = dap4.parse_constraint("/y=[1]")
        read = describe(dap4.render_dmr(selection.apply(make_image_dataset()), "d", selection))

        assert set(read) == {f"/{name}" for name in make_image_dataset().variables}
        assert {name: found.shape for name, found in read.items() if "/y" in found.dims} == {
            "/y": (1,),
            "/radius": (1, 4),
            "/image": (2, 1, 4),
            "/mask": (1, 4),
        }

    @pytest.mark.parametrize("expression", ["/DATA/SHOT", "DATA/SHOT", "/DATA/SHOT{y,image;comment}", "/DATA.{SHOT}"])
    def test_group(self, expression: str) -> None:
        """The name of a group selects all its content, however its members are named."""
        selection = dap4.parse_constraint(expression)
        read = describe(dap4.render_dmr(selection.apply(make_grouped_dataset()), "d", selection))

        assert set(read) == {"/DATA/SHOT/y", "/DATA/SHOT/image", "/DATA/SHOT/comment"}

    def test_group_of_attributes(self) -> None:
        """A group of only attributes can be selected as well."""
        selection = dap4.parse_constraint("/LOG")
        root = ET.fromstring(dap4.render_dmr(selection.apply(make_grouped_dataset()), "d", selection))  # noqa: S314 - our own

        assert [found.get("name") for found in root.iter(f"{NAMESPACE}Attribute")] == ["top", "note"]

    @pytest.mark.parametrize(
        ("expression", "sentence"),
        [
            ("/DATA[0]", "DATA is a group, which takes no indices"),
            ("/z=[0];/image", "no dimension 'z' here. The dimensions are: frame, y, x"),
            ("/image[0][0,3][0]", "index 3 is outside 0 to 2"),
            ("/y=[9];/x", "index 9 is outside 0 to 2"),
        ],
    )
    def test_misfit(self, expression: str, sentence: str) -> None:
        """A constraint that does not fit is refused in a sentence that says what would."""
        dataset = make_grouped_dataset() if "DATA" in expression else make_image_dataset()

        with pytest.raises(BadSelection, match=sentence):
            dap4.parse_constraint(expression).apply(dataset)

    def test_only_named_dimensions_are_declared(self) -> None:
        """A dimension that no variable names is not declared."""
        selection = dap4.parse_constraint("/image[0][][];/names")
        dmr = dap4.render_dmr(selection.apply(make_image_dataset()), "d", selection)

        assert dmr.count("<Dimension ") == 1
        assert '<Dimension name="frame" size="2"/>' in dmr

    def test_groups(self) -> None:
        """Names with slashes are groups within groups, with their dimensions, variables and attributes."""
        root = ET.fromstring(dap4.render_dmr(make_grouped_dataset(), "d"))  # noqa: S314 - our own
        shot = root.find(f"{NAMESPACE}Group[@name='DATA']/{NAMESPACE}Group[@name='SHOT']")
        assert shot is not None

        assert [child.get("name") for child in shot] == ["y", "x", "y", "image", "comment", "number"]
        assert read_attributes(root) == {"top": ["t"]}
        assert root.find(f"{NAMESPACE}Group[@name='LOG']/{NAMESPACE}Group[@name='empty']") is not None

    def test_groups_that_were_not_selected(self) -> None:
        """Groups without a selected variable are omitted."""
        selection = dap4.parse_constraint("/DATA/energy")
        root = ET.fromstring(dap4.render_dmr(selection.apply(make_grouped_dataset()), "d", selection))  # noqa: S314 - our own

        assert [group.get("name") for group in root.iter(f"{NAMESPACE}Group")] == ["DATA"]
        assert [found.get("name") for found in root.iter(f"{NAMESPACE}Attribute")] == ["top", "by"]

    def test_dimension_out_of_scope(self) -> None:
        """A variable whose dimension is in another group has anonymous dimensions."""
        dataset = xr.Dataset({"v": (("G/n", "m"), np.zeros((2, 3))), "G/w": ("G/n", np.zeros(2))})
        read = describe(dap4.render_dmr(dataset, "d"))

        assert (read["/v"].dims, read["/G/w"].dims) == ([2, 3], ["/G/n"])

    def test_attribute_below_a_variable(self) -> None:
        """An attribute with the name of a path below a variable makes no group of the variable's name."""
        dataset = xr.Dataset({"v": ((), 1)}, attrs={"v/units": "m"})

        assert "<Group" not in dap4.render_dmr(dataset, "d")

    def test_nothing_is_read(self) -> None:
        """Describing a dataset computes no value."""

        def fail(block: Array) -> Array:
            raise AssertionError(block)

        lazy = da.zeros((2, 3), dtype="u2").map_blocks(fail, dtype="u2")

        assert "UInt16" in dap4.render_dmr(xr.Dataset({"v": (("y", "x"), lazy)}), "d")

    def test_type_that_dap4_lacks(self) -> None:
        """A type that DAP4 lacks is refused, with the variable's name."""
        with pytest.raises(TypeError, match="v: DAP4 has no type for NumPy's complex128"):
            dap4.render_dmr(xr.Dataset({"v": ((), 1j)}), "d")


class TestAttributes:
    @pytest.mark.parametrize(
        ("value", "kind", "texts"),
        [
            ("text", "String", ["text"]),
            ("", "String", [""]),
            (np.str_("text"), "String", ["text"]),
            (b"\xb5m", "String", ["µm"]),
            (True, "UInt8", ["1"]),
            (5, "Int64", ["5"]),
            (2**63, "UInt64", ["9223372036854775808"]),
            (2**70, "String", ["1180591620717411303424"]),
            (0.1, "Float64", ["0.1"]),
            (np.float32(0.1), "Float64", ["0.10000000149011612"]),
            (np.float16(0.1), "Float64", ["0.0999755859375"]),
            (np.nan, "Float64", ["NaN"]),
            (-np.inf, "Float64", ["-Infinity"]),
            (np.float32("inf"), "Float64", ["Infinity"]),
            (np.int8(-3), "Int8", ["-3"]),
            (np.uint8(3), "UInt8", ["3"]),
            (np.array([1, 2], ">i2"), "Int16", ["1", "2"]),
            (np.array([[1, 2], [3, 4]], "u1"), "UInt8", ["1", "2", "3", "4"]),
            ([1, 2.5], "Float64", ["1.0", "2.5"]),
            (["a", "", "b & c"], "String", ["a", "", "b & c"]),
            (np.array(["a", "b"]), "String", ["a", "b"]),
            ([], "String", [""]),
            (np.array([], "f4"), "String", [""]),
            ([1, [2, 3]], "String", ["[1, [2, 3]]"]),
            (None, "String", [""]),
            (1j, "String", ["1j"]),
            (np.datetime64("2026-11-22"), "String", ["2026-11-22"]),
        ],
    )
    def test_values(self, value: object, kind: str, texts: list[str]) -> None:
        """A value keeps its type (except Float32, which netCDF-C garbles) and its text."""
        found = render_attribute(value)

        assert found.get("type") == kind
        assert read_attribute_values(found) == texts

    @pytest.mark.parametrize("text", ["a & b", "<", '"', "it's", "a\\b", "end\\", " ", "one & \n two"])
    def test_delicate_text(self, text: str) -> None:
        """Text that netCDF-C would change in a `<Value>` is in `value="…"` for it, and in `<dap:Value>` for libdap."""
        found = render_attribute(text)

        assert found.get("value") == text
        assert read_attribute_values(found) == [text]

    def test_delicate_texts(self) -> None:
        """Several texts that netCDF-C would change are lines of one text for it, and several for libdap."""
        found = render_attribute(["one", 'th"ree', "", "a&b<c", "C:\\"])

        assert found.get("value") == 'one\nth"ree\n\na&b<c\nC:\\'
        assert read_attribute_values(found) == ["one", 'th"ree', "", "a&b<c", "C:\\"]

    def test_delicate_text_is_read_once(self) -> None:
        """pydap, which would read both `value` and `<Value>`, reads a delicate text once."""
        attrs = {"one": 'th"ree', "several": ["a", "b&c"], "empty": ""}

        assert dmr_to_dataset(dap4.render_dmr(xr.Dataset(attrs=attrs), "d")).attributes == {
            **attrs,
            "several": "a\nb&c",
        }

    @pytest.mark.parametrize("text", ["plain µ text", " padded ", "line\nline\ttab\r"])
    def test_plain_text(self, text: str) -> None:
        """Plain text is in a `<Value>`, the only form that libdap reads."""
        assert [value.text for value in render_attribute(text)] == [text]

    @given(st.text(st.characters()), st.text(st.characters()))
    def test_any_text(self, name: str, text: str) -> None:
        """Any name and text give XML, in ASCII; all text that XML can represent arrives."""
        root = ET.fromstring(dap4.render_dmr(xr.Dataset(attrs={name: text}), "d"))  # noqa: S314 - our own
        expected = "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text)
        expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in expected)
        if name == "_DAP4_Checksum_CRC32":
            return

        values, *_ = (read_attribute_values(found) for found in root.iter(f"{NAMESPACE}Attribute"))
        assert values == [expected]

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("units", "units"),
            ("a b", "a b"),
            ("µ", "µ"),
            ("a.b&c", "a.b&c"),
            ("a b/c", "a b%2Fc"),
            ("end ", "end%20"),
            ("a\nb", "a%0Ab"),
            ("-x", "_-x"),
            ("", "_"),
            ("CLASS", "CLASS_"),
            ("_NCProperties", "_NCProperties_"),
            ("x" * 255, "x" * 255),
            ("x" * 300, f"{'x' * 246}_0d4e2ca9"),
            ("\ud800", "_%D800"),
        ],
    )
    def test_names_that_netcdf_allows(self, name: str, expected: str) -> None:
        """A name for which netCDF-C would refuse the dataset is changed into an allowed one."""
        assert render_attribute(1, name).get("name") == expected

    def test_names_stay_distinct(self) -> None:
        """No two attributes have one name, although netCDF allows neither name."""
        dmr = dap4.render_dmr(xr.Dataset(attrs={"CLASS": 1, "CLASS_": 2, "": 3, "_": 4}), "d")
        root = ET.fromstring(dmr)  # noqa: S314 - our own

        assert read_attributes(root) == {
            "CLASS_": ["1"],
            "CLASS__": ["2"],
            "_": ["3"],
            "__": ["4"],
            "renamed_attributes": ["CLASS_: CLASS, CLASS__: CLASS_, _: , __: _"],
        }

    @pytest.mark.parametrize(
        ("dtype", "value", "expected"),
        [
            ("u2", 65535.0, ("_FillValue", "UInt16", ["65535"])),
            (">u2", np.int64(7), ("_FillValue", "UInt16", ["7"])),
            ("u2", -1, ("FillValue", "Int64", ["-1"])),
            ("i2", 0.5, ("FillValue", "Float64", ["0.5"])),
            ("i2", np.array([7]), ("_FillValue", "Int16", ["7"])),
            ("i2", "none", ("FillValue", "String", ["none"])),
            ("?", False, ("_FillValue", "UInt8", ["0"])),
            ("f4", 0.0, ("_FillValue", "Float32", ["0.0"])),
            ("f4", 0.1, ("FillValue", "Float64", ["0.1"])),
            ("f4", np.nan, ("_FillValue", "Float32", ["NaN"])),
            ("f8", np.inf, ("_FillValue", "Float64", ["Infinity"])),
            ("f4", 1e300, ("FillValue", "Float64", ["1e+300"])),
            ("U1", "x", ("_FillValue", "String", ["x"])),
            ("U1", 0, ("FillValue", "Int64", ["0"])),
        ],
    )
    def test_fill_value(self, dtype: str, value: object, expected: tuple[str, str, list[str]]) -> None:
        """`_FillValue` has the type of its variable's values, or another name."""
        dataset = xr.Dataset({"v": ("n", np.zeros(1, dtype), {"_FillValue": value})})
        root = ET.fromstring(dap4.render_dmr(dataset, "d"))  # noqa: S314 - our own
        (found,) = root.iter(f"{NAMESPACE}Attribute")

        assert (found.get("name"), found.get("type"), read_attribute_values(found)) == expected

    @pytest.mark.parametrize(
        ("dtype", "attrs", "expected"),
        [
            ("f4", {"_FillValue": np.float32(-9999.9)}, {"missing_value": ["-9999.900390625"]}),
            ("f4", {"_FillValue": np.inf}, {"missing_value": ["Infinity"]}),
            ("f2", {"_FillValue": -1.0, "missing_value": np.nan}, {"missing_value": ["NaN", "-1.0"]}),
            ("i2", {"_FillValue": np.array([7, 8, 70000])}, {"missing_value": ["7", "8"]}),
            ("u1", {"_FillValue": [7, 8], "missing_value": 8.0}, {"missing_value": ["8", "7"]}),
            ("f4", {"missing_value": np.array([1e300, 2])}, {"missing_value": ["1e+300", "2.0"]}),
        ],
    )
    def test_missing_values(self, dtype: str, attrs: dict[str, Any], expected: dict[str, list[str]]) -> None:
        """Fill values that cannot be sent as `_FillValue`, but that mask elements, are missing values."""
        dataset = xr.Dataset({"v": ("n", np.zeros(1, dtype), attrs)})
        found = describe(dap4.render_dmr(dataset, "d"))["/v"].attributes

        assert {name: texts for name, texts in found.items() if name != "FillValue"} == expected
        assert ("FillValue" in found) is ("_FillValue" in attrs)

    def test_checksum_of_a_former_answer(self) -> None:
        """A dataset that was received over DAP4 does not keep its checksum."""
        dataset = xr.Dataset({"v": ((), 1, {"_DAP4_Checksum_CRC32": 5})})

        assert "CRC32" not in dap4.render_dmr(dataset, "d")

    def test_pydap_reads_them(self) -> None:
        """The client pydap finds names, types and values, also several values."""
        read = dmr_to_dataset(dap4.render_dmr(make_image_dataset(), "d"))

        assert read["image"].attributes["note"] == 'a & b\n"µ"'
        assert read["image"].attributes["range"] == [0, 65535]
        assert read["gain"].attributes["limits"] == [-np.inf, np.inf]
        assert read.attributes == {"Conventions": "CF-1.11", "shot": 103741}
