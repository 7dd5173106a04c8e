"""The dataset services response: what can be asked of a dataset, and at which URL.

Rules, from the DAP4 specification, volume 2, and its appendix "Dataset Services Response":

Rule 1: ``DapVersion`` once or more, ``ServerSoftwareVersion`` once, three or more ``Service``; ``xml:base`` is the URL
of the dataset without any suffix.
Rule 2: a service has a ``role``, which says what it does, and one ``link`` for each of its representations; a link has
a media type and an absolute URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shotdap.server.protocols.dap4.media_types import MEDIA_TYPES
from shotdap.server.protocols.dap4.xml_text import PROLOG, escape_xml

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NAMESPACE = "http://xml.opendap.org/ns/DAP/4.0/dataset-services#"
ROLE_PREFIX = "http://services.opendap.org"
DAP_VERSIONS = ("4.0", "2.0")

HTML = "text/html"
TEXT = "text/plain"
NETCDF = "application/x-netcdf"
BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Link:
    """One representation of what a service gives: a media type, and what the dataset's URL ends with there."""

    type: str
    suffix: str


@dataclass(frozen=True)
class Service:
    """One service: what it is called, what it does by the specification's word and by ours, and where it is."""

    title: str
    role: str
    description: str
    links: tuple[Link, ...]


SERVICES = (
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
        (Link(MEDIA_TYPES[".dmr"], ".dmr"), Link(MEDIA_TYPES[".dmr.xml"], ".dmr.xml"), Link(HTML, ".dmr.html")),
    ),
    Service(
        "DAP4 Data",
        "dap4/data",
        "Values, and structure with them. dap4.ce=/y=[0:9];/image[][0:2:99];/group{a;b} constrains them: ranges,"
        " strides, disjoint subsets, redefined dimensions, groups. CRC-32 checksums, unless dap4.checksum=false.",
        (Link(MEDIA_TYPES[".dap"], ".dap"),),
    ),
    Service("DAP2 Structure", "dap2/dds", "The Dataset Descriptor Structure.", (Link(TEXT, ".dds"),)),
    Service("DAP2 Attributes", "dap2/das", "The Dataset Attribute Structure.", (Link(TEXT, ".das"),)),
    Service("DAP2 Data", "dap2/data", "Values, and structure with them.", (Link(BINARY, ".dods"),)),
    Service("DAP2 ASCII Data", "dap2/ascii", "Values as text.", (Link(TEXT, ".ascii"),)),
    Service("DAP2 Information", "dap2/info", "Structure and attributes for people.", (Link(HTML, ".info"),)),
    Service("DAP2 Form", "dap2/html", "A form that builds URLs.", (Link(HTML, ".html"),)),
    Service("netCDF-3 File", "dap2/netcdf-3", "What a DAP2 constraint leaves, as a file.", (Link(NETCDF, ".nc"),)),
    Service("netCDF-4 File", "dap2/netcdf-4", "What a DAP2 constraint leaves, as a file.", (Link(NETCDF, ".nc4"),)),
    Service("Server Version", "dap4/server-version", "What the server is.", (Link(TEXT, ".ver"),)),
)

FILE_SERVICE = Service("Data File Access", "dap4/file-access", "The file as it is in the archive.", ())


def render_services(url: str, software: str, answered: Collection[str], file: str = "") -> str:
    """Say what can be asked of a dataset.

    Args:
        url: the dataset's own, absolute, without a suffix.
        software: the server's name and version.
        answered: the suffixes that the server answers; a service without any is left out.
        file: the absolute URL of the file in the archive, where there is one.

    Returns:
        An XML document, all of it ASCII.
    """
    available = [(service, [link for link in service.links if link.suffix in answered]) for service in SERVICES]
    name = url.rpartition("/")[2]
    lines = [
        f'<DatasetServices xmlns="{NAMESPACE}" xml:base="{escape_xml(url)}" title="{escape_xml(name)}">',
        *(f"    <DapVersion>{version}</DapVersion>" for version in DAP_VERSIONS),
        f"    <ServerSoftwareVersion>{escape_xml(software)}</ServerSoftwareVersion>",
        *(
            _render_service(service, {url + link.suffix: link.type for link in links})
            for service, links in available
            if links
        ),
        *([_render_service(FILE_SERVICE, {file: BINARY})] if file else []),
        "</DatasetServices>",
    ]
    return PROLOG + "\n".join(lines) + "\n"


def _render_service(service: Service, links: Mapping[str, str]) -> str:
    return "\n".join(
        (
            f'    <Service title="{escape_xml(service.title)}" role="{ROLE_PREFIX}/{service.role}">',
            f"        <Description>{escape_xml(service.description)}</Description>",
            *(f'        <link type="{escape_xml(type_)}" href="{escape_xml(url)}"/>' for url, type_ in links.items()),
            "    </Service>",
        )
    )
