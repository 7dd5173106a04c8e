"""The catalog's own database: entries by their public paths, what can be asked of them, and what has changed.

SQLite, embedded, or PostgreSQL where several servers share a catalog; the same code for both. What differs is in
`database` (how a transaction begins) and in `fulltext` (full text), and nowhere else.
"""

from __future__ import annotations

from shotdap.catalog.index.build_lock import BuildLock, Busy, Superseded
from shotdap.catalog.index.changes import Change, ChangePage
from shotdap.catalog.index.database import BadCatalog, LostCatalog
from shotdap.catalog.index.facets import FacetCounts
from shotdap.catalog.index.records import InspectionResult, NewRecord, Record, compute_row_hash, make_new_record
from shotdap.catalog.index.search import BadToken, SearchPage
from shotdap.catalog.index.sql_index import SqlIndex
from shotdap.catalog.index.transaction import ExistingEntry, WriteTransaction

__all__ = [
    "BadCatalog",
    "BadToken",
    "BuildLock",
    "Busy",
    "Change",
    "ChangePage",
    "ExistingEntry",
    "FacetCounts",
    "InspectionResult",
    "LostCatalog",
    "NewRecord",
    "Record",
    "SearchPage",
    "SqlIndex",
    "Superseded",
    "WriteTransaction",
    "compute_row_hash",
    "make_new_record",
]
