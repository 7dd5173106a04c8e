"""Limits: how much one request may ask for, and what to ask for instead of more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import xarray as xr

from shotdap.server.http.errors import QueryTooLong, TooLarge
from shotdap.transforms import Hyperslab, bytes_read, working_memory
from shotdap.transforms.statistics.reductions import split_into_blocks

_MIB: Final = 2**20
_MAX_SUGGESTIONS: Final = 8  # URLs in one message
_MAX_NUMBER_LENGTH: Final = 40  # characters of a number in an attribute at most: in an indented line of its own
_ATTRIBUTE_OVERHEAD: Final = 64  # characters around an attribute: its name, its type, quotes and tags
_DAP_ADVICE: Final = (
    "Ask for fewer variables at a time, and call functions with a part of one, such as mean(image[0:1:99][0:1:99])."
)


@dataclass(frozen=True)
class Limits:
    """Limits of one request."""

    answer: int
    """Bytes of values in one answer."""
    query: int
    """Bytes of the query string."""
    read: int
    """Bytes that may be read for one answer, by functions and by virtual variables that need whole images, and the
    working memory of these."""


class _ServerSettings(Protocol):
    @property
    def max_answer_mib(self) -> int: ...
    @property
    def max_query_kib(self) -> int: ...
    @property
    def max_read_mib(self) -> int: ...


class _Settings(Protocol):  # the settings themselves would bring the catalog into the HTTP core
    @property
    def server(self) -> _ServerSettings: ...


def create_limits(settings: _Settings) -> Limits:
    """Create the limits that the settings of a site describe."""
    server = settings.server
    return Limits(server.max_answer_mib << 20, server.max_query_kib << 10, server.max_read_mib << 20)


@dataclass(frozen=True)
class RequestedHyperslabs:
    """The selection of a request, as far as it is needed to suggest smaller requests."""

    hyperslabs: Mapping[str, Hyperslab | None]
    """For each variable that is not computed by a function, the selected indices; `None` if they are not ranges."""
    build_url: Callable[[Mapping[str, Hyperslab]], str]
    """Builds the URL that selects these indices of these variables."""


def check_query_length(query: str | bytes, limit: int) -> None:
    """Check the length of a query string.

    Raises:
        QueryTooLong: it exceeds the limit.
    """
    if len(query) > limit:
        raise QueryTooLong(f"The query string has {len(query):,} bytes; {limit:,} are taken at most.")


def check_size(
    dataset: xr.Dataset,
    limits: Limits,
    expansion: int = 1,
    *,
    get_hyperslabs: Callable[[], RequestedHyperslabs] | None = None,
) -> None:
    """Check the size and the cost of an answer before any of it is read.

    Args:
        dataset: what a request selects, lazily.
        limits: of the server.
        expansion: how many bytes of the answer, or of memory, one byte of values becomes at most.
        get_hyperslabs: returns what a DAP request selects, for the URLs that the message suggests; DAP checks the
            attributes itself, as not all of its answers have them. Without it, the message suggests what the REST
            API has, and the attributes are checked too.

    Raises:
        TooLarge: it exceeds a limit; the message gives the size, the limit and the alternatives.
    """
    if get_hyperslabs is None:
        check_cost(*estimate_cost(dataset), limits, _describe_alternatives(dataset))
        check_attributes(dataset, limits)
    else:
        check_cost(*estimate_cost(dataset), limits, _DAP_ADVICE)
    size = dataset.nbytes * expansion
    if size <= limits.answer:
        return
    expanded = f", which become up to {_format_mib(size)}" if expansion > 1 else ""
    most = f"one answer holds {_format_mib(limits.answer)} at most"
    sentence = f"This asks for {_format_mib(dataset.nbytes)}{expanded}; {most}"
    if get_hyperslabs is None:
        raise TooLarge(f"{sentence} (server.max_answer_mib). {_describe_alternatives(dataset)}")
    requested = get_hyperslabs()
    parts = islice(_iter_fitting_parts(dataset, limits.answer, requested.hyperslabs), _MAX_SUGGESTIONS + 1)
    urls = list(map(requested.build_url, parts))
    if not urls:
        raise TooLarge(
            f"{sentence}. Ask for fewer variables at a time, or for a part of each, such as [0:1:99][0:1:99]."
        )
    suggestions = [*urls[:_MAX_SUGGESTIONS], *(["... and so on."] if urls[_MAX_SUGGESTIONS:] else [])]
    raise TooLarge("\n".join([f"{sentence}. These fit:", *suggestions]))


def estimate_cost(dataset: xr.Dataset) -> tuple[int, int]:
    """Return the bytes that are read to compute a dataset, and the peak of the working memory that this takes.

    Variables are computed one after the other, so the one that takes most working memory counts.
    """
    variables = dataset.variables.values()
    return sum(map(bytes_read, variables)), max(map(working_memory, variables), default=0)


def check_cost(read: int, working: int, limits: Limits, advice: str) -> None:
    """Check how much a computation reads, and how much memory it takes, before it begins.

    Args:
        read: bytes that it reads, which are in memory meanwhile.
        working: bytes of working memory that it takes in addition.
        limits: of the server.
        advice: what to ask for instead, in a sentence.

    Raises:
        TooLarge: it exceeds the limit; the message gives the size and the limit.
    """
    if read + working > limits.read:
        takes = f" takes {_format_mib(working)} of working memory, and" if working else ","
        raise TooLarge(
            f"To compute this{takes} {_format_mib(read)} would be read; for one answer {_format_mib(limits.read)} are"
            f" at most (server.max_read_mib){', together' if working else ''}. {advice}"
        )


def check_computation(dataset: xr.Dataset, limits: Limits, working: int) -> None:
    """Check how much a computation with all values of a dataset reads, and how much memory it takes.

    Args:
        dataset: what a request selects, lazily.
        limits: of the server.
        working: bytes of working memory that the computation takes.

    Raises:
        TooLarge: it exceeds the limit; the message gives the size, the limit and the alternatives.
    """
    read, own = estimate_cost(dataset)
    check_cost(read + dataset.nbytes, max(own, working), limits, _describe_alternatives(dataset))


def check_attributes(dataset: xr.Dataset, limits: Limits) -> None:
    """Check the size of the attributes of an answer before any of it is written.

    Args:
        dataset: the answer contains its attributes and those of its variables.
        limits: of the server.

    Raises:
        TooLarge: they exceed the limit.
    """
    owners = [dataset.attrs, *(variable.attrs for variable in dataset.variables.values())]
    size = sum(
        _ATTRIBUTE_OVERHEAD + len(str(name)) + _estimate_text_size(value)
        for attrs in owners
        for name, value in attrs.items()
    )
    if size > limits.answer:
        raise TooLarge(
            f"The attributes alone take up to {_format_mib(size)} here; one answer holds {_format_mib(limits.answer)}"
            " at most (server.max_answer_mib). Ask for fewer variables, or take the archived file at /fileServer."
        )


def _estimate_text_size(value: object) -> int:
    """Estimate how many characters the value of an attribute takes as text: never too few."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(_MAX_NUMBER_LENGTH + _estimate_text_size(each) for each in value)
    return _MAX_NUMBER_LENGTH * int(getattr(value, "size", 1))


def _describe_alternatives(dataset: xr.Dataset) -> str:
    """Describe what a client of the REST API can ask for instead."""
    longest = max(dataset.sizes.items(), key=lambda size: size[1], default=None)
    part = f", such as {longest[0]}=0:{max(1, longest[1] // 8)}" if longest else ""
    return f"Ask for one variable, or for a part{part}; or have a job do it: POST /api/v1/exports."


def _format_mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"


def _iter_fitting_parts(
    dataset: xr.Dataset, limit: int, hyperslabs: Mapping[str, Hyperslab | None]
) -> Iterator[dict[str, Hyperslab]]:
    """Yield selections that fit: small variables together, a large one in parts along its first dimension."""
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
    """Convert a part of a selection into indices of the whole variable."""
    steps = [(index.start or 0, index.step or 1) for index in indices if isinstance(index, slice)]
    return tuple(
        slice(start + step * piece.start, start + step * (piece.stop - 1) + 1, step)
        for (start, step), piece in zip(steps or [(0, 1)] * len(part), part, strict=True)
    )
