"""Suggest the request that would work, for one that failed: the nearest names, and indices that exist.

A suggestion is computed from the catalog as its reader sees it: it never names what they must not see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

import xarray as xr

from shotdap.catalog import Catalog, NotFound, Unreadable
from shotdap.server.access.audit.failure_log import Failure
from shotdap.server.routes.dap import find_suffix
from shotdap.transforms import MARK

_DAP_PREFIX: Final = "/dap/"
_IMAGES_PREFIX: Final = "/api/v1/images/"
_DAP4_PARAMETER: Final = "dap4.ce="
_OTHER_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("hdf", "h4", "h5", "hdf5", "he5", "nc5", "netcdf4", "cdf4"), ".nc4"),
        **dict.fromkeys(("nc3", "cdf", "netcdf"), ".nc"),
        **dict.fromkeys(("csv", "txt", "text", "tsv"), ".ascii"),
        **dict.fromkeys(("dod", "dap2", "dat", "bin"), ".dods"),
        **dict.fromkeys(("dap4", "data"), ".dap"),
        **dict.fromkeys(("xml", "ddx", "dmrx"), ".dmr"),
    }
)
"""The suffix of DAP for endings that are none, as people write them."""
_PAGE_SUFFIX: Final = ".html"  # for any other ending: the page has all forms
_MAX_CHILDREN: Final = 1000  # that are compared with a name
_LEAST_SIMILARITY: Final = 0.6
_PROJECTION: Final = re.compile(r"(\s*/?)([\w.\-/ ]+?)\s*((?:\[[^\]]*\])*)\s*")
_BRACKETS: Final = re.compile(r"\[([^\]]*)\]")
_COMPARISON: Final = re.compile(r"[=<>!~]")
_RANGE: Final = re.compile(r"(\d*):(\d*)(?::(\d*))?")
_MAX_NUMBERS: Final = 3
_SAFE: Final = "/[]:,;&=<>!~*().-_{}\"'"


@dataclass(frozen=True)
class Suggestion:
    """A request that would work."""

    target: str
    """The path and the query, percent-encoded, below the path at which the application is mounted."""
    explanation: str
    """In words, where it differs from the request."""


@dataclass(frozen=True)
class ExplainedFailure:
    """A request that failed, and what would work."""

    time: str
    """ISO date, in UTC."""
    method: str
    url: str
    status: int
    message: str
    suggestion: str | None
    """The URL that would work; `None` if none is known."""
    explanation: str | None
    """In words, where that URL differs."""


def explain_failures(catalog: Catalog, failures: Sequence[Failure], base_url: str) -> list[ExplainedFailure]:
    """Explain failures; headers of the images are read.

    Args:
        catalog: as the reader sees it, who made the requests.
        failures: theirs.
        base_url: of the server.
    """
    explained = []
    for failure in failures:
        suggestion = suggest_request(catalog, failure.target)
        explained.append(
            ExplainedFailure(
                datetime.fromtimestamp(failure.time, UTC).isoformat(timespec="milliseconds"),
                failure.method,
                f"{base_url}{failure.target}",
                failure.status,
                failure.message,
                f"{base_url}{suggestion.target}" if suggestion else None,
                suggestion.explanation if suggestion else None,
            )
        )
    return explained


@dataclass
class _Corrections:
    """Differences between a request and the one that would work, in sentences."""

    sentences: list[str] = field(default_factory=list)

    def replace_name(self, kind: str, name: str, known: Sequence[str]) -> str:
        """Return the nearest known name; the name itself if it is known, or if none is near."""
        nearest = _find_nearest(name, known)
        if nearest is None or nearest == name:
            return name
        self.sentences.append(f"There is no {kind} {name!r}; the nearest is {nearest!r}.")
        return nearest


def suggest_request(catalog: Catalog, target: str) -> Suggestion | None:
    """Suggest the request that would work; `None` if none is known. Headers of the image are read, no pixels.

    Args:
        catalog: as the reader sees it.
        target: the path and the query of the request that failed, percent-encoded, below the path at which the
            application is mounted.
    """
    encoded, _, query = target.partition("?")
    path, corrections = unquote(encoded), _Corrections()
    try:
        if path.startswith(_DAP_PREFIX):
            path, query = _correct_dap(catalog, path.removeprefix(_DAP_PREFIX), query, corrections)
            path = f"{_DAP_PREFIX}{path}"
        elif path.startswith(_IMAGES_PREFIX):
            image_path = _correct_path(catalog, path.removeprefix(_IMAGES_PREFIX), corrections)
            dataset = catalog.open(image_path, chunked=False)
            path, query = f"{_IMAGES_PREFIX}{image_path}", _correct_parameters(query, dataset, corrections)
    except (LookupError, Unreadable, ValueError):  # there is no such image, or its file is why it failed
        return None
    if not corrections.sentences:
        return None
    return Suggestion(f"{quote(path)}{f'?{query}' if query else ''}", " ".join(corrections.sentences))


def _correct_dap(catalog: Catalog, path: str, query: str, corrections: _Corrections) -> tuple[str, str]:
    """Return the path and the query of a request of DAP that would work.

    Raises:
        LookupError, Unreadable, ValueError: there is no such image, or it cannot be opened.
    """
    suffix = find_suffix(path)
    base, wanted = _correct_suffix(catalog, path.removesuffix(suffix), suffix, corrections)
    base = _correct_path(catalog, base, corrections)
    dataset = catalog.open(base, chunked=False)
    if not query:
        return f"{base}{wanted}", query
    text = query
    for _ in range(3):  # clients encode it once, twice or three times
        text = unquote(text)
    before, parameter, constraint = text.partition(_DAP4_PARAMETER)
    if parameter:
        constraint, rest = constraint.partition("&")[::2]
        clauses = [_correct_projection(clause, dataset, corrections) for clause in constraint.split(";")]
        text = f"{before}{parameter}{';'.join(clauses)}{f'&{rest}' if rest else ''}"
    else:
        projections, mark, filters = text.partition("&")
        if not _COMPARISON.search(projections):
            clauses = [_correct_projection(each, dataset, corrections) for each in _split_outside(projections)]
            text = f"{','.join(clauses)}{mark}{filters}"
    return f"{base}{wanted}", quote(text, safe=_SAFE)


def _correct_suffix(catalog: Catalog, base: str, suffix: str, corrections: _Corrections) -> tuple[str, str]:
    """Return the path of an image and a suffix of DAP; an ending that is none may be behind the path."""
    stem, dot, ending = base.rpartition(".")
    if suffix or not dot or _exists(catalog, base) or not _exists(catalog, stem):
        return base, suffix
    corrected = _OTHER_SUFFIXES.get(ending.lower(), _PAGE_SUFFIX)
    corrections.sentences.append(f"The suffix {f'.{ending}'!r} is none of OPeNDAP's; {corrected!r} is the nearest.")
    return stem, corrected


def _correct_path(catalog: Catalog, path: str, corrections: _Corrections) -> str:
    """Return the path of the nearest image.

    Raises:
        NotFound: there is none.
    """
    base, mark, variant = path.partition(f"/{MARK}")
    folder = ""
    for name in base.split("/"):
        here = f"{folder}/{name}" if folder else name
        if not _exists(catalog, here) and not (name == "raw" and _exists(catalog, folder)):
            nearest = corrections.replace_name("image or folder", name, _list_names(catalog, folder, name))
            if nearest == name:
                raise NotFound(f"There is nothing like {here!r}.")
            here = f"{folder}/{nearest}" if folder else nearest
        folder = here
    return f"{folder}{mark}{variant}"


def _list_names(catalog: Catalog, folder: str, name: str) -> list[str]:
    """Return names in a folder, those behind a name first, as in a large folder they are the nearest."""
    names: list[str] = []
    for start in (name, None):
        page = catalog.list_children(folder, after=start, limit=_MAX_CHILDREN)
        names += [child.name for child in page.children]
    return list(dict.fromkeys(names))


def _exists(catalog: Catalog, path: str) -> bool:
    try:
        catalog.find_entry(path)
    except NotFound:
        try:
            catalog.list_children(path, limit=1)
        except NotFound:
            return False
    return True


def _correct_parameters(query: str, dataset: xr.Dataset, corrections: _Corrections) -> str:
    """Return the parameters of the REST API with names and ranges that the image has."""
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    corrected = []
    for encoded_name, mark, encoded_value in pairs:
        name, value = unquote(encoded_name), unquote(encoded_value)
        if name == "variable":
            value = corrections.replace_name("variable", value, [*map(str, dataset.variables)])
        elif name in dataset.sizes:
            value = _clip_range(name, value, dataset.sizes[name], corrections)
        corrected.append(f"{quote(name, safe='')}{mark}{quote(value, safe=':,')}")
    return "&".join(corrected)


def _clip_range(name: str, text: str, size: int, corrections: _Corrections) -> str:
    """Return a range whose end is excluded, as in Python, within a dimension."""
    match = _RANGE.fullmatch(text)
    if match is None or not match[2] or int(match[2]) <= size or int(match[1] or 0) >= size:
        return text
    step = f":{match[3]}" if match[3] else ""
    corrections.sentences.append(f"{name} has {size:,} values; the range is cut to them.")
    return f"{match[1]}:{size}{step}"


def _correct_projection(clause: str, dataset: xr.Dataset, corrections: _Corrections) -> str:
    """Return a variable and its indices, as DAP2 and DAP4 write them, that the dataset has."""
    match = _PROJECTION.fullmatch(clause)
    if match is None or not clause:
        return clause
    slash, name, indices = match.groups()
    known = [*map(str, dataset.variables)]
    if any(each.startswith(f"{name}/") for each in known):  # a group
        return clause
    corrected = corrections.replace_name("variable", name, known)
    if corrected not in dataset.variables:
        return clause
    variable = dataset.variables[corrected]
    texts = _BRACKETS.findall(indices)
    if not texts:
        return f"{slash}{corrected}"
    sizes = variable.shape
    if len(texts) != len(sizes):
        corrections.sentences.append(f"{corrected} has {len(sizes)} dimensions, and needs an index for each.")
    texts = [*texts, *("" for _ in sizes)][: len(sizes)]
    dimensions = zip(map(str, variable.dims), texts, sizes, strict=True)
    corrected_texts = [_correct_index(dimension, text, size, corrections) for dimension, text, size in dimensions]
    return f"{slash}{corrected}{''.join(f'[{text}]' for text in corrected_texts)}"


def _correct_index(dimension: str, text: str, size: int, corrections: _Corrections) -> str:
    """Return an index of DAP, ``start:stride:stop`` with the stop included, within a dimension."""
    words = text.replace(" ", "").split(":")
    if not text.strip():
        return f"0:{size - 1}"
    if not all(word.isdecimal() for word in words) or len(words) > _MAX_NUMBERS:
        return text
    numbers = [int(word) for word in words]
    if len(numbers) == _MAX_NUMBERS and numbers[2] < numbers[0] <= numbers[1]:
        start, stop, stride = numbers
        corrections.sentences.append(
            f"[{text}] is start:stride:stop in OPeNDAP, and not start:stop:stride as in Python; the stop is included."
        )
        numbers = [start, max(stride, 1), stop - 1]
    if numbers[-1] >= size > numbers[0]:
        corrections.sentences.append(f"{dimension} has {size:,} values, so that its last index is {size - 1}.")
        numbers[-1] = size - 1
    elif len(numbers) == 1 and numbers[0] >= size:
        corrections.sentences.append(f"{dimension} has {size:,} values, so that its last index is {size - 1}.")
        numbers = [size - 1]
    return ":".join(map(str, numbers))


def _find_nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the nearest of some names: of numbers the nearest number, otherwise the most similar text."""
    if name in known:
        return name
    if name.isdecimal():
        numbers = [each for each in known if each.isdecimal()]
        return min(numbers, key=lambda each: abs(int(each) - int(name)), default=None)
    normalize: Callable[[str], str] = lambda text: re.sub(r"[\s_-]", "", text).casefold()  # noqa: E731
    by_form = {normalize(each): each for each in reversed(known)}
    matches = get_close_matches(normalize(name), by_form, 1, _LEAST_SIMILARITY)
    return by_form[matches[0]] if matches else None


def _split_outside(text: str) -> list[str]:
    """Split at commas that are in no parentheses and brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
