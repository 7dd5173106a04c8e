"""What the docstring of a transform says, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getdoc

from docstring_parser import DocstringStyle, parse

from shotdap.transforms import Transform

__all__ = ["Said", "markdown", "said_of"]


@dataclass(frozen=True)
class Said:
    """A docstring, taken apart."""

    body: str
    """What stands between its first line and its sections: formula, source and rules."""
    meanings: Mapping[str, str]
    """Of each argument, in one line."""
    result: str
    """In one line."""


def said_of(transform: Transform) -> Said:
    """Parse the documentation of a transform."""
    parsed = parse(getdoc(transform.function) or "", DocstringStyle.GOOGLE)
    returned = parsed.returns
    # The parser takes what stands before a colon for a type.
    result = ": ".join(filter(None, (returned.type_name, returned.description))) if returned else ""
    meanings = {each.arg_name: _line(each.description or "") for each in parsed.params}
    return Said(markdown(parsed.long_description or ""), meanings, _line(result))


def _line(text: str) -> str:
    """Format a text for a table cell."""
    return " ".join(markdown(text).split()).replace("|", r"\|")


def markdown(text: str) -> str:
    """Docstrings have code between two backticks, Markdown between one."""
    return text.replace("``", "`")
