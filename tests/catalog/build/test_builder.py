"""Building a catalog: permanent paths, incremental builds, and faults that stop nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import h5py
import pytest
from tests.contracts.index import IndexContract, walk_index
from tests.rows import DEFAULT, Rows, list_paths, make_row

from shotdap.catalog import (
    BadArchive,
    BuildReport,
    DirectoryArchive,
    Entry,
    Health,
    InspectionReport,
    Inspector,
    Missing,
    PathTemplate,
    Row,
    Sandbox,
    SqlIndex,
    Watermark,
    build_catalog,
    inspect_catalog,
)
from shotdap.catalog.readers.gunzip import refuse_packed_file


@pytest.fixture
def index(tmp_path: Path) -> SqlIndex:
    return SqlIndex.open_sqlite(tmp_path / "made" / "catalog.db")


class TestTemplate:
    def test_default(self) -> None:
        """Facility, shot, diagnostic and name make a path; case, folders and extensions are no part of a name."""
        stored = make_row(1, facility="OMEGA EP", shot=25386, diagnostic="SOP", name=r"C:\data\sop_s25386.hdf")

        assert DEFAULT.format_path(stored) == "omega-ep/25386/sop/sop_s25386"

    @pytest.mark.parametrize("value", ["../../etc/passwd", "a/b", "..", ".", "a\0b", "a b", "", " ", "%2e%2e", "\n"])
    def test_values_are_segments(self, value: str) -> None:
        """Any value of a column becomes one safe segment of the path."""
        path = DEFAULT.format_path(make_row(1, facility=value, shot=value, diagnostic=value, name=value))

        assert len(path.split("/")) == 4
        assert not {"", ".", ".."} & set(path.split("/"))
        assert set(path) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/")

    def test_missing_column(self) -> None:
        """A column without a value becomes `unknown`."""
        assert DEFAULT.format_path(Row("1", "file.hdf")) == "unknown/unknown/unknown/unknown"

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("{facility}/{shott}", "shott"),
            ("images", "no column"),
            ("", "no column"),
            ("{facility}/{shot", "does not read"),
            ("{facility}/{}", ""),
            ("{shot.__class__}", "shot.__class__"),
            ("{shot:06d}/{facility}", "does not read"),
            ("/{shot}", "makes no path"),
            ("{shot}/", "makes no path"),
            ("{facility}//{shot}", "makes no path"),
            ("all images/{shot}", "makes no path"),
            ("../{shot}", "makes no path"),
        ],
    )
    def test_bad_template(self, text: str, part: str) -> None:
        """An invalid template is refused with the reason before any row is read."""
        with pytest.raises(BadArchive, match=r"path template") as caught:
            PathTemplate(text).check_columns(["facility", "shot"])

        assert part in str(caught.value)

    def test_good_template(self) -> None:
        """A template may use any columns, once or more, with words between."""
        PathTemplate("shots/{shot}/{facility}-{shot}").check_columns(["facility", "shot", "name"])


class TestPaths:
    def test_one_shot_number_in_two_facilities(self, index: SqlIndex) -> None:
        """The same shot number in OMEGA and OMEGA EP gives different paths."""
        build_catalog(Rows([make_row(1), make_row(2, facility="OMEGA EP")]), index, DEFAULT)

        assert sorted(list_paths(index)) == ["omega-ep/62328/asbo1/asbo1", "omega/62328/asbo1/asbo1"]

    def test_two_rows_one_path(self, index: SqlIndex) -> None:
        """Two rows that ask for one path both get entries; the later one has its key in its path."""
        build_catalog(Rows([make_row(1, file="a"), make_row(2, file="b")]), index, DEFAULT)

        assert index.find_entry("omega/62328/asbo1/asbo1").file == "a"
        assert index.find_entry("omega/62328/asbo1/asbo1.2").file == "b"

    def test_paths_that_look_like_collisions(self, index: SqlIndex) -> None:
        """A name that looks like the result of a collision takes no other entry's path, in one build or in two."""
        build_catalog(
            Rows([make_row(5, name="asbo1.2"), make_row(1), make_row(2), make_row(3, name="asbo1.4")]), index, DEFAULT
        )
        build_catalog(Rows([make_row(4, version=2)]), index, DEFAULT)

        assert len(set(list_paths(index))) == 5
        assert index.find_entry("omega/62328/asbo1/asbo1.2").facts["name"] == "asbo1.2"

    def test_permanent(self, index: SqlIndex) -> None:
        """An entry keeps its path, even if its row, the template, or the other rows with that path change."""
        build_catalog(Rows([make_row(1), make_row(2)]), index, DEFAULT)
        renamed = [make_row(1, version=2, name="other.hdf"), make_row(2, version=2, name="more.hdf")]
        build_catalog(Rows(renamed), index, PathTemplate("{name}"))

        assert sorted(list_paths(index)) == ["omega/62328/asbo1/asbo1", "omega/62328/asbo1/asbo1.2"]
        assert index.find_entry("omega/62328/asbo1/asbo1").facts["name"] == "other.hdf"

    def test_hostile_rows(self, index: SqlIndex) -> None:
        """Rows with quotes, dots, NUL, ten thousand letters or nothing become entries that are found."""
        values = ("'; DROP TABLE entries; --", "../..", "a\0b", "x" * 10_000, "", "größe")
        rows = [make_row(value, name=value, facility=value, file=value) for value in values]
        build_catalog(Rows(rows), index, DEFAULT)

        assert sorted(index.find_entry(path).file for path in list_paths(index)) == sorted(values)

    def test_same_key_twice(self, index: SqlIndex) -> None:
        """Of two rows with one key, the later one counts."""
        build_catalog(Rows([make_row(1, file="a"), make_row(1, file="b", version=2)]), index, DEFAULT)

        assert [index.find_entry(path).file for path in list_paths(index)] == ["b"]


