"""Objects in an object store: ``s3://bucket/key``, in any store with Amazon's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast

from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage.content_cache import FileCache
from shotdap.catalog.storage.store import Version

_PIECE_SIZE = 4 << 20  # bytes fetched at a time
_TOTAL_TIMEOUT_FACTOR = 20  # a response may take this factor longer than connecting
_NANOSECONDS_PER_SECOND = 10**9
_MAX_RETRIES = 3  # after transient failures: the store's own errors, lost connections, time-outs
_FORBIDDEN_PARTS = frozenset({"", ".", ".."})  # of a key: no archive needs them, and servers may read them as folders


class _StoreUnavailable(Unreadable):
    """The store does not answer now, but may later."""


@dataclass(frozen=True)
class S3ObjectStore:
    """Objects below some prefixes, copied to a local cache before they are read.

    Credentials come from the same places as for Amazon's own tools: ``AWS_ACCESS_KEY_ID`` and similar variables of the
    environment, or the machine's role.
    """

    prefixes: tuple[str, ...]
    """The allowed URLs: ``s3://shots/`` is a bucket, ``s3://shots/omega/`` a part of one."""
    cache: FileCache
    endpoint: str | None = None
    """The store's URL, if it is not Amazon's."""
    region: str | None = None
    anonymous: bool = False
    """Whether to send requests without credentials."""
    timeout: float = 30.0
    """Seconds for connecting, and for waiting for the next bytes; a whole response may take twenty times as long."""

    def get_version(self, file: str, /) -> Version:
        """Return the object's version, or the last known version while the store is unavailable; see `Store`."""
        bucket, key = self.parse_url(file)
        location = (self.endpoint or "", bucket, key)
        try:
            with _wrap_store_errors():
                metadata = _import_obstore().head(self._get_bucket_store(bucket), key)
        except _StoreUnavailable:
            last = self.cache.find_last_version(*location)
            if last is None:
                raise
            return last
        version = self._make_version(location, metadata)
        self.cache.save_last_version(version, *location)
        return version

    def _make_version(self, location: tuple[str, str, str], metadata: Any) -> Version:  # noqa: ANN401 — of an extra
        identity = (*location, metadata["e_tag"] or "", metadata["version"] or "")
        # In whole seconds: the response to a GET has no fraction, that to a HEAD may have one.
        modified = round(metadata["last_modified"].timestamp()) * _NANOSECONDS_PER_SECOND
        return self.cache.make_version(*identity, size=metadata["size"], modified=modified)

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Copy the object; see `Store`."""
        bucket, key = self.parse_url(file)
        location = (self.endpoint or "", bucket, key)

        def stream_pieces() -> Iterator[bytes]:
            with _wrap_store_errors():
                response = _import_obstore().get(self._get_bucket_store(bucket), key)
                if self._make_version(location, response.meta) != version:
                    raise Changed
                for piece in response.stream(_PIECE_SIZE):
                    yield bytes(piece)

        self.cache.ensure_content(version, stream_pieces)
        self.cache.save_last_version(version, *location)  # again: a dangling link may have been removed

    def describe_location(self, file: str, /) -> str:
        """Return the object's URL and the store's; see `Store`."""
        return f"{file} at {self.endpoint or 'Amazon'}"

    def parse_url(self, file: str) -> tuple[str, str]:
        """Return the bucket and the key of a URL.

        Raises:
            Unreadable: the key is invalid, or has none of the prefixes.
        """
        _, _, path = file.partition("://")
        bucket, _, key = path.partition("/")
        if any(part in _FORBIDDEN_PARTS for part in key.split("/")) or not key.isprintable():
            raise Unreadable("The archive's row names no object that could exist.")
        for prefix in self.prefixes:
            allowed_bucket, _, key_prefix = prefix.removeprefix("s3://").partition("/")
            key_prefix = key_prefix if not key_prefix or key_prefix.endswith("/") else f"{key_prefix}/"
            if bucket == allowed_bucket and key.startswith(key_prefix):
                return bucket, key
        raise Unreadable("The archive's row leads to an object outside the archive.")

    def _get_bucket_store(self, bucket: str) -> Any:  # noqa: ANN401 — obstore is an extra
        options = {"endpoint": self.endpoint, "region": self.region, "skip_signature": self.anonymous}
        return _connect_bucket(bucket, self.timeout, *((name, value) for name, value in options.items() if value))


def _import_obstore() -> Any:  # noqa: ANN401 — an extra
    """Import the library for object stores.

    Raises:
        Unreadable: it is not installed.
    """
    try:
        import obstore  # noqa: PLC0415 — an extra, which most archives do without
    except ModuleNotFoundError as error:
        raise Unreadable("The file lies in an object store, which needs shotdap[objects].") from error
    return obstore


@lru_cache(maxsize=64)  # a store keeps its connections
def _connect_bucket(bucket: str, seconds: float, *options: tuple[str, str | bool]) -> Any:  # noqa: ANN401 — of an extra
    from obstore.store import S3Store  # noqa: PLC0415 — an extra

    limit, config = timedelta(seconds=seconds), dict(options)
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


@contextmanager
def _wrap_store_errors() -> Iterator[None]:
    """Turn errors of an object store into the catalog's, without the store's name or a key."""
    try:
        yield
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except Exception as error:
        kind = type(error).__name__
        if not type(error).__module__.startswith("obstore"):
            raise
        if kind in _REFUSAL_MESSAGES:
            raise Unreadable(_REFUSAL_MESSAGES[kind]) from error
        wrapper = _StoreUnavailable if kind == _GENERIC_ERROR else Unreadable
        raise wrapper(f"The object store does not answer: {kind}.") from error


_GENERIC_ERROR = "GenericError"  # of the network, or of the store after all attempts
_REFUSAL_MESSAGES = {
    "PermissionDeniedError": "The object store does not let this server read the file.",
    "UnauthenticatedError": "The object store does not know this server's credentials.",
}
