"""A request about one image: the request, the image that its path leads to, and the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr

from shotdap.catalog import Catalog, Image
from shotdap.server.http.conditional import Validator
from shotdap.server.http.limits import Limits, RequestedHyperslabs, check_size
from shotdap.server.http.request import HttpRequest
from shotdap.server.protocols import dap2
from shotdap.server.routes.loop_cost import require_process_if_costly
from shotdap.transforms import MARK


@dataclass(frozen=True)
class ImageRequest:
    """A request about one image."""

    request: HttpRequest
    catalog: Catalog
    image: Image
    """Found once: the whole response belongs to this snapshot."""
    limits: Limits
    suffix: str = ""
    """Suffix of a DAP path, which selects the response; empty in other protocols."""

    @property
    def dataset_name(self) -> str:
        """Name of the dataset in responses; a variant has the name of its image."""
        return self.image.path.partition(f"/{MARK}")[0].rpartition("/")[2].removeprefix(MARK)

    @property
    def url(self) -> str:
        """DAP URL of the image, without a suffix: what clients open."""
        return f"{self.request.base_url}/dap/{self.image.path}"

    @property
    def original_path(self) -> str:
        """Path of the archived file; empty for a collection."""
        return self.image.entry.path if self.image.entry else ""

    def create_validator(self, kind: str) -> Validator:
        """Create the validator of a response of some kind.

        Raises:
            Missing: a file does not exist.
            Changed: a file is being written to.
            Unreadable: the version of a file cannot be determined.
            TooMany: a shot or a stack has more images than can be opened as one dataset.
        """
        image, request = self.image, self.request
        diagnostics = self.catalog.diagnostics_fingerprint
        return Validator.from_dependencies(
            image.modified, diagnostics, image.fingerprint, kind, request.query, request.base_url
        )

    def open_dataset(self) -> xr.Dataset:
        """Open the image, to select from it; see `Image.open_shared`."""
        return self.image.open_shared()

    def open_dap2_dataset(self) -> xr.Dataset:
        """Open the image as DAP2 can represent it, to select from it."""
        return self.image.open_shared(view=dap2.adapt_dataset)

    def compute_dataset(self, dataset: xr.Dataset, get_hyperslabs: Callable[[], RequestedHyperslabs]) -> xr.Dataset:
        """Compute the values of a dataset that `Selection.apply` returned, in place; leave it lazy for headers only.

        Raises:
            TooLarge: it exceeds a limit.
            Unreadable: the file cannot be read.
        """
        check_size(dataset, self.limits, get_hyperslabs=get_hyperslabs)
        if self.request.only_headers:
            return dataset
        require_process_if_costly(dataset.variables.values())
        return dataset.load()  # it is this request's own