class TestIncrements:
    def test_counts(self, index: SqlIndex) -> None:
        """A build counts what it added, changed and found unchanged."""
        first = build_catalog(Rows([make_row(1), make_row(2)]), index, DEFAULT)
        second = build_catalog(Rows([make_row(1), make_row(2, file="moved.hdf"), make_row(3)]), index, DEFAULT)

        assert first == BuildReport(added=2)
        assert second == BuildReport(added=1, changed=1, unchanged=1)
        assert index.find_entry("omega/62328/asbo1/asbo1.2").file == "moved.hdf"

    @pytest.mark.parametrize(
        "versions", [(1, 2), (1.5, 2.5), ("2022", "2023"), (datetime(2022, 1, 1, tzinfo=UTC), None)]
    )
    def test_watermark(self, index: SqlIndex, versions: tuple[Watermark, Watermark | None]) -> None:
        """The next build starts at the greatest version of the last, whatever its type."""
        archive = Rows([make_row(1, versions[0]), make_row(2, versions[1])])
        build_catalog(archive, index, DEFAULT)
        again = build_catalog(archive, index, DEFAULT)

        assert archive.asked == (versions[1] or versions[0])
        assert (again.added, again.changed) == (0, 0)

    @pytest.mark.parametrize("breaks_after", [0, 1, 999, 1000, 1001, 2499])
    def test_killed_in_the_middle(self, index: SqlIndex, breaks_after: int) -> None:
        """A build that breaks leaves a catalog that the next build completes."""
        rows = [
            make_row(number, version=number // 7, name=f"n{number}.hdf", shot=number % 50) for number in range(2500)
        ]
        with pytest.raises(BadArchive):
            build_catalog(Rows(rows, breaks_after), index, DEFAULT)
        build_catalog(Rows(rows), index, DEFAULT)

        assert len(list_paths(index)) == 2500
        assert build_catalog(Rows(rows), index, DEFAULT).added == 0

    def test_folder(self, index: SqlIndex, tmp_path: Path) -> None:
        """A directory tree is an archive like any other."""
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "a b.hdf").write_text("content")
        build_catalog(DirectoryArchive(tmp_path / "tree"), index, PathTemplate("{name}"))

        assert [index.find_entry(path).file for path in list_paths(index)] == ["a b.hdf"]


@pytest.fixture(scope="module")
def isolation() -> Iterator[Sandbox]:
    isolation = Sandbox()
    yield isolation
    isolation.close()


@pytest.fixture
def disk(tmp_path: Path, isolation: Sandbox) -> Disk:
    (tmp_path / "disk").mkdir()
    return Disk(tmp_path / "disk", isolation)


class Disk:
    """Files that inspections read; records which."""

    def __init__(self, root: Path, isolation: Sandbox) -> None:
        self.root = root
        self.looked: list[str] = []
        self.inspector = Inspector(self.locate, isolation, refuse_packed_file)

    def locate(self, entry: Entry) -> Path:
        self.looked.append(entry.file)
        if not (self.root / entry.file).exists():
            raise Missing("It is gone.")
        return self.root / entry.file

    def write(self, *names: str) -> None:
        for name in names:
            with h5py.File(self.root / name, "w") as file:
                file["image"] = [1, 2]


