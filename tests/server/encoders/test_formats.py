"""The table of formats, in the code and in docs/exports.md.

``SHOTDAP_RENEW=1 make test ARGS="tests/server/encoders/test_formats.py"`` writes the page's table anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from tests.contracts.encoder import make_dataset

from shotdap.server.encoders.formats import FORMATS
from shotdap.server.pictures.levels import Display

DOCS: Final = Path(__file__).resolve().parents[3] / "docs/exports.md"
BEGIN: Final = "<!-- The table is written by tests/server/encoders/test_formats.py. -->\n"
END: Final = "<!-- Here the table ends. -->\n"
HEAD: Final = "| format | file | media type | holds | what it is |\n| --- | --- | --- | --- | --- |\n"


@pytest.mark.skipif(not DOCS.exists(), reason="not a checkout: the documentation is not shipped")
def test_table() -> None:
    """The table in the documentation is that of the code."""
    before, rest = DOCS.read_text("utf-8").split(BEGIN)
    written, after = rest.split(END)
    made = HEAD + "".join(
        f"| `{each.name}` | `{each.extension}` | `{each.media_type}` | {each.content_kind} | {each.description} |\n"
        for each in FORMATS.values()
    )
    if os.environ.get("SHOTDAP_RENEW") == "1":
        DOCS.write_text(before + BEGIN + made + END + after, "utf-8")
        return

    assert written == made, 'SHOTDAP_RENEW=1 make test ARGS="tests/server/encoders/test_formats.py" renews it'


@pytest.mark.skipif(not DOCS.exists(), reason="not a checkout: the documentation is not shipped")
def test_each_is_described() -> None:
    """Each format except pictures has a section of the page with code that reads it."""
    titles = " ".join(line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("### "))

    assert {name for name, each in FORMATS.items() if each.content_kind != "picture"} <= set(
        re.findall("`([a-z0-9_]+)`", titles)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_rows(name: str) -> None:
    """The media type and the extension of a format are valid, and its blocks are bytes of half a megabyte at most."""
    each = FORMATS[name]
    big = np.zeros((1200, 1300), "u2") if each.content_kind != "lineout" else np.zeros(40_000)
    blocks = list(each.encode(make_dataset(big), Display()).blocks)

    assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+(; charset=utf-8)?", each.media_type)
    assert re.fullmatch(r"(\.[a-z0-9_]+){1,2}", each.extension)
    assert all(isinstance(block, bytes | memoryview) and 0 < len(block) <= 512 * 1024 for block in blocks)


@pytest.mark.parametrize("name", FORMATS)
def test_of_many_variables(name: str) -> None:
    """A format for datasets holds many variables."""
    if FORMATS[name].content_kind != "dataset":
        return
    many = make_dataset(np.ones((3, 4))).assign(
        line=("x", np.arange(4)), word=((), "µm"), flag=("y", [True, False, True])
    )

    assert FORMATS[name].encode(many, Display()).size > 0
