"""A small archive that never was: real layouts, plausible pictures, and the faults that archives have.

For the demo and for the tests: `make_archive` makes the whole of it, `synthesise` one image, `write_image` one file.
Nothing in it is copied from a real file. What its pictures were made with is here too, for tests to compare with: the
sweeps, the cameras' `sensitivity`, the film's `film_density`, the plate's `SCANNER` and `fading`, the grid's
`DISTORTION`.
"""

from __future__ import annotations

from shotdap.server.demo.camera_images import DIAGNOSTICS, synthesise
from shotdap.server.demo.image_content import Image, Scale, Variable
from shotdap.server.demo.image_files import WRITERS, write_hdf4, write_hdf5, write_image
from shotdap.server.demo.physics.film_scan import COUNTS_PER_OD, FOG, WEDGE, film_density, film_log_exposure
from shotdap.server.demo.physics.grid import DISTORTION, GRID
from shotdap.server.demo.physics.plate import SCANNER, fading, plate_exposure
from shotdap.server.demo.physics.sensitivity import LAMP, sensitivity
from shotdap.server.demo.physics.sweep import COMB_PERIOD, FIDUCIAL_PERIOD, SWEEPS, Sweep
from shotdap.server.demo.shot_list import SHOTS, Fault, Shot, StoredFile, Subject
from shotdap.server.demo.synthetic_archive import ARCHIVE_FILES, DATABASE, FILES, make_archive

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
