"""Clients of the REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest
from tests.serving import Server

Get: TypeAlias = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def api(demo: Server) -> Iterator[httpx.Client]:
    """A function that sends a request to the API of the demonstration archive: ``api.get("version")``."""
    with httpx.Client(base_url=f"{demo.url}/api/v1/", trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def document(api: httpx.Client) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = api.get("openapi.json").json()
    return found
