"""Search: pages of entries that match a query, at any size of the catalog.

`result_pages` reads a page. `fields` decides which names of the query are attributes of files. `plan` translates terms
into conditions on the tables (`range_predicates`, `fact_predicates`, `attribute_predicates`). `access_path` chooses
the order and the ranges of indexes to scan (`index_scan`). `matching` decides about each entry. `cursor` encodes the
position after a page as a token.
"""

from __future__ import annotations

from shotdap.catalog.index.search.cursor import BadToken
from shotdap.catalog.index.search.matching import Matcher
from shotdap.catalog.index.search.partitions import PartitionCache
from shotdap.catalog.index.search.result_pages import MAX_PAGE_SIZE, SearchPage, search_entries

__all__ = ["MAX_PAGE_SIZE", "BadToken", "Matcher", "PartitionCache", "SearchPage", "search_entries"]
