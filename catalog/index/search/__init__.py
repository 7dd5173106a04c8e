"""Search: pages of entries that match a query, at any size of the catalog.

`pages` makes one. It asks `naming` whose the query's names are, `narrowing` what the tables can tell of its terms (in
`bounds`, `said` and `described`), `courses` in which order and by which `streams` of indexes entries are walked; and
`matching` decides of each. `places` are how far a page has come, as tokens.
"""

from __future__ import annotations

from shotdap.catalog.index.search.cursor import BadToken
from shotdap.catalog.index.search.matching import Matcher
from shotdap.catalog.index.search.pages import MOST, SearchPage, search
from shotdap.catalog.index.search.partitions import Kinds

__all__ = ["MOST", "BadToken", "Kinds", "Matcher", "SearchPage", "search"]
