"""The demonstration: a small archive made on the spot, served as a laboratory's would be."""

from __future__ import annotations

from pathlib import Path

from shotdap.catalog.synthetic import make_archive

__all__ = ["prepare", "showing"]

_SETTINGS = """\
# The settings of the demonstration: what a laboratory's own would look like.
[archive]
url = "sqlite:///archive.db"
root = "files"

[catalog]
index = "catalog.db"
"""

_IMAGE = "dap/omega/62328/asbo1/asbo1_s62328"

_SHOWING = """
shotdap serves a demonstration archive at {url} (Ctrl-C ends it).
From another terminal:

  Python   import xarray as xr
           ds = xr.open_dataset("{url}/{image}")
           ds["background_subtracted"][100:200:3, 7:900].values

  MATLAB   ncread('{url}/{image}', 'background_subtracted', [8 101], [893 34], [1 3])

  IDL      id = NCDF_OPEN('{url}/{image}')
           NCDF_VARGET, id, 'background_subtracted', d, OFFSET=[7,100], COUNT=[893,34], STRIDE=[1,3]

  Shell    ncdump -h {url}/{image}

Every image: {url}/dap/
"""


def prepare(folder: Path) -> Path:
    """Make the archive and its settings, where they are not there yet.

    Returns:
        The settings' file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_archive(folder)
    config = folder / "shotdap.toml"
    if not config.exists():
        config.write_text(_SETTINGS, "utf-8")
    return config


def showing(url: str) -> str:
    """Lines to copy, for each of the clients that a laboratory has."""
    return _SHOWING.format(url=url, image=_IMAGE)
