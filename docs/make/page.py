"""The page docs/transforms.md: what each transform says of itself, and its example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getdoc, getsource
from itertools import groupby
from pathlib import Path
from sys import modules
from typing import Any, Final

from docs.make.docstrings import markdown, said_of
from docs.make.examples import EXAMPLES, Example
from docs.make.options import Option, options_of
from docs.make.reach import reach
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shotdap.catalog import Catalog
from shotdap.transforms import TRANSFORMS, Transform, WorkingMemory

__all__ = ["page"]

_HERE: Final = Path(__file__).resolve().parent
_SIDE: Final = 2048
_MIB: Final = 1 << 20
_SERVER: Final = "http://127.0.0.1:8000/dap"


@dataclass(frozen=True)
class _Section:
    """One transform, as the page has it."""

    name: str
    summary: str
    body: str
    """Formula, source and rules."""
    inputs: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    result: str
    reach: str
    memory: str
    caption: str
    url: str
    """Of the example; empty where it is code."""
    code: str


@dataclass(frozen=True)
class _Module:
    """The transforms of a module, under its first line."""

    title: str
    sentence: str
    body: str
    """Rules that all of them keep, the method, and its sources."""
    sections: tuple[_Section, ...]


def page(catalog: Catalog) -> str:
    """Return the text of the page. This reads headers of the archive's files, but no pixels.

    Args:
        catalog: of the demonstration archive.
    """
    environment = Environment(
        loader=FileSystemLoader([_HERE, _HERE.parent / "examples"]),
        autoescape=False,  # noqa: S701 — it is Markdown, and all of it is ours
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("transforms.md.jinja").render(modules=_modules(catalog))


def _modules(catalog: Catalog) -> list[_Module]:
    grouped = groupby(TRANSFORMS.values(), lambda each: each.function.__module__)
    return [_module(name, tuple(_section(each, catalog) for each in transforms)) for name, transforms in grouped]


def _module(name: str, sections: tuple[_Section, ...]) -> _Module:
    first, _, body = (getdoc(modules[name]) or "").partition("\n\n")
    title, _, sentence = " ".join(first.split()).partition(": ")
    return _Module(title, sentence[:1].upper() + sentence[1:], markdown(body), sections)


def _section(transform: Transform, catalog: Catalog) -> _Section:
    example = EXAMPLES[transform.name]
    said = said_of(transform)
    return _Section(
        name=transform.name,
        summary=transform.summary,
        body=said.body,
        inputs=tuple((name, said.meanings[name]) for name in transform.inputs),
        options=options_of(transform, said.meanings),
        result=said.result,
        reach=reach(transform, _options(example, catalog)),
        memory=_memory(transform.memory),
        caption=example.caption,
        url="" if callable(example.ask) else f"{_SERVER}/{example.address}",
        code=getsource(example.ask) if callable(example.ask) else "",
    )


def _memory(stated: WorkingMemory) -> str:
    """Write what a transform takes, in a sentence."""
    image = stated.estimate_bytes(_SIDE * _SIDE) / _MIB
    return f"{stated.per_pixel:g} bytes a pixel and {stated.fixed / _MIB:g} MiB: {image:,.0f} MiB for 2048 x 2048."


def _options(example: Example, catalog: Catalog) -> Mapping[str, Any]:
    """Return the options of the example."""
    if callable(example.ask):
        return {}
    return dict(json.loads(catalog.open(example.address)["result"].attrs["options"]))
