"""The OpenAPI document, compared with the server: every allowed request gives a documented response."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.serving import Server, make_environment, run_shotdap, serving

from shotdap.catalog import SqlIndex
from shotdap.server.api import schemas

DOCS: Final = Path(__file__).resolve().parents[3] / "docs/rest.md"
SCHEMATHESIS: Final = str(Path(sys.executable).with_name("schemathesis"))
SECONDS: Final = 300  # on a busy machine; it takes fifteen


@pytest.fixture(scope="module")
def readable(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the synthetic archive without the images that cannot be read, for which it answers 500."""
    folder = tmp_path_factory.mktemp("readable")
    shutil.copytree(archive, folder, ignore=shutil.ignore_patterns("catalog.db*", "*.log"), dirs_exist_ok=True)
    index = SqlIndex.open_sqlite(archive / "catalog.db")
    failed = {Path(entry.file).name for entry in index.search("-health:ok").entries}
    index.close()
    with closing(sqlite3.connect(folder / "archive.db")) as connection, connection:
        for (file,) in connection.execute("SELECT ARCHIVE_FILE FROM ARCHIVE_FILES").fetchall():
            if Path(file).name in failed:
                connection.execute("DELETE FROM ARCHIVE_FILES WHERE ARCHIVE_FILE = ?", (file,))
    assert run_shotdap("catalog", "build", "--config", folder / "shotdap.toml").returncode == 0
    with serving(folder / "log", "--config", folder / "shotdap.toml") as server:
        yield server


def test_document(demo: Server) -> None:
    """The document is one of its own version."""
    OpenAPIV31SpecValidator(httpx.get(f"{demo.url}/api/v1/openapi.json").json()).validate()


@pytest.mark.parametrize(("site", "examples"), [("readable", 10), ("every", 3)])
def test_schemathesis(site: str, examples: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Every allowed request, and many forbidden ones, give a documented response, and none fails."""
    server: Server = request.getfixturevalue(site)
    asked = [
        *("run", f"{server.url}/api/v1/openapi.json", "--no-color", "--continue-on-failure"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", "1"),
        # No schema can express whether a part fits an image, or a token is valid.
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(
        [SCHEMATHESIS, *asked],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=make_environment(),
        timeout=SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def list_operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operations by method and path."""
    return {
        f"{method.upper()} {path}": each
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    }


def test_whole(document: dict[str, Any]) -> None:
    """Each operation has a unique name, a summary, a description, a tag, and its failures."""
    found = list_operations(document)
    names = [each["operationId"] for each in found.values()]

    assert document["openapi"].startswith("3.1")
    assert len(set(names)) == len(names)
    for name, each in found.items():
        assert each["summary"], name
        assert each["description"], name
        assert each["tags"], name
        assert "422" not in each["responses"], name
        failures = {status: answer for status, answer in each["responses"].items() if status >= "400"}
        assert {"400", "500", "503"} <= set(failures), name
        for status, answer in failures.items():
            assert list(answer["content"]) == ["application/problem+json"], (name, status)


def test_documents_are_strict(document: dict[str, Any]) -> None:
    """Each document has the members of its schema, and no others."""
    components = document["components"]["schemas"]
    names = {
        name for name, each in vars(schemas).items() if isinstance(each, type) and issubclass(each, schemas.Document)
    }
    loose = {name for name in names if components.get(name, {}).get("additionalProperties", False)}

    assert {"Image", "Statistics", "Shot", "ProblemDocument"} <= set(components)
    assert loose == set()


def test_page(document: dict[str, Any]) -> None:
    """docs/rest.md describes every route and every parameter."""
    page = DOCS.read_text()
    routes = {path for path in document["paths"] if f"`{path}`" not in page and f"`{path}?" not in page}
    parameters = {
        each["name"]
        for operation in list_operations(document).values()
        for each in operation.get("parameters", [])
        if not re.search(rf"`[^`\n]*\b{each['name']}\b[^`\n]*`", page)
    }

    assert (routes, parameters) == (set(), set())


def test_servers(document: dict[str, Any], demo: Server) -> None:
    """The document's servers are paths of its own host, also under the alias."""
    legacy = document["paths"]["/image/get/{kind}"]["get"]

    assert document["servers"] == [{"url": "/api/v1"}]
    assert legacy["servers"] == [{"url": "/api"}]
    assert legacy["deprecated"] is True
    assert httpx.get(f"{demo.url}/api/image/get/subtracted", trust_env=False).status_code == 400
