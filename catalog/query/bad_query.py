"""Errors in a query, with their position."""

from __future__ import annotations

from typing import Final

_EXCERPT_LENGTH: Final = 70  # characters of a query around an error


class BadQuery(ValueError):
    """An error in a query: the message says what is wrong and what would be right, and marks the position.

    Args:
        sentence: what is wrong, and what would be right.
        text: the query.
        start: where the wrong word begins in it.
        end: where the wrong word ends.
    """

    def __init__(self, sentence: str, text: str, start: int, end: int) -> None:
        first = max(0, start - _EXCERPT_LENGTH // 2)
        last = min(len(text), first + _EXCERPT_LENGTH)
        before, after = "… " if first else "", " …" if last < len(text) else ""
        # Both have words of the query, which may contain anything.
        sentence, shown = (
            "".join(each if each.isprintable() else "\ufffd" for each in words)
            for words in (sentence, text[first:last])
        )
        indent, marks = " " * (len(before) + start - first), "^" * max(1, min(end, last) - start)
        self.sentence = sentence
        self.column = start + 1
        """The wrong word's first character, counted from 1."""
        self.excerpt = f"  {before}{shown}{after}\n  {indent}{marks}"
        """The wrong word in its context, and a line below that marks it."""
        super().__init__(f"{sentence}\n{self.excerpt}")
