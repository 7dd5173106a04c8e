"""The THREDDS catalog, its pages, and the original files: rules, real requests, and a walk over every link."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlparse

import anyio
import h5py
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from shotdap.catalog import Catalog, DirectoryArchive, Entry, Fact, SqlIndex
from shotdap.catalog.index import Record
from shotdap.config import load_settings
from shotdap.server.app import create_app
from shotdap.server.pages.assets import build_asset_url
from shotdap.server.protocols import thredds_catalog as thredds

CATALOG: Final = f"{{{thredds.NAMESPACE}}}"
XLINK: Final = "{http://www.w3.org/1999/xlink}"

# The schema's rules ------------------------------------------------------------------------------------------------
# InvCatalog.1.2.xsd, as far as a catalog of this server can break it: for each element its possible children,
# as a pattern of their tags in order, then its required and its optional attributes.

_METADATA: Final = "documentation|metadata|property|date|dataSize|dataType|dataFormat|serviceName|authority"
_DATASET: Final = rf"(?:(?:{_METADATA}) )*(?:access )*(?:(?:dataset|catalogRef) )*"
_OF_DATASET: Final = {"ID", "urlPath", "serviceName", "collectionType", "dataType", "harvest", "authority", "alias"}
_RULES: Final = {
    "catalog": (
        r"(?:service )*(?:property )*(?:(?:dataset|catalogRef) )+",
        set(),
        {"name", "base", "expires", "version"},
    ),
    "service": (r"(?:property )*(?:service )*", {"name", "base", "serviceType"}, {"desc", "suffix"}),
    "dataset": (_DATASET, {"name"}, _OF_DATASET),
    "catalogRef": (_DATASET, {"name"}, {*_OF_DATASET, f"{XLINK}href", f"{XLINK}title", f"{XLINK}type", f"{XLINK}show"}),
    "metadata": (rf"(?:(?:{_METADATA}) )*", set(), {"inherited", "metadataType"}),
    "property": ("", set(), {"name", "value"}),
    "documentation": ("", set(), {"type"}),
    "dataSize": ("", {"units"}, set()),
    "date": ("", set(), {"format", "type"}),
    "serviceName": ("", set(), set()),
}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?")
_SERVICE_TYPES: Final = {"opendap", "dap4", "httpserver", "compound"}  # the enumeration is neither exclusive nor exact


def parse(document: bytes) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 — our own


def find_violations(document: bytes) -> list[str]:
    """Return the violations of the schema, or of the specification's text, by a catalog."""
    root = parse(document)
    elements = [root, *(child for element in root.iter() for child in element)]
    found = [f"the root is {root.tag}"] if root.tag != f"{CATALOG}catalog" else []
    for element in elements:
        found += _find_violations_of(element)
    found += _find_duplicates("service", "name", root) + _find_duplicates("dataset", "ID", root, "catalogRef")
    services = {service.get("name") for service in root.iter(f"{CATALOG}service")}
    found += [f"no service {name.text}" for name in root.iter(f"{CATALOG}serviceName") if name.text not in services]
    return found


def _find_violations_of(element: ET.Element) -> list[str]:
    tag = element.tag.removeprefix(CATALOG)
    children, required, optional = _RULES[tag]
    tags = "".join(f"{child.tag.removeprefix(CATALOG)} " for child in element)
    attributes = set(element.attrib)
    found = [] if re.fullmatch(children, tags) else [f"{tag} has the children {tags}"]
    found += [f"{tag} lacks {name}" for name in required - attributes]
    found += [f"{tag} has {name}" for name in attributes - required - optional]
    found += [
        f"{name} is no token: {value!r}" for name in ("ID", "urlPath") if not _is_token(value := element.get(name, ""))
    ]
    if tag == "date" and not _DATE.fullmatch(element.text or ""):
        found.append(f"{element.text} is no date")
    if tag == "dataSize" and not ((element.text or "").isdigit() and element.get("units") == "bytes"):
        found.append(f"{element.text} {element.get('units')} is no size")
    if tag == "service":
        kind = element.get("serviceType", "").lower()
        found += [f"the service type {kind}"] if kind not in _SERVICE_TYPES else []
        found += ["a service within one that is not compound"] if len(element) and kind != "compound" else []
    return found


