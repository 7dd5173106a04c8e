"""Datasets in, datasets out, lazily: narrowing by a selection, and virtual variables."""

from __future__ import annotations

from shotdap.transforms.footprint import Along, Footprint, WorkingMemory
from shotdap.transforms.graph import check, needed, ordered
from shotdap.transforms.narrowing import Remember, forget
from shotdap.transforms.provenance import Origin, Source, explained
from shotdap.transforms.reading import bytes_read, working_memory
from shotdap.transforms.recipe import BadRecipe, FromAttribute, Recipe
from shotdap.transforms.registry import TRANSFORMS, BadTransform, find_transform, known_transforms
from shotdap.transforms.renaming import UniqueNames, with_underscores
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection
from shotdap.transforms.transform import BadOptions, Transform
from shotdap.transforms.variant import MARK, BadVariant, Step, Variant, parse_variant, vary
from shotdap.transforms.virtual import Extended, extend, extended

__all__ = [
    "MARK",
    "TRANSFORMS",
    "Along",
    "BadOptions",
    "BadRecipe",
    "BadSelection",
    "BadTransform",
    "BadVariant",
    "Extended",
    "Footprint",
    "FromAttribute",
    "Hyperslab",
    "Origin",
    "Recipe",
    "Remember",
    "Selection",
    "Source",
    "Step",
    "Transform",
    "UniqueNames",
    "Variant",
    "WorkingMemory",
    "bytes_read",
    "check",
    "explained",
    "extend",
    "extended",
    "find_transform",
    "forget",
    "known_transforms",
    "needed",
    "ordered",
    "parse_variant",
    "vary",
    "with_underscores",
    "working_memory",
]
