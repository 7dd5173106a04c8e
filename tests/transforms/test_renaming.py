"""Unique names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shotdap.transforms import UniqueNames, add_underscores

names = st.lists(st.from_regex(r"[ab](_[234]?){0,3}", fullmatch=True), max_size=40)


@given(names, st.sets(st.sampled_from(["a", "a_2", "a_3", "b_", "b_2_2"])))
def test_the_first_free_number(names: list[str], taken: set[str]) -> None:
    """Each name stays if it is free; otherwise it gets the smallest number that makes it free."""
    unique = UniqueNames(taken)
    for name in names:
        expected, number = name, 1
        while expected in taken:
            number += 1
            expected = f"{name}_{number}"
        taken.add(expected)

        assert unique.claim(name) == expected


def test_each_candidate_once() -> None:
    """20,000 names that collide take 20,000 candidates, not 200 million."""
    tried = []

    def add_number(name: str, number: int) -> str:
        tried.append(number)
        return f"{name}_{number}"

    unique = UniqueNames(numbered=add_number)
    claimed = {unique.claim("x") for _ in range(20_000)}

    assert len(claimed) == 20_000
    assert len(tried) == 19_999


def test_key() -> None:
    """Names that differ only in parts that the key ignores are numbered."""
    unique = UniqueNames(["A"], key=str.casefold)

    assert [unique.claim("a"), unique.claim("B"), unique.claim("b")] == ["a_2", "B", "b_2"]


def test_underscores() -> None:
    """A few names that collide get one more underscore each; thousands do not become thousands of characters long."""
    unique = UniqueNames(numbered=add_underscores)
    claimed = [unique.claim("x") for _ in range(1000)]

    assert claimed[:3] == ["x", "x_", "x__"]
    assert max(map(len, claimed)) < 12
