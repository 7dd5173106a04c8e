"""The catalog's own database: entries by their public paths, searches, facet counts and changes.

The database is SQLite, embedded, or PostgreSQL where several servers share a catalog. The code is the same for both,
except connections and transactions (`database`), full text (`fulltext`) and a few statements.
"""

from __future__ import annotations

from shotdap.catalog.index.build_lock import BuildLock, BuildState, Busy, Superseded
from shotdap.catalog.index.changes import FIRST_TOKEN, Change, ChangePage, OutdatedToken
from shotdap.catalog.index.database import BadCatalog, LostCatalog
from shotdap.catalog.index.facets import FacetCounts
from shotdap.catalog.index.records import InspectionResult, NewRecord, Record, make_new_record
from shotdap.catalog.index.search import BadToken, SearchPage
from shotdap.catalog.index.sql_index import SqlIndex
from shotdap.catalog.index.transaction import ExistingEntry, WriteTransaction

__all__ = [
    "FIRST_TOKEN",
    "BadCatalog",
    "BadToken",
    "BuildLock",
    "BuildState",
    "Busy",
    "Change",
    "ChangePage",
    "ExistingEntry",
    "FacetCounts",
    "InspectionResult",
    "LostCatalog",
    "NewRecord",
    "OutdatedToken",
    "Record",
    "SearchPage",
    "SqlIndex",
    "Superseded",
    "WriteTransaction",
    "make_new_record",
]
