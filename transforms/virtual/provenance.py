"""Provenance of a variable: its files, the transforms applied, and their options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import xarray as xr

from shotdap import __version__
from shotdap.transforms.virtual.recipe import Recipe


@dataclass(frozen=True)
class Source:
    """A file that variables are read from."""

    path: str
    """The public path of its image."""
    sha256: str = ""
    """Of the file's bytes, in hexadecimal; empty if it was not computed."""

    def __str__(self) -> str:
        return f"{self.path} sha256:{self.sha256}" if self.sha256 else self.path


@dataclass(frozen=True)
class Origin:
    """Provenance of one variable: a node of a tree whose leaves are arrays in files."""

    variable: str
    source: Source
    """Its file, or for a virtual variable the file of its image."""
    array: str = ""
    """The name of the array in the file; empty for a virtual variable."""
    recipe: Recipe | None = None
    inputs: tuple[Origin, ...] = ()

    def sources(self) -> tuple[Source, ...]:
        """Return all files that it is computed from, each once."""
        inputs = (source for each in self.inputs for source in each.sources())
        return tuple(dict.fromkeys(inputs if self.recipe else [self.source]))


def build_origin_trees(
    dataset: xr.Dataset, recipes: Iterable[Recipe], own: Source, others: Mapping[str, Origin]
) -> dict[str, Origin]:
    """Build the provenance tree of each variable of a dataset.

    Args:
        dataset: with its virtual variables.
        recipes: of the virtual variables, in any order.
        own: the dataset's file.
        others: the trees of variables of other datasets, such as ``flat.image``.
    """
    named = {recipe.name: recipe for recipe in recipes}

    def build_tree(name: str) -> Origin:
        if name in others:
            return others[name]
        if name in named:
            return Origin(name, own, recipe=named[name], inputs=tuple(map(build_tree, named[name].inputs)))
        attributes = dataset.variables[name].attrs if name in dataset.variables else {}
        return Origin(name, own, array=str(attributes.get("source_array", name)))

    return {str(name): build_tree(str(name)) for name in dataset.variables}


def add_provenance(dataset: xr.Dataset, origins: Mapping[str, Origin], path: str) -> xr.Dataset:
    """Add the provenance of each virtual variable to its attributes: its files, the software, and its URLs.

    Args:
        dataset: with its virtual variables; it is changed in place, and returned.
        origins: of the virtual variables in it.
        path: the public path of the dataset, its variant included.
    """
    for name, each in origins.items():
        dataset.variables[name].attrs |= {
            "input_files": "; ".join(map(str, each.sources())),
            "software": f"shotdap {__version__}",
            "derived_at": f"{path}.dap?dap4.ce=/{each.variable}",
            "provenance": f"{path}.prov?{each.variable}",
        }
    return dataset


def describe_origin(each: Origin) -> Iterator[str]:
    """Describe a node of the tree in lines: its file, or its transform and options."""
    if each.recipe is None:
        yield f"{each.variable}: {each.array} of {each.source}"
        return
    yield f"{each.variable} = {each.recipe}"
    yield each.recipe.transform.summary
    for name, value in each.recipe.validated_options:
        yield f"{name}: {value!r}"
