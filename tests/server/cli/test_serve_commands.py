"""Servers start, print their URLs, work in several processes, and end on a signal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tests import direct, samples
from tests.clients.programs import CLIENTS, VariablePart, run
from tests.pasting import parse_instructions
from tests.server.conftest import Site
from tests.server.wire import parse_dap2_values
from tests.serving import SECONDS_TO_START, SHOTDAP, Server, make_environment, serving, start_command

from shotdap import __version__, config
from shotdap.config.settings import load_settings
from shotdap.server import serve
from shotdap.server.cli.common_options import FORMAT_NAMES
from shotdap.server.cli.main import main
from shotdap.server.demo.instructions import format_instructions
from shotdap.server.encoders.formats import FORMATS

IMAGE: Final = ("OMEGA", "asbo1_s62328.hdf")
SHOWN: Final = (slice(100, 200, 3), slice(7, 900))
"""The slice that the demonstration's lines read."""


def test_ctrl_c(tmp_path: Path) -> None:
    """`shotdap serve` ends with 0 on Ctrl-C."""
    with serving(tmp_path / "server.log", "--folder", tmp_path) as server:
        assert httpx.get(f"{server.url}/dap/", trust_env=False).status_code == 200
        assert server.interrupt() == 0

    assert "Traceback" not in server.log.read_text()


def test_two_workers(site: Site, tmp_path: Path) -> None:
    """Two processes give the same correct numbers, and both end with 0 on Ctrl-C."""
    with serving(tmp_path / "server.log", "--folder", site.folder, "--workers", "2") as server:
        wait_for_output(
            server, "Application startup complete", times=2
        )  # the first process starts some time before the second
        for number in range(12):
            url = f"{server.dap('frames.h5')}.dods?background_subtracted[{number}][0:1:99]"
            answer = httpx.get(url, trust_env=False, timeout=60)  # on a separate connection
            found = parse_dap2_values(answer.content)["background_subtracted"]
            np.testing.assert_array_equal(found, site.frames["background_subtracted"][number : number + 1, :100])

        assert server.interrupt() == 0


def wait_for_output(server: Server, words: str, *, times: int = 1) -> str:
    """Return the output of a server once it contains some words."""
    deadline = time.monotonic() + SECONDS_TO_START
    while (text := server.log.read_text()).count(words) < times:
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text


@pytest.fixture(scope="module")
def demonstration(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A demonstration that starts for the second time, and its output."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    shutil.copytree(archive, folder)
    with start_command(folder.parent / "demo.log", "demo", "--folder", folder) as server:
        yield server, wait_for_output(server, "Every image:")  # it accepts connections a moment before
        assert server.interrupt() == 0


@pytest.fixture(scope="module")
def expected_slice(archive: Path) -> NDArray[Any]:
    """The values that the lines of the demonstration should read."""
    return direct.read_frames(direct.find_stored(archive, *IMAGE))["background_subtracted"][SHOWN]


@pytest.fixture(scope="module")
def blocks(demonstration: tuple[Server, str]) -> dict[str, list[str]]:
    """The lines that the demonstration prints for pasting, by the label of their block."""
    return parse_instructions(demonstration[1])


def test_demo_says_where(demonstration: tuple[Server, str]) -> None:
    """The demonstration prints its URL and how to end it; nothing is created twice."""
    server, text = demonstration

    assert f"{server.url} (Ctrl-C ends it)" in text
    assert re.search(r"\b0 images added", text)


def test_demo_in_python(blocks: dict[str, list[str]], expected_slice: NDArray[Any], tmp_path: Path) -> None:
    """The Python that the demonstration's command starts, in any folder, runs the lines unchanged."""
    (command,) = blocks["To start Python"]
    *lines, last = blocks["In Python"]
    code = "\n".join([*lines, last, f"{last}.tofile({str(tmp_path / 'values')!r})"])
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        input=code,
        capture_output=True,
        text=True,
        env=make_environment(),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.fromfile(tmp_path / "values", "f4").reshape(expected_slice.shape), expected_slice)


@pytest.mark.parametrize(("label", "before"), [("In Octave", []), ("In MATLAB", ["pkg load netcdf"])])
def test_demo_in_matlab(
    label: str,
    before: list[str],
    blocks: dict[str, list[str]],
    expected_slice: NDArray[Any],
    require: Callable[[str], None],
    tmp_path: Path,
) -> None:
    """The demonstration's lines for Octave work in Octave unchanged, and the line for MATLAB works with its package."""
    require("octave-cli")
    script = tmp_path / "script.m"
    save = f"f = fopen('{tmp_path / 'values'}', 'w'); fwrite(f, ans, 'single'); fclose(f);"
    script.write_text("\n".join([*before, *blocks[label], save, ""]))
    run("octave-cli", "-qf", str(script))

    np.testing.assert_array_equal(np.fromfile(tmp_path / "values", "f4").reshape(expected_slice.shape), expected_slice)


