"""What a package says of itself to people: ``README.txt``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

import jinja2

from shotdap import __version__
from shotdap.server.exports.package.package_manifest import Line, Written
from shotdap.server.exports.package.package_order import Order

__all__ = ["readme"]


@dataclass(frozen=True)
class _Opening:
    """How a member is opened; ``{file}`` and ``{variable}`` stand for its names."""

    python: str
    matlab: str = ""
    idl: str = ""


_NETCDF: Final = _Opening(
    'import xarray as xr\nds = xr.open_dataset("{file}")\nds["{variable}"].plot()  # needs matplotlib',
    "d = ncread('{file}', '{variable}')';      % MATLAB turns rows and columns round",
    "id = NCDF_OPEN('{file}') & NCDF_VARGET, id, '{variable}', d",
)
_TABLE: Final[Mapping[str, _Opening]] = MappingProxyType(
    {
        ".nc": _NETCDF,
        ".nc4": _NETCDF,
        ".h5": _Opening(
            'import h5py\nfile = h5py.File("{file}")\nfile.visit(print)             # what is in it',
            "h5disp('{file}')                    % what is in it; then h5read",
            "f = H5F_OPEN('{file}') & H5_LIST, '{file}'",
        ),
        ".hdf": _Opening(
            'from pyhdf.SD import SD\nfile = SD("{file}")\nfile.datasets()               # what is in it',
            "hdfinfo('{file}')                   % what is in it; then hdfread",
            "id = HDF_SD_START('{file}', /READ)",
        ),
        ".tiff": _Opening(
            'import tifffile\nd = tifffile.imread("{file}")', "d = imread('{file}');", "d = READ_TIFF('{file}')"
        ),
        ".png": _Opening(
            'from PIL import Image\npicture = Image.open("{file}")', "d = imread('{file}');", "d = READ_IMAGE('{file}')"
        ),
        ".npy": _Opening('import numpy as np\nd = np.load("{file}")'),
        ".npz": _Opening('import numpy as np\nd = np.load("{file}")["{variable}"]'),
        ".csv": _Opening(
            'import pandas as pd\nd = pd.read_csv("{file}", comment="#")',
            "d = readmatrix('{file}', CommentStyle='#');",
            "d = READ_CSV('{file}')",
        ),
        ".zarr.zip": _Opening(
            "import xarray as xr\nfrom zarr.storage import ZipStore\n"
            'ds = xr.open_zarr(ZipStore("{file}", mode="r"))\nds["{variable}"].plot()  # needs matplotlib'
        ),
        ".mat": _Opening(
            'from scipy.io import loadmat\nd = loadmat("{file}")["{variable}"]', "load('{file}')",
        ),
        ".json": _Opening(
            'import json\nfrom pathlib import Path\nd = json.loads(Path("{file}").read_text("utf-8"))',
            "d = jsondecode(fileread('{file}'));",
        ),
    }
)  # fmt: skip
"""By the ending of a member's name."""

_EXAMPLES: Final = ("result", "background_subtracted", "image")
_ALIASES: Final = MappingProxyType({".hdf5": ".h5", ".tif": ".tiff", ".jpg": ".png", ".jpeg": ".png"})
_STEP: Final = 1000
_UNITS: Final = ("bytes", "kB", "MB", "GB")


def readme(order: Order, lines: Iterable[Line], made: datetime) -> bytes:
    """The text, of lines that any editor shows; in UTF-8."""
    lines = list(lines)
    text = _TEMPLATE.render(
        order=order,
        lines=[line for line in lines if line.members],
        troubled=[line for line in lines if line.problems],
        count=len(lines),
        made=f"{made:%Y-%m-%d %H:%M:%S} UTC",
        software=f"shotdap {__version__}",
        openings=_openings(lines),
    )
    return text.encode("utf-8", "replace")


def _openings(lines: Iterable[Line]) -> dict[str, str]:
    """For each language, how the first member of each kind is opened."""
    found: dict[str, list[str]] = {"Python": [], "MATLAB": [], "IDL": []}
    seen: set[str] = set()
    for member in (member for line in lines for member in line.members):
        ending = next((ending for ending in (*_TABLE, *_ALIASES) if member.name.lower().endswith(ending)), "")
        ending = _ALIASES.get(ending, ending)
        if ending and ending not in seen:
            seen.add(ending)
            opening = _TABLE[ending]
            for language, code in (("Python", opening.python), ("MATLAB", opening.matlab), ("IDL", opening.idl)):
                if code:
                    found[language].append(code.format(file=member.name, variable=_shown(member)))
    return {language: "\n".join(code) for language, code in found.items() if code}


def _shown(member: Written) -> str:
    """The variable of a member that is an example."""
    names = [name for name in (*_EXAMPLES, *member.variables) if name in member.variables]
    return next(iter(names), "image")


def _in_units(size: float) -> str:
    """A number of bytes for people: ``9.8 MB``."""
    unit = 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size:.{1 if unit else 0}f} {_UNITS[unit]}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shotdap.server.exports.package"),
        autoescape=False,  # noqa: S701 — plain text, which no browser is to take for anything else
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["in_units"] = _in_units
    return environment


_TEMPLATE: Final = _environment().get_template("README.txt.jinja")
