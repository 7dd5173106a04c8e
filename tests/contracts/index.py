"""The contract of every index: find entries by their paths, and list folders page by page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shotdap.catalog import Child, Index, NotFound

__all__ = ["IndexContract", "list_all_children", "walk_index"]


def list_all_children(index: Index, path: str, limit: int) -> list[Child]:
    """Return all children of a folder, page by page."""
    page = index.list_children(path, limit=limit)
    children = list(page.children)
    while page.after is not None:
        page = index.list_children(path, after=page.after, limit=limit)
        children += page.children
    return children


def walk_index(index: Index, path: str = "") -> Iterator[Child]:
    """Yield every child below a folder, at any depth."""
    for child in list_all_children(index, path, 100):
        yield child
        if child.is_folder:
            yield from walk_index(index, child.path)


class IndexContract:
    """To be subclassed: the fixture `index` is an index of three entries or more, at least one of them in a folder."""

    def test_listed_paths_are_found(self, index: Index) -> None:
        """Every path in a listing is found, and is the entry's path."""
        children = list(walk_index(index))
        paths = [child.path for child in children if not child.is_folder]

        assert len(paths) >= 3
        assert [index.find_entry(path).path for path in paths] == paths
        assert any(child.is_folder for child in children)

    def test_paths_are_made_of_names(self, index: Index) -> None:
        """A child's path is its folder's path and its own name."""
        for folder in ["", *(child.path for child in walk_index(index) if child.is_folder)]:
            for child in index.list_children(folder).children:
                assert child.path == (f"{folder}/{child.name}" if folder else child.name)

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_pages(self, index: Index, limit: int) -> None:
        """Pages of any length are complete and in the order of the names."""
        for folder in ["", *(child.path for child in walk_index(index) if child.is_folder)]:
            whole = list_all_children(index, folder, 10_000)

            assert list_all_children(index, folder, limit) == whole
            assert [child.name for child in whole] == sorted(child.name for child in whole)

    def test_last_page(self, index: Index) -> None:
        """A page with the last child has no next page, also when it is exactly full."""
        count = len(list_all_children(index, "", 10_000))

        assert index.list_children("", limit=count).after is None

    @pytest.mark.parametrize(
        "path",
        ["", "/", "nonesuch", "nonesuch/at/all", "../etc/passwd", "..", ".", "a//b", "\0", "'; DROP TABLE entries; --",
         "_x2E__x2E_/_x2E__x2E_", "_x2F_etc_x2F_passwd", "_x00_", "_xD800_", "_xFFFFFF_", "x" * 10_000],
    )  # fmt: skip
    def test_not_found(self, index: Index, path: str) -> None:
        """Any other path is not found, with a sentence that contains no folder of the server."""
        for ask in (index.find_entry, index.list_children) if path else (index.find_entry,):
            with pytest.raises(NotFound, match=r"\.$") as caught:
                ask(path)

            assert "/tmp" not in str(caught.value)  # noqa: S108 — where the tests' folders are

    def test_one_path_for_each(self, index: Index) -> None:
        """An entry has one path: no other spelling leads to it."""
        path = next(child.path for child in walk_index(index) if not child.is_folder)
        *above, name = path.split("/")
        spellings = [f"/{path}", f"{path}/", f"./{path}", "/".join((*above, f"_x{ord(name[0]):02X}_{name[1:]}"))]
        for spelling in spellings:
            with pytest.raises(NotFound):
                index.find_entry(spelling)
