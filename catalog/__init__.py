"""Rows of ``ARCHIVE_FILES`` in, labelled lazy datasets out.

An `Archive` gives rows; `build` makes entries of them, in an index; a `Catalog` finds entries and opens them.
"""

from __future__ import annotations

from shotdap.catalog.archive import Archive, BadArchive, Row, Watermark
from shotdap.catalog.builder import DEFAULT_TEMPLATE, BuildReport, InspectionReport, PathTemplate, build, inspect
from shotdap.catalog.entry import Child, Entry, Fact, Health, Index, Missing, NotFound, Page, Unreadable
from shotdap.catalog.folder import Folder
from shotdap.catalog.index import SqlIndex
from shotdap.catalog.labels import Diagnostic, label
from shotdap.catalog.opening import Catalog
from shotdap.catalog.sql import SqlArchive

__all__ = [
    "DEFAULT_TEMPLATE",
    "Archive",
    "BadArchive",
    "BuildReport",
    "Catalog",
    "Child",
    "Diagnostic",
    "Entry",
    "Fact",
    "Folder",
    "Health",
    "Index",
    "InspectionReport",
    "Missing",
    "NotFound",
    "Page",
    "PathTemplate",
    "Row",
    "SqlArchive",
    "SqlIndex",
    "Unreadable",
    "Watermark",
    "build",
    "inspect",
    "label",
]
