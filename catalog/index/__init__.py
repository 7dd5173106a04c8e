"""The catalog's own database: entries by their public paths, what can be asked of them, and what has changed.

SQLite, embedded, or PostgreSQL where several servers share a catalog; the same code for both. What differs is in
`database` (how a transaction begins) and in `words` (full text), and nowhere else.
"""

from __future__ import annotations

from shotdap.catalog.index.build_lock import Busy, Superseded, Turn
from shotdap.catalog.index.changes import Change, Changes
from shotdap.catalog.index.database import BadCatalog, LostCatalog
from shotdap.catalog.index.facets import Facets
from shotdap.catalog.index.records import Draft, Record, Verdict, draft, stamp
from shotdap.catalog.index.search import BadToken, SearchPage
from shotdap.catalog.index.sql_index import SqlIndex
from shotdap.catalog.index.transaction import Known, Writing

__all__ = [
    "BadCatalog",
    "BadToken",
    "Busy",
    "Change",
    "Changes",
    "Draft",
    "Facets",
    "Known",
    "LostCatalog",
    "Record",
    "SearchPage",
    "SqlIndex",
    "Superseded",
    "Turn",
    "Verdict",
    "Writing",
    "draft",
    "stamp",
]