def test_demo_in_idl(
    blocks: dict[str, list[str]], expected_slice: NDArray[Any], require: Callable[[str], None], tmp_path: Path
) -> None:
    """The demonstration's lines for IDL work in GDL."""
    require("gdl")
    save = [f"openw, 1, '{tmp_path / 'values'}'", "writeu, 1, d", "close, 1", "exit", ""]
    script = tmp_path / "script.pro"
    script.write_text("\n".join([*blocks["In IDL or GDL"], *save]))
    run("gdl", "-quiet", str(script))

    np.testing.assert_array_equal(np.fromfile(tmp_path / "values", "f4").reshape(expected_slice.shape), expected_slice)


def test_demo_in_a_shell(blocks: dict[str, list[str]], require: Callable[[str], None]) -> None:
    """The demonstration's line for the shell prints the image's header."""
    (line,) = blocks["In a shell"]
    require(line.split()[0])

    assert "float background_subtracted(y, x)" in run("bash", "-c", line)


def test_path_of_python_with_a_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the path of the interpreter has a space or a quote in it, a shell still runs the command."""
    python = tmp_path / "Jo's files" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    (command,) = parse_instructions(format_instructions("http://127.0.0.1:8000"))["To start Python"]

    assert run("bash", "-c", f"{command} --version").startswith("Python 3.")


def test_server_without_clients(demonstration: tuple[Server, str]) -> None:
    """A server that has served files and responses of all protocols has loaded no client, and HDF5 only once."""
    server, _ = demonstration
    path = "omega/62328/asbo1/asbo1_s62328"
    asked = [
        f"dap/{path}{ending}" for ending in (".dods?image[0:9][0:9]", ".dap?dap4.ce=/image[0:9][0:9]", ".nc4", ".nc")
    ]
    asked += [f"zarr/{path}/zarr.json", f"api/v1/images/{path}?format=h5&y=0:9", "thredds/catalog.xml"]
    for each in asked:
        assert httpx.get(f"{server.url}/{each}", trust_env=False, timeout=60).status_code == 200
    maps = Path(f"/proc/{server.worker}/maps").read_text()
    libraries = {Path(line.split()[-1]) for line in maps.splitlines() if ".so" in line}

    assert len([each for each in libraries if re.match(r"libhdf5-", each.name)]) == 1
    assert [str(each) for each in libraries if re.search(r"/(netCDF4|netcdf4\.libs|aiohttp|lxml)/", str(each))] == []


def test_demo_is_read_by_all(blocks: dict[str, list[str]], expected_slice: NDArray[Any], tmp_path: Path) -> None:
    """The URL that the demonstration shows works in pydap too."""
    match = re.search(r'open_dataset\("([^"]+)"\)', "\n".join(blocks["In Python"]))
    assert match
    fetch = CLIENTS["pydap-dap2"].fetch
    (found,) = fetch(match[1], [VariablePart("background_subtracted", (SHOWN[0], slice(7, 900, 1)))], tmp_path)

    np.testing.assert_array_equal(found, expected_slice)


BAD_SETTINGS: Final = {
    "no catalog": ('[catalog]\nindex = "catalog.db"\n', "catalog.index"),
    "not TOML": ("[server\n", "TOML"),
    "no section": ("port = 1\n", "section"),
    "unknown setting": ("[server]\nprot = 9000\n", "server.prot"),
    "unknown section": ("[serve]\nport = 9000\n", "serve"),
    "port out of range": ("[server]\nport = 70000\n", "server.port"),
    "not a number": ('[server]\nport = "http"\n', "server.port"),
    "no such folder": ('[archive]\nfolder = "nowhere"\n', "nowhere"),
    "no such diagnostics": ('[archive]\nfolder = "."\n[catalog]\ndiagnostics = "nowhere"\n', "nowhere"),
    "no URL": ('[archive]\nurl = "oracle at the corner"\n', "archive.url"),
}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """A function that runs a command in this process until it fails, and returns its message."""
    before = dict(os.environ)  # the command passes settings to its workers by the environment
    monkeypatch.setattr(serve, "supervise_workers", lambda *_arguments, **_options: pytest.fail("it serves"))

    def run_failing(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["shotdap", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capfd.readouterr().err

    yield run_failing
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("what", BAD_SETTINGS)
def test_bad_settings(what: str, command: Callable[..., str], tmp_path: Path) -> None:
    """Inconsistent settings end the command with 2, and a sentence with the reason."""
    text, words = BAD_SETTINGS[what]
    config = tmp_path / "shotdap.toml"
    config.write_text(text)
    said = command("serve", "--config", config)

    assert said.startswith("shotdap: ")
    assert words in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 3


def test_no_settings_there(command: Callable[..., str], tmp_path: Path) -> None:
    """Missing settings end the command with 2."""
    assert "nowhere.toml" in command("serve", "--config", tmp_path / "nowhere.toml")


def test_no_folder_there(command: Callable[..., str], tmp_path: Path) -> None:
    """A missing folder ends the command with 2."""
    assert "there is no folder" in command("serve", "--folder", tmp_path / "nowhere")


def test_no_place_for_a_demo(command: Callable[..., str], tmp_path: Path) -> None:
    """A folder with another archive is left unchanged, and the demonstration ends with 2."""
    (tmp_path / "files").mkdir()

    assert "not made by" in command("demo", "--folder", tmp_path)
    assert "cannot be made" in command("demo", "--folder", Path(__file__) / "demo")


def test_no_database_there(command: Callable[..., str], tmp_path: Path) -> None:
    """An archive without its database ends a build with 2."""
    config = tmp_path / "shotdap.toml"
    config.write_text('[archive]\nurl = "sqlite:///archive.db"\n')

    assert "there is no such file" in command("catalog", "build", "--config", config)


def test_a_port_in_use(demo: Server, tmp_path: Path) -> None:
    """A port in use ends the command with an error that says so, not with a traceback."""
    done = subprocess.run(
        [SHOTDAP, "serve", "--folder", tmp_path, "--port", str(demo.port)],
        check=False,
        capture_output=True,
        text=True,
        env=make_environment(),
        timeout=60,
    )

    assert done.returncode != 0
    assert "address already in use" in done.stderr.lower()
    assert "Traceback" not in done.stdout + done.stderr


IMPORTS_OF_HELP: Final = """\
import sys
from shotdap.server.cli.main import main
try:
    main()
