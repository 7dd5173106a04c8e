"""Datasets in, datasets out, lazily: narrowing by a selection, and virtual variables."""

from __future__ import annotations

from shotdap.transforms.recipe import BadRecipe, Locality, Recipe, extend
from shotdap.transforms.registry import TRANSFORMS, Transform
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection

__all__ = [
    "TRANSFORMS",
    "BadRecipe",
    "BadSelection",
    "Hyperslab",
    "Locality",
    "Recipe",
    "Selection",
    "Transform",
    "extend",
]
