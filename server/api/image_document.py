"""An image as a document: what is known of it, what it holds, and where its values are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import xarray as xr

from shotdap.catalog import Address, Entry
from shotdap.server.api.entry_document import facts
from shotdap.server.api.responses import quoted
from shotdap.server.api.schemas import Attributes, Dimension, Image, VariableDocument
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.encoders.json_values import attributes as stated
from shotdap.server.encoders.json_values import strict
from shotdap.server.pictures.levels import shown
from shotdap.server.routes.image_request import Question
from shotdap.transforms import BadSelection

__all__ = ["attributes", "described", "dimensions"]


_STACK: Final = Entry("", "")
"""What the catalog knows of a stack of images: nothing."""


def described(question: Question, dataset: xr.Dataset, asked: str) -> Image:
    """The description of an image, or of a part of it.

    Args:
        question: about the image.
        dataset: what is wanted of it, lazily.
        asked: the path as it was asked for, to which the query belongs.
    """
    address = question.address
    entry = address.entry if isinstance(address, Address) else _STACK
    origins = question.catalog.origins(address)
    virtual = {name for name, origin in origins.items() if origin.recipe}
    return Image(
        path=address.path,
        facts=facts(entry),
        health=entry.health.value,
        reason=entry.reason or None,
        sha256=entry.seen.sha256 if entry.seen else None,
        attributes=stated(dataset.attrs),
        dimensions=dimensions(dataset.sizes),
        variables=[_variable(str(name), dataset, virtual) for name in dataset.variables],
        links=_links(question),
        formats=_formats(question, dataset, asked),
    )


def attributes(path: str, dataset: xr.Dataset) -> Attributes:
    """The attributes of a dataset and of its variables."""
    variables = {str(name): stated(variable.attrs) for name, variable in dataset.variables.items()}
    return Attributes(path, stated(dataset.attrs), variables)


def dimensions(sizes: Mapping[Any, int]) -> list[Dimension]:
    """Dimensions with their sizes."""
    return [Dimension(str(name), int(size)) for name, size in sizes.items()]


def _variable(name: str, dataset: xr.Dataset, virtual: set[str]) -> VariableDocument:
    variable = dataset.variables[name]
    said = {key: _text(variable.attrs.get(key)) for key in ("units", "long_name")}
    return VariableDocument(
        name,
        variable.dtype.name,
        dimensions(variable.sizes),
        int(variable.nbytes),
        coordinate=name in dataset.coords,
        virtual=name in virtual,
        units=said["units"],
        long_name=said["long_name"],
        attributes=stated(variable.attrs),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(strict(value))


def _links(question: Question) -> dict[str, str]:
    api, path = f"{question.host}/api/v1", quoted(question.address.path)
    links = {
        "self": f"{api}/images/{path}",
        "dap": f"{question.host}/dap/{path}",
        "page": f"{question.host}/dap/{path}.html",
        "zarr": f"{question.host}/zarr/{path}",
        **{each: f"{api}/{each}/{path}" for each in ("attributes", "statistics", "thumbnails", "provenance")},
    }
    if isinstance(question.address, Address):
        entry = quoted(question.address.entry.path)
        links |= {"file": f"{question.host}/fileServer/{entry}", "raw": f"{api}/images/{entry}/raw"}
    return links


def _formats(question: Question, dataset: xr.Dataset, asked: str) -> dict[str, str]:
    begun = f"{question.host}/api/v1/images/{quoted(asked)}?" + (f"{question.query}&" if question.query else "")
    holds = {"dataset", *_held(dataset)}
    return {each.name: f"{begun}format={each.name}" for each in FORMATS.values() if each.holds in holds}


def _held(dataset: xr.Dataset) -> Iterator[str]:
    """What is there that only some formats hold."""
    try:
        shown(dataset)
    except BadSelection:
        pass
    else:
        yield from ("image", "picture")
    if any(variable.ndim == 1 for variable in dataset.data_vars.values()):
        yield "lineout"
