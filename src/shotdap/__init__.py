"""shotdap: an image server for laser-fusion laboratories, over OPeNDAP, Zarr and REST.

Four packages, each importing only from those to its right::

    shotdap.server  →  shotdap.config  →  shotdap.catalog  →  shotdap.transforms
"""

__version__ = "0.1.0"
