"""What a principal may not read does not exist: no answer of any route differs from that of a catalog without it.

Two applications are asked the same: that of a catalog with everything, by a principal who may read some of it, and that
of a catalog which has only these entries. Their answers are equal: status, headers and body.

``--hypothesis-profile=thorough`` tries many more examples.
"""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from tests import samples
from tests.rows import DEFAULT, Rows
from tests.server.answering.test_workload import iter_get_routes

from shotdap.catalog import Entry, Row, SqlIndex, build_catalog
from shotdap.config import Settings, Site, load_settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.audit.failure_log import FailureLog
from shotdap.server.access.audit.failure_middleware import FailureMiddleware
from shotdap.server.access.gate import create_access_middleware
from shotdap.server.access.policy import Policy
from shotdap.server.access.principal import Scope
from shotdap.server.access.route_scopes import find_scope
from shotdap.server.access.token_store import TokenRestriction, TokenStore, User
from shotdap.server.app import WorkerParts, create_app

EXAMPLES: Final = settings().max_examples // 30
"""Three of the usual profile: each sends some hundreds of requests."""
TODAY: Final = date.today()  # noqa: DTZ011 — as the catalog's dates are
CAMPAIGNS: Final = ("DRACO-7", "DRACO-8", "SECRET", "HED-2026")
TAGS: Final = ("public", "proposal", "")
RELEASES: Final = ("2020-01-01", "2999-01-01", f"{TODAY}", "")
DIAGNOSTICS: Final = ("SOP", "P510_2", "CAM")
FLAT: Final = "flat_field"
CAMERA: Final = """\
name = "camera"
extends = "two_frames"
title = "Camera with a flat field"

[match]
clues = [{ diagnostic = "CAM" }]

[related.flat]
match = { name = "flat_field*", diagnostic = "SOP" }

[[recipes]]
name = "over_flat"
transform = "flat_field"
inputs = ["background_subtracted", "flat.background_subtracted"]
"""


def make_rows() -> tuple[Sequence[Row], Sequence[Row]]:
    """Return the rows of the catalog, and further ones that were removed from it."""
    rows = []
    for number in range(18):
        shot, diagnostic = 62_001 + number // 4, DIAGNOSTICS[number % 3]
        name = f"{FLAT}_{number}" if number == 3 else f"image_{number}"  # the flat field of all images, of another shot
        facts: dict[str, Any] = {
            "facility": "OMEGA" if number % 7 else "OMEGA EP",
            "shot": shot,
            "diagnostic": diagnostic,
            "name": f"{name}.h5",
            "date": f"{TODAY - timedelta(days=(0, 6, 400, 4000)[number % 4])}T10:00:00",
            "campaign": CAMPAIGNS[number % 5 % 4],
            "tag": TAGS[number % 4 % 3],
            "release": RELEASES[number * 5 % 7 % 4],
        }
        rows.append(Row(f"{number}", f"{number % 4}.h5", 1, facts))
    return rows[:14], rows[14:]


PRESENT, REMOVED = make_rows()


# Rules and principals -------------------------------------------------------------------------------------------------

ranges = st.fixed_dictionaries({}, optional={"from": st.integers(61_999, 62_004), "to": st.integers(62_001, 62_006)})
days = st.sampled_from([f"{TODAY - timedelta(days=age)}" for age in (-1, 0, 6, 399, 401, 5000)])
conditions = st.fixed_dictionaries(
    {},
    optional={
        "facts": st.dictionaries(
            st.sampled_from(["campaign", "tag", "facility", "diagnostic"]),
            st.sampled_from(["DRACO*", "SECRET", "public", "OMEGA", "OMEGA*", "SOP", "CAM", "*"]),
            min_size=1,
            max_size=2,
        ),
        "paths": st.lists(
            st.sampled_from(["omega", "omega-ep", "omega/62001", "omega/62002/p510_2", "omega/62001/sop"]), min_size=1
        ),
        "shots": ranges,
        "dates": st.fixed_dictionaries({}, optional={"from": days, "to": days}),
        "embargo_days": st.sampled_from([0, 5, 6, 1000]),
        "embargo_fact": st.just("release"),
    },
)
whom = st.sampled_from([{"users": ["*"]}, {"groups": ["staff"]}, {"users": ["bob"]}, {"groups": ["guests", "staff"]}])
rules = st.lists(st.builds(lambda who, what: {**who, **what}, whom, conditions), min_size=1, max_size=3)
PRINCIPALS: Final[Mapping[str, tuple[User, TokenRestriction | None]]] = {
    "alice": (User("alice", frozenset({"staff"}), frozenset({Scope.READ, Scope.EXPORT})), None),
    "bob": (User("bob", frozenset(), frozenset({Scope.READ, Scope.EXPORT})), None),
    "bob, one campaign": (
        User("bob", frozenset(), frozenset({Scope.READ, Scope.EXPORT})),
        TokenRestriction({"campaign": ("DRACO*",)}),
    ),
    "alice, one shot": (
        User("alice", frozenset({"staff"}), frozenset({Scope.READ, Scope.EXPORT})),
        TokenRestriction({}, ("omega/62001",)),
    ),
}


