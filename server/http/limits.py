"""How much one request may ask for, and what to ask instead of more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import xarray as xr

from shotdap.config import Settings
from shotdap.server.http.errors import TooLarge
from shotdap.transforms import Hyperslab, bytes_read, working_memory
from shotdap.transforms.statistics.reductions import split_into_blocks

__all__ = [
    "Limits",
    "RequestedHyperslabs",
    "check_limits",
    "create_limits",
    "estimate_cost",
    "refuse_attributes",
    "refuse_computation",
    "refuse_cost",
    "refuse_size",
]

_MIB: Final = 2**20
_MAX_SUGGESTIONS: Final = 8  # URLs in one message
_MAX_NUMBER_LENGTH: Final = 40  # characters that a number of an attribute takes at most: in an indented line of its own
_ATTRIBUTE_OVERHEAD: Final = 64  # characters around an attribute: its name, its type, quotes and tags


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for."""

    answer: int
    """Bytes of values in one answer."""
    query: int
    """Bytes of the query string."""
    read: int
    """Bytes that may be read for one answer, by functions and by virtual variables that need whole images, and the
    working memory of these."""


def create_limits(settings: Settings) -> Limits:
    """How much one request to a site may ask for."""
    server = settings.server
    return Limits(server.max_answer_mib << 20, server.max_query_kib << 10, server.max_read_mib << 20)


@dataclass(frozen=True)
class RequestedHyperslabs:
    """What a request asked for, as far as it takes to ask for less."""

    hyperslabs: Mapping[str, Hyperslab | None]
    """For each variable that is not computed by a function, the indices asked of it: `None` if they are not ranges."""
    build_url: Callable[[Mapping[str, Hyperslab]], str]
    """The URL that asks for variables and their indices."""


def check_limits(dataset: xr.Dataset, limits: Limits, asked: Callable[[], RequestedHyperslabs]) -> None:
    """Refuse what is too much, before any of it is read.

    Args:
        dataset: what a request was narrowed to.
        limits: the server's.
        asked: says what the request was; called only to suggest another.

    Raises:
        TooLarge: it is; the message says the size and the limit, and which URLs would fit.
    """
    refuse_cost(
        *estimate_cost(dataset),
        limits,
        "Ask for fewer variables at a time, and call functions with a part of one, such as"
        " mean(image[0:1:99][0:1:99]).",
    )
    if dataset.nbytes > limits.answer:
        size, most = _format_mib(dataset.nbytes), _format_mib(limits.answer)
        raise TooLarge(
            f"This asks for {size}; one answer holds {most} at most. {_describe_fitting_urls(dataset, limits.answer, asked())}"
        )


def estimate_cost(dataset: xr.Dataset) -> tuple[int, int]:
    """Return the bytes that are read to compute a dataset, and the working memory that this takes at its peak.

    Variables are computed one after the other, so what counts is the one that takes most working memory.
    """
    variables = dataset.variables.values()
    return sum(map(bytes_read, variables)), max(map(working_memory, variables), default=0)


def refuse_cost(read: int, working: int, limits: Limits, advice: str) -> None:
    """Refuse a computation that reads too much, or takes too much memory, before it begins.

    Args:
        read: the bytes that it reads, which are in memory meanwhile.
        working: the bytes of working memory that it takes besides.
        limits: the server's.
        advice: what to ask for instead, in a sentence.

    Raises:
        TooLarge: it is too much; the message says the size and the limit.
    """
    if read + working > limits.read:
        takes = f" takes {_format_mib(working)} of working memory, and" if working else ","
        raise TooLarge(
            f"To compute this{takes} {_format_mib(read)} would be read; for one answer {_format_mib(limits.read)} are at most"
            f" (server.max_read_mib){', together' if working else ''}. {advice}"
        )


def refuse_size(dataset: xr.Dataset, limits: Limits, expands: int = 1) -> None:
    """Refuse what is too much for one answer of the REST API, before any of it is read.

    Args:
        dataset: what a request was narrowed to.
        limits: the server's.
        expands: how many bytes of an answer, or of memory, one byte of values becomes at most.

    Raises:
        TooLarge: it is; the message says the size, the limit, and the ways round it.
    """
    refuse_cost(*estimate_cost(dataset), limits, _describe_alternatives(dataset))
    refuse_attributes(dataset, limits)
    size = dataset.nbytes * expands
    if size > limits.answer:
        grown = f", which become up to {_format_mib(size)}" if expands > 1 else ""
        raise TooLarge(
            f"This asks for {_format_mib(dataset.nbytes)}{grown}; one answer holds {_format_mib(limits.answer)} at most"
            f" (server.max_answer_mib). {_describe_alternatives(dataset)}"
        )


