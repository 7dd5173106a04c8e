"""An image is one snapshot: its fingerprint, its headers and its values belong to one look at its files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event
from tests.catalog.diagnostics.test_derive import catalog, index, read_frames, root, write

from shotdap.catalog import Catalog, Image, Missing, NotFound, SqlIndex

__all__ = ["catalog", "index", "root"]  # fixtures

PATH = "omega/3/cam/image"
FLAT = "omega/2/cam/flat"


class TestOneLook:
    def test_cost_of_a_warm_slice(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        """A slice of an image with a flat field takes one search, three SQL statements and one stat of each file."""
        counts: Counter[str] = Counter()

        def load_slice(image: Image) -> np.ndarray[Any, Any]:
            assert image.fingerprint
            assert image.modified
            assert image.list_origins()
            return np.asarray(image.open(chunked=False).flattened[2:4].values)

        before = load_slice(catalog.image(PATH))
        stat, find_nearest = os.stat, SqlIndex.find_nearest

        def count_stat(path: Any, **options: Any) -> os.stat_result:  # noqa: ANN401 — as `os.stat`
            if isinstance(path, Path) and path.suffix == ".h5":
                counts[path.name] += 1
            return stat(path, **options)

        def count_search(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 — as `find_nearest`
            counts["nearest"] += 1
            return find_nearest(*arguments, **options)

        def count_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            counts["SQL"] += statement != "BEGIN"

        monkeypatch.setattr(os, "stat", count_stat)
        monkeypatch.setattr(SqlIndex, "find_nearest", count_search)
        event.listen(Engine, "before_cursor_execute", count_statement)
        try:
            after = load_slice(catalog.image(PATH))
        finally:
            event.remove(Engine, "before_cursor_execute", count_statement)

        assert np.array_equal(before, after)
        assert counts == {"nearest": 1, "SQL": 3, "1.h5": 1, "2.h5": 1}

    @pytest.mark.parametrize("path", [PATH, f"{PATH}/raw", f"{PATH}/~image~crop-rows-0_2", "omega/3", "omega/~stack"])
    def test_replaced_file(self, catalog: Catalog, root: Path, path: str) -> None:
        """A snapshot goes on with the files that it looked at; the next one has others, and another fingerprint."""
        image = catalog.image(path)
        fingerprint, before = image.fingerprint, catalog.open(path).load()
        write(root / "new.h5", 99)
        (root / "new.h5").replace(root / "2.h5")

        assert image.fingerprint == fingerprint
        assert image.open().load().equals(before)
        assert catalog.image(path).fingerprint != fingerprint
        assert not catalog.open(path).load().equals(before)

    def test_replaced_before_the_look(self, catalog: Catalog, root: Path) -> None:
        """A file counts as it is when something first depends on it, not when its path is found."""
        image = catalog.image(PATH)
        write(root / "2.h5", 99)

        assert np.array_equal(image.open().image.values, read_frames(root, 2)[0])
        assert image.fingerprint == catalog.image(PATH).fingerprint

    def test_missing_file(self, catalog: Catalog, root: Path) -> None:
        """An image whose file is missing is found, with its entry; what depends on the file says that it is missing."""
        (root / "2.h5").unlink()
        image = catalog.image(PATH)

        assert image.entry is not None
        assert image.entry.file == "2.h5"
        with pytest.raises(Missing):
            _ = image.fingerprint
        with pytest.raises(Missing):
            image.open()


class TestKinds:
    def test_single(self, catalog: Catalog) -> None:
        """An image knows its entry, its file's version and the images that it is computed from."""
        image = catalog.image(PATH)

        assert image.path == PATH
        assert image.entry == catalog.find_entry(PATH)
        assert image.version == catalog.get_file_version(catalog.find_entry(PATH))
        assert {name: each.path for name, each in image.related.items()} == {"flat": FLAT}
        assert image.member_fingerprints == {PATH: image.fingerprint}
        assert not image.has_groups

    def test_raw(self, catalog: Catalog) -> None:
        """The unmodified file is computed from nothing else."""
        image = catalog.image(f"{PATH}/raw")

        assert image.path == f"{PATH}/raw"
        assert image.entry == catalog.find_entry(PATH)
        assert not image.related
        assert image.fingerprint != catalog.image(PATH).fingerprint

    def test_variant(self, catalog: Catalog) -> None:
        """A variant has one canonical path, and a fingerprint of its own."""
        image = catalog.image(f"{PATH}/~image~crop-rows-0_2")

        assert catalog.image(image.path).path == image.path
        assert image.fingerprint != catalog.image(PATH).fingerprint
        assert image.entry == catalog.find_entry(PATH)
        assert image.list_origins()["result"].recipe

    def test_shot_and_stack(self, catalog: Catalog) -> None:
        """Many images are one more image, which depends on each of them."""
        shot, stack = catalog.image("omega/3"), catalog.image("omega/~stack-shot-3")

        assert (shot.has_groups, stack.has_groups) == (True, False)
        for image in (shot, stack):
            assert (image.entry, image.version, image.related, image.list_origins()) == (None, None, {}, {})
        assert shot.member_fingerprints == {PATH: catalog.image(PATH).fingerprint}
        assert shot.modified == catalog.image(PATH).modified
        assert "cam/image/image" in shot.open()

    def test_unreadable_member(self, catalog: Catalog, root: Path) -> None:
        """An image that cannot be read is left out of its shot, and part of its fingerprint."""
        before = catalog.image("omega/3").fingerprint
        (root / "2.h5").unlink()
        image = catalog.image("omega/3")

        assert "missing" in image.fingerprint
        assert image.fingerprint != before
        assert PATH in image.open().attrs["left_out"]

    def test_no_image(self, catalog: Catalog) -> None:
        """Nothing is found at other paths."""
        for path in ("", "omega/77", "omega/3/cam/none", "omega/3/~difference"):
            with pytest.raises(NotFound):
                catalog.image(path)
