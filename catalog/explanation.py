"""What the descriptions of diagnostics make of a file, in words: for whoever writes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import xarray as xr

from shotdap.catalog.diagnostic import Diagnostic
from shotdap.catalog.entry import Fact
from shotdap.catalog.labels import label, matching

__all__ = ["explain"]


def explain(raw: xr.Dataset, facts: Mapping[str, Fact], diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """Say, line by line, what is in a file, which description it matches, why not the others, and what comes of it.

    Args:
        raw: the file as its reader gives it.
        facts: what the archive's row says of it.
        diagnostics: the descriptions in the order in which they are tried.
    """
    diagnostics = tuple(diagnostics)
    yield "In the file:"
    yield from _variables(raw)
    yield ""
    found = matching(raw, facts, diagnostics)
    for diagnostic in diagnostics:
        if diagnostic is found:
            yield f"{diagnostic.name}: this is it. {diagnostic.title}."
            break
        yield f"{diagnostic.name}: no, {diagnostic.why_not(raw, facts)}."
    if found is None:
        yield "No description matches: the file is served as it is."
        return
    yield ""
    yield "Served as:"
    labelled = label(raw, facts, diagnostics)
    yield from _variables(labelled)
    axes = [axis.name for axis in found.axes if axis.name not in labelled.variables]
    if axes:
        yield f"Left out, for the file's attributes do not say enough: {', '.join(axes)}."


def _variables(dataset: xr.Dataset) -> Iterator[str]:
    for name, variable in dataset.variables.items():
        sizes = ", ".join(f"{dimension} {size}" for dimension, size in variable.sizes.items())
        units = f" [{variable.attrs['units']}]" if "units" in variable.attrs else ""
        yield f"  {name} ({sizes}) {variable.dtype}{units}"
