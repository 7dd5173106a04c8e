"""Opens what the settings of a deployment describe; the only factory of catalogs, archives and stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from shotdap.catalog import (
    Archive,
    ArchiveDatabase,
    BadArchive,
    Between,
    BlobStore,
    BuildReport,
    Catalog,
    DirectoryArchive,
    FileCache,
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
from shotdap.config.settings import BadSettings, Range, Settings

_NON_OWNER_RIGHTS: Final = 0o077  # rights of the group and of everybody
_NON_FACT_COLUMNS: Final = {"key", "file", "version"}  # columns that describe the row, not the image


class Site:
    """One deployment, opened from its settings. The server, the command line and a notebook all start here."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def open_catalog(self) -> Catalog:
        """Open the catalog to serve.

        Raises:
            BadSettings: the folder does not exist, or no catalog has been built.
            BadDiagnostic: a description of a diagnostic is not valid.
        """
        settings, folder = self.settings.catalog, self.settings.archive.folder
        index: Index
        store: Store | Path
        if folder is None:
            index, store = self._open_built_index(), self.open_store()
        else:
            if not folder.is_dir():
                raise BadSettings(f"archive.folder: there is no folder {folder}.")
            if not os.access(folder, os.R_OK | os.X_OK):
                raise BadSettings(f"archive.folder: there is no right to list and to read {folder}.")
            index, store = DirectoryArchive(folder), folder
        return Catalog(
            index,
            store,
            load_diagnostics(settings.diagnostics),
            cache_bytes=settings.cache_mib << 20,
            unpacker=self._make_unpacker(),
            sandbox=self._make_sandbox() if settings.isolate else None,
            refuse_changed=settings.changed == "refuse",
        )

    def open_archive(self) -> Archive:
        """Open the archive that the catalog is built from.

        Raises:
            BadSettings: no archive is configured.
        """
        folder = self.settings.archive.folder
        return DirectoryArchive(folder) if folder is not None else self._open_sql_archive()

    def open_store(self) -> Store:
        """Open the store of the images' bytes.

        Raises:
            BadSettings: the bytes are in a database, and none is configured.
        """
        archive = self.settings.archive
        cache = FileCache(archive.cache or get_cache_folder("fetched"), archive.cache_mib << 20)
        objects = S3ObjectStore(
            archive.s3_prefixes,
            cache,
            archive.s3_endpoint or None,
            archive.s3_region or None,
            archive.s3_anonymous,
            archive.connect_seconds,
        )
        default: Store = LocalStore(archive.root, archive.prefixes)
        if archive.bytes_ == "database":
            default = BlobStore(
                self._archive_database,
                archive.blob_table or archive.table,
                archive.blob_column,
                archive.blob_key or archive.columns.get("file", ""),
                cache,
                archive.blob_changed or archive.columns.get("version"),
                archive.schema_ or None,
            )
        return SchemeStore(default, {"s3": objects})

    def build_catalog(
        self, *, full: bool = False, patient: bool = False, progress: ProgressCallback | None = None
    ) -> BuildReport:
        """Bring the catalog up to date with the archive. No file is opened.

        Args:
            full: read all rows, and remove the entries whose rows are gone.
            patient: do not take over from another build that is running.
            progress: called after each batch.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadCatalog: the catalog's database is of another version, or cannot be reached.
            BadSettings: no archive is configured, or the path template does not fit it.
            Busy: another build is running.
            Superseded: another build has begun in the meantime.
        """
        archive = self.open_archive()
        template = PathTemplate(self.settings.catalog.path_template)
        try:
            template.check_columns(self.settings.archive.columns.keys() - _NON_FACT_COLUMNS)
        except BadArchive as error:
            raise BadSettings(f"catalog.path_template: {error}") from error
        return build_catalog(archive, self._sql_index, template, full=full, patient=patient, progress=progress)

    def count_rows_to_build(self, *, full: bool = False) -> int:
        """Count the rows that `build_catalog` will read.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadCatalog: the catalog's database is of another version, or cannot be reached.
            BadSettings: no archive is configured.
        """
        return self.open_archive().count_rows(None if full else self._sql_index.read_watermark())

    def migrate_catalog(self) -> str | None:
        """Bring the catalog's database to this version of shotdap, and keep its content.

        Returns:
            The version before, or `None` if the catalog did not exist and was made.

        Raises:
            BadCatalog: the catalog was made by a newer shotdap, or is no database.
        """
        return self._sql_index.migrate()

    def inspect_catalog(
        self, *, again: bool = False, doubtful: bool = True, progress: Callable[[int], None] | None = None
    ) -> InspectionReport:
        """Inspect the files of the catalog that were not inspected yet.

        Args:
            again: inspect all of them, to find those that have changed.
            doubtful: try those again that could not be read.
            progress: called after each file with the number of files so far.

        Raises:
            BadSettings: no catalog has been built.
        """
        index = self._open_built_index()
        sandbox = self._make_sandbox(workers=os.cpu_count() or 1)
        indexed_attributes = self.settings.catalog.indexed_attributes
        inspector = Inspector(self.open_catalog().locate_file, sandbox, self._make_unpacker(), indexed_attributes)
        try:
            return inspect_catalog(index, inspector, again=again, doubtful=doubtful, progress=progress)
        finally:
            sandbox.close()

    def count_files_to_inspect(self, *, again: bool = False) -> int:
        """Count the files that `inspect_catalog` will inspect.

        Raises:
            BadSettings: no catalog has been built.
        """
        return self._open_built_index().count_to_inspect(again=again)

    def check_archive(self, sample: int) -> Iterator[str]:
        """Describe, line by line, the archive's database and files as seen from here; see `describe_archive`.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
            BadSettings: no archive's database is configured.
        """
        template = PathTemplate(self.settings.catalog.path_template)
        return describe_archive(self._open_sql_archive(), self.open_store(), template, sample)

    def _open_built_index(self) -> SqlIndex:
        catalog = self.settings.catalog
        is_built = not self._sql_index.is_empty() if catalog.url else catalog.index.is_file()
        if not is_built:
            problem = (
                "url: there is no catalog in that database"
                if catalog.url
                else f"index: there is no catalog at {catalog.index}"
            )
            raise BadSettings(
                f"catalog.{problem}; `shotdap catalog build` makes it,"
                " or `--folder DIR` serves a directory tree without one."
            )
        self._sql_index.check_version()
        return self._sql_index

    def _open_sql_archive(self) -> SqlArchive:
        archive = self.settings.archive
        where = {
            name: Between(condition.least, condition.most) if isinstance(condition, Range) else condition
            for name, condition in archive.where.items()
        }
        return SqlArchive(
            self._archive_database, archive.table, archive.columns, archive.schema_ or None, archive.values, where
        )

    @cached_property
    def _sql_index(self) -> SqlIndex:
        catalog = self.settings.catalog
        return SqlIndex(catalog.url) if catalog.url else SqlIndex.open_sqlite(catalog.index)

    @cached_property
    def _archive_database(self) -> ArchiveDatabase:
        """The connections to the archive, opened once, so that polling does not open a new pool each time."""
        archive = self.settings.archive
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

    def _make_unpacker(self) -> Unpacker:
        catalog = self.settings.catalog
        return Unpacker(catalog.unpack or get_cache_folder(), catalog.unpack_mib << 20)

    def _make_sandbox(self, workers: int = 1) -> Sandbox:
        catalog = self.settings.catalog
        return Sandbox(catalog.isolate_seconds, catalog.isolate_mib << 20, workers)


def _read_secret(name: str, path: Path | None) -> str | None:
    """Read a secret from a file that only its owner may read; the end of the line is not part of it.

    Raises:
        BadSettings: the file cannot be read, or others may read it.
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
