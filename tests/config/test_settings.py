"""Settings: the shipped defaults, then a site's file, then the environment; and the objects that they configure."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shotdap.catalog import BuildReport, DirectoryArchive, SqlArchive
from shotdap.config import BadSettings, Settings, SettingsSource, Site, load_settings
from shotdap.config.settings import CONFIG_VARIABLE, load_defaults
from shotdap.server import demo

TEXT = files("shotdap.config").joinpath("defaults.toml").read_text("utf-8")
SMALL = tuple(shot for shot in demo.SHOTS if shot.number == 112059)


def list_settings(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Return the dotted names of all settings, as in a file."""
    for name, described in model.model_fields.items():
        path = f"{above}{described.alias or name}"
        if isinstance(described.annotation, type) and issubclass(described.annotation, BaseModel):
            yield from list_settings(described.annotation, f"{path}.")
        else:
            yield path


def list_defaults(values: dict[str, Any]) -> set[str]:
    return {f"{section}.{name}" for section, content in values.items() for name in content}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    return tmp_path / "site" / "shotdap.toml"


def get_refusal(path: Path | None = None) -> str:
    with pytest.raises(BadSettings) as caught:
        load_settings(path)
    return str(caught.value)


class TestDefaults:
    def test_complete(self) -> None:
        """Every setting has a default in defaults.toml, which contains nothing else."""
        assert list_defaults(load_defaults()) == set(list_settings(Settings))

    def test_documented(self) -> None:
        """Every setting has a sentence, beside it or above its section."""
        lines = TEXT.splitlines()
        for name in list_settings(Settings):
            section, _, key = name.partition(".")
            beside = re.compile(rf"{re.escape(key)} *= .*# [A-Z].*\.$")
            header = f"[{section}.{key}]"
            above = header in lines and lines[lines.index(header) - 1].startswith("# ")

            assert above or any(beside.fullmatch(line) for line in lines), name

    def test_load(self) -> None:
        """Without a file the defaults are the settings."""
        loaded = load_settings()

        assert loaded.server.port == tomllib.loads(TEXT)["server"]["port"]
        assert loaded.archive.folder is None

    def test_frozen(self) -> None:
        """Settings are read once; changing them afterwards is an error."""
        with pytest.raises(ValueError, match="frozen"):
            load_settings().server.port = 1


class TestSources:
    def test_site_before_defaults(self, site: Path) -> None:
        """A site's file needs only its differences from the defaults."""
        site.write_text("[server]\nport = 9000\n")
        loaded = load_settings(site)

        assert (loaded.server.port, loaded.server.host) == (9000, load_settings().server.host)

    def test_environment_before_site(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The environment has precedence over the site's file, setting by setting."""
        site.write_text('[server]\nport = 9000\nhost = "0.0.0.0"\n')
        monkeypatch.setenv("SHOTDAP_SERVER__PORT", "9001")
        monkeypatch.setenv("SHOTDAP_ARCHIVE__SCHEMA", "LASER")
        loaded = load_settings(site)

        assert (loaded.server.port, loaded.server.host, loaded.archive.schema_) == (9001, "0.0.0.0", "LASER")  # noqa: S104

    def test_columns_are_replaced_whole(self, site: Path) -> None:
        """A site's columns replace the default ones, because its table may lack any of them."""
        site.write_text('[archive.columns]\nkey = "ID"\nfile = "PATH"\n')

        assert dict(load_settings(site).archive.columns) == {"key": "ID", "file": "PATH"}

    def test_other_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables that only begin like ours are not settings."""
        monkeypatch.setenv("SHOTDAP_REQUIRE_ALL", "1")

        assert load_settings() == load_settings()

    @pytest.mark.parametrize("name", ["root", "folder"])
    def test_relative_paths(self, site: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """A relative path in a site's file is relative to that file's folder, wherever the server is started."""
        site.write_text(f'[archive]\n{name} = "images"\n[catalog]\nindex = "../catalog.db"\ndiagnostics = "own"\n')
        monkeypatch.chdir(site.parent)
        loaded = load_settings(Path(site.name))

        assert getattr(loaded.archive, name) == site.parent / "images"
        assert loaded.catalog.index.resolve() == site.parent.parent / "catalog.db"
        assert loaded.catalog.diagnostics == site.parent / "own"

    @pytest.mark.parametrize(
        ("url", "database"),
        [("sqlite:///archive.db", "{folder}/archive.db"), ("sqlite:////data/archive.db", "/data/archive.db")],
    )
    def test_relative_database(self, site: Path, url: str, database: str) -> None:
        """So is the path of an SQLite database; an absolute one is kept."""
        site.write_text(f'[archive]\nurl = "{url}"\n')

        assert load_settings(site).archive.url == f"sqlite:///{database.format(folder=site.parent)}"

    def test_other_databases(self, site: Path) -> None:
        """The URL of any other database is kept, including the password."""
        site.write_text('[archive]\nurl = "oracle+oracledb://reader:p%40ss@host/service"\n')

        assert load_settings(site).archive.url == "oracle+oracledb://reader:p%40ss@host/service"


class TestOverrides:
    def test_command_before_environment(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command line has precedence over variables and a site's file, in memory only."""
        site.write_text("[server]\nport = 9000\nworkers = 2\n")
        monkeypatch.setenv("SHOTDAP_SERVER__PORT", "9001")
        before = dict(os.environ)

        loaded = SettingsSource(site, {"server.port": 9002, "archive.folder": site.parent}).load()

        assert (loaded.server.port, loaded.server.workers, loaded.archive.folder) == (9002, 2, site.parent)
        assert dict(os.environ) == before

    def test_worker(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process with only the environment loads the same settings."""
        site.write_text("[server]\nport = 9000\n[archive.where]\nSHOT = { from = 1, to = 9 }\n")
        source = SettingsSource(site, {"exports.scheduler": "tcp://host:1", "archive.folder": site.parent})
        for name, value in source.environment.items():
            monkeypatch.setenv(name, value)

        assert load_settings(Path(os.environ[CONFIG_VARIABLE])) == source.load()

    def test_refusal(self) -> None:
        """An invalid choice is refused with the setting's name."""
        with pytest.raises(BadSettings, match=r"exports\.scheduler: "):
            SettingsSource(None, {"exports.scheduler": "host"}).load()


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("[server]\nprot = 9000\n", "server.prot"),
            ("[sever]\nport = 9000\n", "sever"),
            ("[server]\nport = 0\n", "server.port"),
            ('[server]\nport = "many"\n', "server.port"),
            ("[catalog]\ncache_mib = -1\n", "catalog.cache_mib"),
            ("[archive]\ncolumns = 5\n", "archive.columns"),
            ("port = 9000\n", "port must stand in a section"),
            ("port = \n", "is not TOML"),
            ('[archive]\nurl = "no url"\n', "archive.url"),
        ],
    )
    def test_site(self, site: Path, text: str, part: str) -> None:
        """The error for an unknown setting, or an invalid value, names the setting."""
        site.write_text(text)

        assert part in get_refusal(site)

    def test_not_text(self, site: Path) -> None:
        """A file that is not text is no TOML."""
        site.write_bytes(b"\xff\xfe")

        assert "is not TOML" in get_refusal(site)

    def test_no_file(self, site: Path) -> None:
        """The error for a missing file contains its name and the reason."""
        assert get_refusal(site) == f"The settings cannot be read from {site}: No such file or directory."

    @pytest.mark.parametrize(
        ("name", "value", "part"),
        [
            ("SHOTDAP_SERVER__PROT", "9000", "server.prot"),
            ("SHOTDAP_SERVER__PORT", "many", "server.port"),
            ("SHOTDAP_SERVER", "not JSON", "server"),
            ("SHOTDAP_ARCHIVE__COLUMNS", "not JSON", "archive"),
        ],
    )
    def test_environment(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str) -> None:
        """The error for an invalid variable of the environment names it."""
        monkeypatch.setenv(name, value)

        assert part in get_refusal()

    def test_secrets(self, site: Path) -> None:
        """A refusal never contains a password."""
        site.write_text('[archive]\nurl = "oracle+oracledb://reader:secret@host/service"\ntabel = 5\n')

        assert "secret" not in get_refusal(site)


