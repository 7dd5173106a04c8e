"""Opens what the settings of a deployment describe; the only factory of catalogs, archives and stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from shotdap.catalog import (
    Archive,
    ArchiveDatabase,
    ArchiveFiles,
    BadArchive,
    BadQuery,
    BadToken,
    Between,
    BlobStore,
    BuildReport,
    CallLimits,
    Catalog,
    Diagnostic,
    DirectoryArchive,
    FileCache,
    ForkServer,
    FrameCache,
    FrameStore,
    InspectionReport,
    Inspector,
    LocalStore,
    PathTemplate,
    PooledFiles,
    ProcessPool,
    ProgressCallback,
    ReaderState,
    ResultsAtHand,
    S3ObjectStore,
    Sandbox,
    SchemeStore,
    SqlArchive,
    SqlIndex,
    Store,
    StoredFrames,
    Unpacker,
    WaitingIndex,
    ask_at_once,
    ask_in_process,
    ask_in_thread,
    build_catalog,
    compute_diagnostics_fingerprint,
    describe_archive,
    get_cache_folder,
    initialize_reader,
    inspect_catalog,
    inspect_in_process,
)
from shotdap.catalog.reading.store_folder import choose_folder
from shotdap.config.database_files import check_database_file
from shotdap.config.descriptions import load_diagnostics
from shotdap.config.secret_file import read_secret
from shotdap.config.settings import BadSettings, Range, Settings, SettingsSource

_WALL_TIME_FACTOR: Final = 5  # by the clock, reading a file whole may take this many times its limit of processor time
_MAX_WAITING_READS: Final = 1024
_DECODED_BYTES: Final = 64 << 20  # of frames as a decoder makes them, beside those that are shared
RUN_VARIABLE: Final = "SHOTDAP_RUN"
"""The environment variable that identifies one run of the server to all its processes."""
_NON_FACT_COLUMNS: Final = {"key", "file", "version"}  # columns that describe the row, not the image


class Site:
    """One deployment, opened from its settings. The server, the command line and a notebook all start here."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The descriptions of diagnostics, loaded once: all processes that are forked afterwards agree on them.

        Raises:
            BadDiagnostic: one is not valid.
        """
        return load_diagnostics(self.settings.catalog.diagnostics)

    def open_catalog(self) -> Catalog:
        """Open the catalog to serve.

        Raises:
            BadSettings: the folder does not exist, or no catalog has been built.
            BadDiagnostic: a description of a diagnostic is not valid.
        """
        settings = self.settings.catalog
        return Catalog(
            self._open_index(),
            self._open_image_store(),
            self.diagnostics,
            cache_bytes=settings.cache_mib << 20,
            unpacker=self._make_unpacker(),
            sandbox=self._make_sandbox() if settings.isolate else None,
            refuse_changed=settings.changed == "refuse",
        )

    def open_sharing_catalog(self, store: FrameStore) -> Catalog:
        """Open the catalog for a process that reads files itself, and shares frames with the others of its machine.

        A file that was never inspected is read whole in this process, which may be killed.

        Raises:
            BadSettings: the folder does not exist, or no catalog has been built.
            BadDiagnostic: a description of a diagnostic is not valid.
        """
        settings = self.settings.catalog
        frames = StoredFrames(store)
        files = ArchiveFiles(
            self._open_image_store(),
            self._make_unpacker(),
            partial(inspect_in_process, frames) if settings.isolate else None,
            FrameCache(_DECODED_BYTES),
            refuse_changed=settings.changed == "refuse",
            shared=frames,
        )
        return Catalog.from_files(self._open_index(), files, self.diagnostics, self._open_results(store))

    def open_pooled_catalog(self, readers: ProcessPool, store: FrameStore) -> Catalog:
        """Open the catalog for a process that opens no file of the archive: readers do, see `make_reader_state`.

        Args:
            readers: the reader processes.
            store: the frames that they leave.

        Raises:
            BadSettings: the folder does not exist, or no catalog has been built.
            BadDiagnostic: a description of a diagnostic is not valid.
        """
        settings = self.settings.catalog
        inspection = CallLimits(
            settings.isolate_seconds, _WALL_TIME_FACTOR * settings.isolate_seconds, settings.isolate_mib << 20
        )
        files = PooledFiles(
            readers,
            StoredFrames(store),
            inspection if settings.isolate else None,
            refuse_changed=settings.changed == "refuse",
        )
        own = self._open_index()
        if isinstance(own, DirectoryArchive):
            index = WaitingIndex(own, partial(ask_in_process, readers), files.find_entry)
        else:
            index = WaitingIndex(own, ask_in_thread if settings.url else ask_at_once)
        return Catalog.from_files(index, files, self.diagnostics, ResultsAtHand(self._open_results(store)))

    def make_reader_pool(self, source: SettingsSource, fork_server: ForkServer) -> ProcessPool:
        """Make the processes that read files for `open_pooled_catalog`.

        Args:
            source: from which they load their settings.
            fork_server: forks them.
        """
        server = self.settings.server
        return ProcessPool(
            server.readers or (os.cpu_count() or 1) + 1,
            CallLimits(server.read_seconds, server.read_seconds, server.read_mib << 20),
            fork_server=fork_server,
            initialize=partial(prepare_reader, source),
            max_waiting=_MAX_WAITING_READS,
            wait_seconds=server.wait_seconds,
            passes=(BadQuery, BadToken, LookupError),
        )

    def make_reader_state(self) -> ReaderState:
        """Make what a reader process needs."""
        return ReaderState(self._open_image_store(), self._make_unpacker(), StoredFrames(self.open_frame_store()))

    def open_frame_store(self) -> FrameStore:
        """Open the store of frames that all processes of this site share on this machine."""
        return FrameStore(self.choose_frame_folder(), self.frame_store_limit)

    def _open_results(self, store: FrameStore) -> StoredFrames:
        """Open the part of the store that has results: of these descriptions, and of this run of the server.

        A site's own transforms may have changed before it was started.
        """
        run = os.environ.get(RUN_VARIABLE, "")
        return StoredFrames(store, f"{compute_diagnostics_fingerprint(self.diagnostics)} {run}")

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

    def choose_frame_folder(self) -> Path:
        """Choose the folder of the frame store; processes that share the store have to be told the choice."""
        catalog = self.settings.catalog
        name = f"{self.settings.archive.folder or catalog.url or catalog.index}"
        return catalog.frames or choose_folder(name, self.frame_store_limit)

    @property
    def frame_store_limit(self) -> int:
        """Bytes of the frame store."""
        return self.settings.catalog.frames_mib << 20

    def close_connections(self) -> None:
        """Close the connections to databases, before this process is forked; the next request opens new ones.

        SQLite must not be open during a fork, and no two processes may share a connection.
        """
        if "_sql_index" in self.__dict__:
            self._sql_index.close()
        if "_archive_database" in self.__dict__:
            self._archive_database.close()

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

    def _open_index(self) -> SqlIndex | DirectoryArchive:
        """Open what finds the entries: the catalog that was built, or the directory tree.

        Raises:
            BadSettings: the folder does not exist, or no catalog has been built.
        """
        folder = self.settings.archive.folder
        if folder is None:
            return self._open_built_index()
        if not folder.is_dir():
            raise BadSettings(f"archive.folder: there is no folder {folder}.")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise BadSettings(f"archive.folder: there is no right to list and to read {folder}.")
        return DirectoryArchive(folder)

    def _open_image_store(self) -> Store:
        folder = self.settings.archive.folder
        return self.open_store() if folder is None else LocalStore(folder)

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
        seconds = catalog.search_seconds
        if catalog.url:
            return SqlIndex(catalog.url, seconds)
        check_database_file("catalog.index", catalog.index)
        return SqlIndex.open_sqlite(catalog.index, seconds)

    @cached_property
    def _archive_database(self) -> ArchiveDatabase:
        """The connections to the archive, opened once, so that polling does not open a new pool each time."""
        archive = self.settings.archive
        if not archive.url:
            raise BadSettings('archive.url is empty; set it to the database, such as "sqlite:///archive.db".')
        return ArchiveDatabase(
            archive.url,
            read_secret("archive.password_file", archive.password_file),
            archive.pool_size,
            archive.connect_seconds,
            archive.statement_seconds,
            archive.attempts,
            archive.oracle_client,
            archive.oracle_wallet,
            read_secret("archive.oracle_wallet_password_file", archive.oracle_wallet_password_file),
        )

    def _make_unpacker(self) -> Unpacker:
        catalog = self.settings.catalog
        return Unpacker(catalog.unpack or get_cache_folder(), catalog.unpack_mib << 20)

    def _make_sandbox(self, workers: int = 1) -> Sandbox:
        catalog = self.settings.catalog
        return Sandbox(catalog.isolate_seconds, catalog.isolate_mib << 20, workers)


def prepare_reader(source: SettingsSource) -> None:
    """Prepare this process to read the files of a site; see `Site.open_pooled_catalog`."""
    initialize_reader(Site(source.load()).make_reader_state)
