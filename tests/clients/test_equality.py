"""Every variable of every image is the same, to the bit, over every protocol and in every format.

The reference is the whole variable that the catalog computes in this process, without dask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from numpy.typing import NDArray
from tests.clients.ways import WAYS, Place, convert_to_native
from tests.serving import Server

from shotdap.catalog import Catalog, Entry
from shotdap.config import Site, load_settings

Array: TypeAlias = NDArray[Any]


@pytest.fixture(scope="module")
def catalog(archive: Path) -> Catalog:
    """The catalog of the synthetic archive, in this process."""
    return Site(load_settings(archive / "shotdap.toml")).open_catalog()


@pytest.fixture(scope="module")
def truth(catalog: Catalog) -> Mapping[tuple[str, str], Array]:
    """The values of every variable of every image, by path and name, in this machine's byte order."""
    found: dict[tuple[str, str], Array] = {}
    for entry in list_readable(catalog):
        dataset = catalog.open(entry.path, chunked=False).compute()
        found |= {(entry.path, str(name)): convert_to_native(each.values) for name, each in dataset.variables.items()}
    return found


def list_readable(catalog: Catalog) -> Iterator[Entry]:
    """Return all images except the missing file and the login page."""
    for top in catalog.list_children("").children:
        for entry in catalog.list_entries(top.path, most=1000):
            if not entry.reason:
                yield entry


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client without a proxy."""
    with httpx.Client(trust_env=False, timeout=60) as asking:
        yield asking


def test_all_variables_are_compared(truth: Mapping[tuple[str, str], Array], catalog: Catalog) -> None:
    """All variables of all readable images are compared, and more than a hundred are virtual."""
    paths = {path for path, _ in truth}
    virtual = [name for path in paths for name, origin in catalog.image(path).list_origins().items() if origin.recipe]

    assert len(paths) == 15
    assert len(virtual) > 60
    assert {values.dtype.kind for values in truth.values()} == {"u", "i", "f"}


@pytest.mark.parametrize("way", WAYS)
def test_every_variable_is_the_same(
    way: str,
    truth: Mapping[tuple[str, str], Array],
    demo: Server,
    catalog: Catalog,
    client: httpx.Client,
    tmp_path: Path,
) -> None:
    """All variables of all images, including virtual ones, arrive unchanged to the bit."""
    row = WAYS[way]
    compared = 0
    for (path, name), values in truth.items():
        if row.holds(values):
            found = row.fetch(Place(demo, catalog, client, path, name, values.ndim, tmp_path / "file"))
            expected = values.astype(row.becomes(values))
            compared += 1

            assert found.dtype.newbyteorder("=") == expected.dtype, (path, name)
            assert found.shape == expected.shape, (path, name)
            assert convert_to_native(found).tobytes() == expected.tobytes(), (path, name)
    assert compared > len(truth) // 4
