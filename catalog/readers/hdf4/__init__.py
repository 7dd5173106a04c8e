"""HDF4 files: scientific data sets and raster images of every generation.

What is not read is said in the attribute `omitted`: tables (Vdata), and arrays with an obstacle. Dimensions called
``fakeDim0``, … were made up by the library: ours are named after the array.
"""

from __future__ import annotations

import xarray as xr

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.attributes import add_omissions, normalize_attributes
from shotdap.catalog.readers.hdf4.contents import OmittedArray, combine_arrays
from shotdap.catalog.readers.hdf4.data_descriptors import read_directory
from shotdap.catalog.readers.hdf4.raster import find_raster_arrays, rename_conflicting_dimensions
from shotdap.catalog.readers.hdf4.scientific import find_scientific_arrays
from shotdap.catalog.readers.hdf4.value_sources import Hdf4File
from shotdap.catalog.readers.lazy import Memo
from shotdap.catalog.storage import FilePath

__all__ = ["read"]


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    file = Hdf4File(path)
    listed = read_directory(path)
    arrays, omitted, attributes = find_scientific_arrays(file, listed, memo)
    images, unread_images, image_attributes = find_raster_arrays(file, listed, memo)
    omitted += unread_images
    if not (arrays or images or omitted):
        raise Unreadable("The HDF4 file holds neither a scientific data set nor a raster image.")
    omitted += [OmittedArray(name, "it is a table (Vdata), which is not read") for name in listed.table_names]
    described = normalize_attributes({**listed.file_annotations, **image_attributes, **attributes})
    return combine_arrays(
        [*arrays, *rename_conflicting_dimensions(images, arrays)], add_omissions(described, map(str, omitted))
    )
