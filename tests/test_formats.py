"""Every file of the shared data, as the catalog opens it: the table in docs/formats.md.

``SHOTDAP_RENEW=1 make test ARGS="tests/test_formats.py"`` renews the table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest
import xarray as xr
from tests.conftest import REAL, skip_absent

from shotdap.catalog import Catalog, DirectoryArchive, Entry, Unreadable
from shotdap.catalog.diagnostics.label import find_diagnostic
from shotdap.catalog.readers import READERS, detect_format
from shotdap.config.descriptions import load_diagnostics

DATA: Final = REAL.parent
DOCS: Final = Path(__file__).resolve().parents[1] / "docs/formats.md"
BEGIN: Final = "<!-- The table is written by tests/test_formats.py. -->\n"
END: Final = "<!-- Here the table ends. -->\n"
HEAD: Final = "| file | format | labelled as | arrays, or why there are none |\n| --- | --- | --- | --- |\n"
FEW: Final = 4  # arrays of one type and shape that are listed by their names


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file of the shared data."""
    paths = [path for folder in ("real", "odd") for path in sorted((DATA / folder).glob("*")) if path.is_file()]
    if not paths:
        skip_absent("real and odd files are not beside the checkout")
    return paths


def test_table(files: list[Path]) -> None:
    """The table in the documentation is up to date."""
    before, rest = DOCS.read_text().split(BEGIN)
    documented, after = rest.split(END)
    table = HEAD + "".join(list_rows(files))
    if os.environ.get("SHOTDAP_RENEW") == "1":
        DOCS.write_text(before + BEGIN + table + END + after)
        return

    assert documented == table, 'SHOTDAP_RENEW=1 make test ARGS="tests/test_formats.py" renews it'


def test_formats_are_named() -> None:
    """The documentation has a line for every readable format."""
    lines = DOCS.read_text().splitlines()

    assert [name for name in READERS if not any(line.startswith(f"| {name}") for line in lines)] == []


def list_rows(files: list[Path]) -> Iterator[str]:
    diagnostics = load_diagnostics()
    catalog = Catalog(DirectoryArchive(DATA), DATA, diagnostics)
    for path in files:
        name = str(path.relative_to(DATA))
        entry = Entry(name, name, {"name": path.name})
        try:
            raw, labelled = catalog.image_from_entry(entry, is_raw=True).open(), catalog.image_from_entry(entry).open()
        except Unreadable as error:
            yield make_row(name, find_format(path), "", str(error))
            continue
        description = find_diagnostic(raw, entry.facts, diagnostics)
        yield make_row(
            name,
            detect_format(path),
            f"{description.name}: {list_derived(raw, labelled)}" if description else "",
            describe_content(raw),
        )


def make_row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') or 'none' for cell in cells)} |\n"


def find_format(path: Path) -> str:
    try:
        return detect_format(path)
    except Unreadable:
        return ""


def describe_content(raw: xr.Dataset) -> str:
    """Describe the arrays of a file, those of one type and shape together, and what is omitted."""
    arrays = groupby(
        ((str(name), format_shape(variable)) for name, variable in raw.variables.items()), lambda item: item[1]
    )
    groups = [f"{join_names([name for name, _ in group])} {form}" for form, group in arrays]
    omitted = [f"left out: {raw.attrs['omitted']}"] if "omitted" in raw.attrs else []
    return "; ".join(groups + omitted)


def list_derived(raw: xr.Dataset, labelled: xr.Dataset) -> str:
    """List the variables of the labelled image that the file does not have."""
    return join_names([str(name) for name in labelled.variables if name not in raw.variables], few=100) or "as it is"


def join_names(listed: list[str], few: int = FEW) -> str:
    quoted = [f"`{name}`" for name in listed]
    if len(listed) <= few:
        return ", ".join(quoted)
    return f"{quoted[0]} … {quoted[-1]} ({len(listed)})"


def format_shape(variable: xr.Variable) -> str:
    return f"{variable.dtype.name}[{', '.join(map(str, variable.shape))}]"