class TestOpening:
    def test_folder(self, site: Path) -> None:
        """A folder is served without any database."""
        (site.parent / "images").mkdir()
        site.write_text('[archive]\nfolder = "images"\n')
        loaded = load_settings(site)

        assert Site(loaded).open_catalog().list_children("").children == ()
        assert isinstance(Site(loaded).open_archive(), DirectoryArchive)

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ('[archive]\nfolder = "nonesuch"\n', "archive.folder"),
            ('[catalog]\nindex = "nonesuch.db"\n', "catalog.index"),
        ],
    )
    def test_nothing_to_serve(self, site: Path, text: str, part: str) -> None:
        """The error for a missing folder or catalog names it."""
        site.write_text(text)

        with pytest.raises(BadSettings, match=re.escape(part)):
            Site(load_settings(site)).open_catalog()

    def test_no_archive(self) -> None:
        """Without an archive, no catalog can be built."""
        with pytest.raises(BadSettings, match=r"archive\.url is empty"):
            Site(load_settings()).open_archive()

    def test_built_catalog(self, site: Path) -> None:
        """An archive with missing and unreadable files becomes a catalog that serves the others."""
        demo.make_archive(site.parent, shots=SMALL)
        site.write_text(
            '[archive]\nurl = "sqlite:///archive.db"\nroot = "files"\n'
            '[archive.values.facility]\n"OMEGA" = "o"\n[catalog]\nindex = "made/catalog.db"\n'
        )
        loaded = load_settings(site)
        report = Site(loaded).build_catalog()
        catalog = Site(loaded).open_catalog()

        assert isinstance(Site(loaded).open_archive(), SqlArchive)
        assert report == BuildReport(added=3)
        assert Site(loaded).build_catalog().added == 0
        assert catalog.open("o/112059/epw_ccd/EPW_CCD-s112059").image.shape == (1024, 1024)

    @pytest.mark.parametrize("template", ["{shott}/{name}", "{key}/{name}", "{version}", "{name", "a b/{name}"])
    def test_path_template(self, site: Path, template: str) -> None:
        """A path template that does not fit the columns is refused before anything is built."""
        demo.make_archive(site.parent, shots=())
        site.write_text(
            f'[archive]\nurl = "sqlite:///archive.db"\n[catalog]\nindex = "catalog.db"\npath_template = "{template}"\n'
        )

        with pytest.raises(BadSettings, match=r"catalog\.path_template"):
            Site(load_settings(site)).build_catalog()
        assert not (site.parent / "catalog.db").exists()