# Requests -------------------------------------------------------------------------------------------------------------

TARGETS: Final[Mapping[str, Sequence[str]]] = {
    "/api/v1/failures": [  # first, as many failures at a time are not all kept
        *("/dap/{image}.dods?nothing", "/api/v1/statistics/{image}?variable=nothing", "/dap/{image}x.dds"),
        *("/api/v1/failures?limit=3", "/calls"),
    ],
    "/": ["/"],
    "/health": ["/health"],
    "/ready": ["/ready"],
    "/dap/{path:path}": [
        *("/dap/", "/dap/{shot}", "/dap/{folder}/", "/dap/{shot}.dds", "/dap/{shot}.dmr", "/dap/{folder}.das"),
        *("/dap/{image}", "/dap/{image}/", "/dap/{image}.dds", "/dap/{image}.das", "/dap/{image}.dods?image"),
        *("/dap/{image}.dmr", "/dap/{image}.dap?dap4.ce=/image", "/dap/{image}.html", "/dap/{image}.info"),
        *("/dap/{image}.dmr.html", "/dap/{image}.nc4", "/dap/{image}.ascii?image[0][0:1]", "/dap/{image}/raw.dds"),
        *("/dap/{image}/~median_filter-size-3.dds", "/dap/{image}.dods?over_flat", "/dap/{image}.prov"),
        *("/dap/omega/~stack-diagnostic-{diagnostic}.dds", "/dap/omega/~stack-diagnostic-CAM.dods?over_flat"),
        *("/dap/{image}.ver", "/dap/{image}.help", "/dap/{image}.nothing", "/dap/{image}x.dds", "/dap/{image}.png"),
    ],
    **{
        f"/thredds{rest}": [f"/thredds{rest}"]
        for rest in ("", "/", "/catalog.xml", "/catalog.html", "/catalog/catalog.xml", "/catalog/catalog.html")
    },
    "/thredds/search.html": ["/thredds/search.html?q={diagnostic}", "/thredds/search.html?q={name}"],
    "/thredds/catalog/{path:path}/catalog.xml": [
        "/thredds/catalog/{shot}/catalog.xml",
        *(
            "/thredds/catalog/{folder}/catalog.xml?dataset={image}",
            "/thredds/catalog/omega/catalog.xml?dataset={image}",
        ),
    ],
    "/thredds/catalog/{path:path}/catalog.html": ["/thredds/catalog/{folder}/catalog.html"],
    "/fileServer/{path:path}": ["/fileServer/{image}"],
    "/static/{path:path}": ["/static/shotdap.css"],
    "/{shot:int}": ["/{number}"],
    "/latest": ["/latest", "/dap/omega/latest", "/dap/omega/latest/{segment}", "/dap/omega/latest/{segment}.dds"],
    "/calls": ["/calls"],
    "/compare": ["/compare?image={image}&image={image}/~image", "/compare?image={image}&image={shot}"],
    "/compare/picture": ["/compare/picture?image={image}&image={image}/~image&show=difference"],
    "/exports": ["/exports", "/exports?q={name}", "/exports?q={diagnostic}", "/exports?q=campaign:{campaign}"],
    "/images/{path:path}": [
        *("/images/{image}", "/images/{image}/~image~median_filter-size-3", "/images/{image}?variable=over_flat"),
        "/images/{shot}",
    ],
    "/live": ["/live", "/live?facility=omega", "/live?pin={diagnostic}", "/live?facility=omega&shot={number}"],
    "/notebooks/{path:path}": ["/notebooks/{image}", "/notebooks/{image}/~image~median_filter-size-3?low=1"],
    "/logout": ["/logout"],
    "/search": ["/search?q={diagnostic}", "/search?q={name}", "/search?q={number}", "/search?q={campaign}&view=list"],
    "/search/suggestions": [
        *("/search/suggestions?q={diagnostic}", "/search/suggestions?q={name}", "/search/suggestions?q={number}"),
        *("/search/suggestions?q=s", "/search/suggestions?q={campaign}", "/search/suggestions?q=campaign:{campaign}"),
    ],
    "/shots": ["/shots", "/shots?facility=omega"],
    "/shots/{facility}/{shot:int}": ["/shots/omega/{number}", "/shots/omega-ep/{number}"],
    "/sign-in": ["/sign-in"],
    "/status": ["/status"],
    "/diagnostics": ["/diagnostics"],
    "/diagnostics/{path:path}": [
        *("/diagnostics/{diagnostic}", "/diagnostics/CAM?variable=over_flat", "/diagnostics/sop?facility=omega-ep"),
        "/diagnostics/{diagnostic}?shot=..{number}",
    ],
    "/tokens": ["/tokens"],
    "/zarr/{path:path}": [
        *(
            "/zarr/{image}/zarr.json",
            "/zarr/{image}/image/zarr.json",
            "/zarr/{image}/image/c/0/0",
            "/zarr/{image}/.zmetadata",
        ),
        *("/zarr/{shot}/zarr.json", "/zarr/{image}/over_flat/zarr.json"),
    ],
    "/api/docs": ["/api/docs"],
    "/api/docs/files": ["/api/docs/files/swagger-ui.css"],
    "/api/image/get/{kind}": ["/api/image/get/raw?shot={number}", "/api/image/get/image?shot={number}&name={name}"],
    "/api/v1/image/get/{kind}": ["/api/v1/image/get/original?shot={number}&diagnostic={diagnostic}"],
    "/api/v1/attributes/{path:path}": ["/api/v1/attributes/{image}"],
    "/api/v1/changes": ["/api/v1/changes", "/api/v1/changes?limit=2", "/api/v1/changes?since=3"],
    "/api/v1/changes/stream": ["/api/v1/changes/stream?since=nothing"],  # else it is endless; it lists the same changes
    "/api/v1/diagnostics": ["/api/v1/diagnostics"],
    "/api/v1/exports": ["/api/v1/exports"],
    "/api/v1/exports/{id}": ["/api/v1/exports/{job}"],
    "/api/v1/exports/{id}/events": ["/api/v1/exports/{job}/events"],
    "/api/v1/exports/{id}/manifest": ["/api/v1/exports/{job}/manifest"],
    "/api/v1/exports/{id}/result": ["/api/v1/exports/{job}/result"],
    "/api/v1/facets": ["/api/v1/facets", "/api/v1/facets?q=campaign:{campaign}", "/api/v1/facets?q=name:{name}"],
    "/api/v1/facilities": ["/api/v1/facilities"],
    "/api/v1/formats": ["/api/v1/formats"],
    "/api/v1/health": ["/api/v1/health"],
    "/api/v1/health/ready": ["/api/v1/health/ready"],
    "/api/v1/images": [
        *("/api/v1/images", "/api/v1/images?limit=2", "/api/v1/images?q=shot:{number}", "/api/v1/images?q={name}"),
        *("/api/v1/images?q=campaign:{campaign}", "/api/v1/images?q=tag:public", "/api/v1/images?q=health:unseen"),
    ],
    "/api/v1/images/{path:path}": [
        *("/api/v1/images/{image}", "/api/v1/images/{image}?format=png&size=8", "/api/v1/images/{folder}"),
        *(
            "/api/v1/images/{image}?format=nc&variable=image",
            "/api/v1/images/{image}/raw",
            "/api/v1/images/{image}%2fx",
        ),
    ],
    "/api/v1/openapi.json": ["/api/v1/openapi.json"],
    "/api/v1/packages/{path:path}": [
        *("/api/v1/packages/{shot}", "/api/v1/packages/{image}", "/api/v1/packages/{shot}?image={name}"),
        "/api/v1/packages/{folder}?format=nc4",
    ],
    "/api/v1/provenance/{path:path}": ["/api/v1/provenance/{image}", "/api/v1/provenance/{image}?variable=over_flat"],
    "/api/v1/shots": ["/api/v1/shots", "/api/v1/shots?limit=1", "/api/v1/shots?facility=omega-ep"],
    "/api/v1/shots/{facility}/{shot}": ["/api/v1/shots/omega/{number}", "/api/v1/shots/omega-ep/{number}"],
    "/api/v1/shots/{facility}/{shot}/package": ["/api/v1/shots/omega/{number}/package"],
    "/api/v1/sign-in": ["/api/v1/sign-in"],
    "/api/v1/statistics/{path:path}": ["/api/v1/statistics/{image}?variable=image"],
    "/api/v1/thumbnails/{path:path}": ["/api/v1/thumbnails/{image}?size=8"],
    "/api/v1/tokens": ["/api/v1/tokens"],
    "/api/v1/transforms": ["/api/v1/transforms"],
    "/api/v1/transforms/{name}": ["/api/v1/transforms/median_filter"],
    "/api/v1/version": ["/api/v1/version"],
}
"""Requests of each route: of an image, its folders, and what a search may find it by."""


