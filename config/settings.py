"""The settings of one deployment: the shipped defaults, then the site's file, then the environment.

Each setting's default and sentence stand once, in ``defaults.toml``; here are their types and limits, and what is made
of them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from sqlalchemy.exc import ArgumentError

from shotdap.catalog import (
    Archive,
    BadArchive,
    BuildReport,
    Catalog,
    Folder,
    Index,
    InspectionReport,
    Inspector,
    Isolation,
    PathTemplate,
    SqlArchive,
    SqlIndex,
    Unpacker,
    build,
    inspect,
    usual_folder,
)
from shotdap.config.descriptions import load_diagnostics

__all__ = ["BadSettings", "Settings", "defaults", "load"]

_PATHS = (
    ("archive", "root"),
    ("archive", "folder"),
    ("catalog", "index"),
    ("catalog", "diagnostics"),
    ("catalog", "unpack"),
)
_NOT_FACTS = {"key", "file", "version"}  # columns that say nothing of the image

OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]


class BadSettings(ValueError):
    """The settings do not hold together; the message names the setting, and what would be right."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveSettings(_Section):
    """Where the rows and the files are."""

    url: str
    table: str
    schema_: str = Field(alias="schema")  # a pydantic model has a method called schema
    root: Path
    folder: OptionalPath
    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]


class CatalogSettings(_Section):
    """How rows become entries."""

    index: Path
    path_template: str
    diagnostics: OptionalPath
    cache_mib: int = Field(ge=0)
    isolate: bool
    isolate_seconds: float = Field(gt=0)
    isolate_mib: int = Field(ge=512)
    changed: Literal["warn", "refuse"]
    unpack: OptionalPath
    unpack_mib: int = Field(ge=1)


class ServerSettings(_Section):
    """How the catalog is served."""

    host: str
    port: int = Field(ge=1, le=65535)
    workers: int = Field(ge=1, le=256)
    access_log: bool
    max_answer_mib: int = Field(ge=1)
    max_query_kib: int = Field(ge=1)
    max_read_mib: int = Field(ge=1)
    compress_data: bool
    cors_origins: tuple[str, ...]


