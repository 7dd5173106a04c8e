"""One image as an order wants it: lazily, then as a file."""

from __future__ import annotations

from typing import Final

import xarray as xr

from shotdap.catalog import Catalog
from shotdap.server.encoders import EncodedFile
from shotdap.server.exports.order import Order
from shotdap.server.http.errors import TooLarge
from shotdap.server.http.limits import estimate_cost

__all__ = ["encode_image", "open_extraction"]

_MIB: Final = 2**20


def open_extraction(catalog: Catalog, order: Order, path: str, memory: int) -> xr.Dataset:
    """What is wanted of an image; no pixel has been read.

    Args:
        catalog: where it is.
        order: what is wanted.
        path: the image's public path.
        memory: bytes that its values, what is read for them, and the working memory of transforms may take.

    Raises:
        NotFound: there is no such image.
        BadSelection, BadVariant: it has not what is wanted.
        TooLarge: it takes more memory.
        Unreadable: its file cannot be read.
    """
    dataset = order.extraction.apply(catalog.open(order.extraction.build_path(path), chunked=False))
    needed = dataset.nbytes + sum(estimate_cost(dataset))
    if needed > memory:
        raise TooLarge(
            f"This takes {needed / _MIB:,.0f} MiB, and one image may take {memory / _MIB:,.0f} MiB of a worker's memory"
            " (exports.memory_mib). Ask for fewer variables, or for a part."
        )
    return dataset


def encode_image(order: Order, dataset: xr.Dataset) -> EncodedFile:
    """Computed values as a file of the order's format.

    Raises:
        BadSelection: the format cannot hold them.
    """
    return order.file_format.encode(dataset, order.display)