def _is_token(text: str) -> bool:
    return text == " ".join(text.split())


def _find_duplicates(tag: str, attribute: str, root: ET.Element, *others: str) -> list[str]:
    values = [
        value
        for name in (tag, *others)
        for element in root.iter(f"{CATALOG}{name}")
        if (value := element.get(attribute)) is not None
    ]
    return [f"{attribute} {value} is not unique" for value in set(values) if values.count(value) > 1]


NAMES: Final = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
IMAGES: Final = st.builds(
    lambda name, size, date, facts, reason: thredds.CatalogImage(name, f"a/{name}", size, date, facts, reason),
    NAMES,
    st.none() | st.integers(0, 2**40),
    st.text(max_size=12) | st.datetimes().map(str) | st.dates().map(str),
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.text(),
)
LEVELS: Final = st.builds(
    thredds.CatalogPage,
    st.just("a"),
    st.lists(NAMES, unique=True).map(lambda names: tuple(thredds.CatalogFolder(name, f"a/{name}") for name in names)),
    st.lists(IMAGES, unique_by=lambda image: image.name).map(tuple),
    st.none() | st.text(),
    st.none() | NAMES,
)


@given(level=LEVELS)
def test_follows_the_schema(level: thredds.CatalogPage) -> None:
    """For any content of a level, the catalog breaks no rule of its schema."""
    assert find_violations(thredds.render_catalog(level)) == []


def test_rules_are_checked() -> None:
    """The rules detect violations."""
    wrong = thredds.render_catalog(
        thredds.CatalogPage("a", images=(thredds.CatalogImage("i", "a/i"), thredds.CatalogImage("i", "a/i")))
    )
    assert find_violations(wrong) == ["ID a/i is not unique"]
    assert find_violations(wrong.replace(b"<serviceName>all", b"<serviceName>none"))[-1] == "no service none"
    assert "dataset lacks name" in find_violations(wrong.replace(b'dataset name="i"', b"dataset"))


def test_top_is_a_level_like_others() -> None:
    """An empty level is a valid catalog."""
    assert find_violations(thredds.render_catalog(thredds.CatalogPage(""))) == []


# Requests ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """Sends requests to an application in this process, and follows redirects."""

    app: ASGIApp
    root: str = ""

    def get(self, url: str, **choices: Any) -> httpx.Response:  # noqa: ANN401 — whatever httpx takes
        return self.ask("GET", url, **choices)

    def ask(self, method: str, url: str, **choices: Any) -> httpx.Response:  # noqa: ANN401
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, root_path=self.root)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://server", follow_redirects=True
            ) as client:
                return await client.request(method, url, **choices)

        return anyio.run(send)


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["image"] = np.arange(12, dtype="u2").reshape(3, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "files" / "day" / "one.h5")
    write(tmp_path / "files" / "day" / "PCIS-[phosphor] µ <b>.h5")
    return tmp_path / "files"


def test_links_of_a_mounted_application(folder: Path) -> None:
    """Mounted in another application, every link and redirect is below its path."""
    app = create_app(Catalog(DirectoryArchive(folder), folder), load_settings())
    client = Client(Starlette(routes=[Mount("/data", app)]))
    for path in (
        "/data/thredds",
        "/data/thredds/catalog/day/catalog.html",
        "/data/search",
        "/data/images/day/one.h5",
        "/data/dap/day/one.h5.html",
    ):
        page = client.get(path)
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)

        assert page.status_code == 200
        assert links
        assert [link for link in links if not link.startswith("/data/")] == []


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.chdir(folder.parent)  # where failed calls are kept
    return Client(create_app(Catalog(DirectoryArchive(folder), folder), load_settings()))


@pytest.fixture
def index(tmp_path: Path) -> SqlIndex:
    return SqlIndex.open_sqlite(tmp_path / "catalog.db")


def make_client(index: SqlIndex, root: Path) -> Client:
    return Client(create_app(Catalog(index, root), load_settings()))


def put(index: SqlIndex, *entries: Entry) -> None:
    index.put_records((Record(entry.path, entry) for entry in entries), None)


