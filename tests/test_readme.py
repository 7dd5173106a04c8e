"""README.md: every line that a newcomer may paste works unchanged with the demonstration's archive."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.clients.programs import run
from tests.pasting import find_code
from tests.serving import Server, make_environment

README: Final = Path(__file__).resolve().parents[1] / "README.md"

# Runs pieces of code one after the other, like a prompt, and prints the type and the size of each value.
PROMPT: Final = """
import ast, json, sys

def size_of(value):
    if hasattr(value, "status_code"):
        return value.status_code
    if hasattr(value, "shape"):
        return list(value.shape)
    return [size for name, size in getattr(value, "sizes", {}).items() if name in ("y", "x")]

names, results = {}, []
for text in json.load(sys.stdin):
    *statements, last = ast.parse(text).body
    if not isinstance(last, ast.Expr):
        statements, last = [*statements, last], ast.parse("None").body[0]
    exec(compile(ast.Module(statements, []), "README.md", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "README.md", "eval"), names)
    results.append([type(value).__name__, size_of(value)])
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def code(demo: Server) -> dict[str, list[str]]:
    """The page's code by the program that runs it, with the URL of the tests' server."""
    return find_code(README.read_text("utf-8").replace("http://127.0.0.1:8000", demo.url))


@pytest.fixture(scope="module")
def url(code: dict[str, list[str]]) -> str:
    """The URL that the page calls ``url``."""
    (line,) = (line for line in code["shell"] if line.startswith("url="))
    return line.removeprefix("url=")


def test_python(code: dict[str, list[str]], archive: Path, tmp_path: Path) -> None:
    """The page's Python code, from top to bottom, opens all images, variants, shots, stores and files in it."""
    (tmp_path / "demo").symlink_to(archive)
    done = subprocess.run(
        [sys.executable, "-c", PROMPT],
        check=False,
        input=json.dumps(code["python"]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=make_environment(),
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["ndarray", [34, 893]],
        ["DataArray", [200, 1100]],
        ["DataTree", []],
        ["NoneType", []],
        *[["Dataset", [1100, 1100]]] * 2,
        ["Response", 200],
        *[["Dataset", [1100, 1100]]] * 2,
    ]


def test_octave(code: dict[str, list[str]], url: str, require: Callable[[str], None], tmp_path: Path) -> None:
    """The page's line for MATLAB and Octave reads 200 rows of 100 pixels, transposed."""
    require("octave-cli")
    (read,) = (line for line in code["octave"] if line.startswith("ncread"))
    (load,) = (line for line in code["octave"] if line.startswith("pkg"))
    script = tmp_path / "script.m"
    script.write_text("\n".join([load, f"url = '{url}'", read, "printf('%d ', size(ans))"]))

    assert run("octave-cli", "-qf", str(script)).endswith("100 200 ")


def test_gdl(code: dict[str, list[str]], url: str, require: Callable[[str], None], tmp_path: Path) -> None:
    """The page's line for IDL and GDL reads 100 rows of 200 pixels."""
    require("gdl")
    (read,) = code["gdl"]
    script = tmp_path / "script.pro"
    script.write_text("\n".join([f"url = '{url}'", read, "print, size(d, /dim)", "exit", ""]))

    assert run("gdl", "-quiet", str(script)).split() == ["200", "100"]


def test_shell(
    code: dict[str, list[str]], require: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's shell commands print a header and save files, whose names say what they contain."""
    for program in ("ncdump", "ncks", "curl"):
        require(program)
    monkeypatch.chdir(tmp_path)
    printed = run("bash", "-c", "\n".join(["set -e", *code["shell"]]))

    assert "float background_subtracted(y, x)" in printed
    assert {each.name for each in tmp_path.iterdir()} == {"out.nc", "asbo1_s62328.nc4", "omega_62328.zip"}


def test_addresses(code: dict[str, list[str]], url: str, demo: Server) -> None:
    """The page's other URLs respond."""
    found = [f"{url}{suffix.removeprefix('url')}" for suffix in code["suffix"]]
    found += [f"{demo.url}{path}" for path in code["path"]]
    statuses = {each: httpx.get(each, trust_env=False, timeout=60).status_code for each in found}

    assert len(statuses) >= 6
    assert set(statuses.values()) == {200}, statuses
