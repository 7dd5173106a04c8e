"""HDF5 and netCDF-4 files, read by h5py.

Every tree is read, groups included: an array's name is its path. h5py has one lock around the library, so threads are
safe. A file is opened for each read (0.6 ms) and without file locking, which read-only shares do not offer.

Only hard links are followed: a soft or external link, an external raw file or a virtual dataset leads to other files,
which the catalog has not allowed.

What NumPy's numbers and texts cannot say directly:

- an enumeration is its numbers, its members CF's flags; a truth is 0 or 1;
- a reference to an object is the object's path, as text, in arrays and in attributes;
- a table, whose values are compounds of numbers or texts, is an array for each field: ``peaks`` gives ``peaks_time``,
  and the array's attribute ``field_of`` names the table; an attribute so made gives ``origin_x``;
- half precision becomes single;
- strings of one byte are netCDF's characters: their last dimension is the letters of a text, as in netCDF-3;
- all else is left out, and the dataset's attribute ``omitted`` says what and why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeAlias

import h5py
import numpy as np
import xarray as xr
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]  # a compiled module that it does not see

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.names import make_variable_names
from shotdap.catalog.readers.attributes import (
    MAX_ATTRIBUTE_SIZE,
    Attribute,
    add_omissions,
    decode_text,
    decode_unique_names,
    normalize_attributes,
)
from shotdap.catalog.readers.dimensions import build_dataset, resolve_dimension_names
from shotdap.catalog.readers.lazy import (
    Array,
    ArraySource,
    BasicIndex,
    BlockSource,
    KeyedLocks,
    Memo,
    create_lazy_variable,
)
from shotdap.catalog.readers.shared_sources import (
    CHARACTER_CODES_NOTE,
    ENCODING_ATTRIBUTE,
    decode_characters,
    is_text_source,
)
from shotdap.catalog.storage import FilePath

_Dataset: TypeAlias = Any  # h5py.Dataset; it ships no types, and what a checker guesses from its code is wrong
_FAKE_DIMENSION_PATTERN = re.compile(r"fakeDim\d+")  # by the HDF4 library, kept by the converter to HDF5
_MIN_BLOCK_SIZE = 256 << 10  # bytes; to decode as much takes as long as to open a file
_MAX_CHUNK_SIZE = 1 << 30  # bytes: more is no camera's, and would fill the memory for one pixel
_SCALE_CLASS = "DIMENSION_SCALE"
_SCALE_ATTRIBUTES = frozenset({"CLASS", "NAME"})  # HDF5's attributes of a scale; anything else may have its own
# What netCDF-4 puts before the name of a variable that has a dimension's name but is not its coordinate: nc4internal.h.
_NON_COORDINATE_PREFIX = "_nc4_non_coord_"
_DIMENSION_ID, _DIMENSION_IDS = (
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
)  # its number of a dimension, and of each of a variable's dimensions
# netCDF-4's mark of a dimension without a variable: NC_DIM_NAME, "netCDF-4 format specification", appendix of HDF5.
_DIMENSION_ONLY_MARK = b"This is a netCDF dimension but not a netCDF variable"
# What holds the file together and describes nothing: dimension scales (HDF5) and netCDF-4's own notes.
_INTERNAL_ATTRIBUTES = frozenset({
    "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS",
    _DIMENSION_ID, _DIMENSION_IDS, "_nc3_strict", "_NCProperties",
})  # fmt: skip
_ATTRIBUTE_DTYPES: Mapping[str, str] = MappingProxyType({"f2": "f4", "f16": "f8", "f12": "f8"})  # what can be carried
_UNSUPPORTED_VALUE = np.empty(0)  # the value of an attribute that cannot be carried: it is named among the omitted


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _open_hdf5(path) as file:
        omitted: dict[str, str] = {}
        found = dict(_walk_groups(file, omitted))
        parts = {part.name: part for name, item in found.items() for part in _list_arrays(name, item, found, omitted)}
        sources = {name: _make_source(path, part, memo) for name, part in parts.items()}
        scales = _DimensionScales.collect(found)
        own = {name: scales.get_dimension_names(part)[: len(sources[name].shape)] for name, part in parts.items()}
        names = make_variable_names((*parts, *found, *filter(None, chain.from_iterable(own.values()))))
        dimensions = resolve_dimension_names(
            {names[name]: tuple(names[each] if each else "" for each in own[name]) for name in parts},
            {names[name]: source.shape for name, source in sources.items()},
        )
        variables = {
            names[name]: create_lazy_variable(
                dimensions[names[name]], sources[name], _build_attributes(part, names[name], sources[name])
            )
            for name, part in parts.items()
        }
        attributes = add_omissions(_collect_attributes(file, found, names), map(": ".join, omitted.items()))
    return build_dataset(variables, attributes, {names[name]: each for name, each in own.items()})


@contextmanager
def _open_hdf5(path: FilePath) -> Iterator[h5py.File]:
    try:
        status = path.stat()
        with _FILE_LOCKS.lock_key((status.st_dev, status.st_ino)), ExitStack() as opened:
            yield opened.enter_context(_open_h5py_file(path, opened))
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except Exception as error:  # a damaged file makes h5py or NumPy raise anything
        raise Unreadable("The HDF5 library cannot read the file; it may be damaged or cut short.") from error


# What two threads open of one inode at a time is one file to the library: headers that it has read of a file, before
# that was rewritten in place, would describe the new bytes to the other thread. It runs one call at a time anyway.
_FILE_LOCKS = KeyedLocks()


def _open_h5py_file(path: FilePath, opened: ExitStack) -> h5py.File:
    """Open a file by its name; by a descriptor, which reads slices with steps far slower, where it has none any more.

    HDF5 looks for the file's real path, and fails where another file has been renamed over it.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError:
        if path.stat().st_nlink:
            raise
    return h5py.File(opened.enter_context(path.open("rb", buffering=0)), "r")


