"""The settings of one deployment: the shipped defaults, then the site's file, then the environment.

Each setting's default and sentence stand once, in ``defaults.toml``; here are their types and limits, and what is made
of them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from sqlalchemy.exc import ArgumentError

from shotdap.catalog import (
    Archive,
    ArchiveDatabase,
    BadArchive,
    Between,
    BlobStore,
    BuildReport,
    Catalog,
    ColumnFilter,
    DirectoryArchive,
    FileCache,
    FilterValue,
    Index,
    InspectionReport,
    Inspector,
    LocalStore,
    PathTemplate,
    ProgressCallback,
    S3ObjectStore,
    Sandbox,
    SchemeStore,
    SqlArchive,
    SqlIndex,
    Store,
    Unpacker,
    build_catalog,
    describe_archive,
    get_cache_folder,
    inspect_catalog,
)
from shotdap.config.descriptions import load_diagnostics

__all__ = ["BadSettings", "Settings", "load_defaults", "load_settings"]

_PATH_SETTINGS = (
    ("archive", "root"),
    ("archive", "folder"),
    ("archive", "cache"),
    ("archive", "password_file"),
    ("archive", "oracle_client"),
    ("archive", "oracle_wallet"),
    ("archive", "oracle_wallet_password_file"),
    ("catalog", "index"),
    ("catalog", "diagnostics"),
    ("catalog", "unpack"),
    ("exports", "folder"),
)
_NON_OWNER_RIGHTS = 0o077  # rights of the group and of everybody
_NON_FACT_COLUMNS = {"key", "file", "version"}  # columns that say nothing of the image

OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]


class BadSettings(ValueError):
    """The settings do not hold together; the message names the setting, and what would be right."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Section):
    """Values from one to another, both included."""

    least: FilterValue | None = Field(default=None, alias="from")
    most: FilterValue | None = Field(default=None, alias="to")


class ArchiveSettings(_Section):
    """Where the rows and the files are."""

    url: str = Field(repr=False)  # a password may stand in it
    password_file: OptionalPath
    table: str
    schema_: str = Field(alias="schema")  # a pydantic model has a method called schema
    root: Path
    folder: OptionalPath
    bytes_: Literal["files", "database"] = Field(alias="bytes")  # bytes is Python's
    blob_table: str
    blob_column: str
    blob_key: str
    blob_changed: str
    pool_size: int = Field(ge=1, le=64)
    connect_seconds: float = Field(gt=0)
    statement_seconds: float = Field(gt=0)
    attempts: int = Field(ge=1, le=20)
    oracle_client: OptionalPath
    oracle_wallet: OptionalPath
    oracle_wallet_password_file: OptionalPath
    cache: OptionalPath
    cache_mib: int = Field(ge=4)
    s3_prefixes: tuple[Annotated[str, Field(pattern=r"^s3://[^/]+/")], ...]
    s3_endpoint: str
    s3_region: str
    s3_anonymous: bool
    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    where: Mapping[str, FilterValue | tuple[FilterValue, ...] | Range]
    prefixes: Mapping[str, Path]


class CatalogSettings(_Section):
    """How rows become entries."""

    index: Path
    url: str = Field(repr=False)
    watch_seconds: float = Field(ge=0)
    indexed_attributes: tuple[str, ...]
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


class PackagesSettings(_Section):
    """How much a data package may hold."""

    max_images: int = Field(ge=1)
    max_mib: int = Field(ge=1)


class ZarrSettings(_Section):
    """How datasets are cut and packed for readers of Zarr."""

    chunk_mib: int = Field(ge=1)
    compression: Literal["none", "lz4", "zstd"]


class ExportsSettings(_Section):
    """How many images are exported at once, and by whom."""

    folder: OptionalPath
    scheduler: Annotated[str, Field(pattern=r"^$|^(tcp|tls|ws|wss|ucx)://")]
    workers: int = Field(ge=1, le=1024)
    threads: int = Field(ge=1, le=256)
    memory_mib: int = Field(ge=256)
    idle_seconds: float = Field(ge=0)
    keep_hours: float = Field(gt=0)
    folder_mib: int = Field(ge=1)
    user_mib: int = Field(ge=1)
    jobs_per_user: int = Field(ge=1)
    images_per_job: int = Field(ge=1)

    @property
    def max_image_bytes(self) -> int:
        """What one image may take of a worker's memory: half of a thread's share; the file takes the other half."""
        return (self.memory_mib << 20) // (2 * self.threads)


