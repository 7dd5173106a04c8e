"""Many images opened as one: each in a group of its own, or stacked along the shot number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import xarray as xr

from shotdap.catalog.collections.chunk_sources import set_image_paths
from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.catalog.collections.stack import LEFT_OUT_ATTRIBUTE, Layer, stack_images
from shotdap.catalog.diagnostics.derive import DerivedImage
from shotdap.catalog.entry import Changed, Entry, Unreadable
from shotdap.catalog.image import SingleImage
from shotdap.catalog.image_opener import ImageOpener, ViewFunction
from shotdap.catalog.paths import CollectionAddress, ImageAddress
from shotdap.transforms import MARK, BadVariant
from shotdap.transforms.virtual.provenance import Origin


class CombinedImage:
    """A shot or a stack; see `Image`. An image in it that cannot be read is left out, and named.

    Args:
        collection: the address.
        find_members: finds the entries of its images.
        opener: opens them.
    """

    entry = None
    version = None
    related: Mapping[str, Entry] = MappingProxyType({})

    def __init__(
        self, collection: CollectionAddress, find_members: Callable[[], Sequence[Entry]], opener: ImageOpener
    ) -> None:
        self.address = collection
        self._find_members = find_members
        self._opener = opener

    @property
    def path(self) -> str:
        """The canonical path."""
        return self.address.path

    @property
    def has_groups(self) -> bool:
        """True if each image is a group of its own."""
        return not self.address.steps

    @property
    def fingerprint(self) -> str:
        """A text that identifies the content."""
        return repr((self.path, *self.member_fingerprints.values()))

    @property
    def member_fingerprints(self) -> Mapping[str, str]:
        """The fingerprint of each image, by path; that of an image that cannot be read contains the reason."""
        return {path: member.fingerprint for path, member in self.snapshot_members().items()}

    @property
    def modified(self) -> int:
        """The latest change of its files, in nanoseconds since 1970."""
        return max((member.modified for member in self.snapshot_members().values()), default=0)

    def open(self, *, chunked: bool = True, view: ViewFunction | None = None) -> xr.Dataset:
        """Open all images as one dataset, remembered for as long as each of them is the same; see `Image`."""
        dataset = self._combine(chunked=chunked).copy(deep=False)
        return view(dataset) if view else dataset

    def open_shared(self, *, view: ViewFunction | None = None) -> xr.Dataset:
        """Open all images as one dataset, to select from it; see `Image`."""
        dataset = self._combine(chunked=False)
        return view(dataset) if view else dataset

    def _combine(self, *, chunked: bool) -> xr.Dataset:
        """Return the remembered dataset of all images; make it if one of them has changed.

        Raises:
            BadVariant: the variant fits none of the images.
            BadStack: they cannot be stacked.
        """
        address = self.address
        opened: dict[str, DerivedImage] = {}
        left_out: dict[str, str] = {}
        for path, member in self.snapshot_members().items():
            if member.reason is not None:
                left_out[path] = member.reason
                continue
            try:
                opened[path] = member.derive(address.variant, chunked=chunked)
            except Changed:
                raise  # a new request may succeed
            except (BadVariant, Unreadable) as error:
                left_out[path] = str(error)
        if address.variant and not opened:
            raise BadVariant(next(iter(left_out.values()), "No image matches."))
        key = (address.path, *opened.values(), *left_out.items())
        dataset = self._opener.collection_cache.get(key)
        if dataset is None:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in left_out.items())
            attributes = {LEFT_OUT_ATTRIBUTE: reasons} if left_out else {}
            datasets = {path: each.dataset.copy(deep=False) for path, each in opened.items()}
            if address.steps:
                members = self.snapshot_members()
                layers = [
                    Layer(path, members[path].image.entry.facts.get("shot", path), each)
                    for path, each in datasets.items()
                ]
                dataset = stack_images(layers, address.ragged_policy, address.differing_policy, attributes)
            else:
                for path, each in datasets.items():
                    for variable in each.variables.values():
                        set_image_paths(variable, (path,))
                groups = {path.removeprefix(f"{address.folder}/"): each for path, each in datasets.items()}
                dataset = combine_as_groups(groups, attributes)
            self._opener.collection_cache[key] = dataset
        return dataset

    def list_origins(self) -> Mapping[str, Origin]:
        """Return nothing: only single images record the provenance of their variables."""
        return {}

    def snapshot_members(self) -> Mapping[str, _Member]:
        """Return the images by their paths, the version of each file determined once.

        Raises:
            NotFound: there is no such folder.
            TooMany: they are more than one dataset may be of.
            Changed: a file is being written to.
        """
        found: Mapping[str, _Member] | None = self.__dict__.get("_members")  # as in `SingleImage.snapshot`
        if found is not None:
            return found
        images = [SingleImage(ImageAddress(entry), self._opener) for entry in self._find_members()]
        taken = {image.path: _Member.from_image(image) for image in images}
        members: Mapping[str, _Member] = self.__dict__.setdefault("_members", taken)
        return members


@dataclass(frozen=True)
class _Member:
    """One of many images, or the reason why it cannot be read."""

    image: SingleImage
    fingerprint: str
    modified: int
    reason: str | None = None  # not the exception: its traceback would keep the files of all members open

    @classmethod
    def from_image(cls, image: SingleImage) -> _Member:
        """Determine the version of an image's file."""
        try:
            return cls(image, image.fingerprint, image.modified)
        except Changed:
            raise  # a new request may succeed
        except Unreadable as error:
            return cls(image, f"{image.path}: {error}", 0, str(error))

    def derive(self, variant: str, *, chunked: bool) -> DerivedImage:
        """Open the image, or a variant of it."""
        image = self.image.select_variant(variant.removeprefix(MARK)) if variant else self.image
        return image.derive(chunked=chunked)
