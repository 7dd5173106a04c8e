"""Compare a wheel's files with those that git knows: nothing forgotten, nothing smuggled in.

Usage: check_wheel.py WHEEL
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("src/shotdap", "catalog", "server", "transforms", "config", ":!server/viewer")


def committed() -> set[str]:
    """Where git's files belong in a wheel; the four links in src/shotdap are the folders themselves."""
    command = ["git", "ls-files", "-z", "--", *SOURCES]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [name for name in listing.split("\0") if name and not (ROOT / name).is_symlink()]
    return {f"shotdap/{name.removeprefix('src/shotdap/')}" for name in files}


def shipped(wheel: str) -> set[str]:
    """Return the files that the wheel installs, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def main() -> None:
    """Exit with the differences, if there are any."""
    wheel = sys.argv[1]
    expected, found = committed(), shipped(wheel)
    lines = [f"in git, not in the wheel: {name}" for name in sorted(expected - found)]
    lines += [f"in the wheel, not in git: {name}" for name in sorted(found - expected)]
    if lines or not found:
        sys.exit("\n".join([f"{wheel} differs from git", *lines]))
    print(f"{wheel}: {len(found)} files, as in git")


if __name__ == "__main__":
    main()
