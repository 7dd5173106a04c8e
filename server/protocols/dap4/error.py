"""The DAP4 error document.

Rule 1: an error has an error status: netCDF-C segfaults on an error document with status 200.
Rule 2: users read the document (netCDF-C prints it for 4xx and 5xx), so it contains sentences.
"""

from __future__ import annotations

from shotdap.server.protocols.dap4.xml_text import NAMESPACE, PROLOG, escape_xml


def render_error(code: int, message: str, context: str = "") -> bytes:
    """Render an error as DAP4's XML.

    Args:
        code: the HTTP status.
        message: a sentence for the user.
        context: the subject of the request, such as the URL.

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
