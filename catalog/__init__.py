"""Rows of ``ARCHIVE_FILES`` in, labelled lazy datasets out.

An `Archive` gives rows; `build` makes entries of them, in an index; a `Catalog` finds entries and opens them.
"""

from __future__ import annotations

from shotdap.catalog.archive.archive import Archive, BadArchive, LostArchive, Row, Watermark
from shotdap.catalog.archive.connection import ArchiveDatabase
from shotdap.catalog.archive.directory import Folder
from shotdap.catalog.archive.report import survey
from shotdap.catalog.archive.sql import Between, Filter, SqlArchive, Value
from shotdap.catalog.build.builder import BuildReport, Progress, build
from shotdap.catalog.build.path_template import DEFAULT_TEMPLATE, PathTemplate
from shotdap.catalog.catalog import Catalog, State
from shotdap.catalog.collections.chunk_sources import images_of
from shotdap.catalog.collections.members import TooMany
from shotdap.catalog.collections.stack import BadStack
from shotdap.catalog.diagnostics.diagnostic import Axis, Diagnostic, Match, Quantity, Related, Rule, TimeStamp
from shotdap.catalog.diagnostics.explain import explain
from shotdap.catalog.diagnostics.label import label, matching
from shotdap.catalog.entry import (
    Changed,
    Child,
    Entry,
    Fact,
    Health,
    Index,
    Missing,
    NotFound,
    Page,
    Unreadable,
    When,
)
from shotdap.catalog.index import (
    BadCatalog,
    BadToken,
    Busy,
    Change,
    Changes,
    Facets,
    LostCatalog,
    SearchPage,
    SqlIndex,
    Superseded,
)
from shotdap.catalog.inspection.run import InspectionReport, Inspector, inspect
from shotdap.catalog.inspection.sandbox import Isolation, Undecided
from shotdap.catalog.paths import Address, Collection
from shotdap.catalog.query import BadQuery, Query, parse
from shotdap.catalog.readers.gunzip import Unpacker, usual_folder
from shotdap.catalog.searchable import Searchable, Unsearchable
from shotdap.catalog.storage import (
    Cache,
    Folders,
    HeldFile,
    LargeObjects,
    Objects,
    Places,
    Store,
    Version,
    attempt,
    retry_changed,
)

__all__ = [
    "DEFAULT_TEMPLATE",
    "Address",
    "Archive",
    "ArchiveDatabase",
    "Axis",
    "BadArchive",
    "BadCatalog",
    "BadQuery",
    "BadStack",
    "BadToken",
    "Between",
    "BuildReport",
    "Busy",
    "Cache",
    "Catalog",
    "Change",
    "Changed",
    "Changes",
    "Child",
    "Collection",
    "Diagnostic",
    "Entry",
    "Facets",
    "Fact",
    "Filter",
    "Folder",
    "Folders",
    "Health",
    "HeldFile",
    "Index",
    "InspectionReport",
    "Inspector",
    "Isolation",
    "LargeObjects",
    "LostArchive",
    "LostCatalog",
    "Match",
    "Missing",
    "NotFound",
    "Objects",
    "Page",
    "PathTemplate",
    "Places",
    "Progress",
    "Quantity",
    "Query",
    "Related",
    "Row",
    "Rule",
    "SearchPage",
    "Searchable",
    "SqlArchive",
    "SqlIndex",
    "State",
    "Store",
    "Superseded",
    "TimeStamp",
    "TooMany",
    "Undecided",
    "Unpacker",
    "Unreadable",
    "Unsearchable",
    "Value",
    "Version",
    "Watermark",
    "When",
    "attempt",
    "build",
    "explain",
    "images_of",
    "inspect",
    "label",
    "matching",
    "parse",
    "retry_changed",
    "survey",
    "usual_folder",
]
