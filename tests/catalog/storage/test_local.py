"""Files in folders, mapped by prefixes, and never outside the mapped folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdap.catalog import LocalStore, Missing, Unreadable

_SHARE = r"\\server\share"
_PARTS = st.sampled_from(
    ["..", ".", "", "22", "02", "HDF.1", "link", "secret", "a b", "\0", "é", "~", "x" * 300, "archive", "ring", "C:"]
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Three roots side by side, with links between and out of them, and a secret beside them."""
    above = tmp_path_factory.mktemp("above")
    for root in ("root", "one", "two"):
        (above / root / "22" / "02").mkdir(parents=True)
        (above / root / "22" / "02" / "HDF.1").write_text(root)
        (above / root / "link").symlink_to(above / "secret")
        (above / root / "sibling").symlink_to(above / "one" / "22" / "02" / "HDF.1")
        (above / root / "ring").symlink_to("ring")
    (above / "secret").write_text("secret")
    prefixes = {
        "/archive": above / "one",
        _SHARE: above / "two",
        "/archive/deeper": above / "two",
        "Z:\\": above / "one",
    }
    return LocalStore(above / "root", prefixes)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("22/02/HDF.1", "root"),
        ("/archive/22/02/HDF.1", "one"),
        ("/archive//22/./02/HDF.1", "one"),
        ("/archive/deeper/22/02/HDF.1", "two"),
        (r"\\server\share\22\02\HDF.1", "two"),
        (r"\\SERVER\Share\22/02/HDF.1", "two"),
        ("//server/share/22/02/HDF.1", "two"),
        (r"z:\22\02\HDF.1", "one"),
        ("Z:/22/02/HDF.1", "one"),
    ],
)
def test_mapped(folders: LocalStore, file: str, content: str) -> None:
    """The prefix of a path decides its folder; Windows paths may have either slash and any case in the prefix."""
    version = folders.get_version(file)
    folders.fetch_file(file, version)

    assert version.path.read_text() == content
    assert Path(folders.describe_location(file)).read_text() == content


@pytest.mark.parametrize(
    "file",
    ["/archive/../secret", "/archive/link", r"\\server\share\..\secret", r"\\server\share\link",
     "/archive/sibling/../../secret", "link", "/archivesecret", "/archive", r"\\server\share", r"z:\..\secret",
     "ring", "a\0b", "22", "x" * 5000],
)  # fmt: skip
def test_outside(folders: LocalStore, file: str) -> None:
    """A path that leads out of its folder, by dots or by links, or to no file, is refused."""
    with pytest.raises(Unreadable, match=r"\.$"):
        folders.get_version(file)


def test_from_one_root_to_another(folders: LocalStore) -> None:
    """A link from one folder into another counts as a link out of it."""
    assert folders.get_version("/archive/sibling").path.read_text() == "one"
    with pytest.raises(Unreadable):
        folders.get_version(r"\\server\share\sibling")


def test_missing(folders: LocalStore) -> None:
    """A missing file is reported as missing; its location is available on request."""
    with pytest.raises(Missing) as caught:
        folders.get_version("/archive/22/nonesuch")

    assert folders.describe_location("/archive/22/nonesuch") == str(folders.prefixes["/archive"] / "22" / "nonesuch")
    assert str(folders.root.parent) not in str(caught.value)


@given(
    beginning=st.sampled_from(
        ["", "/", "/archive/", "/archive/deeper/", _SHARE + "\\", "Z:\\", "\\", "//server/share/"]
    ),
    parts=st.lists(_PARTS | st.text(max_size=5), max_size=6),
    slash=st.sampled_from(["/", "\\"]),
)
def test_any_path(folders: LocalStore, beginning: str, parts: list[str], slash: str) -> None:
    """A row's file is within one of the folders, with links resolved, or is refused."""
    try:
        version = folders.get_version(beginning + slash.join(parts))
    except Unreadable:
        return
    roots = [root.resolve() for root in (folders.root, *folders.prefixes.values())]

    assert any(version.path.resolve().is_relative_to(root) for root in roots)
    assert version.path.read_text() != "secret"
