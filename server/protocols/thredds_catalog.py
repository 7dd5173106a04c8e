"""THREDDS: one level of the catalog → an XML document that THREDDS clients walk.

The format is the "Dataset Inventory Catalog Specification" 1.2 (``InvCatalog.1.2.xsd``); rules from it, and from what
clients do:

1. A catalog holds its services, then one dataset for the level; that holds metadata, then what stands below it.
2. A ``catalogRef`` is a dataset too, so it has a ``name``; siphon tells references apart by ``xlink:title``.
3. An ``ID`` is unique within the catalog. A folder and an image may have one path: a folder's ID ends with a slash.
4. "URL = service.base + urlPath": bases end with a slash, and start with one, for siphon resolves them against the
   server's root. A nested service has no access but the compound's.
5. A dataset without ``urlPath`` has no access: so is an image listed that cannot be read, and its documentation says
   why.
6. A long level goes on in another catalog, to which the last reference leads.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
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
    """Bytes of its file, where known."""
    date: str = ""
    """When it was taken, as the archive says it."""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What else the archive says of it."""
    reason: str = ""
    """Why it cannot be read, where it cannot."""


@dataclass(frozen=True)
class CatalogPage:
    """What stands directly below a folder, or a page of it."""

    path: str
    """The folder's path; empty for the top."""
    folders: tuple[CatalogFolder, ...] = ()
    images: tuple[CatalogImage, ...] = ()
    after: str | None = None
    """The name that this page begins after; `None` on the first page."""
    next_after: str | None = None
    """The name that the next page begins after; `None` on the last page."""

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]


def build_catalog_url(path: str, *, root: str = "", after: str | None = None, form: str = "xml") -> str:
    """The URL of a level, or of one of its pages, without the host.

    Args:
        path: the folder's path; empty for the top.
        root: what the application is mounted below.
        after: the name that the page begins after.
        form: ``xml`` or ``html``.
    """
    folder = f"catalog/{quote(path)}/" if path else ""
    query = "" if after is None else f"?after={quote(after, safe='')}"
    return f"{root}/thredds/{folder}catalog.{form}{query}"


def render_catalog(level: CatalogPage, *, title: str = "shotdap", root: str = "") -> bytes:
    """The catalog of a level as XML.

    Args:
        level: what to list.
        title: what the top is called.
        root: what the application is mounted below.
    """
    name = level.name or title
    document = ET.Element(
        "catalog",
        {
            "xmlns": NAMESPACE,
            "xmlns:xlink": XLINK,
            "name": _replace_illegal_characters(level.path or title),
            "version": "1.2",
        },
    )
    document.append(_build_services(root))
    collection = ET.SubElement(document, "dataset", {"name": _replace_illegal_characters(name), "ID": f"{level.path}/"})
    metadata = ET.SubElement(collection, "metadata", {"inherited": "true"})
    ET.SubElement(metadata, "serviceName").text = _COMPOUND_SERVICE
    collection.extend(
        chain(
            (_folder(folder, root) for folder in level.folders),
            map(_build_image_dataset, level.images),
            _build_next_page_reference(level, root),
        )
    )
    ET.indent(document)
    text: bytes = ET.tostring(document, "utf-8", xml_declaration=True)
    return text + b"\n"


def _build_services(root: str) -> ET.Element:
    compound = ET.Element("service", {"name": _COMPOUND_SERVICE, "serviceType": "Compound", "base": ""})
    for name, kind, base in _SERVICES:
        ET.SubElement(compound, "service", {"name": name, "serviceType": kind, "base": f"{root}{base}"})
    return compound


def _folder(folder: CatalogFolder, root: str) -> ET.Element:
    return _build_reference(folder.name, build_catalog_url(folder.path, root=root), {"ID": f"{folder.path}/"})


def _build_next_page_reference(level: CatalogPage, root: str) -> Iterator[ET.Element]:
    """The reference to the next page; no folder can have its title, which has a space in it."""
    if level.next_after is not None:
        url = build_catalog_url(level.path, root=root, after=level.next_after)
        yield _build_reference(f"more, after {level.next_after} …", url, {})


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
    if taken := _normalize_date(image.date):
        ET.SubElement(dataset, "date", {"type": "created"}).text = taken
    return dataset


def _normalize_date(text: str) -> str:
    """A date as XML has it; nothing for a text that is none."""
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text).isoformat()
        except ValueError:
            continue
    return ""


def _replace_illegal_characters(text: str) -> str:
    """Text without the characters that XML has no place for."""
    return _ILLEGAL_XML_CHARACTERS.sub("\ufffd", text)
