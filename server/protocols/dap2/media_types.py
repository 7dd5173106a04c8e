"""What each answer is called on the wire, and the one that says what went wrong."""

from __future__ import annotations

from typing import Final, NamedTuple

from shotdap.server.protocols.dap2.text import quoted

__all__ = ["ANSWERS", "VERSION", "Answer", "error"]

VERSION: Final = "2.0"
"""The value of the header ``XDAP``."""


class Answer(NamedTuple):
    """The headers ``Content-Type`` and ``Content-Description`` of an answer."""

    media_type: str
    description: str


ANSWERS: Final = {
    "dds": Answer("text/plain; charset=utf-8", "dods_dds"),
    "das": Answer("text/plain; charset=utf-8", "dods_das"),
    "dods": Answer("application/octet-stream", "dods_data"),
    "ascii": Answer("text/plain; charset=utf-8", "dods_ascii"),
    "ver": Answer("text/plain; charset=utf-8", "dods_version"),
    "error": Answer("text/plain; charset=utf-8", "dods_error"),
}
"""By the suffix of the URL; ``error`` for the body that `error` makes, whatever the suffix."""


def error(code: int, message: str) -> bytes:
    """The body of an answer that is none; netCDF-C prints the message with statuses 401, 403 and 500."""
    return f"Error {{\n    code = {code};\n    message = {quoted(message)};\n}};\n".encode()
