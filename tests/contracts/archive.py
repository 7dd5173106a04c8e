"""What every archive does: give its rows in the order of their versions, from a watermark on."""

from __future__ import annotations

from shotdap.catalog import Archive, Row

__all__ = ["ArchiveContract"]


class ArchiveContract:
    """To be subclassed: a fixture `archive` gives one of three rows or more, whose versions are not all the same."""

    def test_rows(self, archive: Archive) -> None:
        """Each row has a key of its own, and text for its file."""
        rows = list(archive.rows())

        assert len(rows) >= 3
        assert len({row.key for row in rows}) == len(rows)
        assert all(isinstance(row, Row) and row.file for row in rows)

    def test_facts(self, archive: Archive) -> None:
        """Facts are what JSON and every protocol carries."""
        facts = [fact for row in archive.rows() for fact in row.facts.values()]

        assert facts
        assert all(isinstance(fact, str | int | float) for fact in facts)

    def test_ordered(self, archive: Archive) -> None:
        """Rows come in the order of their versions."""
        versions = [row.version for row in archive.rows() if row.version is not None]

        assert versions == sorted(versions)
        assert versions[0] != versions[-1]

    def test_watermark(self, archive: Archive) -> None:
        """From a watermark on come the rows at it, and all after it."""
        rows = list(archive.rows())
        for row in rows:
            newer = [other for other in rows if other.version >= row.version]  # type: ignore[operator]  # as above

            assert list(archive.rows(row.version)) == newer

    def test_repeatable(self, archive: Archive) -> None:
        """Asked again, an archive gives the same rows, even while an earlier answer is unfinished."""
        unfinished = archive.rows()
        first = next(unfinished)

        assert [first, *unfinished] == list(archive.rows())
