"""What the descriptions of diagnostics make of a file, in words: for whoever writes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import xarray as xr

from shotdap.catalog.diagnostics.derive import DerivedImage
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.diagnostics.label import find_diagnostic
from shotdap.catalog.entry import Fact

__all__ = ["explain_labelling"]


def explain_labelling(
    raw: xr.Dataset, derived: DerivedImage, facts: Mapping[str, Fact], diagnostics: Iterable[Diagnostic]
) -> Iterator[str]:
    """Say, line by line, what is in a file, which description it matches, why not the others, and what comes of it.

    Args:
        raw: the file as its reader gives it.
        derived: what is served of it.
        facts: what the archive's row says of it.
        diagnostics: the descriptions in the order in which they are tried.
    """
    diagnostics = tuple(diagnostics)
    yield "In the file:"
    yield from _format_variables(raw)
    yield ""
    found = find_diagnostic(raw, facts, diagnostics)
    for diagnostic in diagnostics:
        if diagnostic is found:
            yield f"{diagnostic.name}: this is it. {diagnostic.title}."
            break
        yield f"{diagnostic.name}: no, {diagnostic.explain_mismatch(raw, facts)}."
    if found is None:
        yield "No description matches: the file is served as it is."
        return
    yield ""
    yield "Served as:"
    yield from _format_variables(derived.dataset)
    axes = [axis.name for axis in found.axes if axis.name not in derived.dataset.variables]
    if axes:
        yield f"Left out, for the file's attributes do not say enough: {', '.join(axes)}."
    for name, reason in derived.left_out.items():
        yield f"Left out: {name}. {reason}"


def _format_variables(dataset: xr.Dataset) -> Iterator[str]:
    for name, variable in dataset.variables.items():
        sizes = ", ".join(f"{dimension} {size}" for dimension, size in variable.sizes.items())
        units = f" [{variable.attrs['units']}]" if "units" in variable.attrs else ""
        yield f"  {name} ({sizes}) {variable.dtype}{units}"
