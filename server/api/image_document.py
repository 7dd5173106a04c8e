"""An image as a document: what is known of it, what it holds, and where its values are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import xarray as xr

from shotdap.catalog import Entry, ImageAddress
from shotdap.server.api.entry_document import encode_facts
from shotdap.server.api.responses import quote_path
from shotdap.server.api.schemas import Attributes, Dimension, Image, VariableDocument
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.encoders.json_values import convert_to_json
from shotdap.server.encoders.json_values import describe_attributes as stated
from shotdap.server.pictures.levels import find_default_image
from shotdap.server.routes.image_request import ImageRequest
from shotdap.transforms import BadSelection

__all__ = ["build_attributes_document", "build_dimensions", "build_image_document"]


_EMPTY_ENTRY: Final = Entry("", "")
"""What the catalog knows of a stack of images: nothing."""


def build_image_document(question: ImageRequest, dataset: xr.Dataset, asked: str) -> Image:
    """The description of an image, or of a part of it.

    Args:
        question: about the image.
        dataset: what is wanted of it, lazily.
        asked: the path as it was asked for, to which the query belongs.
    """
    address = question.address
    entry = address.entry if isinstance(address, ImageAddress) else _EMPTY_ENTRY
    origins = question.catalog.get_origins(address)
    virtual = {name for name, origin in origins.items() if origin.recipe}
    return Image(
        path=address.path,
        facts=encode_facts(entry),
        health=entry.health.value,
        reason=entry.reason or None,
        sha256=entry.first_inspection.sha256 if entry.first_inspection else None,
        attributes=stated(dataset.attrs),
        dimensions=build_dimensions(dataset.sizes),
        variables=[_build_variable_document(str(name), dataset, virtual) for name in dataset.variables],
        links=_build_links(question),
        formats=_build_format_urls(question, dataset, asked),
    )


def build_attributes_document(path: str, dataset: xr.Dataset) -> Attributes:
    """The attributes of a dataset and of its variables."""
    variables = {str(name): stated(variable.attrs) for name, variable in dataset.variables.items()}
    return Attributes(path, stated(dataset.attrs), variables)


def build_dimensions(sizes: Mapping[Any, int]) -> list[Dimension]:
    """Dimensions with their sizes."""
    return [Dimension(str(name), int(size)) for name, size in sizes.items()]


def _build_variable_document(name: str, dataset: xr.Dataset, virtual: set[str]) -> VariableDocument:
    variable = dataset.variables[name]
    said = {key: _format_text(variable.attrs.get(key)) for key in ("units", "long_name")}
    return VariableDocument(
        name,
        variable.dtype.name,
        build_dimensions(variable.sizes),
        int(variable.nbytes),
        coordinate=name in dataset.coords,
        virtual=name in virtual,
        units=said["units"],
        long_name=said["long_name"],
        attributes=stated(variable.attrs),
    )


def _format_text(value: object) -> str | None:
    return None if value is None else str(convert_to_json(value))


def _build_links(question: ImageRequest) -> dict[str, str]:
    api, path = f"{question.base_url}/api/v1", quote_path(question.address.path)
    links = {
        "self": f"{api}/images/{path}",
        "dap": f"{question.base_url}/dap/{path}",
        "page": f"{question.base_url}/dap/{path}.html",
        "zarr": f"{question.base_url}/zarr/{path}",
        **{each: f"{api}/{each}/{path}" for each in ("attributes", "statistics", "thumbnails", "provenance")},
    }
    if isinstance(question.address, ImageAddress):
        entry = quote_path(question.address.entry.path)
        links |= {"file": f"{question.base_url}/fileServer/{entry}", "raw": f"{api}/images/{entry}/raw"}
    return links


def _build_format_urls(question: ImageRequest, dataset: xr.Dataset, asked: str) -> dict[str, str]:
    begun = f"{question.base_url}/api/v1/images/{quote_path(asked)}?" + (f"{question.query}&" if question.query else "")
    holds = {"dataset", *_infer_content_kinds(dataset)}
    return {each.name: f"{begun}format={each.name}" for each in FORMATS.values() if each.content_kind in holds}


def _infer_content_kinds(dataset: xr.Dataset) -> Iterator[str]:
    """What is there that only some formats hold."""
    try:
        find_default_image(dataset)
    except BadSelection:
        pass
    else:
        yield from ("image", "picture")
    if any(variable.ndim == 1 for variable in dataset.data_vars.values()):
        yield "lineout"
