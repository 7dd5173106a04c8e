"""Remove secrets from texts for people: the only function that does so, for audit lines, failures and logs.

Secrets are known by where they are (after ``Bearer``, before the ``@`` of a URL, in ``/k/…/``, as the value of a
parameter with such a name), and by what they look like (tokens of this server, JWTs).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

MASK: Final = "***"
_MIN_SECRET_LENGTH: Final = 6  # of a given secret: a shorter one would mask parts of words
_REMEMBERED_NAMES: Final = 256
_SECRET_NAME: Final = re.compile(
    r"token|secret|passw|pwd|^pass$|api.?key|^key$|auth(?!or)|signature|^sig$|credential|session|jwt|cookie",
    re.IGNORECASE,
)
_HINTS: Final = (
    *("token", "secret", "pass", "pwd", "key", "auth", "sig", "credential", "session", "jwt", "cookie", "%"),
    *("sd_", "eyj", "bearer", "basic", "digest", "negotiate", "://", "/k/"),
)
"""In lower case: one of them is in every text in which there is something to mask."""
_TOKEN: Final = re.compile(r"sd(?:_|%5[Ff])[0-9A-Za-z]{12,}|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?")
_SCHEME: Final = re.compile(r"\b(bearer|basic|digest|negotiate)(\s+|%20|\+)(?!realm=)[^\s,;'\"&]{4,}", re.IGNORECASE)
_USERINFO: Final = re.compile(r"://[^/@\s\"'?#]+@")
_PATH_TOKEN: Final = re.compile(r"(^|[\s\"'(=]|://[^/\s\"']+)/k/[^/\s\"'?#]+")
_PARAMETER: Final = re.compile(r"(^|[?&;\s\"'{(,])([\w.%\[\]-]+)([\"']?\s*[=:]\s*[\"']?)([^&;\s\"'#,)}]+)")


def redact_secrets(text: str, known: Iterable[str] = ()) -> str:
    """Return a text with a mask instead of each secret in it.

    Args:
        text: a path, a query, a header, a message, or a whole line of a log.
        known: secrets that are masked wherever they are, such as the credentials of the request.
    """
    if not text:
        return text
    for secret in sorted(known, key=len, reverse=True):  # a part of a secret is masked after the whole
        if len(secret) >= _MIN_SECRET_LENGTH:
            text = text.replace(secret, MASK)
            if "%" in text:
                text = text.replace(quote(secret, safe=""), MASK)
    lowered = text.lower()
    if not any(hint in lowered for hint in _HINTS):  # as almost always; the rest takes ten times as long
        return text
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _USERINFO.sub(f"://{MASK}@", text)
    text = _PATH_TOKEN.sub(rf"\1/k/{MASK}", text)
    text = _PARAMETER.sub(_mask_parameter, text)
    return _TOKEN.sub(MASK, text)


@lru_cache(_REMEMBERED_NAMES)
def is_secret_name(name: str) -> bool:
    """Check whether a parameter or a header of this name has a secret as its value."""
    return bool(_SECRET_NAME.search(name))


def _mask_parameter(match: re.Match[str]) -> str:
    before, name, separator, value = match.groups()
    plain = unquote(value)
    is_secret = is_secret_name(unquote(name)) or (plain != value and bool(_TOKEN.search(plain)))
    return f"{before}{name}{separator}{MASK}" if is_secret else match[0]


class MaskingFormatter(logging.Formatter):
    """A formatter of logs that masks secrets in what another one formats, tracebacks included.

    Args:
        inner: formats a record.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without secrets."""
        return redact_secrets(self._inner.format(record))


def mask_logs() -> None:
    """Have all handlers of this process mask secrets, those of uvicorn's access log too."""
    loggers = [logging.getLogger(), *(each for each in logging.Logger.manager.loggerDict.values())]
    handlers = [handler for each in loggers if isinstance(each, logging.Logger) for handler in each.handlers]
    for handler in (*handlers, *([logging.lastResort] if logging.lastResort else [])):
        if not isinstance(handler.formatter, MaskingFormatter):
            handler.setFormatter(MaskingFormatter(handler.formatter or logging.Formatter()))
