"""Media types of DAP4 responses.

XML responses have their encoding in the prolog and are ASCII anyway, so no type has a charset.
"""

from __future__ import annotations

_PREFIX = "application/vnd.opendap.dap4."

# suffix of the URL → media type; netCDF-C requests ``.dmr.xml``, pydap ``.dmr``, both ``.dap``
MEDIA_TYPES = {
    ".dmr": f"{_PREFIX}dataset-metadata+xml",
    ".dmr.xml": f"{_PREFIX}dataset-metadata+xml",
    ".dap": f"{_PREFIX}data",
    ".dsr": f"{_PREFIX}dataset-services+xml",
    ".dsr.xml": f"{_PREFIX}dataset-services+xml",
}
ERROR_MEDIA_TYPE = f"{_PREFIX}error+xml"
