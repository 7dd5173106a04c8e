"""Serve damaged files of every format in both modes; the server must survive, and send no wrong number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests import damaged

from measuring import Figure, Plan, compute_p99

__all__ = ["play"]


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Serve damaged files, and count the responses by kind."""
    names = damaged.make_archive(folder, plan.files)
    responses, deaths = damaged.serve_damaged(folder, names)
    figures = []
    for mode in damaged.MODES:
        of_mode = [response for response in responses if response.mode == mode]
        kinds = Counter(response.kind for response in of_mode)
        case = f"{mode} mode, {len(names):,} damaged files"
        seconds = [response.seconds for response in of_mode]
        worst = max(of_mode, key=lambda response: response.seconds)
        figures += [
            Figure(case, "server processes that died or hung", deaths[mode], "", "<= 0"),
            Figure(case, "no response", kinds["lost"], "", "<= 0", _name_some(of_mode, "lost")),
            Figure(case, "wrong responses", kinds["wrong"], "", "<= 0", _name_some(of_mode, "wrong")),
            Figure(case, "malformed errors", kinds["malformed"], "", "<= 0", _name_some(of_mode, "malformed")),
            Figure(case, "as the library reads the file", kinds["right"]),
            Figure(case, "errors", kinds["error"]),
            Figure(case, "unconfirmed, because the library crashes", kinds["unconfirmed"]),
            Figure(case, "time, median", 1e3 * median(seconds), "ms"),
            Figure(case, "time, p99", 1e3 * compute_p99(seconds), "ms"),
            Figure(case, "time, longest", 1e3 * worst.seconds, "ms", note=f"{worst.file}{worst.suffix}"),
        ]
    return figures


def _name_some(responses: Sequence[damaged.CheckedResponse], kind: str) -> str:
    return ", ".join(sorted({response.file for response in responses if response.kind == kind})[:20])
