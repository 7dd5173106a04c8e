"""HDF4 files: scientific data sets and raster images of every generation.

The attribute ``omitted`` lists what is not read: tables (Vdata), and unsupported arrays. The library invents dimensions
named ``fakeDim0``, …; these are named after the array here.
"""

from __future__ import annotations

import xarray as xr

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.attributes import add_omissions, normalize_attributes
from shotdap.catalog.readers.hdf4.contents import OmittedArray, combine_arrays
from shotdap.catalog.readers.hdf4.data_descriptors import read_checked_directory
from shotdap.catalog.readers.hdf4.raster import find_raster_arrays, rename_conflicting_dimensions
from shotdap.catalog.readers.hdf4.scientific import find_scientific_arrays
from shotdap.catalog.readers.hdf4.value_sources import Hdf4File
from shotdap.catalog.storage import FilePath
from shotdap.transforms import Memo

__all__ = ["read"]


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    file = Hdf4File(path)
    directory = read_checked_directory(path)
    arrays, omitted, attributes = find_scientific_arrays(file, directory, memo)
    images, omitted_images, image_attributes = find_raster_arrays(file, directory, memo)
    omitted += omitted_images
    if not (arrays or images or omitted):
        raise Unreadable("The HDF4 file holds neither a scientific data set nor a raster image.")
    omitted += [OmittedArray(name, "it is a table (Vdata), which is not read") for name in directory.table_names]
    file_attributes = normalize_attributes({**directory.file_annotations, **image_attributes, **attributes})
    return combine_arrays(
        [*arrays, *rename_conflicting_dimensions(images, arrays)], add_omissions(file_attributes, map(str, omitted))
    )