finally:
    print(*sorted({"dask", "h5py", "sqlalchemy", "xarray"} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [(), ("export",), ("package",), ("catalog", "build")], ids=" ".join)
def test_help_is_fast(words: tuple[str, ...]) -> None:
    """Help imports no slow package, and a command imports only what it needs."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_OF_HELP, *words, "--help"],
        check=True,
        capture_output=True,
        text=True,
        env=make_environment(),
    )

    assert "--help" in done.stdout
    assert done.stderr.strip() == ""


def test_formats_in_help() -> None:
    """The help of commands lists the known formats."""
    assert tuple(FORMATS) == FORMAT_NAMES


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The version is shown by --version, and by the old command `version`."""
    for word in ("--version", "version"):
        monkeypatch.setattr(sys, "argv", ["shotdap", word])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    first, second = capsys.readouterr().out.splitlines()

    assert first == second == __version__


def test_no_frame_is_left(tmp_path: Path) -> None:
    """A server that ends leaves no frames in memory, unless its settings name a folder for them."""
    (tmp_path / "images").mkdir()
    samples.write_image(tmp_path / "images" / "shot.h5", np.zeros((2, 300, 400), "u2"))
    frames = config.Site(load_settings(overrides={"archive.folder": tmp_path / "images"})).choose_frame_folder()
    with serving(tmp_path / "log", "--folder", tmp_path / "images") as server:
        assert httpx.get(f"{server.url}/dap/shot.h5.dods", trust_env=False, timeout=60).status_code == 200
        assert any(frames.iterdir())
        server.interrupt()

    assert not frames.exists()


def test_frames_of_two_servers(tmp_path: Path) -> None:
    """Two servers of one archive share their frames: the end of one takes nothing from the other."""
    folder = tmp_path / "images"
    folder.mkdir()
    samples.write_image(folder / "shot.h5", np.zeros((2, 300, 400), "u2"))
    frames = config.Site(load_settings(overrides={"archive.folder": folder})).choose_frame_folder()
    with serving(tmp_path / "second", "--folder", folder) as second:
        with serving(tmp_path / "first", "--folder", folder) as first:
            assert httpx.get(f"{first.url}/dap/shot.h5.nc4", trust_env=False, timeout=60).status_code == 200
            first.interrupt()
        assert frames.exists()
        assert httpx.get(f"{second.url}/dap/shot.h5.nc4", trust_env=False, timeout=60).status_code == 200
        second.interrupt()

    assert not frames.exists()
    assert not frames.with_name(f"{frames.name}.lock").exists()
