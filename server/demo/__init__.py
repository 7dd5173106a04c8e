"""A small synthetic archive: real layouts, plausible pictures, and the faults that archives have.

The demonstration and the tests use it: `make_archive` makes all of it, `make_image` one image, `write_image` one file.
Nothing in it is copied from a real file. The parameters of the pictures are here, too, so that tests can compare: the
sweeps, the cameras' `compute_sensitivity`, the film's `compute_film_density`, the plate's `SCANNER` and
`compute_fading`, the grid's `DISTORTION`.
"""

from __future__ import annotations

from shotdap.server.demo.camera_images import DIAGNOSTICS, make_image
from shotdap.server.demo.image_content import Scale, SyntheticImage, Variable
from shotdap.server.demo.image_files import WRITERS, write_hdf4, write_hdf5, write_image
from shotdap.server.demo.physics.film_scan import (
    COUNTS_PER_OD,
    FOG,
    WEDGE,
    compute_film_density,
    compute_film_log_exposure,
)
from shotdap.server.demo.physics.grid import DISTORTION, GRID
from shotdap.server.demo.physics.plate import SCANNER, compute_fading, draw_plate_exposure
from shotdap.server.demo.physics.sensitivity import LAMP_COUNTS, compute_sensitivity
from shotdap.server.demo.physics.sweep import COMB_PERIOD, FIDUCIAL_PERIOD, SWEEPS, Sweep
from shotdap.server.demo.shot_list import SHOTS, Fault, Shot, StoredFile, Subject
from shotdap.server.demo.synthetic_archive import ARCHIVE_FILES, DATABASE_FILE, FILES_FOLDER, make_archive

__all__ = [
    "ARCHIVE_FILES",
    "COMB_PERIOD",
    "COUNTS_PER_OD",
    "DATABASE_FILE",
    "DIAGNOSTICS",
    "DISTORTION",
    "FIDUCIAL_PERIOD",
    "FILES_FOLDER",
    "FOG",
    "GRID",
    "LAMP_COUNTS",
    "SCANNER",
    "SHOTS",
    "SWEEPS",
    "WEDGE",
    "WRITERS",
    "Fault",
    "Scale",
    "Shot",
    "StoredFile",
    "Subject",
    "Sweep",
    "SyntheticImage",
    "Variable",
    "compute_fading",
    "compute_film_density",
    "compute_film_log_exposure",
    "compute_sensitivity",
    "draw_plate_exposure",
    "make_archive",
    "make_image",
    "write_hdf4",
    "write_hdf5",
    "write_image",
]
