"""A small archive that never was: real layouts, plausible pictures, and the faults that archives have.

For the demo and for the tests: `make_archive` makes the whole of it, `synthesise` one image, `write_image` one file.
Nothing in it is copied from a real file. What its pictures were made with is here too, for tests to compare with: the
sweeps, the cameras' `sensitivity`, the film's `film_density`, the plate's `SCANNER` and `fading`, the grid's
`DISTORTION`.
"""

from __future__ import annotations

from shotdap.catalog.synthetic.archive import ARCHIVE_FILES, DATABASE, FILES, make_archive
from shotdap.catalog.synthetic.diagnostics import DIAGNOSTICS, synthesise
from shotdap.catalog.synthetic.files import WRITERS, write_hdf4, write_hdf5, write_image
from shotdap.catalog.synthetic.image import Image, Scale, Variable
from shotdap.catalog.synthetic.pictures.film import COUNTS_PER_OD, FOG, WEDGE, film_density, film_log_exposure
from shotdap.catalog.synthetic.pictures.grid import DISTORTION, GRID
from shotdap.catalog.synthetic.pictures.plate import SCANNER, fading, plate_exposure
from shotdap.catalog.synthetic.pictures.sensitivity import LAMP, sensitivity
from shotdap.catalog.synthetic.pictures.sweep import COMB_PERIOD, FIDUCIAL_PERIOD, SWEEPS, Sweep
from shotdap.catalog.synthetic.shots import SHOTS, Fault, Shot, StoredFile, Subject

__all__ = [
    "ARCHIVE_FILES",
    "COMB_PERIOD",
    "COUNTS_PER_OD",
    "DATABASE",
    "DIAGNOSTICS",
    "DISTORTION",
    "FIDUCIAL_PERIOD",
    "FILES",
    "FOG",
    "GRID",
    "LAMP",
    "SCANNER",
    "SHOTS",
    "SWEEPS",
    "WEDGE",
    "WRITERS",
    "Fault",
    "Image",
    "Scale",
    "Shot",
    "StoredFile",
    "Subject",
    "Sweep",
    "Variable",
    "fading",
    "film_density",
    "film_log_exposure",
    "make_archive",
    "plate_exposure",
    "sensitivity",
    "synthesise",
    "write_hdf4",
    "write_hdf5",
    "write_image",
]
