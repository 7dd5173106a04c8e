"""Search: pages of entries that match a query, at any size of the catalog.

`pages` makes one. It asks `naming` whose the query's names are, `plan` what the tables can tell of its terms (in
`bounds`, `format_number` and `described`), `courses` in which order and by which `streams` of indexes entries are walked; and
`find_diagnostic` decides of each. `select_positions` are how far a page has come, as tokens.
"""

from __future__ import annotations

from shotdap.catalog.index.search.cursor import BadToken
from shotdap.catalog.index.search.matching import Matcher
from shotdap.catalog.index.search.pages import MAX_PAGE_SIZE, SearchPage, search_entries
from shotdap.catalog.index.search.partitions import PartitionCache

__all__ = ["MAX_PAGE_SIZE", "BadToken", "Matcher", "PartitionCache", "SearchPage", "search_entries"]
