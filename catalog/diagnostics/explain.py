"""Explain how the descriptions of diagnostics apply to a file: for the authors of descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import xarray as xr

from shotdap.catalog.diagnostics.derive import DerivedImage
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.diagnostics.label import find_diagnostic
from shotdap.catalog.entry import Fact


def explain_labelling(
    raw: xr.Dataset, derived: DerivedImage, facts: Mapping[str, Fact], diagnostics: Iterable[Diagnostic]
) -> Iterator[str]:
    """Explain, line by line, what is in a file, which description it matches, why not the others, and the result.

    Args:
        raw: the file as its reader returns it.
        derived: the image as it is served.
        facts: the values of the archive's row.
        diagnostics: the descriptions in the order in which they are tried.
    """
    diagnostics = tuple(diagnostics)
    yield "In the file:"
    yield from _format_variables(raw)
    yield ""
    match = find_diagnostic(raw, facts, diagnostics)
    for diagnostic in diagnostics:
        if diagnostic is match:
            yield f"{diagnostic.name}: this is it. {diagnostic.title}."
            break
        yield f"{diagnostic.name}: no, {diagnostic.explain_mismatch(raw, facts)}."
    if match is None:
        yield "No description matches: the file is served as it is."
        return
    yield ""
    yield "Served as:"
    yield from _format_variables(derived.dataset)
    axes = [axis.name for axis in match.axes if axis.name not in derived.dataset.variables]
    if axes:
        yield f"Left out, for the file's attributes do not say enough: {', '.join(axes)}."
    for name, reason in derived.left_out.items():
        yield f"Left out: {name}. {reason}"


def _format_variables(dataset: xr.Dataset) -> Iterator[str]:
    for name, variable in dataset.variables.items():
        sizes = ", ".join(f"{dimension} {size}" for dimension, size in variable.sizes.items())
        units = f" [{variable.attrs['units']}]" if "units" in variable.attrs else ""
        yield f"  {name} ({sizes}) {variable.dtype}{units}"