@dataclass(frozen=True)
class World:
    """Files, a catalog of everything, and the users."""

    folder: Path
    access: AccessDatabase
    secrets: Mapping[str, str]

    def load(self, catalog: str, access_rules: Sequence[Mapping[str, Any]]) -> Settings:
        """Load the settings of an application."""
        return load_settings(
            overrides={
                "archive.root": str(self.folder / "files"),
                "archive.url": "",
                "catalog.index": str(self.folder / catalog / "catalog.db"),
                "catalog.diagnostics": str(self.folder / "diagnostics"),
                "catalog.isolate": False,
                "exports.jobs_per_user": 100_000,
                "exports.folder": str(self.folder / catalog / "exports"),
                "access.mode": "token",
                "access.database": str(self.folder / catalog / "failures.db"),
                "access.rules": list(access_rules),
            }
        )

    def make_app(self, catalog: str, access_rules: Sequence[Mapping[str, Any]]) -> Starlette:
        """Make the application of a catalog that has been built."""
        loaded = self.load(catalog, access_rules)
        guards = [
            Middleware(FailureMiddleware, log=FailureLog.from_settings(loaded)),
            *create_access_middleware(loaded, self.access, None),
        ]
        return create_app(Site(loaded).open_catalog(), loaded, WorkerParts(access=self.access, guards=guards))

    def build_index(self, catalog: str, present: Sequence[Row], removed: Sequence[Row] = ()) -> SqlIndex:
        """Build a catalog from which some rows were removed; return its index."""
        (self.folder / catalog).mkdir()
        index = SqlIndex.open_sqlite(self.folder / catalog / "catalog.db")
        build_catalog(Rows([*present, *removed]), index, DEFAULT)
        build_catalog(Rows(present), index, DEFAULT, full=True)
        return index


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Files, a catalog of everything, and a token of each principal."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    for name in ("files", "diagnostics"):
        (folder / name).mkdir()
    for number in range(4):
        samples.write_image(folder / "files" / f"{number}.h5", rng.integers(1, 2**16, (2, 6, 8), "u2"))
    (folder / "diagnostics/camera.toml").write_text(CAMERA)
    access = AccessDatabase(f"sqlite:///{folder / 'access.db'}")
    store = TokenStore(access)
    secrets = {}
    everybody = {**PRINCIPALS, "olga": (User("olga", frozenset({"operators"}), frozenset(Scope)), None)}
    for name, (user, restriction) in everybody.items():
        store.put_user(user)
        secrets[name], _ = store.create_token(user.name, name, user.scopes, restriction=restriction)
    yield World(folder, access, secrets)
    access.close()


