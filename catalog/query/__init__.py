"""What is looked for, as text and as terms: one language for the command line, pages and Python.

Pure: it knows no database. `parse_query` reads a query, ``str(query)`` writes it, `meanings` says what a value means where
its name is the catalog's own.
"""

from __future__ import annotations

from shotdap.catalog.query.errors import BadQuery
from shotdap.catalog.query.parsing import parse_query
from shotdap.catalog.query.terms import Pattern, Query, Term, TextRange, Value

__all__ = ["BadQuery", "Pattern", "Query", "Term", "TextRange", "Value", "parse_query"]
