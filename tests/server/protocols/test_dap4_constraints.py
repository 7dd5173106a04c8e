"""DAP4's constraints and query strings, by tables and by properties."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdap.server.protocols import dap4
from shotdap.server.protocols.percent import parse_percent_encoded
from shotdap.transforms.selection import BadSelection, Selection

if TYPE_CHECKING:
    from collections.abc import Mapping


WHOLE: Final = slice(None)
Hyperslabs = dict[str, tuple[slice | tuple[int, ...], ...]]

PARSED: Final[list[tuple[str, Hyperslabs]]] = [
    ("", {}),
    ("/", {}),
    ("/image", {"image": ()}),
    ("image", {"image": ()}),
    ("/g/v", {"g/v": ()}),
    ("/image[10:7:99][];/g/v", {"image": (slice(10, 100, 7), WHOLE), "g/v": ()}),
    ("/v[5]", {"v": (slice(5, 6, 1),)}),
    ("/v[2:9]", {"v": (slice(2, 10, 1),)}),
    ("/v[2:]", {"v": (slice(2, None, 1),)}),
    ("/v[2:3:]", {"v": (slice(2, None, 3),)}),
    ("/v[0:4:10]", {"v": (slice(0, 11, 4),)}),
    ("/v[0:1:9223372036854775806]", {"v": (slice(0, 2**63 - 1, 1),)}),
    (";/a;;/b;", {"a": (), "b": ()}),
    ("/a[1];/a[1]", {"a": (slice(1, 2, 1),)}),
    (r"/a\.b/c\ d/e\\f", {r"a.b/c d/e\f": ()}),
    (r"/a\/b", {"a/b": ()}),
    ("/a+b", {"a+b": ()}),
    ("/image%5B0:1:9%5D%5b%5d", {"image": (slice(0, 10, 1), WHOLE)}),
    ("/image%255B3%255D", {"image": (slice(3, 4, 1),)}),
    ("/image%25255b3%25255d", {"image": (slice(3, 4, 1),)}),
    ("/y%5B0%3A1%3A1023%5D;/x", {"y": (slice(0, 1024, 1),), "x": ()}),
    ("%2Fg%2Fv%3B%2Fw", {"g/v": (), "w": ()}),
    ("/v[*][2:*][2:3:*]", {"v": (WHOLE, slice(2, None, 1), slice(2, None, 3))}),
    ("/v[0:1,3]", {"v": ((0, 1, 3),)}),
    ("/v[3,0:1][0:2:5,7:8]", {"v": ((3, 0, 1), (0, 2, 4, 7, 8))}),
    ("/v%5B0:1%2C3%5D", {"v": ((0, 1, 3),)}),
    ("/g{a;b}", {"g/a": (), "g/b": ()}),
    ("/g{a,b[0]};/c", {"g/a": (), "g/b": (slice(0, 1, 1),), "c": ()}),
    ("/g.{a,h.{b;c}}", {"g/a": (), "g/h/b": (), "g/h/c": ()}),
    ("g/h/{a}", {"g/h/a": ()}),
    ("/{a;g{b}}", {"a": (), "g/b": ()}),
    ("%2Fg%7Ba%3Bb%7D", {"g/a": (), "g/b": ()}),
    (r"/a\.{b}", {"a./b": ()}),
]

# Redefined dimensions, and the variables beside them.
REDEFINED: Final[list[tuple[str, dict[str, slice | tuple[int, ...]], Hyperslabs]]] = [
    ("/y=[0:9];/image", {"y": slice(0, 10, 1)}, {"image": ()}),
    ("/y=[10:2:99];/image[][5]", {"y": slice(10, 100, 2)}, {"image": (WHOLE, slice(5, 6, 1))}),
    ("/image[*][5];y=[1:]", {"y": slice(1, None, 1)}, {"image": (WHOLE, slice(5, 6, 1))}),
    ("/g/y=[0,3:4];/x=[1]", {"g/y": (0, 3, 4), "x": slice(1, 2, 1)}, {}),
    ("/y%3D%5B0:9%5D;/image", {"y": slice(0, 10, 1)}, {"image": ()}),
]

REFUSED: Final[list[tuple[str, str]]] = [
    ("/v%5B0:9%5D%7C/v%3C5", "filters"),
    ("/v|/v<5", "filters"),
    ("/g{v|v<5}", "filters"),
    ("/v[0];/v[1]", "asked for twice"),
    ("/y=[0];/y=[1];/v", "asked for twice"),
    ("/g/a;/g{a[0]}", "asked for twice"),
    ("/v[", "does not fit at character 0"),
    ("/v]", "does not fit"),
    ("/v[0]x", "does not fit"),
    ("/v[0] ", "does not fit"),
    ("a b", "does not fit"),
    ("/v\\", "does not fit"),
    ("100%", "does not fit"),
    ("%25" * 20, "does not fit"),
    ("/a,/b", "does not fit"),
    ("/g{a", "does not fit"),
    ("/g{a;b}}", "does not fit"),
    ("/g{a}b", "does not fit at character 5"),
    ("/g[0]{a}", "does not fit"),
    ("/g{y=[0]}", "does not fit"),
    ("/y=", "the end does not fit"),
    ("/y=;/v", "does not fit"),
    ("/y=/v", "does not fit"),
    ("/y=[0][1]", "does not fit"),
    ("/y[0]=[1]", "does not fit"),
    ("/y=[0]=[1]", "does not fit"),
    ("/y=[0]{a}", "does not fit"),
    ("=[0]", "no name"),
    ("[0]", "no name"),
    ("//v", "no name"),
    ("/v/", "no name"),
    ("/g{/v}", "no name"),
    ("/g{v{}}{", "does not fit"),
    ("/g{}", "names no variable"),
    (";", "names no variable"),
    ("{" * 40, "does not fit at character 32"),
    ("/v[a]", "no index"),
    ("/v[-1]", "no index"),
    ("/v[0:1:2:3]", "no index"),
    ("/v[:]", "no index"),
    ("/v[٣]", "no index"),
    ("/v[0:0:5]", "step of 0"),
    ("/v[5:3]", "ends before it begins"),
    ("/v[9223372036854775808]", "the largest index"),
    ("/v[0,]", "is open"),
    ("/v[0,3:]", "is open"),
    ("/v[0,1:9223372036854775807]", "more than 65,536 indices"),
]


class TestParse:
    @pytest.mark.parametrize(("expression", "expected"), PARSED)
    def test_parse(self, expression: str, expected: Hyperslabs) -> None:
        """A constraint gives variables and half-open slices, however often it was encoded."""
        assert dict(dap4.parse_constraint(expression).hyperslabs) == expected
        assert dict(dap4.parse_constraint(expression).dimensions) == {}

    @pytest.mark.parametrize(("expression", "dimensions", "parts"), REDEFINED)
    def test_redefinitions(self, expression: str, dimensions: Mapping[str, object], parts: Hyperslabs) -> None:
        """Redefined dimensions are parsed beside the variables."""
        found = dap4.parse_constraint(expression)

        assert (dict(found.dimensions), dict(found.hyperslabs)) == (dimensions, parts)

    @pytest.mark.parametrize(("expression", "sentence"), REFUSED)
    def test_refuse(self, expression: str, sentence: str) -> None:
        """An invalid or unsupported constraint is refused in a sentence that says so."""
        with pytest.raises(BadSelection, match=sentence):
            dap4.parse_constraint(expression)

    @given(st.text() | st.text("/ab0129[]:;,=|{}%25BbDd\\. +", max_size=60))
    def test_any_text(self, text: str) -> None:
        """Any text gives a selection or `BadSelection`."""
        try:
            found = dap4.parse_constraint(text)
        except BadSelection:
            return

        assert isinstance(found, Selection)

    @given(
        st.dictionaries(
            st.lists(st.text("aZ09_", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join),
            st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.integers(0, 99)), max_size=3),
            min_size=1,
        ),
        st.integers(0, 4),
    )
    def test_round_trip(self, wanted: dict[str, list[tuple[int, int, int]]], times: int) -> None:
        """A formatted constraint is parsed to the same one, encoded any number of times."""
        clauses = (
            f"/{name}" + "".join(f"[{start}:{step}:{start + more}]" for start, step, more in indices)
            for name, indices in wanted.items()
        )
        expression = ";".join(clauses)
        for _ in range(times):
            expression = quote(expression)

        assert dict(dap4.parse_constraint(expression).hyperslabs) == {
            name: tuple(slice(start, start + more + 1, step) for start, step, more in indices)
            for name, indices in wanted.items()
        }

    @pytest.mark.parametrize(
        "piece",
        [
            "{",
            "a{",
            "a{b}",
            "}",
            "a=",
            "a=[0];",
            "a[0:65535,1];",
            "1,",
            "[0]",
            "/a",
            ";",
            "a;",
            "a[0:1:9];",
            "\\ ",
            "%",
            "%25",
            "%2525",
            "[",
            "[1:",
            "1",
            "/a[",
            "é",
        ],
    )
    def test_time(self, piece: str) -> None:
        """64 kB of any text are parsed or refused within seconds."""
        text = (piece * 65536)[:65536]
        start = time.process_time()
        with contextlib.suppress(BadSelection):
            dap4.parse_constraint(text)

        assert time.process_time() - start < 5

    def test_messages_are_short(self) -> None:
        """A message quotes no more of a text than a reader needs."""
        with pytest.raises(BadSelection) as refusal:
            dap4.parse_constraint("[" * 65536)

        assert len(str(refusal.value)) < 200

    def test_decode_until_is_bounded(self) -> None:
        """Decoding ends with the parser's own error, however often a text could be decoded."""
        seen = []

        def parse(text: str) -> None:
            seen.append(text)
            raise ValueError(text)

        with pytest.raises(ValueError, match="%"):
            parse_percent_encoded(parse, "%" + "25" * 1000)

        assert len(seen) < 20


