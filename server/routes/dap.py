"""OPeNDAP: ``/dap/<path>.<suffix>?<constraint>``, DAP2 and DAP4.

Each suffix is one row of `_ANSWERS`. An answer is made whole in a thread: found, opened, narrowed, checked against the
limit and computed. Only then does its status line go out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import xarray as xr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap import __version__
from shotdap.catalog import Catalog
from shotdap.server.errors import Problem, QueryTooLong, TooLarge, problem
from shotdap.server.listing import listing
from shotdap.server.protocols import dap2, dap4
from shotdap.server.replies import Reply, respond
from shotdap.transforms import Selection

__all__ = ["Limits", "error_reply", "routes", "suffix_of"]

_LOG = logging.getLogger("shotdap.dap")
_SERVER = f"shotdap/{__version__}"


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for."""

    answer: int
    """Bytes of values in one answer."""
    query: int
    """Bytes of the query string."""


@dataclass(frozen=True)
class _Question:
    """A request, as far as it matters here."""

    catalog: Catalog
    limits: Limits
    path: str
    """The image's public path."""
    suffix: str
    query: str
    """As it came, nothing decoded."""

    @property
    def name(self) -> str:
        """What the answer calls the dataset."""
        return self.path.rpartition("/")[2]

    def open(self) -> xr.Dataset:
        """The image; lazy, and without dask, whose graphs cost more than a small slice."""
        return self.catalog.open(self.path, chunked=False)

    def computed(self, dataset: xr.Dataset) -> xr.Dataset:
        """The values of a narrowed dataset.

        Raises:
            TooLarge: they are more than the limit.
            Unreadable: the file cannot be read.
        """
        if dataset.nbytes > self.limits.answer:
            raise TooLarge(
                f"This asks for {dataset.nbytes / 2**20:,.1f} MiB; one answer holds {self.limits.answer / 2**20:,.0f}"
                " MiB at most. Ask for fewer variables at a time, or for a part of each, such as [0:1:99][0:1:99]."
            )
        return dataset.compute()


def routes(catalog: Catalog, limits: Limits) -> list[Route]:
    """The routes of both protocols."""

    async def answer(request: Request) -> Response:
        path: str = request.path_params["path"]
        suffix = suffix_of(path)
        query = request.scope["query_string"].decode("latin-1")
        question = _Question(catalog, limits, path.removesuffix(suffix), suffix, query)
        return respond(await run_in_threadpool(_answered, question))

    return [Route("/dap/{path:path}", answer, methods=["GET"])]


def error_reply(suffix: str, trouble: Problem) -> Reply:
    """The words of the protocol that a suffix belongs to, DAP2's where it belongs to none."""
    if suffix in dap4.MEDIA_TYPES:
        return Reply.of(
            dap4.error(trouble.status, trouble.message), dap4.ERROR_MEDIA_TYPE, _DAP4_HEADERS, trouble.status
        )
    return _dap2_reply("error", dap2.error(trouble.status, trouble.message), trouble.status)


def suffix_of(path: str) -> str:
    """The suffix that names the answer; empty where what stands at the path is to be listed or described."""
    return next((suffix for suffix in _LONGEST_FIRST if path.endswith(suffix)), "")


def _answered(question: _Question) -> Reply:
    try:
        _check_length(question.query, question.limits.query)
        return _ANSWERS[question.suffix](question)
    except Exception as error:  # noqa: BLE001 — every failure gets an answer in the protocol's words
        trouble = problem(error)
        if not trouble.expected:
            _LOG.exception("failed to answer %s%s", question.path, question.suffix)
        return error_reply(question.suffix, trouble)


def _check_length(query: str, limit: int) -> None:
    if len(query) > limit:
        raise QueryTooLong(f"The query string has {len(query):,} bytes; {limit:,} are taken at most.")


def _dap2_narrowed(question: _Question) -> xr.Dataset:
    selection = dap2.parse(question.query)
    return selection.apply(dap2.adapt(question.open()))


def _dap2_reply(kind: str, body: str | bytes, status: int = 200) -> Reply:
    answer = dap2.ANSWERS[kind]
    return Reply.of(body, answer.media_type, _dap2_headers(answer.description), status)


def _dap2_headers(description: str) -> dict[str, str]:
    return {"XDAP": dap2.VERSION, "XDODS-Server": _SERVER, "Content-Description": description}


def _dds(question: _Question) -> Reply:
    return _dap2_reply("dds", dap2.dds(_dap2_narrowed(question), question.name))


def _das(question: _Question) -> Reply:
    """All attributes, whatever the constraint: that is how DAP2 has it."""
    return _dap2_reply("das", dap2.das(dap2.adapt(question.open())))


def _dods(question: _Question) -> Reply:
    dataset = question.computed(_dap2_narrowed(question))
    answer = dap2.ANSWERS["dods"]
    return Reply(
        answer.media_type,
        dap2.body_size(dataset, question.name),
        dap2.body(dataset, question.name),
        _dap2_headers(answer.description),
    )


_DAP4_HEADERS = MappingProxyType({"X-DAP": "4.0", "XDAP": "4.0", "X-DAP-Server": _SERVER})


def _dap4_narrowed(question: _Question) -> tuple[xr.Dataset, Selection, dap4.Request]:
    request = dap4.query(question.query)
    selection = dap4.parse(request.expression)
    return selection.apply(question.open()), selection, request


def _dmr(question: _Question) -> Reply:
    dataset, selection, _ = _dap4_narrowed(question)
    text = dap4.dmr(dataset, question.name, selection)
    return Reply.of(text, dap4.MEDIA_TYPES[question.suffix], _DAP4_HEADERS)


def _dap(question: _Question) -> Reply:
    dataset, selection, request = _dap4_narrowed(question)
    body = dap4.body(question.computed(dataset), question.name, selection, checksum=request.checksum)
    return Reply(dap4.MEDIA_TYPES[".dap"], body.size, body, _DAP4_HEADERS)


def _described(question: _Question) -> Reply:
    return listing(question.catalog, question.path, question.query)


_ANSWERS: Mapping[str, Callable[[_Question], Reply]] = MappingProxyType(
    {
        "": _described,
        ".dds": _dds,
        ".das": _das,
        ".dods": _dods,
        ".dmr": _dmr,
        ".dmr.xml": _dmr,
        ".dap": _dap,
    }
)
_LONGEST_FIRST = sorted(_ANSWERS, key=len, reverse=True)
