"""The query language of the command line, the pages and Python: text and terms.

It knows no database. `parse_query` parses a text, ``str(query)`` formats a query, and `values` gives the values of the
catalog's built-in fields their meaning.
"""

from __future__ import annotations

from shotdap.catalog.query.bad_query import BadQuery
from shotdap.catalog.query.parsing import parse_query
from shotdap.catalog.query.terms import Pattern, Query, Term, TextRange, Value

__all__ = ["BadQuery", "Pattern", "Query", "Term", "TextRange", "Value", "parse_query"]
