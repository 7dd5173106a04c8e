"""The DAP4 error document.

Rule 1: an answer that is an error has the status of one: netCDF-C segfaults on an error with status 200.
Rule 2: the document is what the user gets to read (netCDF-C prints it for 4xx and 5xx), so it holds sentences.
"""

from __future__ import annotations

from shotdap.server.protocols.dap4.xml_text import NAMESPACE, PROLOG, escape_xml


def render_error(code: int, message: str, context: str = "") -> bytes:
    """Word an error as DAP4's XML.

    Args:
        code: the HTTP status that goes with it.
        message: a sentence for the user.
        context: what was asked for, such as the URL.

    Returns:
        The whole body.
    """
    return (
        f'{PROLOG}<Error xmlns="{NAMESPACE}" httpcode="{code}">\n'
        f"    <Message>{escape_xml(message)}</Message>\n"
        f"    <Context>{escape_xml(context)}</Context>\n"
        f"    <OtherInformation></OtherInformation>\n"
        f"</Error>\n"
    ).encode("ascii")
