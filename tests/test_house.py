"""Rules of the repository: installed names, and what no committed file may contain."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("catalog", "config", "server", "transforms")
CHECKS = ("tests", "benchmarks")

in_a_checkout = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")

# Packages that shotdap installs for its users: clients of its protocols, and their dependencies.
CLIENTS = ("aiohttp", "lxml", "netCDF4", "pydap", "requests", "requests_cache", "webob")

# Imports every module of the package, then prints which of the given packages were imported too.
IMPORT_ALL = """
import importlib, pkgutil, sys, shotdap
for module in pkgutil.walk_packages(shotdap.__path__, "shotdap."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""

# Hosts of package registries, and paths of the developers' machines.
PRIVATE = re.compile(
    rb"\b(?:pypi\.org|(?:[\w-]+\.)?pythonhosted\.org|registry\.(?:npmjs\.org|yarnpkg\.com)|deb\.debian\.org)\b"
    rb"|(?<![\w./-])/(?:work/(?:main|shared)|opt/wheels|opt/pypi[\w-]*|farm/\w+|root/\.\w+)\b"
)

# The language of the code: a function with an effect is named by a verb, a function that is a value by a noun.
PARTICIPLE: Final = re.compile(
    r"_*(?:[a-z]+(?:[^e]ed|ied)|said|told|made|found|given|taken|shown|written|known|held|left|kept|done|begun|seen|meant|sent|"
    r"lies|brought|spelled|chosen|built|bound|drawn|hidden|understood|lost|sought|thrown|spent|broken|met)"
)
CLAUSES: Final = frozenset({"Whether", "What", "Where", "How", "That", "Which", "Why", "Whose", "Who", "When"})
NAMED_BY_PARTICIPLE: Final = frozenset(
    {
        "saturated",  # a transform; its name is typed in URLs
        "modified",  # the time of the last change, as in HTTP's Last-Modified
        "related",  # images of an image, as in the section [related] of a description
    }
)
SAME_BASENAME: Final = frozenset({"constraint", "data", "tiff"})
"""The same role in parallel packages: DAP2 and DAP4, the reader and the encoder of a format."""


def list_sources(*folders: str) -> list[Path]:
    """Return the modules of folders, by default of the package; migrations are named by their versions."""
    return [
        path
        for folder in folders or FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def iterate_functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield each function of the package, the tests and the benchmarks with its module."""
    for path in list_sources(*FOLDERS, *CHECKS):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def list_committed_files() -> list[Path]:
    """Return every file that git knows, except the four links."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


@pytest.mark.parametrize("names", [FOLDERS, CLIENTS], ids=["generic names", "clients"])
def test_not_imported(names: tuple[str, ...]) -> None:
    """All of shotdap can be imported, from the checkout too, without a generic name at the top level or a client."""
    command = [sys.executable, "-c", IMPORT_ALL, *names]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


@in_a_checkout
@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_and_links(folder: str) -> None:
    """Each folder is at the top level, and src/shotdap links to it."""
    link = ROOT / "src" / "shotdap" / folder

    assert (ROOT / folder / "__init__.py").is_file()
    assert link.readlink() == Path("../..") / folder


@in_a_checkout
def test_no_shadowing_folder() -> None:
    """No folder shotdap/ at the top shadows the package for tools that start there."""
    assert not (ROOT / "shotdap").exists()


@in_a_checkout
def test_nothing_private() -> None:
    """No committed file names a package registry's host or a path of a developer's machine."""
    found = {str(path.relative_to(ROOT)): PRIVATE.findall(path.read_bytes()) for path in list_committed_files()}

    assert {name: hits for name, hits in found.items() if hits} == {}


def test_function_names() -> None:
    """No function is named by a bare participle."""
    names = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, node in iterate_functions()
        if PARTICIPLE.fullmatch(node.name)
    }

    assert {name for name in names if name.rpartition(" ")[2] not in NAMED_BY_PARTICIPLE} == set()


def test_docstrings() -> None:
    """No docstring of a function begins with a relative clause."""
    docs = [(str(path.relative_to(ROOT)), node.lineno, ast.get_docstring(node)) for path, node in iterate_functions()]

    assert [each for each in docs if each[2] and each[2].split()[0].rstrip(",.:").capitalize() in CLAUSES] == []


def test_basenames() -> None:
    """No two modules share a basename, unless they have the same role in parallel packages."""
    basenames = Counter(path.stem for path in list_sources() if path.stem != "__init__")

    assert {name for name, count in basenames.items() if count > 1} == SAME_BASENAME


@in_a_checkout
def test_architecture_page() -> None:
    """docs/architecture.md names modules that exist, and each walk passes none of them twice."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    tree, walks = page.partition("## Folders")[2].partition("## Four walks")[::2]
    modules = {str(path.relative_to(ROOT).with_suffix("")).removesuffix("/__init__") for path in list_sources()}
    named = [name.removesuffix(".py") for name in re.findall(r"[\w/]+\.py\b", tree)]
    steps = [
        [name for name in re.findall(r"`([a-z_0-9/]+)`", walk) if name != "304"]
        for walk in walks.partition("\n## ")[0].split("\n\n**")[1:]
    ]

    assert len(steps) == 4
    for name in (*named, *(step for walk in steps for step in walk)):
        assert any(module == name or module.endswith(f"/{name}") for module in modules), name
    assert all(len(walk) == len(set(walk)) for walk in steps)
