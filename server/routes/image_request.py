"""A request about an image, as far as any protocol cares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import xarray as xr

from shotdap.catalog import Catalog, ContentState, ImageAddress, ImageCollection
from shotdap.server.http.limits import Limits, RequestedHyperslabs, check_limits
from shotdap.server.protocols import dap2
from shotdap.transforms import MARK

__all__ = ["ImageRequest"]


@dataclass(frozen=True)
class ImageRequest:
    """A request, as far as it matters here."""

    catalog: Catalog
    limits: Limits
    path: str
    """The image's public path."""
    suffix: str
    query: str
    """As it came, nothing decoded."""
    base_url: str = ""
    """The server's URL as the client sees it, what it is mounted below included, without a slash at the end."""
    root_path: str = ""
    """What the application is mounted below."""
    only_headers: bool = False

    @cached_property
    def address(self) -> ImageAddress | ImageCollection:
        """What the path leads to.

        Raises:
            NotFound: there is no such image.
            BadVariant: the path asks for a variant that cannot be made of it.
        """
        return self.catalog.resolve_path(self.path)

    @cached_property
    def state(self) -> ContentState:
        """The state that what the path leads to was in when this was first asked: all of one answer is of that state.

        Raises:
            Missing: its file is not there.
            Changed: its file is being written to.
            Unreadable: its file cannot be looked at.
        """
        return self.catalog.get_state(self.address)

    def copy_with(self, *, query: str | None = None, limits: Limits | None = None) -> ImageRequest:
        """Return the question with another query or other limits, about the same look at the files."""
        other = replace(self, query=self.query if query is None else query, limits=limits or self.limits)
        other.__dict__.update(address=self.address, state=self.state)  # where `cached_property` keeps them
        return other

    @property
    def dataset_name(self) -> str:
        """What the answer calls the dataset; a variant as the image that it is of."""
        return self.path.partition(f"/{MARK}")[0].rpartition("/")[2].removeprefix(MARK)

    @property
    def url(self) -> str:
        """The image's URL, without a suffix: what clients open."""
        return f"{self.base_url}/dap/{self.path}"

    def open_dataset(self) -> xr.Dataset:
        """The image; lazy, and without dask, whose graphs cost more than a small slice."""
        return self.catalog.open_address(self.address, chunked=False, state=self.state)

    def open_dap2_dataset(self) -> xr.Dataset:
        """The image as DAP2 can carry it."""
        return self.catalog.open_address(self.address, chunked=False, view=dap2.adapt_dataset, state=self.state)

    def check_limits(self, dataset: xr.Dataset, asked: Callable[[], RequestedHyperslabs]) -> None:
        """Refuse what is too much for one answer.

        Raises:
            TooLarge: it is.
        """
        check_limits(dataset, self.limits, asked)

    def compute_dataset(self, dataset: xr.Dataset, asked: Callable[[], RequestedHyperslabs]) -> xr.Dataset:
        """The values of a narrowed dataset; lazy still, where only headers are wanted.

        Raises:
            TooLarge: they are more than the limit.
            Unreadable: the file cannot be read.
        """
        self.check_limits(dataset, asked)
        return dataset if self.only_headers else dataset.compute()
