"""The demonstration: a small archive, served like the archive of a laboratory."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from shotdap.server.demo import make_archive

_SETTINGS = """\
# The settings of the demonstration: what a laboratory's own would look like.
[archive]
url = "sqlite:///archive.db"
root = "files"

[access]
mode = "open"  # to everybody on this machine; a site's default is "token"

[catalog]
index = "catalog.db"
"""

_EXAMPLE_IMAGE = "dap/omega/62328/asbo1/asbo1_s62328"

# No line is indented, because Python's prompt refuses indented lines. The command that starts Python is a separate
# block, because a shell takes everything that is pasted at once for commands.
_INSTRUCTIONS = """
shotdap serves a demonstration archive at {url} (Ctrl-C ends it).
From another terminal:

To start Python:
{python}

In Python:
import xarray as xr
ds = xr.open_dataset("{url}/{image}")
ds["background_subtracted"][100:200:3, 7:900].values

In MATLAB:
ncread('{url}/{image}', 'background_subtracted', [8 101], [893 34], [1 3])

In Octave:
pkg load netcdf
ncread('{url}/{image}', 'background_subtracted', [8 101], [893 34], [1 3])

In IDL or GDL:
id = NCDF_OPEN('{url}/{image}')
NCDF_VARGET, id, 'background_subtracted', d, OFFSET=[7,100], COUNT=[893,34], STRIDE=[1,3]

In a shell:
ncdump -h {url}/{image}

Every image: {url}/dap/
It is open to everybody on this machine; a site asks for a token.
"""


def prepare_demo(folder: Path) -> Path:
    """Make the archive and its settings, unless they exist.

    Returns:
        The settings' file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_archive(folder)
    config = folder / "shotdap.toml"
    if not config.exists():
        config.write_text(_SETTINGS, "utf-8")
    return config


def format_instructions(url: str) -> str:
    """Return lines to paste, for each client that laboratories use.

    The command that starts Python has the absolute path of the interpreter that shotdap is installed for: this one has
    the packages that the lines need, and the other terminal may be in any folder.
    """
    return _INSTRUCTIONS.format(url=url, image=_EXAMPLE_IMAGE, python=shlex.quote(sys.executable))
