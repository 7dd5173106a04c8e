"""What a variable is made from, and what could be made of it next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import xarray as xr

from shotdap.transforms import Origin, known_transforms

_HASH_DIGITS: Final = 12


@dataclass(frozen=True)
class MakingStep:
    """A step from the file to what is shown."""

    name: str
    """Of the variable."""
    text: str
    sha256: str
    """Of the file; empty for a step that computes."""


@dataclass(frozen=True)
class TransformChoice:
    """A transform that could be the next step."""

    name: str
    summary: str
    options: str
    """Its options and their defaults, as the step of a variant has them."""
    reason: str
    """Why it cannot be applied; empty if it can."""


def list_making_steps(origin: Origin) -> Sequence[MakingStep]:
    """List the steps by which a variable is made, the files first; each once."""
    return tuple(dict.fromkeys(_iter_steps(origin)))


def _iter_steps(origin: Origin) -> Iterator[MakingStep]:
    if origin.recipe is None:
        name = origin.source.path.rpartition("/")[2]
        yield MakingStep(origin.variable, f"{origin.array} of {name}", origin.source.sha256[:_HASH_DIGITS])
        return
    for each in origin.inputs:
        yield from _iter_steps(each)
    options = ", ".join(f"{name} {value}" for name, value in origin.recipe.options.items())
    inputs = ", ".join(each.variable for each in origin.inputs)
    transform = origin.recipe.transform.name.replace("_", " ")
    yield MakingStep(origin.variable, f"{transform} of {inputs}{f'; {options}' if options else ''}", "")


def list_transform_choices(dataset: xr.Dataset) -> list[TransformChoice]:
    """List the transforms that a chain may have, those that do not fit with the reason."""
    choices = []
    for name, transform in sorted(known_transforms().items()):
        missing = [each for each in transform.inputs[1:] if each not in dataset.variables]
        reason = f"needs {' and '.join(missing)}; this image has none" if missing else ""
        fields = transform.options_model.model_fields
        defaults = {key: field.default for key, field in fields.items()}
        options = "-".join(f"{key}-{value}" for key, value in defaults.items() if type(value) in {int, float, str})
        choices.append(TransformChoice(name, transform.summary, options, reason))
    return choices
