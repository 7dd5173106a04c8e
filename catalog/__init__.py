"""The catalog: from rows of ``ARCHIVE_FILES`` to labelled lazy datasets.

An `Archive` has rows; `build_catalog` turns them into entries of an index; a `Catalog` finds and opens an `Image`.
"""

from __future__ import annotations

from shotdap.catalog.archive.archive import Archive, BadArchive, LostArchive, Row, Watermark
from shotdap.catalog.archive.connection import ArchiveDatabase
from shotdap.catalog.archive.directory import DirectoryArchive
from shotdap.catalog.archive.report import describe_archive
from shotdap.catalog.archive.sql import Between, ColumnFilter, FilterValue, SqlArchive
from shotdap.catalog.build.builder import BuildReport, ProgressCallback, build_catalog
from shotdap.catalog.build.path_template import PathTemplate
from shotdap.catalog.catalog import Catalog, compute_diagnostics_fingerprint
from shotdap.catalog.collections.chunk_sources import get_image_paths
from shotdap.catalog.collections.latest import LATEST
from shotdap.catalog.collections.members import TooMany
from shotdap.catalog.collections.stack import BadStack
from shotdap.catalog.diagnostics.diagnostic import Axis, Diagnostic, Match, Quantity, Related, Rule, TimeStamp
from shotdap.catalog.entry import (
    Changed,
    Child,
    Entry,
    Fact,
    FolderPage,
    Health,
    Index,
    Missing,
    NotFound,
    Overloaded,
    TimeDirection,
    Undecided,
    Unreadable,
)
from shotdap.catalog.file_access import ArchiveFiles
from shotdap.catalog.image import Image
from shotdap.catalog.index import (
    FIRST_TOKEN,
    BadCatalog,
    BadToken,
    Busy,
    Change,
    ChangePage,
    FacetCounts,
    LostCatalog,
    OutdatedToken,
    SearchPage,
    SqlIndex,
    Superseded,
)
from shotdap.catalog.index.search.visibility import EVERYTHING, NOTHING, WILDCARD, Grant, Visibility
from shotdap.catalog.inspection.inspect_archive import InspectionReport, Inspector, inspect_catalog
from shotdap.catalog.inspection.sandbox import Sandbox
from shotdap.catalog.paths import CollectionAddress, ImageAddress
from shotdap.catalog.query import BadQuery, parse_query
from shotdap.catalog.readers.gunzip import Unpacker, get_cache_folder
from shotdap.catalog.readers.lazy import FrameCache, is_stored
from shotdap.catalog.reading.frame_store import FrameStore, SpooledBody, make_key
from shotdap.catalog.reading.pooled_files import PooledFiles
from shotdap.catalog.reading.process_pool import CallLimits, ProcessPool
from shotdap.catalog.reading.process_starter import ForkServer
from shotdap.catalog.reading.reader_process import ReaderState, initialize_reader, inspect_in_process
from shotdap.catalog.reading.store_folder import choose_folder
from shotdap.catalog.reading.stored_frames import ResultsAtHand, StoredFrames
from shotdap.catalog.reading.suspending import NeedsProcess, require_process, run_suspending
from shotdap.catalog.reading.waiting_index import WaitingIndex, ask_at_once, ask_in_process, ask_in_thread
from shotdap.catalog.searchable import Unsearchable
from shotdap.catalog.storage import (
    BlobStore,
    FileCache,
    FileHandle,
    LocalStore,
    S3ObjectStore,
    SchemeStore,
    Store,
    Version,
    begin_attempt,
    retry_if_changed,
)
from shotdap.catalog.time_limit import TooSlow

__all__ = [
    "EVERYTHING",
    "FIRST_TOKEN",
    "LATEST",
    "NOTHING",
    "WILDCARD",
    "Archive",
    "ArchiveDatabase",
    "ArchiveFiles",
    "Axis",
    "BadArchive",
    "BadCatalog",
    "BadQuery",
    "BadStack",
    "BadToken",
    "Between",
    "BlobStore",
    "BuildReport",
    "Busy",
    "CallLimits",
    "Catalog",
    "Change",
    "ChangePage",
    "Changed",
    "Child",
    "CollectionAddress",
    "ColumnFilter",
    "Diagnostic",
    "DirectoryArchive",
    "Entry",
    "FacetCounts",
    "Fact",
    "FileCache",
    "FileHandle",
    "FilterValue",
    "FolderPage",
    "ForkServer",
    "FrameCache",
    "FrameStore",
    "Grant",
    "Health",
    "Image",
    "ImageAddress",
    "Index",
    "InspectionReport",
    "Inspector",
    "LocalStore",
    "LostArchive",
    "LostCatalog",
    "Match",
    "Missing",
    "NeedsProcess",
    "NotFound",
    "OutdatedToken",
    "Overloaded",
    "PathTemplate",
    "PooledFiles",
    "ProcessPool",
    "ProgressCallback",
    "Quantity",
    "ReaderState",
    "Related",
    "ResultsAtHand",
    "Row",
    "Rule",
    "S3ObjectStore",
    "Sandbox",
    "SchemeStore",
    "SearchPage",
    "SpooledBody",
    "SqlArchive",
    "SqlIndex",
    "Store",
    "StoredFrames",
    "Superseded",
    "TimeDirection",
    "TimeStamp",
    "TooMany",
    "TooSlow",
    "Undecided",
    "Unpacker",
    "Unreadable",
    "Unsearchable",
    "Version",
    "Visibility",
    "WaitingIndex",
    "Watermark",
    "ask_at_once",
    "ask_in_process",
    "ask_in_thread",
    "begin_attempt",
    "build_catalog",
    "choose_folder",
    "compute_diagnostics_fingerprint",
    "describe_archive",
    "get_cache_folder",
    "get_image_paths",
    "initialize_reader",
    "inspect_catalog",
    "inspect_in_process",
    "is_stored",
    "make_key",
    "parse_query",
    "require_process",
    "retry_if_changed",
    "run_suspending",
]
