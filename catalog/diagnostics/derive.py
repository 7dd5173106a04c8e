"""What is derived from an image: the virtual variables of its description, and those of a variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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

__all__ = ["DerivedImage", "LabelledImage", "derive_variables", "resolve_variant"]

_NO_REASONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class LabelledImage:
    """An image, labelled, with nothing derived."""

    dataset: xr.Dataset
    diagnostic: Diagnostic | None
    """The description that it was labelled by."""
    source: Source

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What its description derives."""
        return self.diagnostic.recipes if self.diagnostic else ()


@dataclass(frozen=True, eq=False)  # two are the same only if they are one
class DerivedImage:
    """An image with what is derived from it."""

    dataset: xr.Dataset
    origins: Mapping[str, Origin]
    """How each variable came to be, those of the file included."""
    left_out: Mapping[str, str]
    """The virtual variables that could not be made, and why."""


def resolve_variant(labelled: LabelledImage, steps: tuple[Step, ...], others: Mapping[str, DerivedImage]) -> Variant:
    """What the steps of a variant make of an image.

    Raises:
        BadVariant: they name nothing that there is, or give options that cannot be.
    """
    elsewhere = (f"{name}.{each}" for name, other in others.items() for each in other.dataset.variables)
    names = frozenset((*map(str, labelled.dataset.variables), *elsewhere))
    return build_variant(steps, labelled.recipes, names, known_transforms())


def derive_variables(  # noqa: PLR0913 — each is one thing that the result is made of, by keyword
    labelled: LabelledImage,
    *,
    steps: tuple[Step, ...] = (),
    others: Mapping[str, DerivedImage] | None = None,
    absent: Mapping[str, str] = _NO_REASONS,
    path: str,
    remember: Memo,
    chunked: bool,
) -> DerivedImage:
    """Add to an image what its description, or a variant, derives from it. Nothing is read or computed.

    Args:
        labelled: the image.
        steps: those of a variant.
        others: the other images that its recipes take inputs from, by the names that they have there.
        absent: for those of them that are not there, why.
        path: the public path that it is opened at, its variant included.
        remember: keeps what needs whole images.
        chunked: whether virtual variables are dask arrays; see `add_variables`.

    Raises:
        BadVariant: what the steps ask for cannot be made of this image.
    """
    others = others or {}
    variant = resolve_variant(labelled, steps, others)
    done = try_add_variables(
        labelled.dataset,
        variant.recipes,
        others={name: other.dataset for name, other in others.items()},
        remember=remember,
        chunked=chunked,
    )
    left_out = _collect_omissions(done.left_out, variant, absent)
    elsewhere = {f"{name}.{each}": tree for name, other in others.items() for each, tree in other.origins.items()}
    origins = build_origin_trees(done.dataset, done.recipes, labelled.source, elsewhere)
    virtual = {name: each for name, each in origins.items() if each.recipe}
    dataset = add_provenance(add_coordinate_references(done.dataset), virtual, path)
    if left_out:
        dataset = dataset.assign_attrs(left_out="; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return DerivedImage(dataset, origins, left_out)


def _collect_omissions(reasons: Mapping[str, str], variant: Variant, absent: Mapping[str, str]) -> dict[str, str]:
    """What could not be made, each with its reason, as far as a client can understand it.

    Raises:
        BadVariant: it was asked for by the variant.
    """
    needs = {recipe.name: {name.partition(".")[0] for name in recipe.inputs} for recipe in variant.recipes}
    left_out = {
        name: next((why for other, why in absent.items() if other in needs[name]), reason)
        for name, reason in reasons.items()
    }
    for name, reason in left_out.items():  # what the others need comes before them
        if name in variant.requested_variables:
            raise BadVariant(reason)
    return left_out
