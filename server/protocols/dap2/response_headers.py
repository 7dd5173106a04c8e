"""What each answer is called on the wire, and the one that says what went wrong."""

from __future__ import annotations

from typing import Final, NamedTuple

from shotdap.server.protocols.dap2.text import quote_text

PROTOCOL_VERSION: Final = "2.0"
"""The value of the header ``XDAP``."""


class ResponseHeaders(NamedTuple):
    """The headers ``Content-Type`` and ``Content-Description`` of an answer."""

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
"""By the suffix of the URL; ``error`` for the body that `render_error` makes, whatever the suffix."""


def render_error(code: int, message: str) -> bytes:
    """The body of an answer that is none; netCDF-C prints the message with statuses 401, 403 and 500."""
    return f"Error {{\n    code = {code};\n    message = {quote_text(message)};\n}};\n".encode()