def _walk_groups(
    group: h5py.Group, omitted: dict[str, str], above: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, Any]]:
    """Groups and datasets by their paths without the leading slash, in the file's order, each group once.

    Hard links may make rings of groups, or lead to one group by more ways than can be walked.
    """
    seen = set() if seen is None else seen
    address = h5o.get_info(group.id).addr
    if address in seen:
        return
    seen.add(address)
    names = list(group)  # as bytes, where they are not UTF-8
    for name, text in zip(names, decode_unique_names(names), strict=True):
        path = f"{above}{text}"
        link = group.id.links.get_info(name if isinstance(name, bytes) else name.encode())
        if link.type != h5l.TYPE_HARD:
            omitted[path] = "it is a link, and may lead to another file"
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            yield path, item
            yield from _walk_groups(item, omitted, f"{path}/", seen)
        elif isinstance(item, h5py.Dataset):
            yield path, item


@dataclass(frozen=True)
class _ArraySpec:
    """What becomes one array: a dataset, or one field of a table."""

    name: str
    dataset: _Dataset
    field: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type in the file, with h5py's own metadata."""
        dtype: np.dtype[Any] = self.dataset.dtype
        return dtype[self.field] if self.field else dtype


def _list_arrays(
    name: str,
    item: h5py.Group | h5py.Dataset,
    found: Mapping[str, Any],
    omitted: dict[str, str],
) -> Iterator[_ArraySpec]:
    """The arrays that an object of the file becomes; what cannot become one is noted."""
    if not isinstance(item, h5py.Dataset):
        return
    obstacle = _find_unsupported_reason(item)
    if obstacle:
        omitted[name] = obstacle
    elif item.dtype.names:
        yield from _list_fields(name, item, found, omitted)
    elif unknown := _find_unsupported_type(item.dtype):
        omitted[name] = unknown
    elif not _is_dimension_only(item):
        yield _ArraySpec(_strip_coordinate_prefix(name, found), item)


def _strip_coordinate_prefix(name: str, found: Mapping[str, Any]) -> str:
    """The name of an array, without what netCDF-4 puts before it where a dimension has the name too."""
    group, slash, last = name.rpartition("/")
    plain = f"{group}{slash}{last.removeprefix(_NON_COORDINATE_PREFIX)}"
    other = found.get(plain)
    is_free = other is None or (isinstance(other, h5py.Dataset) and _is_dimension_only(other))
    return plain if is_free and last != _NON_COORDINATE_PREFIX else name


def _list_fields(name: str, table: _Dataset, found: Mapping[str, Any], omitted: dict[str, str]) -> Iterator[_ArraySpec]:
    for field in table.dtype.names:
        unknown = _find_unsupported_type(table.dtype[field])
        if unknown:
            omitted[f"{name}.{field}"] = unknown
            continue
        yield _ArraySpec(_make_unique_name(f"{name}_{field}", found), table, field)