class Settings(BaseSettings):
    """All settings, checked; `load` makes it. The server, the command line and a notebook all start here."""

    model_config = SettingsConfigDict(
        env_prefix="SHOTDAP_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    archive: ArchiveSettings
    catalog: CatalogSettings
    server: ServerSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 — the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the files."""
        return env_settings, init_settings

    def open_catalog(self) -> Catalog:
        """The catalog to serve.

        Raises:
            BadSettings: there is no such folder, or no catalog has been built.
            BadDiagnostic: a description of a diagnostic does not hold together.
        """
        index, root = self._index()
        diagnostics = load_diagnostics(self.catalog.diagnostics)
        return Catalog(
            index,
            root,
            diagnostics,
            cache_bytes=self.catalog.cache_mib << 20,
            unpacker=self._unpacker(),
            isolation=self._isolation() if self.catalog.isolate else None,
            refuse_changed=self.catalog.changed == "refuse",
        )

    def _unpacker(self) -> Unpacker:
        return Unpacker(self.catalog.unpack or usual_folder(), self.catalog.unpack_mib << 20)

    def _isolation(self, workers: int = 1) -> Isolation:
        return Isolation(self.catalog.isolate_seconds, self.catalog.isolate_mib << 20, workers)

    def _index(self) -> tuple[Index, Path]:
        folder = self.archive.folder
        if folder is not None:
            if not folder.is_dir():
                raise BadSettings(f"archive.folder: there is no folder {folder}.")
            return Folder(folder), folder
        return self._built(), self.archive.root

    def _built(self) -> SqlIndex:
        if not self.catalog.index.is_file():
            raise BadSettings(
                f"catalog.index: there is no catalog at {self.catalog.index}; `shotdap catalog build` makes it,"
                " or `--folder DIR` serves a directory tree without one."
            )
        return SqlIndex.at(self.catalog.index)

    def open_archive(self) -> Archive:
        """The archive to build a catalog of.

        Raises:
            BadSettings: no archive is configured.
        """
        if self.archive.folder is not None:
            return Folder(self.archive.folder)
        if not self.archive.url:
            raise BadSettings('archive.url is empty; set it to the database, such as "sqlite:///archive.db".')
        return SqlArchive(
            self.archive.url,
            self.archive.table,
            self.archive.columns,
            self.archive.schema_ or None,
            self.archive.values,
        )

    def build_catalog(self) -> BuildReport:
        """Bring the catalog up to date with the archive. No file is opened.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadSettings: no archive is configured, or the path template does not fit it.
        """
        archive = self.open_archive()
        template = PathTemplate(self.catalog.path_template)
        try:
            template.check(self.archive.columns.keys() - _NOT_FACTS)
        except BadArchive as error:
            raise BadSettings(f"catalog.path_template: {error}") from error
        return build(archive, SqlIndex.at(self.catalog.index), template)

    def count_to_inspect(self, *, again: bool = False) -> int:
        """How many files `inspect_catalog` will look into.

        Raises:
            BadSettings: no catalog has been built.
        """
        return self._built().count(again=again)

    def inspect_catalog(
        self, *, again: bool = False, progress: Callable[[int], None] | None = None
    ) -> InspectionReport:
        """Look into the files of the catalog that were not looked into yet.

        Args:
            again: look into all of them, to find those that have changed.
            progress: told after each file how many that makes.

        Raises:
            BadSettings: no catalog has been built.
        """
        index = self._built()
        isolation = self._isolation(workers=os.cpu_count() or 1)
        inspector = Inspector(self.open_catalog().locate, isolation, self._unpacker())
        try:
            return inspect(index, inspector, again=again, progress=progress)
        finally:
            isolation.close()


def defaults() -> dict[str, Any]:
    """The shipped defaults, as TOML has them."""
    return tomllib.loads(files("shotdap.config").joinpath("defaults.toml").read_text("utf-8"))


def load(path: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        path: the site's TOML file; without it, the defaults and the environment.

    Raises:
        BadSettings: the file is missing or not TOML, or a setting is unknown or has a value that it can't have.
    """
    site = _site(path) if path else {}
    merged = {name: {**defaults().get(name, {}), **site.get(name, {})} for name in {**defaults(), **site}}
    folder = path.parent.resolve() if path else Path()
    try:
        return Settings(**_placed(merged, folder))
    except ValidationError as error:
        raise BadSettings(_in_words(error)) from error
    except SettingsError as error:  # a whole section in one variable has to be JSON
        raise BadSettings(f"The settings in the environment cannot be read: {error}.") from error


def _site(path: Path) -> dict[str, Any]:
    try:
        site = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSettings(f"The settings cannot be read from {path}: {error.strerror}.") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise BadSettings(f"{path} is not TOML: {error}.") from error
    wrong = [name for name, section in site.items() if not isinstance(section, dict)]
    if wrong:
        raise BadSettings(f"{path}: {', '.join(wrong)} must stand in a section, such as [server].")
    return site


def _placed(site: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same settings with their relative paths, those of the defaults too, taken from the site's folder."""
    for section, name in _PATHS:
        value = site.get(section, {}).get(name)
        if isinstance(value, str) and value:
            site[section][name] = folder / value
    url = site.get("archive", {}).get("url")
    if isinstance(url, str) and url:
        site["archive"]["url"] = _placed_url(url, folder)
    return site


def _placed_url(url: str, folder: Path) -> str:
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise BadSettings("archive.url is not a database's URL; it should be like sqlite:///archive.db.") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    return parsed.set(database=str(folder / parsed.database)).render_as_string(hide_password=False)


def _in_words(error: ValidationError) -> str:
    lines = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return "The settings do not hold together:\n  " + "\n  ".join(lines)