class TestInspection:
    def test_reasons(self, index: SqlIndex, disk: Disk) -> None:
        """A file that cannot be read becomes an entry with a reason, and stops nothing."""
        disk.write("fine", "good")
        (disk.root / "broken").write_text("nothing of the kind")
        build_catalog(
            Rows([make_row(n, file=f) for n, f in enumerate(("fine", "gone", "broken", "good"))]), index, DEFAULT
        )
        report = inspect_catalog(index, disk.inspector)
        children = [child for child in walk_index(index) if not child.is_folder]

        assert report == InspectionReport(ok=2, missing=1, unreadable=1)
        assert [child.health for child in children] == [Health.OK, Health.MISSING, Health.UNREADABLE, Health.OK]
        assert [bool(child.reason) for child in children] == [False, True, True, False]
        assert children[1].reason == "It is gone."

    def test_recovery(self, index: SqlIndex, disk: Disk) -> None:
        """A file that appears or is repaired is good at the next inspection."""
        (disk.root / "broken").write_text("nothing of the kind")
        build_catalog(Rows([make_row(1, file="gone"), make_row(2, file="broken")]), index, DEFAULT)
        inspect_catalog(index, disk.inspector)
        disk.write("gone", "broken")
        report = inspect_catalog(index, disk.inspector)

        assert report == InspectionReport(ok=2)
        assert all(
            (found.health, found.reason) == (Health.OK, "") for found in map(index.find_entry, list_paths(index))
        )

    def test_unchanged_is_not_inspected_again(self, index: SqlIndex, disk: Disk) -> None:
        """An unchanged file is not inspected again; a changed one is."""
        disk.write("file.hdf", "other.hdf", "moved.hdf")
        build_catalog(Rows([make_row(1), make_row(2, file="other.hdf")]), index, DEFAULT)
        inspect_catalog(index, disk.inspector)
        build_catalog(Rows([make_row(1), make_row(2, file="moved.hdf")]), index, DEFAULT)
        inspect_catalog(index, disk.inspector)

        assert disk.looked == ["file.hdf", "other.hdf", "moved.hdf"]

    def test_many(self, index: SqlIndex, disk: Disk) -> None:
        """Each of thousands of files is inspected once, and a missing one once each time."""
        disk.write("7", "1999")
        build_catalog(Rows([make_row(number, file=str(number)) for number in range(2000)]), index, DEFAULT)
        report = inspect_catalog(index, disk.inspector)
        first, disk.looked = disk.looked, []
        inspect_catalog(index, disk.inspector)

        assert report == InspectionReport(ok=2, missing=1998)
        assert sorted(first, key=int) == [str(number) for number in range(2000)]
        assert set(first) - set(disk.looked) == {"7", "1999"}


class TestIndex(IndexContract):
    @pytest.fixture
    def index(self, index: SqlIndex) -> SqlIndex:
        """Folders of several levels; a folder and an image with the same name."""
        rows = [
            make_row(number, shot=number % 3, name=f"n{number}.hdf", diagnostic=f"d{number % 2}")
            for number in range(12)
        ]
        build_catalog(Rows(rows), index, DEFAULT)
        build_catalog(
            Rows([make_row("both", name="0"), make_row("more", name="1")]), index, PathTemplate("omega/{name}")
        )
        build_catalog(Rows([make_row("top", name="top")]), index, PathTemplate("{name}"))
        return index

    def test_folder_and_image_of_one_name(self, index: SqlIndex) -> None:
        """An image with the name of a folder is listed beside it, on pages of any length."""
        for limit in (1, 2, 3, 100):
            page = index.list_children("omega", limit=limit)

            assert [(child.name, child.is_folder) for child in page.children][:2] == [("0", True), ("0", False)]

    def test_entries_live_on(self, index: SqlIndex, tmp_path: Path) -> None:
        """Another process finds the entries that this one wrote."""
        entry = index.find_entry("omega/0/d0/n0")

        assert SqlIndex.open_sqlite(tmp_path / "made" / "catalog.db").find_entry("omega/0/d0/n0") == entry
        assert entry == replace(entry, health=Health.UNSEEN)
