"""HDF4 files: scientific data sets and raster images of every generation.

What is not read is said in the attribute `omitted`: tables (Vdata), and arrays with an obstacle. Dimensions called
``fakeDim0``, … were made up by the library: ours are named after the array.
"""

from __future__ import annotations

import xarray as xr

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.attributes import clean, noted
from shotdap.catalog.readers.hdf4.contents import Omitted, assembled
from shotdap.catalog.readers.hdf4.data_descriptors import directory
from shotdap.catalog.readers.hdf4.raster import placed, raster_arrays
from shotdap.catalog.readers.hdf4.scientific import scientific_arrays
from shotdap.catalog.readers.hdf4.value_sources import File
from shotdap.catalog.readers.lazy import Remember
from shotdap.catalog.storage import FilePath

__all__ = ["read"]


def read(path: FilePath, remember: Remember) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    file = File(path)
    listed = directory(path)
    arrays, omitted, attributes = scientific_arrays(file, listed, remember)
    images, unread_images, image_attributes = raster_arrays(file, listed, remember)
    omitted += unread_images
    if not (arrays or images or omitted):
        raise Unreadable("The HDF4 file holds neither a scientific data set nor a raster image.")
    omitted += [Omitted(name, "it is a table (Vdata), which is not read") for name in listed.tables]
    described = clean({**listed.texts, **image_attributes, **attributes})
    return assembled([*arrays, *placed(images, arrays)], noted(described, map(str, omitted)))
