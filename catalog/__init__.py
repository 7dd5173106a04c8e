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
from shotdap.catalog.catalog import Catalog
from shotdap.catalog.collections.chunk_sources import get_image_paths
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
    TimeDirection,
    Unreadable,
)
from shotdap.catalog.image import Image
from shotdap.catalog.index import (
    BadCatalog,
    BadToken,
    Busy,
    Change,
    ChangePage,
    FacetCounts,
    LostCatalog,
    SearchPage,
    SqlIndex,
    Superseded,
)
from shotdap.catalog.inspection.inspect_archive import InspectionReport, Inspector, inspect_catalog
from shotdap.catalog.inspection.sandbox import Sandbox, Undecided
from shotdap.catalog.paths import CollectionAddress, ImageAddress
from shotdap.catalog.query import BadQuery, parse_query
from shotdap.catalog.readers.gunzip import Unpacker, get_cache_folder
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

__all__ = [
    "Archive",
    "ArchiveDatabase",
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
    "NotFound",
    "PathTemplate",
    "ProgressCallback",
    "Quantity",
    "Related",
    "Row",
    "Rule",
    "S3ObjectStore",
    "Sandbox",
    "SchemeStore",
    "SearchPage",
    "SqlArchive",
    "SqlIndex",
    "Store",
    "Superseded",
    "TimeDirection",
    "TimeStamp",
    "TooMany",
    "Undecided",
    "Unpacker",
    "Unreadable",
    "Unsearchable",
    "Version",
    "Watermark",
    "begin_attempt",
    "build_catalog",
    "describe_archive",
    "get_cache_folder",
    "get_image_paths",
    "inspect_catalog",
    "parse_query",
    "retry_if_changed",
]
