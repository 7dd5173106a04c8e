"""Rows of ``ARCHIVE_FILES`` in, labelled lazy datasets out.

An `Archive` gives rows; `build` makes entries of them, in an index; a `Catalog` finds entries and opens them.
"""

from __future__ import annotations

from shotdap.catalog.archive import Archive, BadArchive, Row, Watermark
from shotdap.catalog.builder import DEFAULT_TEMPLATE, BuildReport, PathTemplate, build
from shotdap.catalog.diagnostic import Axis, Diagnostic, Match, Quantity, Related, Rule, TimeStamp
from shotdap.catalog.entry import Child, Entry, Fact, Health, Index, Missing, NotFound, Page, Unreadable, When
from shotdap.catalog.explanation import explain
from shotdap.catalog.folder import Folder
from shotdap.catalog.index import SqlIndex
from shotdap.catalog.inspection import InspectionReport, Inspector, inspect
from shotdap.catalog.isolation import Isolation
from shotdap.catalog.labels import label, matching
from shotdap.catalog.opening import Address, Catalog
from shotdap.catalog.sql import SqlArchive
from shotdap.catalog.unpacking import Unpacker, usual_folder

__all__ = [
    "DEFAULT_TEMPLATE",
    "Address",
    "Archive",
    "Axis",
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
    "Inspector",
    "Isolation",
    "Match",
    "Missing",
    "NotFound",
    "Page",
    "PathTemplate",
    "Quantity",
    "Related",
    "Row",
    "Rule",
    "SqlArchive",
    "SqlIndex",
    "TimeStamp",
    "Unpacker",
    "Unreadable",
    "Watermark",
    "When",
    "build",
    "explain",
    "inspect",
    "label",
    "matching",
    "usual_folder",
]
