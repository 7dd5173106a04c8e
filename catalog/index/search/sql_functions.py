"""SQL functions that find a text within another one, in the dialect of each database."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class ilike(FunctionElement[bool]):  # noqa: N801 — named like a function of SQL
    """The test whether a text matches a pattern of LIKE, case ignored; ``/`` escapes a wildcard.

    SQLite's LIKE ignores the case of ASCII by itself, in a third of the time that lowering the text takes.
    """

    name = "ilike"
    inherit_cache = True
    type = sa.Boolean()


class contains(FunctionElement[bool]):  # noqa: N801 — likewise
    """The test whether a text contains another one, with the same case."""

    name = "contains"
    inherit_cache = True
    type = sa.Boolean()


class text_after(FunctionElement[str]):  # noqa: N801 — likewise
    """The characters after the first occurrence of a text in another one, so many at most, in code points' order."""

    name = "text_after"
    inherit_cache = True
    type = sa.Text()


_TEMPLATES: Final = (
    (ilike, "sqlite", "({} LIKE {} ESCAPE '/')"),
    (ilike, "postgresql", "({} ILIKE {} ESCAPE '/')"),
    (contains, "sqlite", "(instr({}, {}) > 0)"),
    (contains, "postgresql", "(strpos({}, {}) > 0)"),
    (text_after, "sqlite", "substr({0}, instr({0}, {1}) + length({1}), {2})"),
    (text_after, "postgresql", '(substr({0}, strpos({0}, {1}) + length({1}), {2}) COLLATE "C")'),
)


def _render_call(template: str, element: FunctionElement[bool], compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 — as SQLAlchemy's
    return template.format(*(compiler.process(argument, **options) for argument in element.clauses))


for _function, _dialect, _template in _TEMPLATES:
    compiles(_function, _dialect)(partial(_render_call, _template))
