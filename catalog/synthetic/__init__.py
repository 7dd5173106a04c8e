"""A small archive that never was: real layouts, plausible pictures, and the faults that archives have.

For the demo and for the tests: `make_archive` makes the whole of it, `synthesise` one image, `write_image` one file.
Nothing in it is copied from a real file.
"""

from __future__ import annotations

from shotdap.catalog.synthetic.archive import ARCHIVE_FILES, DATABASE, FILES, make_archive
from shotdap.catalog.synthetic.diagnostics import DIAGNOSTICS, synthesise
from shotdap.catalog.synthetic.files import WRITERS, write_hdf4, write_hdf5, write_image
from shotdap.catalog.synthetic.image import Image, Variable
from shotdap.catalog.synthetic.pictures import FIDUCIAL_PERIOD, SWEEPS, Sweep
from shotdap.catalog.synthetic.shots import SHOTS, Fault, Shot, StoredFile

__all__ = [
    "ARCHIVE_FILES",
    "DATABASE",
    "DIAGNOSTICS",
    "FIDUCIAL_PERIOD",
    "FILES",
    "SHOTS",
    "SWEEPS",
    "WRITERS",
    "Fault",
    "Image",
    "Shot",
    "StoredFile",
    "Sweep",
    "Variable",
    "make_archive",
    "synthesise",
    "write_hdf4",
    "write_hdf5",
    "write_image",
]
