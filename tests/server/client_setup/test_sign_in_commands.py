"""``shotdap login``, ``logout`` and ``diagnose`` against a closed server, with the clients of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

import httpx
import numpy as np
import pytest
from tests import samples
from tests.serving import Server, find_free_port, run_shotdap, serving

from shotdap.server.client_setup.programs import PROGRAMS

LINE: Final = "HTTP.NETRC={home}/.netrc\n"
SECONDS: Final = 60  # on a busy machine
NETCDF: Final = "Python netCDF4, DAP2"
PYDAP: Final = "pydap, DAP2"


@dataclass(frozen=True)
class Home:
    """An empty home, and a token of a closed server."""

    server: Server
    config: Path
    folder: Path
    token: str

    @property
    def image(self) -> str:
        """The URL of an image."""
        return self.server.dap("a.h5")

    def run(self, command: str, *arguments: str, text: str = "") -> CompletedProcess[str]:
        """Run a command with the files of this home."""
        return run_shotdap(command, *arguments, "--home", self.folder, text=text)

    def sign_in(self) -> None:
        """Sign in with the token."""
        assert self.run("login", self.server.url, "--token", "-", text=self.token).returncode == 0

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text.format(home=self.folder))
        (self.folder / name).chmod(0o600)


@pytest.fixture(scope="module")
def closed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A closed server, and its settings."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "files").mkdir()
    samples.write_image(folder / "files" / "a.h5", np.arange(24, dtype="u2").reshape(2, 3, 4))
    config = folder / "site.toml"
    config.write_text('[archive]\nfolder = "files"\n')
    with serving(folder / "log", "--config", config, mode="token") as server:
        yield server, config


@pytest.fixture
def home(closed_site: tuple[Server, Path], tmp_path: Path) -> Home:
    server, config = closed_site
    return Home(server, config, tmp_path, run_shotdap("token", "create", "ann", "--config", config).stdout.strip())


@pytest.fixture
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the programs of this machine: Python's clients are enough to see what a mistake does."""
    monkeypatch.setenv("PATH", "/nowhere")


def test_every_client(home: Home) -> None:
    """After the sign-in every client on this machine opens the image, and the exit code says so."""
    home.sign_in()
    done = home.run("diagnose", f"{home.image}.dods?image[0][0]")
    installed = [program.name for program in PROGRAMS if program.is_installed]

    assert done.returncode == 0, done.stdout
    assert [line.rsplit(None, 1) for line in done.stdout.splitlines()[1:]] == [[name, "works"] for name in installed]
    assert home.token not in done.stdout + done.stderr


@pytest.mark.usefixtures("few_programs")
@pytest.mark.parametrize(
    ("spoil", "sentence", "broken"),
    [
        (lambda home: home.write(".netrc", ""), "has no entry for 127.0.0.1: shotdap login", {NETCDF, PYDAP}),
        (
            lambda home: home.write(".netrc", f"machine 127.0.0.1:{home.server.port} login x password {home.token}\n"),
            "right is machine 127.0.0.1",
            {NETCDF, PYDAP},
        ),
        (
            lambda home: home.write(".netrc", "machine 127.0.0.1 login x password sd_0000000000000000\n"),
            "/.netrc, line 1: the token is not accepted",
            {NETCDF, PYDAP},
        ),
        (
            lambda home: [home.write(name, "") for name in (".ncrc", ".dodsrc")],
            "/.ncrc has no line HTTP.NETRC=",
            {NETCDF},
        ),
        (
            lambda home: [home.write(name, "\nHTTP.NETRC=/nowhere/.netrc\n") for name in (".ncrc", ".dodsrc")],
            "/.ncrc, line 2: there is no file /nowhere/.netrc",
            {NETCDF},
        ),
        (
            lambda home: home.write(".ncrc", LINE + "HTTP.CREDENTIALS.USERPASSWORD=ann:sd_0000000000000000\n"),
            "/.ncrc, line 2: netCDF-C sends this HTTP.CREDENTIALS.USERPASSWORD instead of the token",
            {NETCDF},
        ),
        (
            lambda home: home.write(".netrc", f"machine 127.0.0.1 login x password {home.token}\nmachine\n"),
            ": Python's clients ignore the file",
            {PYDAP},
        ),
        (lambda home: (home.folder / ".netrc").chmod(0o644), "/.netrc: others can read it", set()),
    ],
)
def test_mistakes(home: Home, spoil: Callable[[Home], object], sentence: str, broken: set[str]) -> None:
    """The line that is wrong is named, and the clients that fail for it."""
    home.sign_in()
    spoil(home)
    done = home.run("diagnose", home.image)
    fails = {line.partition("  ")[0] for line in done.stdout.splitlines() if " fails [1]" in line}

    assert sentence in done.stdout
    assert {NETCDF, PYDAP} & fails == broken
    assert done.returncode == (1 if fails else 0)
    assert "sd_" not in done.stdout + done.stderr


def test_the_server_is_to_blame(home: Home, demo: Server) -> None:
    """The server's own answer is told before any client is tried: it shows all, has no such image, or is not there."""
    home.sign_in()
    absent = home.run("diagnose", home.server.dap("b.h5"))
    nowhere = home.run("diagnose", f"http://127.0.0.1:{find_free_port()}/dap/a.h5")
    shown = home.run("diagnose", demo.dap("omega/62328/asbo1/asbo1_s62328"))

    assert (absent.returncode, nowhere.returncode, shown.returncode) == (1, 1, 0)
    assert "has no such image, or does not show it to you" in absent.stdout
    assert "does not answer" in nowhere.stdout
    assert "no token is needed" in shown.stdout


def test_a_wrong_token(home: Home) -> None:
    """A token that the server does not know is not stored; one among the arguments is refused."""
    unknown = home.run("login", home.server.url, "--token", "-", text="sd_0000000000000000\n")
    typed = home.run("login", home.server.url, "--token", home.token)

    assert (unknown.returncode, typed.returncode) == (2, 2)
    assert "answers 401 to this token; nothing was stored" in unknown.stderr
    assert "read from standard input only" in " ".join(typed.stderr.split())
    assert home.token not in typed.stderr
    assert list(home.folder.iterdir()) == []


def test_logout(home: Home) -> None:
    """Signing out revokes the token, a restricted one too, and removes it from the file."""
    made = run_shotdap("token", "create", "ann", "--path", "a.h5", "--config", home.config).stdout.strip()
    assert home.run("login", home.server.url, "--token", "-", text=made).returncode == 0
    done = home.run("logout", home.server.url)
    again = home.run("logout", home.server.url)

    assert "Signed out" in done.stdout
    assert (home.folder / ".netrc").read_text() == ""
    assert "has no token for 127.0.0.1" in again.stdout
    deadline = time.monotonic() + SECONDS
    while ask(home, made) != 401 and time.monotonic() < deadline:  # half a second at most: docs/access.md
        time.sleep(0.05)
    assert ask(home, made) == 401
    assert ask(home, home.token) == 200


def ask(home: Home, token: str) -> int:
    """Ask for the image with a token; return the status."""
    return httpx.get(f"{home.image}.dds", auth=("x", token), trust_env=False, timeout=SECONDS).status_code


def test_print(home: Home) -> None:
    """With --print the token is the only line, and no file is written."""
    done = home.run("login", home.server.url, "--token", "-", "--print", text=home.token)

    assert done.stdout == f"{home.token}\n"
    assert list(home.folder.iterdir()) == []
