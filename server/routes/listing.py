"""What stands at a path of the catalog, as JSON: a folder's children, or an image's variables."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import xarray as xr

from shotdap.catalog import Catalog, Child, ImageAddress
from shotdap.server.http.response import PreparedResponse

__all__ = ["describe_path", "prepare_json"]

_PAGE_SIZE = 1000


def prepare_json(document: dict[str, Any], status: int = 200) -> PreparedResponse:
    """A reply that is a JSON document."""
    return PreparedResponse.from_body(
        json.dumps(document, indent=2, allow_nan=False) + "\n", "application/json", {}, status
    )


def describe_path(catalog: Catalog, path: str, query: str) -> PreparedResponse:
    """Describe an image, or list a folder page by page.

    Args:
        catalog: where to look.
        path: the public path, with or without a slash at its end.
        query: ``after=<name>`` asks for the page after that name.

    Raises:
        NotFound: there is neither an image nor a folder.
        Unreadable: it is an image that cannot be read.
    """
    path = path.rstrip("/")
    address = catalog.resolve_path(path) if path else None
    if address is not None and (isinstance(address, ImageAddress) or address.steps):
        return prepare_json(_describe_dataset(path, catalog.open_address(address, chunked=False)))
    (after,) = parse_qs(query).get("after", [None])[:1]
    return prepare_json(_list_folder(catalog, path, after))


def _describe_dataset(path: str, dataset: xr.Dataset) -> dict[str, Any]:
    url = f"/dap/{path}"
    return {
        "path": path,
        "variables": {
            str(name): {"type": variable.dtype.name, "dimensions": {str(k): v for k, v in variable.sizes.items()}}
            for name, variable in dataset.variables.items()
        },
        "dap2": {"structure": f"{url}.dds", "attributes": f"{url}.das", "values": f"{url}.dods"},
        "dap4": {"structure": f"{url}.dmr", "values": f"{url}.dap"},
        "zarr": f"/zarr/{path}",
    }


def _list_folder(catalog: Catalog, path: str, after: str | None) -> dict[str, Any]:
    page = catalog.list_children(path, after=after, limit=_PAGE_SIZE)
    children = [_describe_child(child) for child in page.children]
    following = {"next": f"/dap/{path}?after={page.after}"} if page.after else {}
    return {"path": path, "children": children, **following}


def _describe_child(child: Child) -> dict[str, Any]:
    described = {
        "name": child.name,
        "kind": "folder" if child.is_folder else "image",
        "url": f"/dap/{child.path}",
    }
    return {**described, "problem": child.reason} if child.reason else described
