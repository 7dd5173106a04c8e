"""Stores of the bytes of images: one module for each kind of store, all behind the contract `Store`.

The file in an archive's row selects the store: ``s3://bucket/key`` names an object; anything else goes to
`SchemeStore.default`, which takes it for a path, or for the key of a row with the bytes.
"""

from __future__ import annotations

from shotdap.catalog.storage.blobs import BlobStore
from shotdap.catalog.storage.by_scheme import SchemeStore
from shotdap.catalog.storage.content_cache import FileCache
from shotdap.catalog.storage.local import LocalStore
from shotdap.catalog.storage.objects import S3ObjectStore
from shotdap.catalog.storage.store import Store, Version
from shotdap.catalog.storage.versioned_file import (
    FileHandle,
    FilePath,
    VersionedFile,
    begin_attempt,
    get_attempt_number,
    retry_if_changed,
)

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
    "get_attempt_number",
    "retry_if_changed",
]