@pytest.fixture(scope="module")
def entries(world: World) -> Mapping[str, Entry]:
    """The entry of each row, also of those that were removed, by their keys."""
    index = world.build_index("all", [*PRESENT, *REMOVED])
    by_name = {entry.facts["name"]: entry for entry in index.list_entries(100)}
    index.close()
    return {row.key: by_name[row.facts["name"]] for row in (*PRESENT, *REMOVED)}


def format_targets(entry: Entry, job: str) -> list[str]:
    """Return the requests for an image, and for what it may be found by."""
    words = {
        **{name: str(value) for name, value in entry.facts.items()},
        "image": entry.path,
        "folder": entry.path.rpartition("/")[0],
        "shot": "/".join(entry.path.split("/")[:2]),
        "number": entry.facts["shot"],
        "name": entry.path.rpartition("/")[2],
        "segment": entry.path.split("/")[2],
        "job": job,
    }
    return [*dict.fromkeys(target.format(**words) for targets in TARGETS.values() for target in targets)]


@asynccontextmanager
async def connect(app: Starlette, secret: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application, with a token."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}
    async with httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers) as client:
        yield client


async def order_export(app: Starlette, secret: str) -> httpx.Response:
    """Order an export of all images."""
    async with connect(app, secret) as client:
        return await client.post("/api/v1/exports", json={"query": "shot:62001..62009", "format": "nc4"})


