"""The files that sign in a user's clients: what is written, and what is left as it was."""

from __future__ import annotations

import netrc
import stat
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdap.server.client_setup.netcdf_rc_file import parse_rc, put_netrc_path
from shotdap.server.client_setup.netrc_file import find_entry, parse_netrc, put_entry, remove_entry
from shotdap.server.client_setup.sign_in_files import ForeignEntry, SignInFiles

URL: Final = "https://images.example.org:8443/shotdap"
MACHINE: Final = "images.example.org"
NEW: Final = "sd_new"
OTHERS: Final = """\
# the accounts of this machine
machine ftp.example.org
	login anonymous
	password me@example.org   # of the old server
macdef init
cd pub
machine no.entry login x

machine ladap login u account a password "with space \\" quote"
"""
WORDS: Final = st.text(
    st.characters(codec="ascii", exclude_categories=["Cc", "Zs"], exclude_characters='"\\#'), min_size=1
)
ENTRIES: Final = st.builds(
    "machine {}{}login {} password {}{}".format,
    WORDS.filter(lambda word: word not in {MACHINE, "machine", "default", "macdef"}),
    st.sampled_from([" ", "\n", "\n\t"]),
    WORDS,
    WORDS,
    st.sampled_from(["\n", "\n\n", "\n# a comment\n"]),
)


@pytest.fixture
def files(tmp_path: Path) -> SignInFiles:
    """The files of a home."""
    return SignInFiles.for_url(tmp_path, URL)


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files(files: SignInFiles) -> None:
    """In an empty home, there are three files afterwards, for their owner only."""
    said = list(files.store("sd_secret"))

    assert (files.home / ".netrc").read_text() == f"machine {MACHINE}\n  login shotdap\n  password sd_secret\n"
    for name in (".ncrc", ".dodsrc"):
        assert (files.home / name).read_text() == f"HTTP.NETRC={files.home}/.netrc\n"
    assert [read_mode(files.home / name) for name in (".netrc", ".ncrc", ".dodsrc")] == [0o600] * 3
    assert len(said) == 3
    assert "sd_secret" not in "".join(said)
    assert files.find_token() == "sd_secret"


def test_second_sign_in(files: SignInFiles) -> None:
    """A second sign-in replaces the token of the first, and nothing else."""
    (files.home / ".netrc").write_text(OTHERS)
    list(files.store("sd_first"))
    said = list(files.store("sd_second"))

    assert (files.home / ".netrc").read_text().endswith(OTHERS)
    assert "sd_first" not in (files.home / ".netrc").read_text()
    assert files.find_token() == "sd_second"
    assert said == [f"{files.home}/.netrc: the token for {MACHINE}"]


def test_sign_out(files: SignInFiles) -> None:
    """After the token is removed, the file is as it was before the sign-in."""
    (files.home / ".netrc").write_text(OTHERS)
    list(files.store("sd_secret"))

    assert files.remove()
    assert not files.remove()
    assert (files.home / ".netrc").read_text() == OTHERS


def test_another_account(files: SignInFiles) -> None:
    """An entry for the server that is not of `shotdap login` is neither replaced nor removed."""
    (files.home / ".netrc").write_text(f"{OTHERS}machine {MACHINE} login ann password hers\n")

    with pytest.raises(ForeignEntry, match=r"\.netrc, line 10, signs in ann"):
        files.check()
    with pytest.raises(ForeignEntry):
        list(files.store("sd_secret"))
    assert files.find_token() is None
    assert not files.remove()
    assert list(files.home.iterdir()) == [files.home / ".netrc"]


def test_a_file_that_others_can_read(files: SignInFiles) -> None:
    """A file that others can read is closed, even if its content was right; a link stays one."""
    kept = files.home / "kept"
    list(files.store("sd_secret"))
    (files.home / ".netrc").rename(kept)
    (files.home / ".netrc").symlink_to(kept)
    kept.chmod(0o644)

    (said,) = files.store("sd_secret")

    assert "others could read it" in said
    assert (files.home / ".netrc").is_symlink()
    assert read_mode(kept) == 0o600


def test_another_netrc(files: SignInFiles) -> None:
    """The token goes where netCDF-C looks already."""
    other = files.home / "lab.netrc"
    other.touch()
    (files.home / ".ncrc").write_text(f"# mine\nHTTP.TIMEOUT=30\nHTTP.NETRC = {other}\n")
    list(files.store("sd_secret"))

    assert find_entry(other.read_text(), MACHINE) is not None
    assert not (files.home / ".netrc").exists()
    assert (files.home / ".ncrc").read_text() == f"# mine\nHTTP.TIMEOUT=30\nHTTP.NETRC={other}\n"


@given(before=st.lists(ENTRIES).map("".join), after=st.lists(ENTRIES).map("".join))
def test_other_entries(before: str, after: str) -> None:
    """Entries of other machines are kept byte for byte, wherever the machine's own is."""
    text = f"{before}machine {MACHINE} login shotdap password old\n{after}"
    new = put_entry(text, MACHINE, "shotdap", NEW)
    entry = find_entry(new, MACHINE)

    assert entry is not None
    assert entry.password == NEW
    assert (new[: entry.start], new[entry.end :]) == (before, f"\n{after}")
    assert remove_entry(new, entry) == before + after


@given(text=st.lists(ENTRIES, unique=True).map("".join))
def test_as_python_reads_it(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The file is understood as Python's own reader understands it."""
    path = tmp_path_factory.getbasetemp() / "netrc"
    path.write_text(text)
    expected = {machine: (login, password) for machine, (login, _, password) in netrc.netrc(path).hosts.items()}

    assert {entry.machine: (entry.login, entry.password) for entry in parse_netrc(text)} == expected


def test_default_comes_first() -> None:
    """A default before the machine's entry is what programs send."""
    text = f"default login any password other\n{put_entry('', MACHINE, 'shotdap', 'sd_secret')}"
    found = find_entry(text, MACHINE)

    assert found is not None
    assert (found.machine, found.line) == ("", 1)


def test_rc_lines() -> None:
    """Lines for one server, comments and odd spaces are read as netCDF-C reads them; other lines are kept."""
    text = "# HTTP.NETRC=/no\n[https://a.example.org]HTTP.NETRC=/one\n http.timeout = 3 \nbroken\n"
    lines = parse_rc(text)

    assert [(line.url, line.key, line.value, line.number) for line in lines] == [
        ("https://a.example.org", "HTTP.NETRC", "/one", 2),
        ("", "HTTP.TIMEOUT", "3", 3),
    ]
    assert put_netrc_path(text, "/home/ann/.netrc") == f"{text}HTTP.NETRC=/home/ann/.netrc\n"
