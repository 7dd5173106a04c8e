"""Datasets in, datasets out, lazily: narrowing by a selection, and virtual variables."""

from __future__ import annotations

from shotdap.transforms.renaming import UniqueNames, with_underscores
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection
from shotdap.transforms.virtual.array import Remember, forget
from shotdap.transforms.virtual.dataset import Extended, extend, extended
from shotdap.transforms.virtual.footprint import Along, Footprint, WorkingMemory
from shotdap.transforms.virtual.graph import check, needed, ordered
from shotdap.transforms.virtual.provenance import Origin, Source, explained
from shotdap.transforms.virtual.read_cost import bytes_read, working_memory
from shotdap.transforms.virtual.recipe import BadRecipe, FromAttribute, Recipe
from shotdap.transforms.virtual.registry import TRANSFORMS, BadTransform, find_transform, known_transforms
from shotdap.transforms.virtual.transform import BadOptions, Transform
from shotdap.transforms.virtual.variant import MARK, BadVariant, Step, Variant, parse_variant, vary

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
