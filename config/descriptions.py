"""Descriptions of diagnostics: one TOML file each, those of the site before those that come with shotdap."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shotdap.catalog import Diagnostic
from shotdap.transforms import BadRecipe, Locality, Recipe

__all__ = ["BadDiagnostic", "load_diagnostics"]


class BadDiagnostic(ValueError):
    """A description does not hold together; the message names the file, and what would be right."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Recipe(_Strict):
    name: str
    transform: str
    inputs: list[str] = Field(min_length=1)
    options: Mapping[str, Any] = Field(default_factory=dict)
    locality: Locality = Locality.POINTWISE

    def recipe(self) -> Recipe:
        return Recipe.of(self.name, self.transform, self.inputs, self.options, self.locality)


class _Description(_Strict):
    name: str
    array: str
    frames: list[str] = Field(min_length=1)
    dimensions: list[str] = Field(min_length=1)
    rename: Mapping[str, str] = Field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    recipes: list[_Recipe] = Field(default_factory=list)

    def diagnostic(self) -> Diagnostic:
        return Diagnostic(
            self.name,
            self.array,
            tuple(self.frames),
            tuple(self.dimensions),
            self.rename,
            self.attributes,
            tuple(recipe.recipe() for recipe in self.recipes),
        )


def load_diagnostics(site: Path | None = None) -> tuple[Diagnostic, ...]:
    """Read the descriptions, in the order in which they are tried.

    Args:
        site: a folder with this site's own descriptions.

    Raises:
        BadDiagnostic: a file is not TOML, or does not describe a diagnostic.
    """
    if site is not None and not site.is_dir():
        raise BadDiagnostic(f"catalog.diagnostics: there is no folder {site}.")
    shipped = files("shotdap.config").joinpath("diagnostics")
    return tuple(_load(file) for folder in (site, shipped) if folder is not None for file in _descriptions(folder))


def _descriptions(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name.endswith(".toml"))


def _load(file: Traversable) -> Diagnostic:
    try:
        return _Description.model_validate(tomllib.loads(file.read_text("utf-8"))).diagnostic()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BadDiagnostic(f"{file.name}: {problems}.") from error
    except (BadRecipe, ValueError) as error:  # ValueError: not TOML
        raise BadDiagnostic(f"{file.name}: {error}") from error
