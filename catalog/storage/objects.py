"""Objects of an object store: ``s3://bucket/key``, in any store that speaks Amazon's protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage.content_cache import FileCache
from shotdap.catalog.storage.store import Version

_PIECE_SIZE = 4 << 20  # bytes fetched at a time
_TOTAL_TIMEOUT_FACTOR = 20  # times what connecting may take: a piece of an answer after the other
_NANOSECONDS_PER_SECOND = 10**9  # nanoseconds
_MAX_RETRIES = 3  # after the first, for what may pass: the store's own errors, lost connections, time-outs
_FORBIDDEN_PARTS = frozenset(
    {"", ".", ".."}
)  # parts of a key that no archive needs, and that servers may read as folders


class _StoreUnavailable(Unreadable):
    """The store does not answer now, and may later."""


@dataclass(frozen=True)
class S3ObjectStore:
    """Objects below some prefixes, copied to a local cache before they are read.

    Credentials come from where Amazon's own tools look for them: ``AWS_ACCESS_KEY_ID`` and the like in the environment,
    or the machine's role.
    """

    prefixes: tuple[str, ...]
    """What may be read: ``s3://shots/`` is a bucket, ``s3://shots/omega/`` a part of one."""
    cache: FileCache
    endpoint: str | None = None
    """The store's URL, where it is not Amazon's."""
    region: str | None = None
    anonymous: bool = False
    """Ask without credentials."""
    timeout: float = 30.0
    """What connecting may take, and waiting for the next bytes; a whole answer, twenty times that."""

    def get_version(self, file: str, /) -> Version:
        """A look at the object, or what was last seen of it while the store is away; see `Store`."""
        bucket, key = self.parse_url(file)
        place = self._get_location(bucket, key)
        try:
            with _wrap_store_errors():
                found = _import_obstore().head(self._get_bucket_store(bucket), key)
        except _StoreUnavailable:
            last = self.cache.find_last_version(*place)
            if last is None:
                raise
            return last
        version = self._make_version(place, found)
        self.cache.save_last_version(version, *place)
        return version

    def _make_version(self, place: tuple[str, str, str], found: Any) -> Version:  # noqa: ANN401 — of an extra
        identity = (*place, found["e_tag"] or "", found["version"] or "")
        return self.cache.make_version(*identity, size=found["size"], modified=_nanoseconds(found["last_modified"]))

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Copy the object; see `Store`."""
        bucket, key = self.parse_url(file)
        self.cache.ensure_content(version, lambda: self._stream_pieces(bucket, key, version))
        self.cache.save_last_version(
            version, *self._get_location(bucket, key)
        )  # again: a link that leads nowhere yet may be swept away

    def describe_location(self, file: str, /) -> str:
        """The object's URL, and whom it is asked of; see `Store`."""
        return f"{file} at {self.endpoint or 'Amazon'}"

    def _get_location(self, bucket: str, key: str) -> tuple[str, str, str]:
        return self.endpoint or "", bucket, key

    def _stream_pieces(self, bucket: str, key: str, version: Version) -> Iterator[bytes]:
        with _wrap_store_errors():
            answer = _import_obstore().get(self._get_bucket_store(bucket), key)
            if self._make_version(self._get_location(bucket, key), answer.meta) != version:
                raise Changed
            yield from _bytes(answer.stream(_PIECE_SIZE))

    def parse_url(self, file: str) -> tuple[str, str]:
        """The bucket and the key that a URL names.

        Raises:
            Unreadable: it lies below none of the prefixes, or is no key.
        """
        _, _, place = file.partition("://")
        bucket, _, key = place.partition("/")
        if any(part in _FORBIDDEN_PARTS for part in key.split("/")) or not key.isprintable():
            raise Unreadable("The archive's row names no object that could exist.")
        if not any(_has_prefix(bucket, key, prefix) for prefix in self.prefixes):
            raise Unreadable("The archive's row leads to an object outside the archive.")
        return bucket, key

    def _get_bucket_store(self, bucket: str) -> Any:  # noqa: ANN401 — obstore is an extra
        given = {"endpoint": self.endpoint, "region": self.region, "skip_signature": self.anonymous}
        return _connect_bucket(bucket, self.timeout, *((name, value) for name, value in given.items() if value))


def _has_prefix(bucket: str, key: str, prefix: str) -> bool:
    allowed, _, beginning = prefix.removeprefix("s3://").partition("/")
    beginning = beginning if not beginning or beginning.endswith("/") else f"{beginning}/"
    return bucket == allowed and key.startswith(beginning)


def _import_obstore() -> Any:  # noqa: ANN401 — an extra
    """The library that speaks to object stores.

    Raises:
        Unreadable: it is not installed.
    """
    try:
        import obstore  # noqa: PLC0415 — an extra, which most archives do without
    except ModuleNotFoundError as error:
        raise Unreadable("The file lies in an object store, which needs shotdap[objects].") from error
    return obstore


@lru_cache(maxsize=64)  # a store keeps its connections
def _connect_bucket(bucket: str, seconds: float, *given: tuple[str, str | bool]) -> Any:  # noqa: ANN401 — of an extra
    from obstore.store import S3Store  # noqa: PLC0415 — an extra

    limit, config = timedelta(seconds=seconds), dict(given)
    return S3Store(
        bucket,
        config=cast("Any", config),  # a TypedDict of an extra
        client_options={
            "allow_http": str(config.get("endpoint", "")).startswith("http://"),
            "connect_timeout": limit,
            "read_timeout": limit,
            "timeout": limit * _TOTAL_TIMEOUT_FACTOR,
        },
        retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": limit * (_MAX_RETRIES + 1)},
    )


def _bytes(stream: Iterable[Any]) -> Iterator[bytes]:
    return (bytes(piece) for piece in stream)


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp()) * _NANOSECONDS_PER_SECOND  # a GET says whole seconds, and a listing more


@contextmanager
def _wrap_store_errors() -> Iterator[None]:
    """Say in a sentence what went wrong with an object store, without its name or anyone's key."""
    try:
        yield
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except Exception as error:
        if type(error).__module__.startswith("obstore"):
            raise _make_unreadable(type(error).__name__) from error
        raise


def _make_unreadable(kind: str) -> Unreadable:
    if kind in _REFUSAL_MESSAGES:
        return Unreadable(_REFUSAL_MESSAGES[kind])
    return (_StoreUnavailable if kind == _GENERIC_ERROR else Unreadable)(f"The object store does not answer: {kind}.")


_GENERIC_ERROR = "GenericError"  # of the network, and the store's own, after all attempts
_REFUSAL_MESSAGES = {
    "PermissionDeniedError": "The object store does not let this server read the file.",
    "UnauthenticatedError": "The object store does not know this server's credentials.",
}
