"""What a package says of itself to people: ``README.txt``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

import jinja2

from shotdap import __version__
from shotdap.server.exports.package.package_manifest import ManifestRecord, MemberRecord
from shotdap.server.exports.package.package_order import Order

__all__ = ["render_readme"]


@dataclass(frozen=True)
class _CodeExample:
    """How a member is opened; ``{file}`` and ``{variable}`` stand for its names."""

    python: str
    matlab: str = ""
    idl: str = ""


_NETCDF_EXAMPLE: Final = _CodeExample(
    'import xarray as xr\nds = xr.open_dataset("{file}")\nds["{variable}"].plot()  # needs matplotlib',
    "d = ncread('{file}', '{variable}')';      % MATLAB turns rows and columns round",
    "id = NCDF_OPEN('{file}') & NCDF_VARGET, id, '{variable}', d",
)
_EXAMPLES_BY_SUFFIX: Final[Mapping[str, _CodeExample]] = MappingProxyType(
    {
        ".nc": _NETCDF_EXAMPLE,
        ".nc4": _NETCDF_EXAMPLE,
        ".h5": _CodeExample(
            'import h5py\nfile = h5py.File("{file}")\nfile.visit(print)             # what is in it',
            "h5disp('{file}')                    % what is in it; then h5read",
            "f = H5F_OPEN('{file}') & H5_LIST, '{file}'",
        ),
        ".hdf": _CodeExample(
            'from pyhdf.SD import SD\nfile = SD("{file}")\nfile.datasets()               # what is in it',
            "hdfinfo('{file}')                   % what is in it; then hdfread",
            "id = HDF_SD_START('{file}', /READ)",
        ),
        ".tiff": _CodeExample(
            'import tifffile\nd = tifffile.imread("{file}")', "d = imread('{file}');", "d = READ_TIFF('{file}')"
        ),
        ".png": _CodeExample(
            'from PIL import Image\npicture = Image.open("{file}")', "d = imread('{file}');", "d = READ_IMAGE('{file}')"
        ),
        ".npy": _CodeExample('import numpy as np\nd = np.load("{file}")'),
        ".npz": _CodeExample('import numpy as np\nd = np.load("{file}")["{variable}"]'),
        ".csv": _CodeExample(
            'import pandas as pd\nd = pd.read_csv("{file}", comment="#")',
            "d = readmatrix('{file}', CommentStyle='#');",
            "d = READ_CSV('{file}')",
        ),
        ".zarr.zip": _CodeExample(
            "import xarray as xr\nfrom zarr.storage import ZipStore\n"
            'ds = xr.open_zarr(ZipStore("{file}", mode="r"))\nds["{variable}"].plot()  # needs matplotlib'
        ),
        ".mat": _CodeExample(
            'from scipy.io import loadmat\nd = loadmat("{file}")["{variable}"]', "load('{file}')",
        ),
        ".json": _CodeExample(
            'import json\nfrom pathlib import Path\nd = json.loads(Path("{file}").read_text("utf-8"))',
            "d = jsondecode(fileread('{file}'));",
        ),
    }
)  # fmt: skip
"""By the ending of a member's name."""

_PREFERRED_VARIABLES: Final = ("result", "background_subtracted", "image")
_SUFFIX_ALIASES: Final = MappingProxyType({".hdf5": ".h5", ".tif": ".tiff", ".jpg": ".png", ".jpeg": ".png"})
_UNIT_FACTOR: Final = 1000
_SIZE_UNITS: Final = ("bytes", "kB", "MB", "GB")


def render_readme(order: Order, lines: Iterable[ManifestRecord], made: datetime) -> bytes:
    """The text, of lines that any editor shows; in UTF-8."""
    lines = list(lines)
    text = _TEMPLATE.render(
        order=order,
        lines=[line for line in lines if line.members],
        troubled=[line for line in lines if line.problems],
        count=len(lines),
        made=f"{made:%Y-%m-%d %H:%M:%S} UTC",
        software=f"shotdap {__version__}",
        openings=_collect_code_examples(lines),
    )
    return text.encode("utf-8", "replace")


def _collect_code_examples(lines: Iterable[ManifestRecord]) -> dict[str, str]:
    """For each language, how the first member of each kind is opened."""
    found: dict[str, list[str]] = {"Python": [], "MATLAB": [], "IDL": []}
    seen: set[str] = set()
    for member in (member for line in lines for member in line.members):
        ending = next(
            (ending for ending in (*_EXAMPLES_BY_SUFFIX, *_SUFFIX_ALIASES) if member.name.lower().endswith(ending)), ""
        )
        ending = _SUFFIX_ALIASES.get(ending, ending)
        if ending and ending not in seen:
            seen.add(ending)
            opening = _EXAMPLES_BY_SUFFIX[ending]
            for language, code in (("Python", opening.python), ("MATLAB", opening.matlab), ("IDL", opening.idl)):
                if code:
                    found[language].append(code.format(file=member.name, variable=_select_variable(member)))
    return {language: "\n".join(code) for language, code in found.items() if code}


def _select_variable(member: MemberRecord) -> str:
    """The variable of a member that is an example."""
    names = [name for name in (*_PREFERRED_VARIABLES, *member.variables) if name in member.variables]
    return next(iter(names), "image")


def _format_size(size: float) -> str:
    """A number of bytes for people: ``9.8 MB``."""
    unit = 0
    while size >= _UNIT_FACTOR and unit < len(_SIZE_UNITS) - 1:
        size, unit = size / _UNIT_FACTOR, unit + 1
    return f"{size:.{1 if unit else 0}f} {_SIZE_UNITS[unit]}"


def _create_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shotdap.server.exports.package"),
        autoescape=False,  # noqa: S701 — plain text, which no browser is to take for anything else
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["in_units"] = _format_size
    return environment


_TEMPLATE: Final = _create_environment().get_template("README.txt.jinja")
