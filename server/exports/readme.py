"""Write the README of a package: ``README.txt``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

import jinja2

from shotdap import __version__
from shotdap.server.exports.manifest import MemberRecord, PackageRecord
from shotdap.server.exports.order import PackageOrder


@dataclass(frozen=True)
class _CodeExample:
    """Code that opens a member; ``{file}`` and ``{variable}`` are replaced by its names."""

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
"""By the suffix of a member's name."""

_PREFERRED_VARIABLES: Final = ("result", "background_subtracted", "image")
_SUFFIX_ALIASES: Final = MappingProxyType(
    {".hdf5": ".h5", ".tif": ".tiff", ".jpg": ".png", ".jpeg": ".png", ".webp": ".png"}
)
_UNIT_FACTOR: Final = 1000
_SIZE_UNITS: Final = ("bytes", "kB", "MB", "GB")


def render_readme(order: PackageOrder, records: Iterable[PackageRecord], created_at: datetime) -> bytes:
    """Return the README as UTF-8 text, in lines that any editor shows."""
    records = list(records)
    text = _TEMPLATE.render(
        order=order,
        records=[record for record in records if record.members],
        incomplete_records=[record for record in records if record.problems],
        count=len(records),
        created_at=f"{created_at:%Y-%m-%d %H:%M:%S} UTC",
        software=f"shotdap {__version__}",
        examples=_collect_code_examples(member for record in records for member in record.members),
    )
    return text.encode("utf-8", "replace")


def _collect_code_examples(members: Iterable[MemberRecord]) -> dict[str, str]:
    """Return code for each language that opens the first member of each kind."""
    code: dict[str, list[str]] = {"Python": [], "MATLAB": [], "IDL": []}
    covered_suffixes: set[str] = set()
    for member in members:
        suffixes = (*_EXAMPLES_BY_SUFFIX, *_SUFFIX_ALIASES)
        suffix = next((suffix for suffix in suffixes if member.name.lower().endswith(suffix)), "")
        suffix = _SUFFIX_ALIASES.get(suffix, suffix)
        if not suffix or suffix in covered_suffixes:
            continue
        covered_suffixes.add(suffix)
        variables = (name for name in (*_PREFERRED_VARIABLES, *member.variables) if name in member.variables)
        variable, example = next(variables, "image"), _EXAMPLES_BY_SUFFIX[suffix]
        for language, text in (("Python", example.python), ("MATLAB", example.matlab), ("IDL", example.idl)):
            if text:
                code[language].append(text.format(file=member.name, variable=variable))
    return {language: "\n".join(texts) for language, texts in code.items() if texts}


def _format_size(size: float) -> str:
    """Return a number of bytes for people: ``9.8 MB``."""
    unit = 0
    while size >= _UNIT_FACTOR and unit < len(_SIZE_UNITS) - 1:
        size, unit = size / _UNIT_FACTOR, unit + 1
    return f"{size:.{1 if unit else 0}f} {_SIZE_UNITS[unit]}"


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("shotdap.server.exports"),
    autoescape=False,  # noqa: S701 — plain text, which no browser renders
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
)
_ENVIRONMENT.filters["format_size"] = _format_size
_TEMPLATE: Final = _ENVIRONMENT.get_template("README.txt.jinja")