class Settings(BaseSettings):
    """All settings, checked; `load_settings` makes it. The server, the command line and a notebook all start here."""

    model_config = SettingsConfigDict(
        env_prefix="SHOTDAP_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    archive: ArchiveSettings
    catalog: CatalogSettings
    server: ServerSettings
    packages: PackagesSettings
    zarr: ZarrSettings
    exports: ExportsSettings

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
        index, store = self._open_index_and_store()
        diagnostics = load_diagnostics(self.catalog.diagnostics)
        return Catalog(
            index,
            store,
            diagnostics,
            cache_bytes=self.catalog.cache_mib << 20,
            unpacker=self._make_unpacker(),
            sandbox=self._make_sandbox() if self.catalog.isolate else None,
            refuse_changed=self.catalog.changed == "refuse",
        )

    def _make_unpacker(self) -> Unpacker:
        return Unpacker(self.catalog.unpack or get_cache_folder(), self.catalog.unpack_mib << 20)

    def _make_sandbox(self, workers: int = 1) -> Sandbox:
        return Sandbox(self.catalog.isolate_seconds, self.catalog.isolate_mib << 20, workers)

    def _open_index_and_store(self) -> tuple[Index, Store | Path]:
        folder = self.archive.folder
        if folder is not None:
            if not folder.is_dir():
                raise BadSettings(f"archive.folder: there is no folder {folder}.")
            if not os.access(folder, os.R_OK | os.X_OK):
                raise BadSettings(f"archive.folder: there is no right to list and to read {folder}.")
            return DirectoryArchive(folder), folder
        return self._open_built_index(), self.open_store()

    def _open_built_index(self) -> SqlIndex:
        is_there = not self._sql_index.is_empty() if self.catalog.url else self.catalog.index.is_file()
        if not is_there:
            name = (
                "url: there is no catalog in that database"
                if self.catalog.url
                else f"index: there is no catalog at {self.catalog.index}"
            )
            raise BadSettings(
                f"catalog.{name}; `shotdap catalog build` makes it,"
                " or `--folder DIR` serves a directory tree without one."
            )
        index = self._sql_index
        index.check_version()
        return index

    @cached_property
    def _sql_index(self) -> SqlIndex:
        return SqlIndex(self.catalog.url) if self.catalog.url else SqlIndex.open_sqlite(self.catalog.index)

    def migrate_catalog(self) -> str | None:
        """Bring the catalog's database to this version of shotdap; what it holds is kept.

        Returns:
            The version that it had, or `None` if there was none and it was made.

        Raises:
            BadCatalog: it was made by a newer shotdap, or is no database.
        """
        return self._sql_index.migrate()

    def open_archive(self) -> Archive:
        """The archive to build a catalog of.

        Raises:
            BadSettings: no archive is configured.
        """
        if self.archive.folder is not None:
            return DirectoryArchive(self.archive.folder)
        return self._open_sql_archive()

    def _open_sql_archive(self) -> SqlArchive:
        where = {name: _filter(wanted) for name, wanted in self.archive.where.items()}
        return SqlArchive(
            self._archive_database,
            self.archive.table,
            self.archive.columns,
            self.archive.schema_ or None,
            self.archive.values,
            where,
        )

    @cached_property
    def _archive_database(self) -> ArchiveDatabase:
        """One for all, so that polling does not open a pool of connections each time."""
        archive = self.archive
        if not archive.url:
            raise BadSettings('archive.url is empty; set it to the database, such as "sqlite:///archive.db".')
        return ArchiveDatabase(
            archive.url,
            _read_secret("password_file", archive.password_file),
            archive.pool_size,
            archive.connect_seconds,
            archive.statement_seconds,
            archive.attempts,
            archive.oracle_client,
            archive.oracle_wallet,
            _read_secret("oracle_wallet_password_file", archive.oracle_wallet_password_file),
        )

    def open_store(self) -> Store:
        """Where the images' bytes are.

        Raises:
            BadSettings: they stand in a database, and none is configured.
        """
        archive = self.archive
        cache = FileCache(archive.cache or get_cache_folder("fetched"), archive.cache_mib << 20)
        objects = S3ObjectStore(
            archive.s3_prefixes,
            cache,
            archive.s3_endpoint or None,
            archive.s3_region or None,
            archive.s3_anonymous,
            archive.connect_seconds,
        )
        usual: Store = LocalStore(archive.root, archive.prefixes)
        if archive.bytes_ == "database":
            usual = self._make_blob_store(cache)
        return SchemeStore(usual, {"s3": objects})

    def _make_blob_store(self, cache: FileCache) -> BlobStore:
        archive = self.archive
        return BlobStore(
            self._archive_database,
            archive.blob_table or archive.table,
            archive.blob_column,
            archive.blob_key or archive.columns.get("file", ""),
            cache,
            archive.blob_changed or archive.columns.get("version"),
            archive.schema_ or None,
        )

    def check_archive(self, sample: int) -> Iterator[str]:
        """Say, line by line, what the archive's database and its files look like from here; see `describe_archive`.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadSettings: no archive's database is configured.
        """
        return describe_archive(
            self._open_sql_archive(), self.open_store(), PathTemplate(self.catalog.path_template), sample
        )

    def build_catalog(
        self, *, full: bool = False, patient: bool = False, progress: ProgressCallback | None = None
    ) -> BuildReport:
        """Bring the catalog up to date with the archive. No file is opened.

        Args:
            full: read all rows, and remove the entries whose rows are gone.
            patient: leave another build alone that is at work.
            progress: told after each batch.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadCatalog: the catalog's database is of another version, or cannot be reached.
            BadSettings: no archive is configured, or the path template does not fit it.
            Busy: another build is at work.
            Superseded: another build has begun in the meantime.
        """
        archive = self.open_archive()
        template = PathTemplate(self.catalog.path_template)
        try:
            template.check_columns(self.archive.columns.keys() - _NON_FACT_COLUMNS)
        except BadArchive as error:
            raise BadSettings(f"catalog.path_template: {error}") from error
        return build_catalog(archive, self._sql_index, template, full=full, patient=patient, progress=progress)

    def count_rows_to_build(self, *, full: bool = False) -> int:
        """How many rows `build_catalog` will read.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadCatalog: the catalog's database is of another version, or cannot be reached.
            BadSettings: no archive is configured.
        """
        return self.open_archive().count_rows(None if full else self._sql_index.read_watermark())

    def count_files_to_inspect(self, *, again: bool = False) -> int:
        """How many files `inspect_catalog` will look into.

        Raises:
            BadSettings: no catalog has been built.
        """
        return self._open_built_index().count_to_inspect(again=again)

    def inspect_catalog(
        self, *, again: bool = False, doubtful: bool = True, progress: Callable[[int], None] | None = None
    ) -> InspectionReport:
        """Look into the files of the catalog that were not looked into yet.

        Args:
            again: look into all of them, to find those that have changed.
            doubtful: try those again that could not be read.
            progress: told after each file how many that makes.

        Raises:
            BadSettings: no catalog has been built.
        """
        index = self._open_built_index()
        isolation = self._make_sandbox(workers=os.cpu_count() or 1)
        inspector = Inspector(
            self.open_catalog().locate_file, isolation, self._make_unpacker(), self.catalog.indexed_attributes
        )
        try:
            return inspect_catalog(index, inspector, again=again, doubtful=doubtful, progress=progress)
        finally:
            isolation.close()


def _filter(wanted: FilterValue | tuple[FilterValue, ...] | Range) -> ColumnFilter:
    return Between(wanted.least, wanted.most) if isinstance(wanted, Range) else wanted


def _read_secret(name: str, path: Path | None) -> str | None:
    """What a file holds that no one else may read, without the end of its line.

    Raises:
        BadSettings: it cannot be read, or others may read it.
    """
    if path is None:
        return None
    try:
        if path.stat().st_mode & _NON_OWNER_RIGHTS:
            raise BadSettings(f"archive.{name}: others may read {path}; `chmod 600` it.")
        return path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise BadSettings(f"archive.{name}: {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"archive.{name}: {path} is no text.") from error


def load_defaults() -> dict[str, Any]:
    """The shipped defaults, as TOML has them."""
    return tomllib.loads(files("shotdap.config").joinpath("defaults.toml").read_text("utf-8"))


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        path: the site's TOML file; without it, the defaults and the environment.

    Raises:
        BadSettings: the file is missing or not TOML, or a setting is unknown or has a value that it can't have.
    """
    site = _read_site_file(path) if path else {}
    merged = {name: {**load_defaults().get(name, {}), **site.get(name, {})} for name in {**load_defaults(), **site}}
    folder = path.parent.resolve() if path else Path()
    try:
        return Settings(**_resolve_paths(merged, folder))
    except ValidationError as error:
        raise BadSettings(_format_validation_error(error)) from error
    except SettingsError as error:  # a whole section in one variable has to be JSON
        raise BadSettings(f"The settings in the environment cannot be read: {error}.") from error


def _read_site_file(path: Path) -> dict[str, Any]:
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


def _resolve_paths(site: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same settings with their relative paths, those of the defaults too, taken from the site's folder."""
    for section, name in _PATH_SETTINGS:
        value = site.get(section, {}).get(name)
        if isinstance(value, str) and value:
            site[section][name] = folder / value
    prefixes = site.get("archive", {}).get("prefixes")
    if isinstance(prefixes, dict):
        placed = {name: folder / value if isinstance(value, str) else value for name, value in prefixes.items()}
        site["archive"]["prefixes"] = placed
    for section in ("archive", "catalog"):
        url = site.get(section, {}).get("url")
        if isinstance(url, str) and url:
            site[section]["url"] = _resolve_sqlite_url(f"{section}.url", url, folder)
    return site


def _resolve_sqlite_url(setting: str, url: str, folder: Path) -> str:
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise BadSettings(f"{setting} is not a database's URL; it should be like sqlite:///archive.db.") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    return parsed.set(database=str(folder / parsed.database)).render_as_string(hide_password=False)


def _format_validation_error(error: ValidationError) -> str:
    lines = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return "The settings do not hold together:\n  " + "\n  ".join(lines)
