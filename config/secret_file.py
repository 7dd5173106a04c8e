"""Secrets of a deployment, each in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shotdap.config.settings import BadSettings

_NON_OWNER_RIGHTS: Final = 0o077  # rights of the group and of everybody


def read_secret(setting: str, path: Path | None) -> str | None:
    """Read a secret from a file that only its owner may read; the end of the line is not part of it.

    Args:
        setting: the dotted name of the setting with the path, for messages.
        path: of the file; without one there is no secret.

    Raises:
        BadSettings: the file cannot be read, or others may read it.
    """
    if path is None:
        return None
    try:
        if path.stat().st_mode & _NON_OWNER_RIGHTS:
            raise BadSettings(f"{setting}: others may read {path}; `chmod 600` it.")
        return path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise BadSettings(f"{setting}: {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{setting}: {path} is no text.") from error
