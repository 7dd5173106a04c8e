"""Headers of DAP2 responses, and the body of an error."""

from __future__ import annotations

from typing import Final, NamedTuple

from shotdap.server.protocols.dap2.text import quote_text

PROTOCOL_VERSION: Final = "2.0"
"""The value of the header ``XDAP``."""


class ResponseHeaders(NamedTuple):
    """The headers ``Content-Type`` and ``Content-Description`` of a response."""

    media_type: str
    description: str


RESPONSE_HEADERS: Final = {
    "dds": ResponseHeaders("text/plain; charset=utf-8", "dods_dds"),
    "das": ResponseHeaders("text/plain; charset=utf-8", "dods_das"),
    "dods": ResponseHeaders("application/octet-stream", "dods_data"),
    "ascii": ResponseHeaders("text/plain; charset=utf-8", "dods_ascii"),
    "ver": ResponseHeaders("text/plain; charset=utf-8", "dods_version"),
    "error": ResponseHeaders("text/plain; charset=utf-8", "dods_error"),
}
"""Headers by the suffix of the URL; ``error`` for the body of `render_error`, whatever the suffix is."""


def render_error(code: int, message: str) -> bytes:
    """Render the body of an error; netCDF-C prints the message with statuses 401, 403 and 500."""
    return f"Error {{\n    code = {code};\n    message = {quote_text(message)};\n}};\n".encode()
