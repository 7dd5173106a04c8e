"""The dataset services response: the services of a dataset and their URLs.

Rules, from the DAP4 specification, volume 2, and its appendix "Dataset Services Response":

Rule 1: ``DapVersion`` once or more, ``ServerSoftwareVersion`` once, three or more ``Service``; ``xml:base`` is the URL
of the dataset without any suffix.
Rule 2: a service has a ``role``, a URI of the specification, and one ``link`` for each of its representations; a link
has a media type and an absolute URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shotdap.server.protocols.dap4.media_types import MEDIA_TYPES
from shotdap.server.protocols.dap4.xml_text import PROLOG, escape_xml

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_NAMESPACE = "http://xml.opendap.org/ns/DAP/4.0/dataset-services#"
_ROLE_PREFIX = "http://services.opendap.org"
_DAP_VERSIONS = ("4.0", "2.0")

_HTML = "text/html"
_TEXT = "text/plain"
_NETCDF = "application/x-netcdf"
_BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Link:
    """One representation of a service: its media type, and the suffix of its URL."""

    type: str
    suffix: str


@dataclass(frozen=True)
class Service:
    """One service: title, role in the specification, description, and links."""

    title: str
    role: str
    description: str
    links: tuple[Link, ...]


_SERVICES = (
    Service(
        "DAP4 Dataset Services",
        "dap4/dataset-services",
        "This document: what can be asked of the dataset.",
        (Link(MEDIA_TYPES[".dsr"], ".dsr"), Link(MEDIA_TYPES[".dsr.xml"], ".dsr.xml")),
    ),
    Service(
        "DAP4 Dataset Metadata",
        "dap4/dataset-metadata",
        "Structure and attributes; dap4.ce constrains them.",
        (Link(MEDIA_TYPES[".dmr"], ".dmr"), Link(MEDIA_TYPES[".dmr.xml"], ".dmr.xml"), Link(_HTML, ".dmr.html")),
    ),
    Service(
        "DAP4 Data",
        "dap4/data",
        "Values, and structure with them. dap4.ce=/y=[0:9];/image[][0:2:99];/group{a;b} constrains them: ranges,"
        " strides, disjoint subsets, redefined dimensions, groups. CRC-32 checksums, unless dap4.checksum=false.",
        (Link(MEDIA_TYPES[".dap"], ".dap"),),
    ),
    Service("DAP2 Structure", "dap2/dds", "The Dataset Descriptor Structure.", (Link(_TEXT, ".dds"),)),
    Service("DAP2 Attributes", "dap2/das", "The Dataset Attribute Structure.", (Link(_TEXT, ".das"),)),
    Service("DAP2 Data", "dap2/data", "Values, and structure with them.", (Link(_BINARY, ".dods"),)),
    Service("DAP2 ASCII Data", "dap2/ascii", "Values as text.", (Link(_TEXT, ".ascii"),)),
    Service("DAP2 Information", "dap2/info", "Structure and attributes for people.", (Link(_HTML, ".info"),)),
    Service("DAP2 Form", "dap2/html", "A form that builds URLs.", (Link(_HTML, ".html"),)),
    Service("netCDF-3 File", "dap2/netcdf-3", "What a DAP2 constraint leaves, as a file.", (Link(_NETCDF, ".nc"),)),
    Service("netCDF-4 File", "dap2/netcdf-4", "What a DAP2 constraint leaves, as a file.", (Link(_NETCDF, ".nc4"),)),
    Service("Server Version", "dap4/server-version", "What the server is.", (Link(_TEXT, ".ver"),)),
)

_FILE_SERVICE = Service("Data File Access", "dap4/file-access", "The file as it is in the archive.", ())


def render_services(url: str, software: str, suffixes: Collection[str], file: str = "") -> str:
    """Render the services of a dataset.

    Args:
        url: the absolute URL of the dataset, without a suffix.
        software: the name and version of the server.
        suffixes: the suffixes that the server supports; a service without any is omitted.
        file: the absolute URL of the file in the archive, if there is one.

    Returns:
        An XML document in ASCII.
    """
    available = [(service, [link for link in service.links if link.suffix in suffixes]) for service in _SERVICES]
    name = url.rpartition("/")[2]
    lines = [
        f'<DatasetServices xmlns="{_NAMESPACE}" xml:base="{escape_xml(url)}" title="{escape_xml(name)}">',
        *(f"    <DapVersion>{version}</DapVersion>" for version in _DAP_VERSIONS),
        f"    <ServerSoftwareVersion>{escape_xml(software)}</ServerSoftwareVersion>",
        *(
            _render_service(service, {url + link.suffix: link.type for link in links})
            for service, links in available
            if links
        ),
        *([_render_service(_FILE_SERVICE, {file: _BINARY})] if file else []),
        "</DatasetServices>",
    ]
    return PROLOG + "\n".join(lines) + "\n"


def _render_service(service: Service, links: Mapping[str, str]) -> str:
    return "\n".join(
        (
            f'    <Service title="{escape_xml(service.title)}" role="{_ROLE_PREFIX}/{service.role}">',
            f"        <Description>{escape_xml(service.description)}</Description>",
            *(f'        <link type="{escape_xml(type_)}" href="{escape_xml(url)}"/>' for url, type_ in links.items()),
            "    </Service>",
        )
    )
