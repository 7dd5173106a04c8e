"""Names of variables in formats with groups (a name with slashes is a path), and in formats without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotdap.transforms import UniqueNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def get_parent_path(path: str) -> str:
    """Return the path of the group that contains a variable or group; ``""`` is the root."""
    return path.rpartition("/")[0]


def get_local_name(path: str) -> str:
    """Return the name of a variable or group within its group."""
    return path.rpartition("/")[2]


def list_ancestors(group: str) -> tuple[str, ...]:
    """List a group and all groups around it but the root, the outermost first."""
    names = group.split("/") if group else []
    return tuple("/".join(names[: depth + 1]) for depth in range(len(names)))


def make_unique_names(names: Iterable[str], make_legal: Callable[[str], str]) -> dict[str, str]:
    """Return a legal name for each of these names, all different.

    A name that is already legal stays as it is, in whichever order they come; others that would collide get a number.
    """
    names = list(dict.fromkeys(names))
    legal = {name: name for name in names if make_legal(name) == name}
    unique = UniqueNames(legal)
    return legal | {name: unique.claim(make_legal(name)) for name in names if name not in legal}