async def ask_all(
    app: Starlette, secret: str, targets: Iterable[str], tags: Mapping[str, str] = MappingProxyType({})
) -> dict[str, httpx.Response]:
    """Send requests to an application, and again those to answers of others whose tags are given."""
    async with connect(app, secret) as client:
        plain = {target: await client.get(target) for target in targets}
        again = {
            f"{target} if it has changed": await client.get(target, headers={"If-None-Match": tag})
            for target, tag in tags.items()
        }
    return {**plain, **again}


# What may differ ------------------------------------------------------------------------------------------------------


def mask_members(pattern: str) -> Callable[[bytes], object]:
    """Return a function that masks the values of members of a JSON document: what the pattern finds."""
    return lambda body: re.sub(rf'("(?:{pattern})":)("[^"]*"|null)'.encode(), rb"\1*", body)


def mask_cursors(body: bytes) -> object:
    """Mask the positions in URLs of next pages."""
    return re.sub(rb"cursor=[\w-]+", b"cursor=*", body)


def mask_times(body: bytes) -> object:
    """Mask the times on a page, which pass: of a principal's own calls, of the last uses of their own tokens."""
    return re.sub(rb"<time [^>]*>[^<]*</time>|not yet", b"*", body)


def describe_package(body: bytes) -> object:
    """Return the names and sizes of what is in a package: it also has the time at which it was made."""
    if not body.startswith(b"PK"):
        return len(body)
    with zipfile.ZipFile(BytesIO(body)) as file:
        return [(member.filename, member.file_size) for member in file.infolist()]


DIFFERENCES: Final[Mapping[str, Callable[[bytes], object]]] = {
    "/api/v1/changes": mask_members("token"),  # the number of writes to the catalog: docs/searching.md
    "/api/v1/exports": mask_members("id|created|self|events|manifest"),
    "/api/v1/failures": bool,  # of many at a time, other ones are kept; test_failures.py has what they tell
    "/api/v1/images?": mask_cursors,  # ids, which are numbers of writes, too
    "/api/v1/packages/": describe_package,
    "/api/v1/tokens": mask_members("used"),
    "/calls": bool,
    "/live": mask_times,
    "/tokens": mask_times,
}
"""What of the answers of some URLs may differ; their tags and lengths follow it. Of all others, nothing."""


def describe(target: str, response: httpx.Response) -> Mapping[str, object]:
    """Return all that a client learns from an answer, without what may differ."""
    headers, body = sorted(response.headers.multi_items()), response.content
    mask = next((mask for prefix, mask in DIFFERENCES.items() if target.startswith(prefix)), None)
    if mask is None or response.status_code >= 300:
        return {"status": response.status_code, "headers": headers, "body": body}
    hidden = {"etag", "content-length", "location"}
    headers = [(key, str(mask_cursors(value.encode()))) for key, value in headers if key not in hidden]
    return {"status": response.status_code, "headers": headers, "body": mask(body)}


