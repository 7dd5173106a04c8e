"""Lazy operations on datasets: selections, and virtual variables computed by transforms."""

from __future__ import annotations

from shotdap.transforms.registry import TRANSFORMS, BadTransform, create_recipe, find_transform, known_transforms
from shotdap.transforms.renaming import UniqueNames, add_underscores
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection
from shotdap.transforms.virtual.array import Memo, no_memo
from shotdap.transforms.virtual.dataset import Result, add_variables, try_add_variables
from shotdap.transforms.virtual.footprint import Along, Footprint, WorkingMemory
from shotdap.transforms.virtual.graph import check_recipes, dependencies, topological_order
from shotdap.transforms.virtual.provenance import Origin, Source, describe_origin
from shotdap.transforms.virtual.read_cost import bytes_read, is_pointwise, working_memory
from shotdap.transforms.virtual.recipe import BadRecipe, FromAttribute, Recipe
from shotdap.transforms.virtual.transform import BadOptions, Transform
from shotdap.transforms.virtual.variant import MARK, BadVariant, Step, Variant, build_variant, parse_variant

__all__ = [
    "MARK",
    "TRANSFORMS",
    "Along",
    "BadOptions",
    "BadRecipe",
    "BadSelection",
    "BadTransform",
    "BadVariant",
    "Footprint",
    "FromAttribute",
    "Hyperslab",
    "Memo",
    "Origin",
    "Recipe",
    "Result",
    "Selection",
    "Source",
    "Step",
    "Transform",
    "UniqueNames",
    "Variant",
    "WorkingMemory",
    "add_underscores",
    "add_variables",
    "build_variant",
    "bytes_read",
    "check_recipes",
    "create_recipe",
    "dependencies",
    "describe_origin",
    "find_transform",
    "is_pointwise",
    "known_transforms",
    "no_memo",
    "parse_variant",
    "topological_order",
    "try_add_variables",
    "working_memory",
]
