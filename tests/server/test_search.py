"""Search from outside: the page for people, and the commands."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import httpx
import pytest
from tests.serving import Server, run_shotdap


def get_page(demo: Server, **asked: str) -> httpx.Response:
    with httpx.Client(base_url=demo.url, trust_env=False, timeout=60) as client:
        return client.get("/search", params=asked)


class TestPage:
    def test_found(self, demo: Server) -> None:
        """The page lists the results with links that open them, and contains the query."""
        answer = get_page(demo, q="diagnostic:P510* shot:103741")

        assert answer.status_code == 200
        assert 'href="/images/omega/103741/p510_2/p510_2_s103741"' in answer.text
        assert 'value="diagnostic:P510* shot:103741"' in answer.text
        assert "sop_s25386" not in answer.text

    def test_a_mistake(self, demo: Server) -> None:
        """The page for an invalid query contains the sentence and the marked word."""
        answer = get_page(demo, q="laser date:2022-13")

        assert answer.status_code == 400
        assert '"2022-13" is no date' in unescape(answer.text)
        assert "  laser date:2022-13\n             ^^^^^^^" in answer.text

    @pytest.mark.parametrize("after", ["x", "\0", "W10"])
    def test_a_bad_token(self, demo: Server, after: str) -> None:
        """An invalid token gives a sentence."""
        assert "not a page token" in get_page(demo, q="omega", cursor=after).text

    @pytest.mark.parametrize(
        "query", ["", "<script>alert(1)</script>", "'; DROP TABLE entries; --", "a\0b", "%s", "nowhere"]
    )
    def test_any_query(self, demo: Server, query: str) -> None:
        """For any query, the page contains no markup of the client's, and no script but files of the server."""
        answer = get_page(demo, q=query)

        assert answer.status_code in (200, 400)
        assert re.findall(r"<script(?![^>]* src=)|alert\(1\)</script", answer.text) == []
        assert "default-src 'self'" in answer.headers["content-security-policy"]

    def test_linked(self, demo: Server) -> None:
        """The catalog's page contains the form."""
        answer = httpx.get(f"{demo.url}/thredds/catalog.html", trust_env=False)

        assert 'action="/search"' in answer.text


class TestCommands:
    def test_search(self, archive: Path) -> None:
        """The command prints the paths of the results; a term may begin with a minus sign."""
        done = run_shotdap("search", "shot:103741", "-diagnostic:ptd", "--config", archive / "shotdap.toml")

        assert done.returncode == 0, done.stderr
        assert "omega/103741/p510_2/p510_2_s103741" in done.stdout
        assert "ptd" not in done.stdout.lower()

    def test_json(self, archive: Path) -> None:
        """As JSON a page has its token, and the next page begins after it."""
        config = ("--config", archive / "shotdap.toml", "--json", "--limit", "2")
        first = json.loads(run_shotdap("search", "facility:omega", *config).stdout)
        second = json.loads(run_shotdap("search", "facility:omega", "--after", first["after"], *config).stdout)
        paths = [image["path"] for image in (*first["images"], *second["images"])]

        assert len(set(paths)) == 4

    def test_facets(self, archive: Path) -> None:
        """Counts are printed for each facet."""
        done = run_shotdap("search", "facility:omega", "--facets", "--config", archive / "shotdap.toml")

        assert re.search(r"^OMEGA +\d+$", done.stdout, re.MULTILINE)

    def test_a_mistake(self, archive: Path) -> None:
        """An invalid query prints a sentence and a mark, and no traceback."""
        done = run_shotdap("search", "shot:x", "--config", archive / "shotdap.toml")

        assert done.returncode == 2
        assert done.stderr.splitlines()[-2:] == ["  shot:x", "       ^"]

    def test_changes(self, archive: Path) -> None:
        """All images are changes since the beginning; since the last token there are none."""
        config = ("--config", archive / "shotdap.toml", "--json")
        first = json.loads(run_shotdap("catalog", "changes", *config).stdout)
        second = json.loads(run_shotdap("catalog", "changes", "--since", str(first["token"]), *config).stdout)

        assert len(first["changes"]) > 5
        assert second["changes"] == []
