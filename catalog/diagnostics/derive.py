"""Derive the virtual variables of an image: those of its description, and those of a variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from shotdap.catalog.diagnostics.conventions import add_coordinate_references
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.transforms import (
    BadVariant,
    Memo,
    Recipe,
    Step,
    Variant,
    build_variant,
    known_transforms,
    try_add_variables,
)
from shotdap.transforms.virtual.provenance import Origin, Source, add_provenance, build_origin_trees


@dataclass(frozen=True)
class LabelledImage:
    """A labelled image without virtual variables."""

    dataset: xr.Dataset
    diagnostic: Diagnostic | None
    """The description that it was labelled by."""
    source: Source

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipes of its description."""
        return self.diagnostic.recipes if self.diagnostic else ()


@dataclass(frozen=True, eq=False)  # compared by identity: a reopened file gives a new cache key
class DerivedImage:
    """An image with its virtual variables."""

    dataset: xr.Dataset
    origins: Mapping[str, Origin]
    """The provenance of each variable, those of the file included."""
    left_out: Mapping[str, str]
    """The virtual variables that could not be derived, with the reasons."""


def resolve_variant(labelled: LabelledImage, steps: tuple[Step, ...], others: Mapping[str, DerivedImage]) -> Variant:
    """Resolve the steps of a variant into recipes for an image.

    Raises:
        BadVariant: a step names nothing that exists, or has an impossible option.
    """
    elsewhere = (f"{name}.{each}" for name, other in others.items() for each in other.dataset.variables)
    names = frozenset((*map(str, labelled.dataset.variables), *elsewhere))
    return build_variant(steps, labelled.recipes, names, known_transforms())


def derive_variables(  # noqa: PLR0913 — each is one input of the result, by keyword
    labelled: LabelledImage,
    *,
    steps: tuple[Step, ...] = (),
    others: Mapping[str, DerivedImage],
    absent: Mapping[str, str],
    path: str,
    remember: Memo,
    chunked: bool,
) -> DerivedImage:
    """Add the virtual variables of its description, or of a variant, to an image. Nothing is read or computed.

    Args:
        labelled: the image.
        steps: those of a variant.
        others: the related images, by the names that recipes give them.
        absent: the reason for each related image that is not available.
        path: the public path that it is opened at, with its variant.
        remember: keeps results that need whole images.
        chunked: whether virtual variables are dask arrays; see `add_variables`.

    Raises:
        BadVariant: the steps do not fit this image.
    """
    variant = resolve_variant(labelled, steps, others)
    result = try_add_variables(
        labelled.dataset,
        variant.recipes,
        others={name: other.dataset for name, other in others.items()},
        remember=remember,
        chunked=chunked,
    )
    inputs = {recipe.name: {name.partition(".")[0] for name in recipe.inputs} for recipe in variant.recipes}
    left_out = {  # that a related image is absent says more to a client than that a variable is
        name: next((why for other, why in absent.items() if other in inputs[name]), reason)
        for name, reason in result.left_out.items()
    }
    for name, reason in left_out.items():  # in the order of their dependencies, so the first reason is the cause
        if name in variant.requested_variables:
            raise BadVariant(reason)
    elsewhere = {f"{name}.{each}": tree for name, other in others.items() for each, tree in other.origins.items()}
    origins = build_origin_trees(result.dataset, result.recipes, labelled.source, elsewhere)
    virtual = {name: each for name, each in origins.items() if each.recipe}
    dataset = add_provenance(add_coordinate_references(result.dataset), virtual, path)
    if left_out:
        dataset = dataset.assign_attrs(left_out="; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return DerivedImage(dataset, origins, left_out)
