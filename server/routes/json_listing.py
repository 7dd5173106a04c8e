"""Description of a path of the catalog as JSON: the children of a folder, or the variables of an image."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from shotdap.catalog import Catalog
from shotdap.server.http.response import HttpResponse

_PAGE_SIZE: Final = 1000


def describe_path(catalog: Catalog, path: str, query: str) -> HttpResponse:
    """Describe an image, or list a folder page by page.

    Args:
        catalog: of the images.
        path: public path, with or without a slash at its end.
        query: ``after=<name>`` selects the page after that name.

    Raises:
        NotFound: there is neither an image nor a folder.
        Unreadable: it is an image that cannot be read.
    """
    path = path.rstrip("/")
    image = catalog.image(path) if path else None
    if image is not None and not image.has_groups:
        url = f"/dap/{path}"
        variables = {
            str(name): {"type": variable.dtype.name, "dimensions": {str(k): v for k, v in variable.sizes.items()}}
            for name, variable in image.open(chunked=False).variables.items()
        }
        document = {
            "path": path,
            "variables": variables,
            "dap2": {"structure": f"{url}.dds", "attributes": f"{url}.das", "values": f"{url}.dods"},
            "dap4": {"structure": f"{url}.dmr", "values": f"{url}.dap"},
            "zarr": f"/zarr/{path}",
        }
        return HttpResponse.from_json(document)
    (after,) = parse_qs(query).get("after", [None])[:1]
    page = catalog.list_children(path, after=after, limit=_PAGE_SIZE)
    children = [
        {
            "name": child.name,
            "kind": "folder" if child.is_folder else "image",
            "url": f"/dap/{child.path}",
            **({"problem": child.reason} if child.reason else {}),
        }
        for child in page.children
    ]
    next_page = {"next": f"/dap/{path}?after={page.after}"} if page.after else {}
    return HttpResponse.from_json({"path": path, "children": children, **next_page})