def refuse_computation(dataset: xr.Dataset, limits: Limits, working: int) -> None:
    """Refuse to compute with all values of a dataset where that reads too much, or takes too much memory.

    Args:
        dataset: what a request was narrowed to.
        limits: the server's.
        working: the bytes of working memory that the computation takes.

    Raises:
        TooLarge: it is too much; the message says the size, the limit, and the ways round it.
    """
    read, own = estimate_cost(dataset)
    refuse_cost(read + dataset.nbytes, max(own, working), limits, _describe_alternatives(dataset))


def refuse_attributes(dataset: xr.Dataset, limits: Limits) -> None:
    """Refuse an answer whose attributes are too much, before any of it is written.

    Args:
        dataset: whose attributes, and those of its variables, the answer has.
        limits: the server's.

    Raises:
        TooLarge: they are.
    """
    owners = [dataset.attrs, *(variable.attrs for variable in dataset.variables.values())]
    size = sum(
        _ATTRIBUTE_OVERHEAD + len(str(name)) + _estimate_text_size(value)
        for attrs in owners
        for name, value in attrs.items()
    )
    if size > limits.answer:
        raise TooLarge(
            f"The attributes alone take up to {_format_mib(size)} here; one answer holds {_format_mib(limits.answer)} at most"
            " (server.max_answer_mib). Ask for fewer variables, or take the archived file at /fileServer."
        )


def _estimate_text_size(value: object) -> int:
    """Return the characters that an attribute's value takes at most as text."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(_MAX_NUMBER_LENGTH + _estimate_text_size(each) for each in value)
    return _MAX_NUMBER_LENGTH * int(getattr(value, "size", 1))


def _describe_alternatives(dataset: xr.Dataset) -> str:
    """What to ask for instead of too much."""
    longest = max(dataset.sizes.items(), key=lambda size: size[1], default=None)
    part = f", such as {longest[0]}=0:{max(1, longest[1] // 8)}" if longest else ""
    return f"Ask for one variable, or for a part{part}; or have a job do it: POST /api/v1/exports."


def _format_mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"


def _describe_fitting_urls(dataset: xr.Dataset, limit: int, asked: RequestedHyperslabs) -> str:
    urls = [
        asked.build_url(less)
        for less in islice(_iter_fitting_parts(dataset, limit, asked.hyperslabs), _MAX_SUGGESTIONS + 1)
    ]
    if not urls:
        return "Ask for fewer variables at a time, or for a part of each, such as [0:1:99][0:1:99]."
    return "\n".join(["These fit:", *urls[:_MAX_SUGGESTIONS], *(["... and so on."] if urls[_MAX_SUGGESTIONS:] else [])])


def _iter_fitting_parts(
    dataset: xr.Dataset, limit: int, hyperslabs: Mapping[str, Hyperslab | None]
) -> Iterator[dict[str, Hyperslab]]:
    """Requests that are not too large: small variables together, a large one in parts along its first dimension."""
    together: dict[str, Hyperslab] = {}
    room = limit
    for name, indices in hyperslabs.items():
        variable = dataset.variables[name]
        if indices is None or variable.dtype.itemsize > limit:
            continue
        if variable.nbytes > limit:
            parts = split_into_blocks(variable.shape, limit // variable.dtype.itemsize)
            yield from ({name: _combine_slices(indices, part)} for part in parts)
            continue
        if variable.nbytes > room:
            yield together
            together, room = {}, limit
        together[name] = indices
        room -= variable.nbytes
    if together:
        yield together


def _combine_slices(indices: Hyperslab, part: tuple[slice, ...]) -> Hyperslab:
    """A part of what indices left, as indices of the whole."""
    steps = [(index.start or 0, index.step or 1) for index in indices if isinstance(index, slice)]
    return tuple(
        slice(start + step * piece.start, start + step * (piece.stop - 1) + 1, step)
        for (start, step), piece in zip(steps or [(0, 1)] * len(part), part, strict=True)
    )
