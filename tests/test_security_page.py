"""The page of security: each test that it names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMES: Final = sorted(set(re.findall(r"`(tests/[\w/.]+\.py::[\w:]+)`", PAGE)))
TOP_10: Final = 10


def iterate_tests(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the names of the tests of a module or a class, as pytest writes them."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from iterate_tests(statement.body, f"{prefix}::{statement.name}")
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test"):
            yield f"{prefix}::{statement.name}"


@pytest.mark.parametrize("name", NAMES)
def test_named_tests(name: str) -> None:
    """A test that the page names exists."""
    file = name.partition("::")[0]
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    assert name in set(iterate_tests(tree.body, file))


def test_rows() -> None:
    """Each of the ten risks, and each item of the ASVS, has a test."""
    rows = [line for line in PAGE.splitlines() if re.match(r"\| (API\d|\d+\.\d)", line)]

    assert sum(row.startswith("| API") for row in rows) == TOP_10
    assert [row for row in rows if "::test_" not in row] == []
