"""Where the bytes of images are: one module for each kind of place, all behind `Store`.

What an archive's row says of its file decides the kind: ``s3://bucket/key`` names an object, anything else is what
`SchemeStore.default` takes it for: a path, or the key of a row that holds the bytes.
"""

from __future__ import annotations

from shotdap.catalog.storage.blobs import BlobStore
from shotdap.catalog.storage.by_scheme import SchemeStore
from shotdap.catalog.storage.content_cache import FileCache
from shotdap.catalog.storage.local import LocalStore
from shotdap.catalog.storage.objects import S3ObjectStore
from shotdap.catalog.storage.store import Store, Version
from shotdap.catalog.storage.versioned_file import FileHandle, FilePath, VersionedFile, begin_attempt, retry_if_changed

__all__ = [
    "BlobStore",
    "FileCache",
    "FileHandle",
    "FilePath",
    "LocalStore",
    "S3ObjectStore",
    "SchemeStore",
    "Store",
    "Version",
    "VersionedFile",
    "begin_attempt",
    "retry_if_changed",
]