def test_levels(client: Client) -> None:
    """The top leads to folders, folders to images, and every document follows the schema."""
    top = client.get("/thredds/catalog.xml")
    (reference,) = parse(top.content).iter(f"{CATALOG}catalogRef")
    below = client.get(reference.attrib[f"{XLINK}href"])
    images = [
        element.attrib for element in parse(below.content).iter(f"{CATALOG}dataset") if "urlPath" in element.attrib
    ]

    assert find_violations(top.content) + find_violations(below.content) == []
    assert top.headers["content-type"] == "application/xml; charset=utf-8"
    assert [image["urlPath"] for image in images] == [
        "day/PCIS-_x5B_phosphor_x5D__x20__xB5__x20__x3C_b_x3E_.h5",
        "day/one.h5",
    ]


def test_facts(index: SqlIndex, folder: Path) -> None:
    """An image has its size, its date and the other facts of the archive's row."""
    facts: dict[str, Fact] = {"shot": 103741, "date": "2022-03-24T09:26:44", "name": "one.hdf"}
    put(index, Entry("omega/one", "day/one.h5", facts))
    document = parse(make_client(index, folder).get("/thredds/catalog/omega/catalog.xml").content)

    assert document.findtext(f".//{CATALOG}dataSize") == str((folder / "day/one.h5").stat().st_size)
    assert document.findtext(f".//{CATALOG}date") == "2022-03-24T09:26:44"
    assert {p.get("name"): p.get("value") for p in document.iter(f"{CATALOG}property")} == {
        "shot": "103741",
        "source_file": "one.hdf",
    }


