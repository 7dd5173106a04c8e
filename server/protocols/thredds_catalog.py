"""THREDDS: one level of the catalog → an XML document for THREDDS clients.

The format is the "Dataset Inventory Catalog Specification" 1.2 (``InvCatalog.1.2.xsd``); rules from it, and from the
behaviour of clients:

1. A catalog contains its services, then one dataset for the level; the dataset contains metadata, then its children.
2. A ``catalogRef`` is a dataset, too, so it has a ``name``; siphon distinguishes references by ``xlink:title``.
3. An ``ID`` is unique within the catalog. A folder and an image can have the same path: the ID of a folder ends with a
   slash.
4. "URL = service.base + urlPath": bases begin and end with a slash, because siphon resolves them against the root of
   the server. A nested service has only the access of the compound service.
5. A dataset without ``urlPath`` has no access: an unreadable image is listed like this, with the reason as
   documentation.
6. ``catalog.xml?dataset=ID`` is a catalog with this dataset only.
7. A long level continues in another catalog, and the last reference leads to it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

MEDIA_TYPE: Final = "application/xml; charset=utf-8"
NAMESPACE: Final = "http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0"
XLINK: Final = "http://www.w3.org/1999/xlink"

_SERVICES: Final = (("dap2", "OPENDAP", "/dap/"), ("dap4", "DAP4", "/dap/"), ("file", "HTTPServer", "/fileServer/"))
_COMPOUND_SERVICE: Final = "all"
_ILLEGAL_XML_CHARACTERS: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class CatalogFolder:
    """A folder of a level."""

    name: str
    path: str


@dataclass(frozen=True)
class CatalogImage:
    """An image of a level."""

    name: str
    path: str
    size: int | None = None
    """Bytes of its file, if known."""
    date: str = ""
    """Date of the image in the archive."""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Other facts in the archive."""
    reason: str = ""
    """The reason why it cannot be read; empty if it can."""


@dataclass(frozen=True)
class CatalogPage:
    """The children of a folder, or a page of them."""

    path: str
    """Path of the folder; empty for the top."""
    folders: tuple[CatalogFolder, ...] = ()
    images: tuple[CatalogImage, ...] = ()
    after: str | None = None
    """The last name of the page before; `None` on the first page."""
    next_after: str | None = None
    """The last name of this page; `None` on the last page."""

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]


def build_catalog_url(path: str, *, root: str = "", after: str | None = None, form: str = "xml") -> str:
    """Build the URL of a level, or of one of its pages, without the host.

    Args:
        path: the path of the folder; empty for the top.
        root: the path where the application is mounted.
        after: the last name of the page before.
        form: ``xml`` or ``html``.
    """
    folder = f"catalog/{quote(path)}/" if path else ""
    query = "" if after is None else f"?after={quote(after, safe='')}"
    return f"{root}/thredds/{folder}catalog.{form}{query}"


def render_catalog(level: CatalogPage, *, title: str = "shotdap", root: str = "") -> bytes:
    """Render the catalog of a level as XML.

    Args:
        level: the folders and images to list.
        title: the name of the top.
        root: the path where the application is mounted.
    """
    name = level.name or title
    document = _build_document(level.path or title, root)
    collection = ET.SubElement(document, "dataset", {"name": _replace_illegal_characters(name), "ID": f"{level.path}/"})
    collection.append(_build_service_metadata())
    for folder in level.folders:
        url = build_catalog_url(folder.path, root=root)
        collection.append(_build_reference(folder.name, url, {"ID": f"{folder.path}/"}))
    collection.extend(map(_build_image_dataset, level.images))
    if level.next_after is not None:  # no folder has this title, because it contains a space
        url = build_catalog_url(level.path, root=root, after=level.next_after)
        collection.append(_build_reference(f"more, after {level.next_after} …", url, {}))
    return _render_document(document)


def render_dataset(image: CatalogImage, *, root: str = "") -> bytes:
    """Render a catalog with one image only, as harvesters ask for it by ``?dataset=ID``.

    Args:
        image: the image.
        root: the path where the application is mounted.
    """
    document, dataset = _build_document(image.path, root), _build_image_dataset(image)
    dataset.insert(0, _build_service_metadata())
    document.append(dataset)
    return _render_document(document)


def _build_document(name: str, root: str) -> ET.Element:
    """Build a catalog with its services."""
    names = {"name": _replace_illegal_characters(name), "version": "1.2"}
    document = ET.Element("catalog", {"xmlns": NAMESPACE, "xmlns:xlink": XLINK, **names})
    compound = ET.SubElement(document, "service", {"name": _COMPOUND_SERVICE, "serviceType": "Compound", "base": ""})
    for service, kind, base in _SERVICES:
        ET.SubElement(compound, "service", {"name": service, "serviceType": kind, "base": f"{root}{base}"})
    return document


def _build_service_metadata() -> ET.Element:
    metadata = ET.Element("metadata", {"inherited": "true"})
    ET.SubElement(metadata, "serviceName").text = _COMPOUND_SERVICE
    return metadata


def _render_document(document: ET.Element) -> bytes:
    ET.indent(document)
    text: bytes = ET.tostring(document, "utf-8", xml_declaration=True)
    return text + b"\n"


def _build_reference(title: str, url: str, attributes: Mapping[str, str]) -> ET.Element:
    return ET.Element(
        "catalogRef",
        {
            "name": _replace_illegal_characters(title),
            **attributes,
            "xlink:href": url,
            "xlink:title": _replace_illegal_characters(title),
        },
    )


def _build_image_dataset(image: CatalogImage) -> ET.Element:
    dataset = ET.Element("dataset", {"name": _replace_illegal_characters(image.name), "ID": image.path})
    if image.reason:
        ET.SubElement(dataset, "documentation", {"type": "summary"}).text = _replace_illegal_characters(image.reason)
    else:
        dataset.set("urlPath", image.path)
    for name, value in image.facts.items():
        ET.SubElement(
            dataset,
            "property",
            {"name": _replace_illegal_characters(name), "value": _replace_illegal_characters(value)},
        )
    if image.size is not None:
        ET.SubElement(dataset, "dataSize", {"units": "bytes"}).text = str(image.size)
    for kind in (date, datetime):
        try:
            created = kind.fromisoformat(image.date).isoformat()
        except ValueError:
            continue
        ET.SubElement(dataset, "date", {"type": "created"}).text = created
        break
    return dataset


def _replace_illegal_characters(text: str) -> str:
    """Replace the characters that XML does not allow."""
    return _ILLEGAL_XML_CHARACTERS.sub("\ufffd", text)
