"""How a variable came to be: from which files, by which transforms, with which options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import xarray as xr

from shotdap import __version__
from shotdap.transforms.virtual.recipe import Recipe


@dataclass(frozen=True)
class Source:
    """A file that variables come from."""

    path: str
    """The public path of its image."""
    sha256: str = ""
    """Of the file's bytes, in hexadecimal; empty where nobody has looked."""

    def __str__(self) -> str:
        return f"{self.path} sha256:{self.sha256}" if self.sha256 else self.path


@dataclass(frozen=True)
class Origin:
    """How one variable came to be: a node of a tree whose leaves are arrays in files."""

    variable: str
    source: Source
    """The file that it is in, or the one of the image that it is a virtual variable of."""
    array: str = ""
    """Which array of the file it is; empty for a virtual variable."""
    recipe: Recipe | None = None
    inputs: tuple[Origin, ...] = ()

    def sources(self) -> tuple[Source, ...]:
        """All files that it comes from, each once."""
        inputs = (source for each in self.inputs for source in each.sources())
        return tuple(dict.fromkeys(inputs if self.recipe else [self.source]))


def build_origin_trees(
    dataset: xr.Dataset, recipes: Iterable[Recipe], own: Source, others: Mapping[str, Origin]
) -> dict[str, Origin]:
    """The tree of each variable of a dataset.

    Args:
        dataset: extended by recipes.
        recipes: those, in any order.
        own: the dataset's file.
        others: the trees of variables of other datasets: of ``flat.image``, for one.
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
    """The dataset with attributes of each virtual variable that say what it was made of, and where to have it again.

    Args:
        dataset: extended by recipes.
        origins: of the virtual variables in it.
        path: the public path that the dataset was opened at, its variant included.
    """
    for name, each in origins.items():
        dataset.variables[name].attrs.update(_make_provenance_attributes(each, path))
    return dataset


def _make_provenance_attributes(each: Origin, path: str) -> dict[str, str]:
    return {
        "input_files": "; ".join(map(str, each.sources())),
        "software": f"shotdap {__version__}",
        "derived_at": f"{path}.dap?dap4.ce=/{each.variable}",
        "provenance": f"{path}.prov?{each.variable}",
    }


def describe_origin(each: Origin) -> Iterator[str]:
    """A node of the tree, in lines: what it is, and of what file or with which options."""
    if each.recipe is None:
        yield f"{each.variable}: {each.array} of {each.source}"
        return
    yield f"{each.variable} = {each.recipe}"
    yield each.recipe.transform.summary
    for name, value in each.recipe.validated_options:
        yield f"{name}: {value!r}"