@pytest.mark.parametrize("url", ["/thredds/catalog.xml", "/thredds/catalog/day/catalog.xml"])
def test_one_dataset(client: Client, url: str) -> None:
    """Harvesters, such as thredds_crawler, ask for one dataset by its ID: at any level they get it alone."""
    answer = client.get(url, params={"dataset": "day/one.h5"})
    folder = client.get(url, params={"dataset": "day/"})
    (dataset,) = parse(answer.content).iter(f"{CATALOG}dataset")

    assert find_violations(answer.content) == []
    assert dataset.attrib == {"name": "one.h5", "ID": "day/one.h5", "urlPath": "day/one.h5"}
    assert dataset.findtext(f"{CATALOG}metadata/{CATALOG}serviceName") == "all"
    assert folder.content == client.get("/thredds/catalog/day/catalog.xml").content
    assert client.get(url, params={"dataset": "day/nothing.h5"}).status_code == 404
    page = client.get(url.replace(".xml", ".html"), params={"dataset": "day/one.h5"}, follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (302, "/images/day/one.h5")


def test_missing_and_back(index: SqlIndex, folder: Path) -> None:
    """A removed file is listed with the reason and without access, and has access when it is restored."""
    put(index, Entry("omega/one", "day/two.h5"))
    client = make_client(index, folder)
    away = client.get("/thredds/catalog/omega/catalog.xml").text
    write(folder / "day" / "two.h5")
    back = client.get("/thredds/catalog/omega/catalog.xml").text

    assert "The file is missing from the archive." in away
    assert "urlPath" not in away
    assert 'urlPath="omega/one"' in back


def test_pages(index: SqlIndex, folder: Path) -> None:
    """A long level is a chain of catalogs that lists every folder and image once."""
    entries = [Entry(f"omega/{number}", "day/one.h5") for number in range(301)]
    entries += [Entry(f"omega/{number}/image", "day/one.h5") for number in range(150, 250)]
    put(index, *entries)
    client = make_client(index, folder)
    url: str | None = "/thredds/catalog/omega/catalog.xml"
    images: list[str] = []
    folders: list[str] = []
    while url:
        document = client.get(url).content
        assert find_violations(document) == []
        root = parse(document)
        images += [path for element in root.iter(f"{CATALOG}dataset") if (path := element.get("urlPath"))]
        references = {ref.attrib["name"]: ref.attrib[f"{XLINK}href"] for ref in root.iter(f"{CATALOG}catalogRef")}
        (*_, last) = references or [""]
        url = references.pop(last) if last.startswith("more") else None
        folders += references

    assert sorted(images) == sorted(entry.path for entry in entries[:301])
    assert sorted(folders) == [str(number) for number in range(150, 250)]


@pytest.mark.parametrize("form", ["xml", "html"])
def test_beyond_the_end(client: Client, form: str) -> None:
    """A page after the last name is an empty page."""
    answer = client.get(f"/thredds/catalog/day/catalog.{form}", params={"after": "~&<"})

    assert answer.status_code == 200
    assert "one.h5" not in answer.text


@pytest.mark.parametrize("path", ["nothing", "day/one.h5", "day//x", "%2e%2e/%2e%2e/etc", "day/%00"])
@pytest.mark.parametrize(("form", "kind"), [("xml", "text/plain"), ("html", "text/html")])
def test_no_such_folder(client: Client, path: str, form: str, kind: str) -> None:
    """A missing folder is a 404 with a sentence."""
    answer = client.get(f"/thredds/catalog/{path}/catalog.{form}")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith(kind)


def test_mounted_below(folder: Path) -> None:
    """Behind a proxy that serves it below a path, every URL begins with the path."""
    client = Client(create_app(Catalog(DirectoryArchive(folder), folder), load_settings()), "/lab")
    document = parse(client.get("/lab/thredds/catalog.xml").content)
    page = client.get("/lab/thredds/catalog/day/catalog.html").text

    bases = [service.attrib["base"] for service in document.iter(f"{CATALOG}service")]
    assert bases == ["", "/lab/dap/", "/lab/dap/", "/lab/fileServer/"]
    assert [ref.attrib[f"{XLINK}href"] for ref in document.iter(f"{CATALOG}catalogRef")] == [
        "/lab/thredds/catalog/day/catalog.xml"
    ]
    assert all(link.startswith(("/lab/", "#")) for link in find_links(page))


# Pages ---------------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """Collects the links of a page, and violations of a strict Content-Security-Policy."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        is_inline = tag == "script" and "src" not in dict(attrs)
        self.forbidden += [f"<{tag}>"] if is_inline or tag == "style" else []
        self.forbidden += [f"{tag} {name}" for name, _ in attrs if name == "style" or name.startswith("on")]


def find_links(page: str) -> list[str]:
    parser = Links()
    parser.feed(page)
    assert "µ <b>" not in page  # the name of a file is text
    assert parser.forbidden == []
    return parser.links


def test_every_link_leads_somewhere(client: Client) -> None:
    """A walk over all pages finds nothing broken, nothing outside the server, and no script in a page."""
    waiting, seen = ["/thredds/"], set[str]()
    while waiting:
        url = waiting.pop()
        path = urlparse(url).path
        if url in seen or (path.startswith("/dap/") and path.endswith(".html")):  # forms, which have their own tests
            continue
        seen.add(url)
        answer = client.get(url)
        assert answer.status_code == 200, url
        if answer.headers["content-type"].startswith("text/html"):
            waiting += [urljoin(url, link) for link in find_links(answer.text) if not link.startswith("#")]

    assert {"/fileServer/day/one.h5", "/dap/day/one.h5.nc4", "/images/day/one.h5"} <= seen
    assert {build_asset_url("shotdap.css"), build_asset_url("site.js")} <= seen
    assert all(url.startswith("/") for url in seen)


def test_page_is_safe(client: Client) -> None:
    """A page runs only the server's own scripts, and shows an archive's names as text."""
    answer = client.get("/thredds/catalog/day/catalog.html")

    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "PCIS-[phosphor] µ &lt;b&gt;.h5" in answer.text


def test_page_of_missing(index: SqlIndex, folder: Path) -> None:
    """The page says why an image cannot be opened, and offers no access to it."""
    put(index, Entry("omega/gone", "day/gone.h5", {"date": "2022-03-24T09:26:44"}))
    page = make_client(index, folder).get("/thredds/catalog/omega/catalog.html").text

    assert "The file is missing from the archive." in page
    assert "24 Mar 2022, 09:26:44" in page
    assert not [link for link in find_links(page) if link.startswith(("/dap/omega", "/fileServer/"))]


# Files ---------------------------------------------------------------------------------------------------------------


def test_file(client: Client, folder: Path) -> None:
    """A file is sent unchanged, with the archive's own name, and never as a page."""
    answer = client.get("/fileServer/day/one.h5")

    assert answer.content == (folder / "day/one.h5").read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="one.h5"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_head_of_file(client: Client, folder: Path) -> None:
    """HEAD gives the length of the file, without the content."""
    answer = client.ask("HEAD", "/fileServer/day/one.h5")

    assert (answer.content, answer.headers["content-length"]) == (b"", str((folder / "day/one.h5").stat().st_size))


def test_range(client: Client, folder: Path) -> None:
    """A part of a file can be requested."""
    answer = client.get("/fileServer/day/one.h5", headers={"Range": "bytes=1-3"})

    assert (answer.status_code, answer.content) == (206, (folder / "day/one.h5").read_bytes()[1:4])


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": '"other", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-Modified-Since": "{last-modified}"}, 304),
        ({"If-None-Match": '"other"', "If-Modified-Since": "{last-modified}"}, 200),
        ({"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ],
    ids=["tag", "tags", "any", "date", "tag before date", "changed", "no date"],
)
def test_unchanged_file(client: Client, condition: dict[str, str], status: int) -> None:
    """A valid copy is not sent again."""
    known = dict(client.ask("HEAD", "/fileServer/day/one.h5").headers)
    headers = {name: value.format_map(known) for name, value in condition.items()}

    assert client.get("/fileServer/day/one.h5", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (r"C:\shots\P510 µ.hdf", "filename*=utf-8''P510%20%C2%B5.hdf"),
        ("../../etc/passwd", 'filename="passwd"'),
        ('a"\r\nSet-Cookie: x', "filename*=utf-8''a%22%0D%0ASet-Cookie%3A%20x"),
        ("half \udcff", "filename*=utf-8''half%20%3F"),
        ("", 'filename="one"'),
    ],
)
def test_name_of_download(index: SqlIndex, folder: Path, name: str, shown: str) -> None:
    """A download has the user's name for the file, whatever it contains."""
    put(index, Entry("omega/one", "day/one.h5", {"name": name}))
    answer = make_client(index, folder).get("/fileServer/omega/one")

    assert answer.headers["content-disposition"] == f"attachment; {shown}"


