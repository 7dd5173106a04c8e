"""An image as a document: what is known of it, its contents, and the URLs of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import xarray as xr

from shotdap.catalog import Entry
from shotdap.server.api.entry_document import encode_facts
from shotdap.server.api.responses import get_api_url, quote_path
from shotdap.server.api.schemas import Attributes, Dimension, Image, VariableDocument
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.encoders.json_values import convert_to_json, describe_attributes
from shotdap.server.pictures.levels import find_default_image
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection

_EMPTY_ENTRY: Final = Entry("", "")
"""Entry of a stack of images, of which the catalog knows nothing."""


def build_image_document(image_request: ImageRequest, dataset: xr.Dataset) -> Image:
    """Describe an image, or a part of it.

    Args:
        image_request: the request.
        dataset: what it selects, lazily.
    """
    image = image_request.image
    entry = image.entry or _EMPTY_ENTRY
    virtual = {name for name, origin in image.list_origins().items() if origin.recipe}
    request = image_request.request
    api, path = get_api_url(request), quote_path(image.path)
    links = {
        "self": f"{api}/images/{path}",
        "dap": f"{request.base_url}/dap/{path}",
        "page": f"{request.base_url}/dap/{path}.html",
        "zarr": f"{request.base_url}/zarr/{path}",
        **{each: f"{api}/{each}/{path}" for each in ("attributes", "statistics", "thumbnails", "provenance")},
    }
    if image_request.original_path:
        original = quote_path(image_request.original_path)
        links |= {"file": f"{request.base_url}/fileServer/{original}", "raw": f"{api}/images/{original}/raw"}
    return Image(
        path=image.path,
        facts=encode_facts(entry),
        health=entry.health.value,
        reason=entry.reason or None,
        sha256=entry.last_good_inspection.sha256 if entry.last_good_inspection else None,
        attributes=describe_attributes(dataset.attrs),
        dimensions=build_dimensions(dataset.sizes),
        variables=[_build_variable_document(str(name), dataset, virtual) for name in dataset.variables],
        links=links,
        formats=_build_format_urls(image_request, dataset),
    )


def build_attributes_document(path: str, dataset: xr.Dataset) -> Attributes:
    """Build the document of the attributes of a dataset and of its variables."""
    variables = {str(name): describe_attributes(variable.attrs) for name, variable in dataset.variables.items()}
    return Attributes(path, describe_attributes(dataset.attrs), variables)


def build_dimensions(sizes: Mapping[Any, int]) -> list[Dimension]:
    """Build the documents of dimensions."""
    return [Dimension(str(name), int(size)) for name, size in sizes.items()]


def _build_variable_document(name: str, dataset: xr.Dataset, virtual: set[str]) -> VariableDocument:
    variable = dataset.variables[name]
    units, long_name = (
        None if (value := variable.attrs.get(key)) is None else str(convert_to_json(value))
        for key in ("units", "long_name")
    )
    return VariableDocument(
        name,
        variable.dtype.name,
        build_dimensions(variable.sizes),
        int(variable.nbytes),
        coordinate=name in dataset.coords,
        virtual=name in virtual,
        units=units,
        long_name=long_name,
        attributes=describe_attributes(variable.attrs),
    )


def _build_format_urls(image_request: ImageRequest, dataset: xr.Dataset) -> dict[str, str]:
    """Build the URLs of the selected values, one for each format that can hold them."""
    kinds = {"dataset"}
    try:
        find_default_image(dataset)
    except BadSelection:
        pass
    else:
        kinds |= {"image", "picture"}
    if any(variable.ndim == 1 for variable in dataset.data_vars.values()):
        kinds.add("lineout")
    request = image_request.request  # its query belongs to the requested path, not to the variant's
    query = f"{request.query}&" if request.query else ""
    base = f"{get_api_url(request)}/images/{quote_path(request.path)}?{query}"
    return {each.name: f"{base}format={each.name}" for each in FORMATS.values() if each.content_kind in kinds}
