"""Recipes: the lines that open exactly what a page shows, in each language.

No recipe contains a token. Public URLs and names of variables have only characters that need no quoting anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PYTHON: Final = "python"
"""The key of the recipe that opens an image in Python."""

_CREDENTIALS: Final = """\
# in ~/.ncrc, a file for you alone (chmod 600)
HTTP.CREDENTIALS.USER=any
HTTP.CREDENTIALS.PASSWORD=TOKEN"""


@dataclass(frozen=True)
class Recipe:
    """Lines for one language."""

    name: str
    code: str
    sign_in: str
    """What the language needs where users sign in, with TOKEN for a token."""

    @property
    def key(self) -> str:
        """A name for identifiers of a page."""
        return "".join(each for each in self.name.lower() if each.isalnum())


@dataclass(frozen=True)
class Slice:
    """The part of one dimension that is shown, as Python has it: half-open, from 0."""

    name: str
    start: int
    stop: int
    size: int
    """Of the whole dimension."""

    @property
    def is_whole(self) -> bool:
        """True if nothing is left out."""
        return self.start == 0 and self.stop == self.size

    @property
    def count(self) -> int:
        """The number of its values."""
        return self.stop - self.start


@dataclass(frozen=True)
class ShownPart:
    """What a page shows: a variable, or a part of it, and its URLs."""

    dap_url: str
    """Of the image or its variant, without a suffix."""
    zarr_url: str
    variable: str
    slices: Sequence[Slice]
    """For each dimension of the variable, the slowest first."""

    @property
    def is_whole(self) -> bool:
        """True if all values are shown."""
        return all(each.is_whole for each in self.slices)

    @property
    def python_index(self) -> str:
        """The part in Python: ``[330:520, 110:310]``; empty for all."""
        texts = [":" if each.is_whole else f"{each.start}:{each.stop}" for each in self.slices]
        return "" if self.is_whole else f"[{', '.join(texts)}]"

    @property
    def julia_index(self) -> str:
        """The part in Julia, which counts from 1 and has the last dimension first."""
        texts = [":" if each.is_whole else f"{each.start + 1}:{each.stop}" for each in reversed(self.slices)]
        return f"[{', '.join(texts)}]"

    @property
    def hyperslab(self) -> str:
        """The part in DAP2; empty for all."""
        texts = [f"[{each.start}:1:{each.stop - 1}]" for each in self.slices]
        return "" if self.is_whole else "".join(texts)

    @property
    def ncks_options(self) -> str:
        """The options of ncks for the part."""
        return "".join(f" -d {each.name},{each.start},{each.stop - 1}" for each in self.slices if not each.is_whole)

    def format_corner(self, template: str, first: int) -> str:
        """Format the part as a start and a count in each dimension, the last dimension first; empty for all.

        Args:
            template: with ``{starts}`` and ``{counts}``.
            first: the index of the first value of a dimension.
        """
        backwards = list(reversed(self.slices))
        starts = ", ".join(str(each.start + first) for each in backwards)
        counts = ", ".join(str(each.count) for each in backwards)
        return "" if self.is_whole else template.format(starts=starts, counts=counts)


_ZARR_CREDENTIALS: Final = """\
# as a further argument of open_zarr
storage_options={"headers": {"Authorization": "Bearer TOKEN"}}"""
_NETRC: Final = """\
# in ~/.netrc, a file for you alone (chmod 600)
machine HOST login any password TOKEN"""
_CURL_CREDENTIALS: Final = "# after curl; or a line in ~/.netrc and the option -n\n-u any:TOKEN"
_WGET_CREDENTIALS: Final = "# after wget\n--auth-no-challenge --user any --password TOKEN"

_JULIA: Final = (
    'using NCDatasets\nds = NCDataset("{url}")\nvalues = ds["{variable}"]{julia_index}  # the first index is the column'
)
_XARRAY: Final = 'import xarray as xr\nds = xr.{opener}\nvalues = ds["{variable}"]{python_index}.values'
_NCREAD: Final = "url = '{url}';\nvalues = ncread(url, '{variable}'{matlab_corner});  % the first index is the column"
_LANGUAGES: Final[Sequence[tuple[str, str, str]]] = (
    ("Python", _XARRAY.replace("{opener}", 'open_dataset("{url}")'), _CREDENTIALS),
    ("MATLAB", _NCREAD, _CREDENTIALS),
    (
        "IDL",
        "id = NCDF_OPEN('{url}')\nNCDF_VARGET, id, '{variable}', values{idl_corner}\nNCDF_CLOSE, id",
        _CREDENTIALS,
    ),
    (
        "Julia",
        _JULIA,
        _CREDENTIALS,
    ),
    (
        "R",
        'library(ncdf4)\nnc <- nc_open("{url}")\nvalues <- ncvar_get(nc, "{variable}"{r_corner})',
        _CREDENTIALS,
    ),
    ("curl", "curl -g -o out.nc4 '{url}.nc4?{variable}{hyperslab}'", _CURL_CREDENTIALS),
    ("Octave", f"pkg load netcdf\n{_NCREAD}", _CREDENTIALS),
    ("Zarr", _XARRAY.replace("{opener}", 'open_zarr("{zarr_url}", zarr_format=3)'), _ZARR_CREDENTIALS),
    ("pydap", _XARRAY.replace("{opener}", 'open_dataset("{url}", engine="pydap")'), _NETRC),
    ("ncks", "ncks -O -v {variable}{ncks_options} {url} out.nc", _CREDENTIALS),
    ("wget", "wget -O out.nc4 '{url}.nc4?{variable}{hyperslab}'", _WGET_CREDENTIALS),
)
"""Names, lines, and what signs in, in the order of the tabs."""


def list_recipes(part: ShownPart) -> list[Recipe]:
    """List the recipes that open what is shown."""
    values = {
        "url": part.dap_url,
        "zarr_url": part.zarr_url,
        "variable": part.variable,
        "python_index": part.python_index,
        "julia_index": part.julia_index,
        "hyperslab": part.hyperslab,
        "ncks_options": part.ncks_options,
        "matlab_corner": part.format_corner(", [{starts}], [{counts}]", 1),
        "idl_corner": part.format_corner(", OFFSET=[{starts}], COUNT=[{counts}]", 0),
        "r_corner": part.format_corner(", start = c({starts}), count = c({counts})", 1),
    }
    return [Recipe(name, lines.format_map(values), sign_in) for name, lines, sign_in in _LANGUAGES]


def list_shot_recipes(dap_url: str, folder: str) -> list[Recipe]:
    """List the recipes that open a whole shot.

    Args:
        dap_url: of its folder.
        folder: its public path.
    """
    base = dap_url.removesuffix(f"/dap/{folder}")
    name = folder.replace("/", "_")
    return [
        Recipe(
            "Python",
            f'import xarray as xr\nshot = xr.open_datatree("{dap_url}#dap4", engine="netcdf4")'
            "  # a group for each image\nprint(shot)",
            _CREDENTIALS,
        ),
        Recipe(
            "curl",
            f"curl -o {name}.zip '{base}/api/v1/packages/{folder}'  # a netCDF-4 file for each image, with a manifest",
            _CURL_CREDENTIALS,
        ),
        Recipe("Command line", f"ncdump -h '{dap_url}#dap4'", _CREDENTIALS),
    ]
