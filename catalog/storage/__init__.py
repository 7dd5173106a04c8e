"""Where the bytes of images are: one module for each kind of place, all behind `Store`.

What an archive's row says of its file decides the kind: ``s3://bucket/key`` names an object, anything else is what
`Places.usual` takes it for: a path, or the key of a row that holds the bytes.
"""

from __future__ import annotations

from shotdap.catalog.storage.blobs import LargeObjects
from shotdap.catalog.storage.by_scheme import Places
from shotdap.catalog.storage.content_cache import Cache
from shotdap.catalog.storage.local import Folders
from shotdap.catalog.storage.objects import Objects
from shotdap.catalog.storage.store import Store, Version
from shotdap.catalog.storage.versioned_file import FilePath, HeldFile, VersionedFile, attempt, retry_changed

__all__ = [
    "Cache",
    "FilePath",
    "Folders",
    "HeldFile",
    "LargeObjects",
    "Objects",
    "Places",
    "Store",
    "Version",
    "VersionedFile",
    "attempt",
    "retry_changed",
]
