"""Rules of a site: whom they are for, which images they grant, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from tests.serving import run_shotdap

from shotdap.catalog import Entry
from shotdap.config import BadSettings, load_settings
from shotdap.server.access.policy import Policy

STAFF: Final = frozenset({"staff"})


@pytest.fixture
def read_rules(tmp_path: Path) -> Callable[[str], Policy]:
    """Return a function that reads rules as a site writes them."""

    def read(text: str) -> Policy:
        (tmp_path / "site.toml").write_text(f"[access]\nmode = 'token'\n{text}")
        return Policy(load_settings(tmp_path / "site.toml").access)

    return read


def make_entry(facts: Mapping[str, str | int], path: str = "omega/1/sop/a") -> Entry:
    """Make an entry with facts."""
    return Entry(path, "file", facts)


def test_no_rules(read_rules: Callable[[str], Policy]) -> None:
    """Without rules everybody sees everything."""
    assert read_rules("").find_visibility("anybody", frozenset()).is_everything


def test_users_and_groups(read_rules: Callable[[str], Policy]) -> None:
    """A rule is for its users, for its groups, or for everybody; who has none sees nothing."""
    policy = read_rules(
        """
        [[access.rules]]
        groups = ["staff"]
        [[access.rules]]
        users = ["bob"]
        facts = { campaign = "A*" }
        [[access.rules]]
        users = ["*"]
        paths = ["/omega/2/"]
        """
    )
    a, b = make_entry({"campaign": "A1"}), make_entry({"campaign": "B"})
    open_to_all = make_entry({"campaign": "B"}, "omega/2/sop/x")

    for user, groups, seen in (
        ("ann", STAFF, (a, b, open_to_all)),
        ("bob", (), (a, open_to_all)),
        ("x", (), (open_to_all,)),
    ):
        visibility = policy.find_visibility(user, frozenset(groups))
        assert [entry for entry in (a, b, open_to_all) if visibility.allows(entry)] == [*seen]


@pytest.mark.parametrize(
    ("rule", "seen", "hidden"),
    [
        ("shots = { from = 5, to = 7 }", {"shot": 7}, {"shot": 8}),
        ("shots = { from = 5 }", {"shot": 5}, {"shot": 4}),
        ("shots = { to = 7 }", {"shot": 7}, {}),
        ('dates = { from = "2024", to = "2025" }', {"date": "2025-12-31T23:59:59"}, {"date": "2026-01-01"}),
        ('dates = { to = "2025-06" }', {"date": "2025-06-30T10:00"}, {"date": "2025-07-01"}),
        ("dates = { from = 2024-03-01 }", {"date": "2024-03-01"}, {"date": "2024-02-29"}),
        ("embargo_days = 10", {"date": "2020-01-01"}, {"date": "2999-01-01"}),
        ('embargo_fact = "release"', {"release": "2020-01-01"}, {"release": "2999-01-01"}),
        ('facts = { campaign = ["A", "B"] }', {"campaign": "B"}, {"campaign": "b"}),
    ],
)
def test_conditions(
    rule: str, seen: dict[str, str | int], hidden: dict[str, str | int], read_rules: Callable[[str], Policy]
) -> None:
    """Ranges include both ends; what a row does not say fulfils no condition."""
    visibility = read_rules(f"[[access.rules]]\nusers = ['*']\n{rule}").find_visibility("x", frozenset())

    assert visibility.allows(make_entry(seen))
    assert not visibility.allows(make_entry(hidden))
    assert not visibility.allows(make_entry({}))


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("facts = { campaign = 'A' }", "name users or groups"),
        ("users = ['*']\npaths = ['/']", "empty path"),
        ("users = ['*']\nshots = { from = 'five' }", "shots are numbers"),
    ],
)
def test_bad_rules(rule: str, sentence: str, read_rules: Callable[[str], Policy], tmp_path: Path) -> None:
    """A rule that makes no sense is refused when the server starts, with its number."""
    with pytest.raises(BadSettings, match=f"number 1: .*{sentence}"):
        read_rules(f"[[access.rules]]\n{rule}")
    started = run_shotdap("serve", "--config", tmp_path / "site.toml", "--port", "1")

    assert started.returncode == 2
    assert sentence in started.stderr
