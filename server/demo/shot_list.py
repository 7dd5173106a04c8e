"""The shots of the archive and the files of each, faults included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, Literal, TypeAlias

Facility: TypeAlias = Literal["OMEGA", "OMEGA EP"]
Container: TypeAlias = Literal["HDF4", "HDF5"]


class Fault(Enum):
    """A fault of a file that has a row in the database."""

    MISSING = "the file is not there"
    LOGIN_PAGE = "the file is an HTML login page, saved under an image's name"


class Subject(Enum):
    """The subject of an image: the shot, or a known object for calibration."""

    SHOT = "the shot"
    FLAT = "a uniform lamp"
    GRID = "a grid of dots"
    WEDGE = "a step wedge, on the film of the shot"


@dataclass(frozen=True)
class StoredFile:
    """One row of the archive: the diagnostic, the user's name of the file, and its container."""

    diagnostic: str
    source_file: str
    container: Container = "HDF4"
    fault: Fault | None = None
    subject: Subject = Subject.SHOT


@dataclass(frozen=True)
class Shot:
    """One shot. Its number is unique only within the facility."""

    facility: Facility
    number: int
    when: datetime  # local time of the laboratory, like in its archive
    files: tuple[StoredFile, ...]


SHOTS: Final = (
    Shot(
        "OMEGA",
        25386,  # OMEGA EP has another shot 25386
        datetime.fromisoformat("2001-10-30T14:22:37.400"),
        (StoredFile("SOP", "sop_s25386.hdf"),),
    ),
    Shot(
        "OMEGA",
        62326,  # two shots before the first VISAR: calibration of its camera
        datetime.fromisoformat("2011-05-19T08:36:52.900"),
        (
            StoredFile("ASBO1", "asbo1_flat_s62326.hdf", subject=Subject.FLAT),
            StoredFile("ASBO1", "asbo1_grid_s62326.hdf", subject=Subject.GRID),
        ),
    ),
    Shot(
        "OMEGA",
        62328,
        datetime.fromisoformat("2011-05-19T10:41:07.300"),
        (StoredFile("ASBO1", "asbo1_s62328.hdf"), StoredFile("ASBO2", "asbo2_s62328.hdf")),
    ),
    Shot(
        "OMEGA EP",
        25384,
        datetime.fromisoformat("2017-04-13T13:31:20.100"),
        (StoredFile("SOP", "sop_flat_s25384.hdf", subject=Subject.FLAT),),
    ),
    Shot(
        "OMEGA EP",
        25386,
        datetime.fromisoformat("2017-04-13T16:08:52.800"),
        (StoredFile("SOP", "sop_s25386.hdf"),),
    ),
    Shot(
        "OMEGA",
        103741,
        datetime.fromisoformat("2022-03-24T09:26:44.000"),
        (
            StoredFile("P510_2", "p510_2_s103741.hdf"),
            StoredFile("P510_2", "P510_2-s103741.h5", "HDF5"),
            StoredFile("P510", "P510-p510_data_103741.h5", "HDF5"),
            StoredFile("PTD", "PTD_s103741_ptd.h5", "HDF5"),
            StoredFile("XRFC_FILM", "xrfc_film_s103741.hdf"),
            StoredFile("XRFC_FILM", "xrfc_film_s103741_swedge.hdf", subject=Subject.WEDGE),
        ),
    ),
    Shot(
        "OMEGA",
        103955,
        datetime.fromisoformat("2022-04-07T15:20:11.700"),
        (StoredFile("PCIS", "PCIS-s103955_pcis1_-1-[phosphor].h5", "HDF5"),),
    ),
    Shot(
        "OMEGA",
        112059,
        datetime.fromisoformat("2024-02-14T11:53:20.600"),
        (
            StoredFile("EPW_CCD", "EPW_CCD-s112059.hdf"),
            StoredFile("IAW_CCD", "IAW_CCD-s112059.hdf", fault=Fault.MISSING),
            StoredFile("ATS_CCD", "ATS_CCD-s112059.hdf", fault=Fault.LOGIN_PAGE),
        ),
    ),
)
