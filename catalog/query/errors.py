"""What is wrong with a query, and where."""

from __future__ import annotations

from typing import Final

__all__ = ["BadQuery"]

_EXCERPT_LENGTH: Final = 70  # characters of a query around a mistake


class BadQuery(ValueError):
    """A query that cannot be understood: the message says what is wrong and what would be right, and marks the place.

    Args:
        sentence: what is wrong, and what would be right.
        text: the query.
        start: where the wrong word begins in it.
        end: where the wrong word ends.
    """

    def __init__(self, sentence: str, text: str, start: int, end: int) -> None:
        self.sentence = sentence
        self.column = start + 1
        """The wrong word's first character, counted from 1."""
        self.excerpt = _mark_excerpt(text, start, end)
        """The wrong word in its surroundings, and a line below that marks it."""
        super().__init__(f"{sentence}\n{self.excerpt}")


def _mark_excerpt(text: str, start: int, end: int) -> str:
    first = max(0, start - _EXCERPT_LENGTH // 2)
    last = min(len(text), first + _EXCERPT_LENGTH)
    before, after = "… " if first else "", " …" if last < len(text) else ""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in text[first:last])
    marks = "^" * max(1, min(end, last) - start)
    return f"  {before}{shown}{after}\n  {' ' * (len(before) + start - first)}{marks}"
