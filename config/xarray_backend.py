"""The engine of ``xr.open_dataset(path, engine="shotdap")``: opens a file as the server does, without a server."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import xarray as xr
from xarray.backends import BackendEntrypoint

from shotdap.catalog import Catalog, DirectoryArchive, Entry, Unpacker, get_cache_folder
from shotdap.config.descriptions import load_diagnostics
from shotdap.transforms.decoding import decode_dataset

_UNPACK_BYTES = 4 << 30


class ShotdapBackend(BackendEntrypoint):
    """Opens a file of any format that shotdap reads, labelled and lazy."""

    description: ClassVar[str] = "Open laser-shot images (HDF4, HDF5, TIFF, JSON, …) labelled, as shotdap serves them"
    open_dataset_parameters: ClassVar[tuple[Any, ...] | None] = (
        "filename_or_obj", "drop_variables", "mask_and_scale", "decode_times", "decode_coords", "diagnostics", "raw",
    )  # fmt: skip

    def open_dataset(  # type: ignore[override]  # noqa: PLR0913 — a backend adds parameters of its own, by keyword
        self,
        filename_or_obj: str | os.PathLike[Any],
        *,
        drop_variables: str | Iterable[str] | None = None,
        mask_and_scale: bool = True,
        decode_times: bool = True,
        decode_coords: bool = True,
        diagnostics: str | os.PathLike[Any] | None = None,
        raw: bool = False,
    ) -> xr.Dataset:
        """Open a file.

        Args:
            filename_or_obj: the file's path.
            drop_variables: names of variables to leave out.
            mask_and_scale: whether to decode the stored numbers of a raw file; see `transforms.decoding`. A labelled
                one is always decoded.
            decode_times: whether to decode times that are numbers.
            decode_coords: whether to make coordinates of the variables that attributes name as coordinates.
            diagnostics: a folder with descriptions of this site's diagnostics.
            raw: open the file unchanged, with its own names and attributes.

        Raises:
            Missing: the file does not exist.
            Unreadable: the file cannot be read; the message has the reason.
            BadDiagnostic: a description is not valid.
        """
        path = Path(filename_or_obj)
        descriptions = load_diagnostics(Path(diagnostics) if diagnostics else None)
        unpacker = Unpacker(get_cache_folder(), _UNPACK_BYTES)
        catalog = Catalog(DirectoryArchive(path.parent), path.parent, descriptions, unpacker=unpacker)
        dataset = catalog.image_from_entry(Entry(path.name, path.name, {"name": path.name}), is_raw=raw).open()
        return xr.decode_cf(
            decode_dataset(dataset) if mask_and_scale else dataset,
            mask_and_scale=mask_and_scale,  # for the rest: integer times with missing values
            decode_times=decode_times,
            decode_coords=decode_coords,
            drop_variables=drop_variables,
        )

    def guess_can_open(self, filename_or_obj: Any) -> bool:  # noqa: ANN401, ARG002 — as xarray's own annotation
        """Return false: shotdap's labels are used only with ``engine="shotdap"``."""
        return False