@pytest.mark.parametrize("path", ["", "day", "nothing", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "day/.hidden"])
def test_no_such_file(client: Client, folder: Path, path: str) -> None:
    """Only files of the catalog are available."""
    (folder / "day" / ".hidden").write_text("secret")
    answer = client.get(f"/fileServer/{path}")

    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize("file", ["../outside.h5", "gone.h5", "day", "nul\0"])
def test_entry_without_a_file(index: SqlIndex, folder: Path, file: str) -> None:
    """A row without a file of the archive gives a sentence without the server's paths."""
    write(folder.parent / "outside.h5")
    put(index, Entry("omega/one", file))
    answer = make_client(index, folder).get("/fileServer/omega/one")

    assert answer.status_code == 500
    assert answer.text.startswith("The ")
    assert str(folder) not in answer.text


# Downloads as netCDF --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "magic"), [(".nc", b"CDF\x02"), (".nc4", b"\x89HDF")])
def test_netcdf(client: Client, suffix: str, magic: bytes) -> None:
    """An image, or a part of it, is sent as a netCDF file with a name."""
    whole = client.get(f"/dap/day/one.h5{suffix}")
    part = client.get(f"/dap/day/one.h5{suffix}?image[0:1][0:2:3]")

    assert (whole.content[:4], part.content[:4]) == (magic, magic)
    assert len(part.content) < len(whole.content)
    assert whole.headers["content-disposition"] == f'attachment; filename="one.h5{suffix}"'
    assert whole.headers["content-type"] == "application/x-netcdf"


def test_no_netcdf(client: Client) -> None:
    """A download as netCDF that is impossible is a DAP error."""
    assert client.get("/dap/day/one.h5.nc?nothing").status_code == 400
    assert client.get("/dap/day/nothing.nc").status_code == 404


def test_path_that_ends_like_a_download(client: Client, folder: Path) -> None:
    """A file whose name ends like a download is described under its name, and downloaded with another suffix."""
    write(folder / "shot.nc")

    assert client.get("/dap/shot.nc").json()["path"] == "shot.nc"
    assert client.get("/dap/shot.nc.nc4").content.startswith(b"\x89HDF")