def find_differences(found: Mapping[str, httpx.Response], expected: Mapping[str, httpx.Response]) -> list[str]:
    """Return a line for each part of an answer that differs."""
    return [
        f"{target}: {part} is {value!r:.600}\n  instead of {twin[part]!r:.600}"
        for target, response in found.items()
        for twin in [describe(target, expected[target])]
        for part, value in describe(target, response).items()
        if value != twin[part]
    ]


# The property ---------------------------------------------------------------------------------------------------------


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.generate],  # an example takes seconds: the differences say enough
)
@given(site_rules=rules, name=st.sampled_from(sorted(PRINCIPALS)), number=st.integers(0, 17), is_hidden=st.booleans())
def test_nothing_is_revealed(
    site_rules: list[dict[str, Any]],
    name: str,
    number: int,
    is_hidden: bool,  # noqa: FBT001 — whether an image that the principal may not read is asked for
    world: World,
    entries: Mapping[str, Entry],
) -> None:
    """Whatever the rules are, a principal gets the answers of a catalog that has only what they may read."""
    all_rules = [*site_rules, {"groups": ["operators"]}]
    visible = find_visible(world.load("full", all_rules), name, entries)
    choice = [entry for key, entry in entries.items() if (key not in visible) == is_hidden] or [*entries.values()]
    full, twin = (f"{kind} {len(list(world.folder.iterdir()))}" for kind in ("full", "twin"))
    for catalog, keys in ((full, entries.keys()), (twin, visible)):
        world.build_index(catalog, *([row for row in rows if row.key in keys] for rows in (PRESENT, REMOVED))).close()
    full_app, twin_app = world.make_app(full, all_rules), world.make_app(twin, all_rules)
    ordered = asyncio.run(order_export(full_app, world.secrets["olga"]))
    assert ordered.status_code == 202, ordered.text

    targets = format_targets(choice[number % len(choice)], ordered.json()["id"])
    finite = [target for target in targets if not target.endswith("/events")]
    # Caches of the application now have what the principal may not read; its tags may be known to them.
    olgas = asyncio.run(ask_all(full_app, world.secrets["olga"], finite))
    tags = {
        target: answer.headers["etag"]
        for target, answer in olgas.items()
        if "etag" in answer.headers and not target.startswith((*DIFFERENCES,))
    }
    answers = [asyncio.run(ask_all(app, world.secrets[name], targets, tags)) for app in (full_app, twin_app)]
    orders = [{"/api/v1/exports": asyncio.run(order_export(app, world.secrets[name]))} for app in (full_app, twin_app)]

    differences = find_differences(*answers) + find_differences(*orders)
    assert not differences, "\n".join(differences)


def test_names_of_the_site(world: World) -> None:
    """Names of facts are those of the archive's table, for everybody: also for who sees no image."""
    world.build_index("named", PRESENT).close()
    app = world.make_app("named", [{"groups": ["operators"]}])
    targets = ["/api/v1/images?q=nothing:x", "/api/v1/images?q=campaign:SECRET"]
    unknown, known = asyncio.run(ask_all(app, world.secrets["bob"], targets)).values()

    assert unknown.status_code == 400
    assert "campaign" in unknown.json()["detail"]
    assert known.json()["images"] == []


def find_visible(loaded: Settings, name: str, entries: Mapping[str, Entry]) -> set[str]:
    """Return the keys of the rows that a principal may see."""
    user, restriction = PRINCIPALS[name]
    visibility = Policy(loaded.access).find_visibility(user.name, user.groups)
    if restriction is not None:
        visibility = visibility.restrict(restriction.grants)
    return {key for key, entry in entries.items() if visibility.allows(entry)}


def test_every_route_is_asked(world: World) -> None:
    """Each route of the application has a policy, and is among these requests."""
    world.build_index("any", PRESENT).close()
    routes = set(iter_get_routes(world.make_app("any", [{"groups": ["operators"]}]).routes))

    assert {route.replace(":path}", "}") for route in routes} == {route.replace(":path}", "}") for route in TARGETS}
    assert [route for route in routes if find_scope(route) is Scope.ADMIN] == ["/status"]
