"""The file of the audit: several processes write it, some of which are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from shotdap.server.access.audit.audit_file import AuditFile

SPAWN = get_context("spawn")


def append_lines(path: Path, rotate_bytes: int, writer: int, count: int) -> None:
    """Append numbered lines, from another process; without an end if the count is negative."""
    file, number = AuditFile(path, rotate_bytes, 1000), 0
    while number != count:
        file.append(b"".join(format_test_line(writer, number + each) for each in range(3)))
        number += 3


def format_test_line(writer: int, number: int) -> bytes:
    """Return a line that says who wrote it; its length varies."""
    return json.dumps({"writer": writer, "number": number, "more": "x" * (number * 37 % 3000)}).encode() + b"\n"


def test_several_processes(tmp_path: Path) -> None:
    """Four processes append lines while the file rotates: each line is there once, whole, and in its writer's order."""
    file = AuditFile(tmp_path / "audit.jsonl", 50_000, 1000)
    writers = [SPAWN.Process(target=append_lines, args=(file.path, file.rotate_bytes, each, 300)) for each in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    lines = [json.loads(line) for line in file.iter_lines()]

    assert len(lines) == 4 * 300
    for writer in range(4):
        assert [line["number"] for line in lines if line["writer"] == writer] == list(range(300))
    assert len(list(tmp_path.glob("audit.jsonl.*[0-9]"))) > 10
    assert all(path.stat().st_size <= 50_000 for path in tmp_path.glob("audit.jsonl*"))


def test_killed_processes(tmp_path: Path) -> None:
    """Processes that are killed while they write leave no half line, and nobody waits for their lock."""
    file = AuditFile(tmp_path / "audit.jsonl", 1 << 20, 1000)
    for round_ in range(5):
        writers = [SPAWN.Process(target=append_lines, args=(file.path, 1 << 20, each, -1)) for each in range(2)]
        for each in writers:
            each.start()
        deadline = time.monotonic() + 60
        size = file.path.stat().st_size if file.path.exists() else 0
        while (not file.path.exists() or file.path.stat().st_size == size) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01 * round_)
        for each in writers:
            os.kill(each.pid or 0, signal.SIGKILL)
        for each in writers:
            each.join()
        file.append(b'{"round": true}\n')

    lines = [json.loads(line) for line in file.iter_lines()]
    assert sum("round" in line for line in lines) == 5
    assert len(lines) > 5


def test_half_line(tmp_path: Path) -> None:
    """The half line of a writer that was killed, or of a full disk, is not read, and is removed by the next writer."""
    file = AuditFile(tmp_path / "audit.jsonl", 1 << 20, 2)
    file.append(b"one\n")
    with file.path.open("ab") as output:
        output.write(b"tw")

    assert list(file.iter_lines()) == [b"one\n"]
    file.append(b"three\n")
    assert file.path.read_bytes() == b"one\nthree\n"


def test_rotation(tmp_path: Path) -> None:
    """As many older files are kept as are wanted; only the owner may read them; a file moved away is made anew."""
    file = AuditFile(tmp_path / "audit.jsonl", 10, 2)
    for number in range(5):
        file.append(b"line %d..\n" % number)

    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == [
        "audit.jsonl",
        "audit.jsonl.1",
        "audit.jsonl.2",
    ]
    assert list(file.iter_lines()) == [b"line 2..\n", b"line 3..\n", b"line 4..\n"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    file.path.rename(tmp_path / "taken")
    file.append(b"line 5..\n")
    assert file.path.read_bytes() == b"line 5..\n"


def test_no_folder(tmp_path: Path) -> None:
    """A file that cannot be made is an error at once."""
    with pytest.raises(OSError, match="No such file"):
        AuditFile(tmp_path / "nowhere/audit.jsonl", 10, 2).append(b"")
