"""Names of attributes: only a slash between a group and its attribute is a separator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shotdap.catalog.readers.attributes import normalize_attributes


def test_slash() -> None:
    """A slash in an attribute's own name becomes an underscore, and the original name is recorded."""
    cleaned = normalize_attributes({"km/s": 3, "ok": "True", "a/b": "False"})

    assert list(cleaned) == ["km_s", "ok", "a_b", "flag_attributes", "renamed_attributes"]
    assert cleaned["flag_attributes"] == "ok, a_b"
    assert cleaned["renamed_attributes"] == "km_s: km/s, a_b: a/b"


def test_paths() -> None:
    """A reader whose names are paths keeps their slashes."""
    assert list(normalize_attributes({"Camera/AMD": "E"}, paths=True)) == ["Camera/AMD"]


@given(st.dictionaries(st.text("ab/_", min_size=1, max_size=4), st.integers(0, 9)))
def test_distinct(raw: dict[str, int]) -> None:
    """No attribute is lost, and none without a slash is renamed."""
    cleaned = normalize_attributes(raw)
    renamed = cleaned.pop("renamed_attributes", "")

    assert len(cleaned) == len(raw)
    assert not any("/" in name for name in cleaned)
    assert {name: cleaned[name] for name in raw if "/" not in name} == {n: v for n, v in raw.items() if "/" not in n}
    assert bool(renamed) is any("/" in name for name in raw)