def _find_unsupported_reason(dataset: _Dataset) -> str:
    """Why a dataset cannot be read; empty where it can."""
    if dataset.shape is None:
        return "it holds nothing"
    if dataset.external or dataset.is_virtual:
        return "its values are in other files"
    try:
        _ = dataset.dtype
    except (TypeError, UnicodeDecodeError) as error:
        is_name = isinstance(error, UnicodeDecodeError)
        return "the name of one of its fields is not UTF-8" if is_name else "NumPy has no type for its values"
    plist = dataset.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        code, _, _, called = plist.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            return (
                f"it is compressed by {decode_text(called) or 'filter'} ({code}), which the HDF5 library at hand lacks"
            )
    if dataset.chunks and np.prod(dataset.chunks, dtype=float) * dataset.dtype.itemsize > _MAX_CHUNK_SIZE:
        return f"its chunks are greater than {_MAX_CHUNK_SIZE >> 20} MiB"
    return ""


def _find_unsupported_type(dtype: np.dtype[Any]) -> str:
    """Why values of a type cannot be carried; empty where they can."""
    if dtype.kind == "O":
        is_text = h5py.check_string_dtype(dtype) is not None
        if is_text or h5py.check_ref_dtype(dtype) is h5py.Reference:
            return ""
        is_region = h5py.check_ref_dtype(dtype) is h5py.RegionReference
        return "it refers to regions of arrays" if is_region else "it holds arrays of varying length"
    if dtype.kind == "S" or (dtype.kind in "biuf" and dtype.itemsize <= 8):  # noqa: PLR2004 — bytes
        return ""
    return f"no protocol carries its type {'of compound values' if dtype.names else dtype}"


def _is_dimension_only(dataset: _Dataset) -> bool:
    name = decode_text(dataset.name).rpartition("/")[2]
    mark = dataset.attrs.get("NAME", b"")  # of bytes; a text, or whatever else, is not netCDF-4's
    return bool(_FAKE_DIMENSION_PATTERN.fullmatch(name)) or (
        isinstance(mark, bytes) and mark.startswith(_DIMENSION_ONLY_MARK)
    )


def _collect_attributes(file: h5py.File, found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Attribute]:
    """The file's attributes, and each group's under its path: ``DATA/SHOT/units``."""
    attributes = normalize_attributes(_read_attributes(file))
    for path, item in found.items():
        if isinstance(item, h5py.Group):
            renamed: dict[str, Attribute] = {} if names[path] == path else {"original_name": path}
            described = normalize_attributes(_read_attributes(item)) | renamed
            attributes |= {f"{names[path]}/{name}": value for name, value in described.items()}
    return attributes


def _read_attributes(owner: h5py.HLObject) -> dict[str, Any]:
    plumbing = (
        _INTERNAL_ATTRIBUTES | _SCALE_ATTRIBUTES
        if isinstance(owner, h5py.Dataset) and _is_dimension_scale(owner)
        else _INTERNAL_ATTRIBUTES
    )
    own = list(owner.attrs)  # as bytes, where they are not UTF-8
    names = dict(zip(decode_unique_names(own), own, strict=True))
    attributes: dict[str, Any] = {}
    for name in (each for each in names if each not in plumbing):
        for called, value in _convert_attribute(name, _read_attribute(owner, names[name]), owner).items():
            attributes[called if called == name else _make_unique_name(called, names)] = value
    return attributes


