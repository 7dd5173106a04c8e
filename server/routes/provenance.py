"""Where variables come from: ``<path>.prov`` for all virtual variables of an image, ``<path>.prov?name`` for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from urllib.parse import unquote

import numpy as np
import xarray as xr

from shotdap.server.http.limits import Asked
from shotdap.server.http.response import Reply
from shotdap.server.protocols.prov import MEDIA_TYPE, prov
from shotdap.server.routes.image_request import Question
from shotdap.transforms import BadSelection, Origin, Selection

__all__ = ["ANSWERS"]


def _prov(question: Question) -> Reply:
    origins = question.catalog.origins(question.address, question.state)
    wanted = unquote(question.query)
    if wanted and wanted not in origins:
        raise BadSelection(f"There is no variable {wanted!r} here. The variables are: {', '.join(origins)}.")
    if wanted:
        counts = {wanted: _counts(question, wanted)}
        return _reply(question, [origins[wanted]], counts)
    return _reply(question, [each for each in origins.values() if each.recipe], {})


def _reply(question: Question, origins: list[Origin], counts: Mapping[str, Mapping[str, int]]) -> Reply:
    text = prov(origins, question.address.path, f"{question.host}/dap/", counts)
    return Reply.of(text, MEDIA_TYPE, {})


def _counts(question: Question, name: str) -> dict[str, int]:
    """How many of a variable's values are negative, and how many are missing.

    Raises:
        TooLarge: it is more than one answer may hold.
    """
    narrowed = Selection({name: ()}).apply(question.open())
    values = question.computed(narrowed, partial(Asked, {}, _no_url)).variables[name]
    if question.only_headers or values.dtype.kind not in "iuf":
        return {}
    return _counted(values)


def _counted(variable: xr.Variable) -> dict[str, int]:
    values = variable.values
    counts = {"values": values.size, "negative": int(np.count_nonzero(values < 0))}
    if variable.dtype.kind == "f":
        counts["missing"] = int(np.count_nonzero(np.isnan(values)))
    return counts


def _no_url(_hyperslabs: object) -> str:
    return ""


ANSWERS: Mapping[str, Callable[[Question], Reply]] = MappingProxyType({".prov": _prov})
"""By the suffix of the URL."""
