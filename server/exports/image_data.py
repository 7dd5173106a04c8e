"""Open an image as an order selects it, and encode it."""

from __future__ import annotations

from typing import Final

import xarray as xr

from shotdap.catalog import Catalog
from shotdap.server.encoders import EncodedFile
from shotdap.server.exports.order import Order, Source
from shotdap.server.extraction import Extraction
from shotdap.server.http.errors import TooLarge
from shotdap.server.http.limits import estimate_cost

_MIB: Final = 2**20


def open_variant(catalog: Catalog, extraction: Extraction, path: str) -> xr.Dataset:
    """Open an image, or the variant of it that the transforms make; lazily, and without Dask."""
    return catalog.open(extraction.build_path(path), chunked=False)


def open_extraction(catalog: Catalog, extraction: Extraction, path: str) -> xr.Dataset:
    """Open the selected variables and ranges of an image; no pixel is read.

    Raises:
        NotFound: the image does not exist.
        BadSelection, BadVariant: the image does not have what is selected.
        Unreadable: its file cannot be read.
    """
    return extraction.apply(open_variant(catalog, extraction, path))


def check_memory(dataset: xr.Dataset, memory_limit: int) -> None:
    """Refuse a dataset whose values, reads and transforms take more memory than a worker has.

    Raises:
        TooLarge: it does.
    """
    size = dataset.nbytes + sum(estimate_cost(dataset))
    if size > memory_limit:
        raise TooLarge(
            f"This takes {size / _MIB:,.0f} MiB, and one image may take {memory_limit / _MIB:,.0f} MiB of a worker's"
            " memory (exports.memory_mib). Ask for fewer variables, or for a part."
        )


def encode_image(order: Order[Source], dataset: xr.Dataset) -> EncodedFile:
    """Encode computed values in the order's format.

    Raises:
        BadSelection: the format cannot hold them.
    """
    return order.file_format.encode(dataset, order.display)