def _make_unique_name(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _read_attribute(owner: h5py.HLObject, name: str | bytes) -> Any:  # noqa: ANN401 — whatever a file may hold
    identity = owner.attrs.get_id(name)
    size = math.prod(identity.shape or ()) * identity.get_type().get_size()
    if size > MAX_ATTRIBUTE_SIZE:
        return np.broadcast_to(np.uint8(0), size)  # as great, and never read: `normalize_attributes` says so
    try:
        value = owner.attrs[name]
    except (OSError, TypeError, UnicodeDecodeError):  # h5py knows no NumPy type for it, or no name in its type
        return _UNSUPPORTED_VALUE
    return _UNSUPPORTED_VALUE if isinstance(value, h5py.Empty) else value


def _convert_attribute(name: str, value: Any, owner: h5py.HLObject) -> dict[str, Any]:  # noqa: ANN401 — whatever h5py gives
    """An attribute, or one for each of its fields, with references as the paths that they lead to."""
    if isinstance(value, h5py.RegionReference):
        return {name: _UNSUPPORTED_VALUE}
    if isinstance(value, h5py.Reference):
        return {name: _resolve_reference(owner, value)}
    array = np.asarray(value)
    if array.dtype.names:
        fields = ((f"{name}_{field}", array[field]) for field in array.dtype.names)
        return {
            called: part
            for called, field in fields
            for called, part in _convert_attribute(called, field, owner).items()
        }
    if array.dtype.kind == "O" and h5py.check_ref_dtype(array.dtype) is h5py.Reference:
        return {name: [_resolve_reference(owner, reference) for reference in array.reshape(-1)]}
    if array.dtype.kind == "O" and not all(isinstance(item, str | bytes) for item in array.reshape(-1)):
        return {name: _UNSUPPORTED_VALUE}
    return {
        name: array.astype(_ATTRIBUTE_DTYPES[array.dtype.str[1:]])
        if array.dtype.str[1:] in _ATTRIBUTE_DTYPES
        else value
    }


def _resolve_reference(owner: h5py.HLObject, reference: h5py.Reference) -> str:
    """Where an object is in its file; empty for a reference to nothing, or to what is no longer there."""
    try:
        name = h5py.h5r.get_name(reference, owner.file.id) if reference else None
    except (OSError, RuntimeError, ValueError):
        return ""
    return decode_text(name) if name else ""


def _make_source(path: FilePath, part: _ArraySpec, memo: Memo) -> ArraySource:
    dataset = part.dataset
    dtype, _ = _get_conversion(part)
    source: ArraySource = _DatasetSource(path, dataset.name, part.field, dataset.shape, dtype)
    if _is_character_array(part):
        encoding = _read_attribute(dataset, ENCODING_ATTRIBUTE) if ENCODING_ATTRIBUTE in dataset.attrs else ""
        return decode_characters(source, decode_text(encoding) if isinstance(encoding, str | bytes) else "")
    rows = _compute_block_rows(dataset)
    return BlockSource(source, part.name, rows, memo) if rows else source


def _is_character_array(part: _ArraySpec) -> bool:
    """Whether an array is of netCDF's characters."""
    return not part.field and part.dtype == np.dtype("S1")


def _build_attributes(part: _ArraySpec, called: str, source: ArraySource) -> dict[str, Attribute]:
    attributes = normalize_attributes(_read_attributes(part.dataset)) | _make_flag_attributes(part.dtype)
    if is_text_source(source):
        attributes.pop(ENCODING_ATTRIBUTE, None)  # it was of the bytes
    elif _is_character_array(part):
        attributes.setdefault("note", CHARACTER_CODES_NOTE)
    if called != part.name:
        attributes["original_name"] = part.name
    if part.field:
        attributes["field_of"] = decode_text(part.dataset.name).removeprefix("/")
    return attributes


def _compute_block_rows(dataset: _Dataset) -> int:
    """How many indices of the first dimension to decode at once; 0 where slices read well.

    That is a chunk's, where it holds them entire, or several small chunks': a file is opened for each block. Texts are
    not remembered, for nobody knows how much memory they take.
    """
    chunks = dataset.chunks
    is_packed = bool(chunks) and dataset.id.get_create_plist().get_nfilters() > 0
    if not is_packed or chunks[1:] != dataset.shape[1:] or dataset.dtype.hasobject or dataset.dtype.kind == "S":
        return 0
    size = max(1, math.prod(chunks) * dataset.dtype.itemsize)
    return int(chunks[0] * max(1, _MIN_BLOCK_SIZE // size))


@dataclass(frozen=True)
class _DimensionScales:
    """The dimension scales of a file."""

    paths_by_address: Mapping[int, str]
    """Each dataset's path, by its address in the file. To ask an attached scale for its name makes the HDF5 library
    search the file: 2,000 of them took 50 s."""
    paths_by_id: Mapping[int, str]
    """The path of each of netCDF-4's dimensions, by its number."""

    @classmethod
    def collect(cls, found: Mapping[str, Any]) -> _DimensionScales:
        """Collect a file's scales."""
        datasets = {path: item for path, item in found.items() if isinstance(item, h5py.Dataset)}
        numbers = {
            path: _read_attribute(item, _DIMENSION_ID)
            for path, item in datasets.items()
            if _DIMENSION_ID in item.attrs and _is_dimension_scale(item)
        }
        return cls(
            # Of several links to one dataset, the first.
            {h5o.get_info(item.id).addr: path for path, item in reversed(datasets.items())},
            {int(number): path for path, number in numbers.items() if np.size(number) == 1 and np.isreal(number)},
        )

    def get_dimension_names(self, part: _ArraySpec) -> tuple[str, ...]:
        """Return the names of a dataset's dimensions, empty for those without one.

        They are those of the scales attached; a scale's is its own, and netCDF-4 numbers those of one that has several.
        The fields of one table have its dimensions in common.
        """
        dataset = part.dataset
        if _is_dimension_scale(dataset) and not part.field:
            if dataset.ndim == 1:
                return (part.name,)
            numbers = (
                np.ravel(_read_attribute(dataset, _DIMENSION_IDS)).tolist() if _DIMENSION_IDS in dataset.attrs else []
            )
            if len(numbers) == dataset.ndim:
                return tuple(self.paths_by_id.get(number, "") for number in numbers)
        table = decode_text(dataset.name).removeprefix("/")
        return tuple(
            self._get_scale_name(dimension) or (f"{table}_{axis}" if part.field else "")
            for axis, dimension in enumerate(dataset.dims)
        )

    def _get_scale_name(self, dimension: Any) -> str:  # noqa: ANN401 — h5py ships no types
        try:
            scale = dimension[0] if len(dimension) else None
            name = None if scale is None else self.paths_by_address.get(h5o.get_info(scale.id).addr) or scale.name
        except (KeyError, RuntimeError, ValueError):  # the scale was deleted
            name = None
        if name is None:
            return ""
        path = decode_text(name).removeprefix("/")
        return "" if _FAKE_DIMENSION_PATTERN.fullmatch(path.rpartition("/")[2]) else path


def _is_dimension_scale(dataset: _Dataset) -> bool:
    """Whether a dataset is a dimension scale.

    `H5DSis_scale` would say so too, but aborts the process where CLASS is another text of as many letters (HDF5 2.0.0).
    """
    value = _read_attribute(dataset, "CLASS") if "CLASS" in dataset.attrs else None
    return isinstance(value, str | bytes) and decode_text(value) == _SCALE_CLASS


def _make_flag_attributes(dtype: np.dtype[Any]) -> dict[str, Attribute]:
    """An enumeration's members as CF flags: CF conventions, section 3.5."""
    members = h5py.check_enum_dtype(dtype)
    if not members or dtype.kind == "b":
        return {}
    return {
        "flag_values": np.array(list(members.values()), np.dtype(dtype.str).newbyteorder("=")),
        "flag_meanings": " ".join(re.sub(r"\s", "_", decode_text(member)) for member in members),
    }


@dataclass(frozen=True)
class _DatasetSource:
    """The values of one dataset, or of one field of a table."""

    path: FilePath
    name: str | bytes
    field: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        with _open_hdf5(self.path) as file:
            dataset: _Dataset = file[self.name]
            dtype, convert = _get_conversion(_ArraySpec("", dataset, self.field))
            if (dataset.shape, dtype) != (self.shape, self.dtype):
                raise Unreadable("The file has changed since it was opened.")
            stored = dataset.fields(self.field)[key] if self.field else dataset[key]
            return np.asarray(convert(file, stored, dtype))


_Converter: TypeAlias = Callable[[h5py.File, Any, "np.dtype[Any]"], Any]


def _convert_numbers(_file: h5py.File, stored: Any, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 — an array or a scalar
    """Numbers as they are stored, an enumeration's as its numbers, without the names that h5py hangs on their type."""
    numbers = np.asarray(stored)
    return numbers.view(dtype) if numbers.dtype == dtype else numbers.astype(dtype)


def _convert_texts(_file: h5py.File, stored: Any, _dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 — an array or a scalar
    return np.asarray(np.frompyfunc(decode_text, 1, 1)(stored), object)


def _convert_references(file: h5py.File, stored: Any, _dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 — an array or a scalar
    paths = np.empty(np.shape(stored), object)
    for place, reference in np.ndenumerate(np.asarray(stored, object)):
        paths[place] = _resolve_reference(file, reference)
    return paths


_TEXT_CONVERSION: tuple[np.dtype[Any], _Converter] = (np.dtype(object), _convert_texts)
_NUMBER_CONVERSIONS: Mapping[str, tuple[np.dtype[Any], _Converter]] = MappingProxyType({
    "b1": (np.dtype("i1"), _convert_numbers), "f2": (np.dtype("f4"), _convert_numbers)
})  # fmt: skip


def _get_conversion(part: _ArraySpec) -> tuple[np.dtype[Any], _Converter]:
    """The type that values are given in, and how they are made so."""
    dtype = part.dtype
    if dtype.kind == "O" and h5py.check_ref_dtype(dtype):
        return np.dtype(object), _convert_references
    if dtype.kind in "SO" and not _is_character_array(part):
        return _TEXT_CONVERSION
    return _NUMBER_CONVERSIONS.get(
        dtype.str[1:], (np.dtype(dtype.str), _convert_numbers)
    )  # without the metadata that h5py hangs on