class TestQuery:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", dap4.ParsedQuery()),
            ("dap4.ce=", dap4.ParsedQuery()),
            ("dap4.ce=/v[0:1:9];/w", dap4.ParsedQuery("/v[0:1:9];/w")),
            ("dap4.ce=/v%5B0%5D&dap4.checksum=true", dap4.ParsedQuery("/v%5B0%5D", checksum=True)),
            ("dap4.checksum=false&dap4.ce=/v", dap4.ParsedQuery("/v", checksum=False)),
            ("dap4.checksum=False", dap4.ParsedQuery(checksum=False)),
            ("dap4.checksum=perhaps", dap4.ParsedQuery()),
            ("dap4%2Ece=/v", dap4.ParsedQuery("/v")),
            ("dap4%252Ece%253D/v", dap4.ParsedQuery("/v")),
            ("dap4.ce=/v%26dap4%2Echecksum%3Dtrue", dap4.ParsedQuery("/v", checksum=True)),
            ("dap4.ce=/d=[0:9];/v", dap4.ParsedQuery("/d=[0:9];/v")),
            ("dap4.ce=/a&dap4.ce=/b", dap4.ParsedQuery("/a;/b")),
            ("unknown=1&&=&x&dap4.ce=/a+b", dap4.ParsedQuery("/a+b")),
            ("dap4.function=&dap4.ce=/a", dap4.ParsedQuery("/a")),
        ],
    )
    def test_query(self, text: str, expected: dap4.ParsedQuery) -> None:
        """A query string gives its constraint, still encoded, and its choice of checksums."""
        assert dap4.parse_query(text) == expected

    @pytest.mark.parametrize("text", ["dap4.function=mean(/v)", "dap4.ce=/v&dap4%2Efunction%3Dmean(/v)"])
    def test_functions(self, text: str) -> None:
        """A call of a function is refused, in a sentence that names the server's alternative."""
        with pytest.raises(BadSelection, match="background_subtracted"):
            dap4.parse_query(text)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any query string without a function call gives a request."""
        assert isinstance(dap4.parse_query(text), dap4.ParsedQuery)
