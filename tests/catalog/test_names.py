"""Names for clients: safe, unique, and for paths reversible."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shotdap.catalog.names import decode_path_segment, encode_path_segment, make_variable_names

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # halves of characters too: they stand for bytes in file names


class TestPathSegments:
    @given(ANY_TEXT)
    @example("")
    @example("\0")
    @example("_x00_")
    @example("_x5B_")
    @example("_x5F_x5B_")
    @example("_xFFFFFF_")
    @example("..")
    def test_reversible(self, name: str) -> None:
        """A segment can be decoded to the archive's name, so different names have different segments."""
        assert decode_path_segment(encode_path_segment(name)) == name

    @given(ANY_TEXT)
    def test_characters(self, name: str) -> None:
        """A segment has only characters that every client keeps, and is neither hidden nor a parent folder."""
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", encode_path_segment(name))

    @given(ANY_TEXT)
    def test_any_segment(self, segment: str) -> None:
        """Every segment that a client may send can be decoded."""
        assert isinstance(decode_path_segment(segment), str)

    @pytest.mark.parametrize("name", ["asbo1_s62328.hdf", "P510_2-s103741", "HDF.20220204.154317.1", "a_b", "_", "x5B"])
    def test_safe_names_stay(self, name: str) -> None:
        """A safe name is its own segment."""
        assert encode_path_segment(name) == name

    def test_brackets(self) -> None:
        """Brackets and spaces are escaped by their numbers."""
        assert encode_path_segment("PCIS [é].h5") == "PCIS_x20__x5B__xE9__x5D_.h5"


class TestVariableNames:
    @given(st.lists(ANY_TEXT, unique=True))
    def test_unique_and_safe(self, names: list[str]) -> None:
        """Each name gets a unique one of letters, digits and underscores between slashes."""
        safe_names = make_variable_names(names)

        assert list(safe_names) == names
        assert len(set(safe_names.values())) == len(names)
        assert all(re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", name) for name in safe_names.values())

    @given(st.lists(st.from_regex(r"[a-z_]{1,3}( [12])?(/[a-z])?", fullmatch=True), unique=True))
    def test_safe_names_stay(self, names: list[str]) -> None:
        """A safe name stays, whatever other names are in the file."""
        safe_names = make_variable_names(names)

        assert all(safe_names[name] == name for name in names if " " not in name)
