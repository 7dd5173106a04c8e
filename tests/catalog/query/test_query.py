"""The query language: parsing, formatting, the meaning of values, and errors."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shotdap.catalog import BadQuery, parse_query
from shotdap.catalog.index.fulltext import join_entry_words
from shotdap.catalog.query import Pattern, Query, Term, TextRange
from shotdap.catalog.query.values import Range, extract_whole_words, match_pattern, parse_dates, parse_shots

READ = [
    ("", ()),
    ("  ", ()),
    ("laser", (Term(None, (Pattern("laser"),)),)),
    ("-streak*", (Term(None, (Pattern("streak*"),), is_negated=True),)),
    ('"laser plasma"', (Term(None, (Pattern("laser plasma", is_quoted=True),)),)),
    ("diagnostic:P510", (Term("diagnostic", (Pattern("P510"),)),)),
    ("diagnostic:P510,SOP", (Term("diagnostic", (Pattern("P510"), Pattern("SOP"))),)),
    ("diagnostic:P510, SOP", (Term("diagnostic", (Pattern("P510"), Pattern("SOP"))),)),
    ("shot:103700..103800", (Term("shot", (TextRange("103700", "103800"),)),)),
    ("shot:..103800", (Term("shot", (TextRange(None, "103800"),)),)),
    ("shot:103700..", (Term("shot", (TextRange("103700", None),)),)),
    ("SweepSpeed = 2", (Term("SweepSpeed", (Pattern("2"),)),)),
    ("SweepSpeed:>=2", (Term("SweepSpeed", (TextRange("2", None),)),)),
    ("SweepSpeed >= 2", (Term("SweepSpeed", (TextRange("2", None),)),)),
    ("SweepSpeed>2", (Term("SweepSpeed", (TextRange("2", None, is_lower_exclusive=True),)),)),
    ("SweepSpeed<2", (Term("SweepSpeed", (TextRange(None, "2", is_upper_exclusive=True),)),)),
    (
        "SweepSpeed:<1,>5",
        (
            Term(
                "SweepSpeed",
                (TextRange(None, "1", is_upper_exclusive=True), TextRange("5", None, is_lower_exclusive=True)),
            ),
        ),
    ),
    ("SweepSpeed != 2", (Term("SweepSpeed", (Pattern("2"),), is_negated=True),)),
    ("-SweepSpeed != 2", (Term("SweepSpeed", (Pattern("2"),)),)),
    ("CCD_Exposure:0.5..1.5", (Term("CCD_Exposure", (TextRange("0.5", "1.5"),)),)),
    ('"Sweep Speed":2', (Term("Sweep Speed", (Pattern("2"),)),)),
    (r'name:"a \"b\" \\ c"', (Term("name", (Pattern(r'a "b" \ c', is_quoted=True),)),)),
    ("date:2022-03-24T09:26", (Term("date", (Pattern("2022-03-24T09:26"),)),)),
    (
        "a b:c -d",
        (Term(None, (Pattern("a"),)), Term("b", (Pattern("c"),)), Term(None, (Pattern("d"),), is_negated=True)),
    ),
]

# The query, the column of the wrong word, and a part of the message.
REFUSED = [
    ("diagnostic:P510 date:2022-13", 22, '"2022-13" is no date: a date is like 2022,'),
    ("date:0000", 6, "is no date"),
    ("date:2022-02-30", 6, "is no date"),
    ("date:2022*", 6, "is no date"),
    ("shot:10374x", 6, '"10374x" is no shot: a shot is a whole number'),
    ("shot:1037*", 6, "is no shot"),
    ("shot:1..b", 6, '"b" is no shot'),
    ("shot:9999999999999999999", 6, "is no shot"),
    ("shot:1,2,x", 10, '"x" is no shot'),
    ("health:fine", 8, "one of unseen, ok, missing, unreadable, changed"),
    ("facility:a..b", 10, "is a range, but this field takes names only"),
    ("shot:", 6, "A value is missing here: shot:value"),
    ("diagnostic:P510,", 17, "A value is missing here"),
    ("shot:..", 6, "A range needs an end"),
    ("SweepSpeed:>", 13, "A value is missing here"),
    ('name:"asbo', 6, "This quotation does not end"),
    ('"asbo', 1, "This quotation does not end"),
    ("a -", 4, "A minus sign negates the term after it"),
    ("***", 1, "no letter and no digit"),
    ('""', 1, "no letter and no digit"),
    ("*bo", 1, "the star must be at the end"),
    ('name:a"b"', 7, "a space must follow"),
    ("a " * 40, 65, "more than 32 terms"),
    ("shot:" + ",".join("1" * 101), 206, "more than 100 values"),
    ("x" * 3000, 2001, "longer than 2000 characters"),
]

PIECES = st.sampled_from(
    ["a", "P510", "shot", "name", "x-y", ":", "=", "!=", "<", ">=", ">", "..", ".", ",", " ", "  ", "-", '"', "\\", "*",
     "?", "2", "0.5", "2022-03-24", "date", "\n", "\0", "ß", "\ud800", "/", "_"]
)  # fmt: skip
QUERIES = st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=30)


class TestParsing:
    @pytest.mark.parametrize(("text", "terms"), READ)
    def test_table(self, text: str, terms: tuple[Term, ...]) -> None:
        """Each text is parsed to these terms, and so is its canonical text."""
        assert parse_query(text) == Query(terms)
        assert parse_query(str(parse_query(text))) == Query(terms)

    @given(QUERIES)
    @example('a:"b..c".."d."')
    @example("a:b...c")
    @example("5a =2")
    @example('a:>"=2"')
    def test_any_text(self, text: str) -> None:
        """Any text is parsed or refused; the canonical text of a query is parsed to the same query."""
        try:
            query = parse_query(text)
        except BadQuery:
            return

        assert parse_query(str(query)) == query
        assert str(parse_query(str(query))) == str(query)

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_quoting(self, name: str, value: str) -> None:
        """Any name and any value can be written in quotation marks."""
        term = Term(f"x{name}", (Pattern(value, is_quoted=True),))

        assert parse_query(str(term)).terms == (term,)


class TestErrors:
    @pytest.mark.parametrize(("text", "column", "said"), REFUSED)
    def test_table(self, text: str, column: int, said: str) -> None:
        """An error has a sentence, and the column of the wrong word."""
        with pytest.raises(BadQuery) as caught:
            parse_query(text)

        assert said in caught.value.sentence
        assert caught.value.column == column
        assert caught.value.sentence.endswith((".", "value, or diagnostic:one,another.")) or "date" in said

    def test_mark(self) -> None:
        """The wrong word is marked below the query."""
        with pytest.raises(BadQuery) as caught:
            parse_query("diagnostic:P510 date:2022-13 laser")

        assert str(caught.value).splitlines()[1:] == [
            "  diagnostic:P510 date:2022-13 laser",
            "                       ^^^^^^^",
        ]

    @given(QUERIES)
    def test_marks_are_short(self, text: str) -> None:
        """The error of a query of any length and content has two lines that a terminal can show."""
        try:
            parse_query(text * 80)
        except BadQuery as error:
            lines = str(error).split("\n")

            assert len(lines[1]) <= 80
            assert lines[1].isprintable()
            assert lines[2].strip() == "^" * len(lines[2].strip())
            assert len(lines[2]) <= len(lines[1]) + 1


class TestValues:
    @pytest.mark.parametrize(
        ("text", "least", "before"),
        [
            ("2022", "2022", "2023"),
            ("2022-12", "2022-12", "2023-01"),
            ("2022-01", "2022-01", "2022-02"),
            ("2024-02-28", "2024-02-28", "2024-02-29"),
            ("2022-12-31", "2022-12-31", "2023-01-01"),
            ("2022-03-24T09:26", "2022-03-24T09:26", "2022-03-24T09:27"),
            ('"2022-03-24 23:59:59"', "2022-03-24T23:59:59", "2022-03-25T00:00:00"),
            ("2022-03..2022-04", "2022-03", "2022-05"),
            (">2022-03", "2022-04", None),
            (">=2022-03", "2022-03", None),
            ("<2022-03", None, "2022-03"),
            ("..2022-03", None, "2022-04"),
            ("9999", "9999", None),
            ("9999-12-31", "9999-12-31", None),
        ],
    )
    def test_dates(self, text: str, least: str | None, before: str | None) -> None:
        """A date is its whole day, month or year; a range includes both ends."""
        assert parse_dates(parse_query(f"date:{text}").terms[0].values[0]) == Range(least, before)

    @given(st.datetimes(), st.datetimes(), st.integers(4, 19))
    def test_a_date_holds_its_moments(self, moment: object, other: object, length: int) -> None:
        """A moment is in a date if and only if it begins with the date's text."""
        length = max(each for each in (4, 7, 10, 16, 19) if each <= length)
        text = str(moment)[:length].replace(" ", "T")
        said = str(other).replace(" ", "T")

        assert (said in parse_dates(Pattern(text))) is said.startswith(text)

    @pytest.mark.parametrize(
        ("text", "least", "before"),
        [
            ("5", 5, 6),
            ("5..7", 5, 8),
            (">5", 6, None),
            (">=5", 5, None),
            ("<5", None, 5),
            ("<=5", None, 6),
            ("-1", -1, 0),
        ],
    )
    def test_shots(self, text: str, least: int | None, before: int | None) -> None:
        """A range of shots includes both ends."""
        assert parse_shots(parse_query(f"shot:{text}").terms[0].values[0]) == Range(least, before)

    @pytest.mark.parametrize(
        ("pattern", "text", "is_it"),
        [
            (Pattern("p510*"), "P510_2", True),
            (Pattern("P510?"), "P510", False),
            (Pattern("*_[12]"), "P510_1", False),
            (Pattern("*_[12]"), "P510_[12]", True),
            (Pattern("a*b", is_quoted=True), "a*b", True),
            (Pattern("a*b", is_quoted=True), "axb", False),
            (Pattern("*"), "", False),
            (Pattern("", is_quoted=True), "", True),
            (Pattern("a*"), "a\nb", True),
        ],
    )
    def test_patterns(self, pattern: Pattern, text: str, is_it: bool) -> None:  # noqa: FBT001 — a column of the table
        """Stars and question marks are wildcards unless quoted, nothing else is; no wildcard matches the empty text."""
        assert match_pattern(pattern, text) is is_it

    @given(st.text("aB1_.*?\u0130 \u00df", max_size=12), st.booleans(), st.text("ab1_. \u00df", max_size=3))
    def test_whole_words(self, text: str, quoted: bool, filling: str) -> None:  # noqa: FBT001 — drawn
        """Every text that matches a pattern has the pattern's whole words."""
        pattern = Pattern(text, is_quoted=quoted)
        said = text if quoted else text.replace("*", filling).replace("?", "b")

        assert not match_pattern(pattern, said) or {*extract_whole_words(pattern).split()} <= {
            *join_entry_words(said, {}).split()
        }

    @pytest.mark.parametrize(
        ("text", "words"),
        [("d07_s1.hdf", "d07 s1 hdf"), ("*_s1.hdf", "s1 hdf"), ("d0*_s1?hdf", ""), ("*a*", ""), ("12", ""), ("*", "")],
    )
    def test_words_beside_wildcards(self, text: str, words: str) -> None:
        """A word beside a wildcard is not required, because it may be longer; nor is a number of many spellings."""
        assert extract_whole_words(Pattern(text)) == words

    def test_a_hostile_pattern(self) -> None:
        """Many stars cost no more time than few."""
        assert not match_pattern(Pattern("a*" * 500 + "b"), "a" * 5000)
