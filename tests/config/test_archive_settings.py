"""Settings of an archive: typed filters, places, and secrets that stay secret."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from shotdap.catalog import BadArchive, Between, SqlArchive
from shotdap.config import BadSettings, Site, load_settings

_URL = '[archive]\nurl = "postgresql+psycopg://reader@127.0.0.1:9/laser"\nattempts = 1\nconnect_seconds = 1\n'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "shotdap.toml"


def load_archive(site: Path, text: str) -> SqlArchive:
    site.write_text(text)
    opened = Site(load_settings(site)).open_archive()
    assert isinstance(opened, SqlArchive)
    return opened


def test_where(site: Path) -> None:
    """Filters are typed values: one, several, or a range that may be open at either end."""
    text = '[archive.where]\nA = "x"\nB = [1, 2.5]\nC = { from = 2011-01-01 }\nD = { to = 7 }\nE = ["2011-01-01"]\n'

    assert dict(load_archive(site, _URL + text).where) == {
        "A": "x",
        "B": (1, 2.5),
        "C": Between(date(2011, 1, 1), None),
        "D": Between(None, 7),
        "E": ("2011-01-01",),
    }


@pytest.mark.parametrize("text", ["A = { least = 1 }", "A = [[1]]", "A = { from = [1] }"])
def test_no_filter(site: Path, text: str) -> None:
    """An invalid filter is refused with its name."""
    site.write_text(f"{_URL}[archive.where]\n{text}\n")
    with pytest.raises(BadSettings, match=r"archive\.where\.A"):
        load_settings(site)


class TestSecrets:
    @pytest.fixture
    def secret(self, tmp_path: Path) -> Path:
        path = tmp_path / "password"
        path.touch(mode=0o600)
        path.write_text("s3cret/@\n")
        return path

    def test_file(self, site: Path, secret: Path) -> None:
        """The password is the content of the file, without the end of the line, and is never shown."""
        opened = load_archive(site, f'{_URL}password_file = "{secret.name}"\n')
        with pytest.raises(BadArchive) as caught:
            list(opened.read_rows())

        assert opened.database.password == secret.read_text().strip()
        assert "s3cret" not in f"{opened!r} {load_settings(site)!r} {opened.database.engine!r} {caught.value!r}"

    def test_url(self, site: Path) -> None:
        """A password in the URL is never shown either."""
        opened = load_archive(site, _URL.replace("reader@", "reader:s3cret@"))

        assert "s3cret" not in f"{opened!r} {load_settings(site)!r} {opened.database.engine!r}"

    def test_environment(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The URL, including the password, can come from the environment."""
        monkeypatch.setenv("SHOTDAP_ARCHIVE__URL", "postgresql+psycopg://reader:s3cret@127.0.0.1:9/laser")

        assert "s3cret" in str(load_archive(site, "").database.engine.url.password)

    def test_others_may_read(self, site: Path, secret: Path) -> None:
        """A file that others may read is refused."""
        secret.chmod(0o640)
        with pytest.raises(BadSettings, match=re.escape("archive.password_file: others may read")):
            load_archive(site, f'{_URL}password_file = "{secret.name}"\n')

    def test_no_file(self, site: Path) -> None:
        """A missing file is refused."""
        with pytest.raises(BadSettings, match=r"archive\.password_file: .* No such file"):
            load_archive(site, f'{_URL}password_file = "nonesuch"\n')


class TestPlaces:
    def test_prefixes(self, site: Path) -> None:
        """A relative folder for a prefix is relative to the site's file."""
        (site.parent / "mounted").mkdir()
        (site.parent / "mounted" / "1.hdf").write_text("content")
        site.write_text("[archive.prefixes]\n'\\\\server\\share' = \"mounted\"\n")
        version = Site(load_settings(site)).open_store().get_version(r"\\server\share\1.hdf")

        assert version.path == (site.parent / "mounted" / "1.hdf").resolve()

    @pytest.mark.parametrize("prefix", ["shots/", "s3://", "s3://shots", "https://shots/"])
    def test_no_object(self, site: Path, prefix: str) -> None:
        """An invalid prefix of objects is refused."""
        site.write_text(f'[archive]\ns3_prefixes = ["{prefix}"]\n')
        with pytest.raises(BadSettings, match=r"archive\.s3_prefixes"):
            load_settings(site)
