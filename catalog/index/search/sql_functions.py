"""Whether a text has another one in it, in the words of each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["contains", "ilike"]


class ilike(FunctionElement[bool]):  # noqa: N801 — written like a function of SQL
    """That a text has a pattern of LIKE, in any case, with ``/`` before what is no wildcard.

    SQLite's LIKE takes capitals for small letters by itself, and in a third of the time that it takes to lower them.
    """

    name = "alike"
    inherit_cache = True
    type = sa.Boolean()


class contains(FunctionElement[bool]):  # noqa: N801 — likewise
    """That a text has another one in it, with its very capitals and small letters."""

    name = "has"
    inherit_cache = True
    type = sa.Boolean()


_SQL_TEMPLATES: Final = (
    (ilike, "sqlite", "({} LIKE {} ESCAPE '/')"),
    (ilike, "postgresql", "({} ILIKE {} ESCAPE '/')"),
    (contains, "sqlite", "(instr({}, {}) > 0)"),
    (contains, "postgresql", "(strpos({}, {}) > 0)"),
)


def _make_compiler(text: str) -> Callable[..., str]:
    def render_element(element: FunctionElement[bool], compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 — as SQLAlchemy's
        return text.format(*(compiler.process(each, **options) for each in element.clauses))

    return render_element


for _kind, _dialect, _text in _SQL_TEMPLATES:
    compiles(_kind, _dialect)(_make_compiler(_text))
