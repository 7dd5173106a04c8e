"""HDF5 and netCDF-4 files, read by h5py.

All groups are read, and an array's name is its path. h5py has one lock around the library, so threads are safe. A file
is opened for each read (0.6 ms) and without file locking, which read-only shares do not offer.

Only hard links are followed: a soft or external link, an external raw file or a virtual dataset may lead to other
files, which the catalog has not allowed.

Types that NumPy's numbers and texts do not represent directly:

- an enumeration becomes its numbers, with its members as CF's flags; a boolean becomes 0 or 1;
- a reference to an object becomes the object's path, as text, in arrays and in attributes;
- a table, whose values are compounds of numbers or texts, becomes an array for each field: ``peaks`` becomes
  ``peaks_time``, and the array's attribute ``field_of`` names the table; a compound attribute becomes ``origin_x``;
- half precision becomes single;
- strings of one byte are netCDF's characters: their last dimension is the letters of a text, as in netCDF-3;
- everything else is omitted, and the dataset's attribute ``omitted`` lists it with the reasons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
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
    create_lazy_variable,
)
from shotdap.catalog.readers.shared_sources import (
    CHARACTER_CODES_NOTE,
    ENCODING_ATTRIBUTE,
    decode_characters,
    is_text_source,
)
from shotdap.catalog.storage import FilePath
from shotdap.transforms import Memo

_Dataset: TypeAlias = Any  # h5py.Dataset; it ships no types, and what a checker guesses from its code is wrong
_FAKE_DIMENSION_PATTERN = re.compile(r"fakeDim\d+")  # by the HDF4 library, kept by the converter to HDF5
_MIN_BLOCK_SIZE = 256 << 10  # bytes; to decode as much takes as long as to open a file
_MAX_CHUNK_SIZE = 1 << 30  # bytes: more is no camera's, and would fill the memory for one pixel
_SCALE_CLASS = "DIMENSION_SCALE"
_SCALE_ATTRIBUTES = frozenset({"CLASS", "NAME"})  # HDF5's attributes of a scale; anything else may have its own
# netCDF-4's prefix of a variable that has a dimension's name but is not its coordinate: nc4internal.h.
_NON_COORDINATE_PREFIX = "_nc4_non_coord_"
# netCDF-4's number of a dimension, and the numbers of a variable's dimensions.
_DIMENSION_ID, _DIMENSION_IDS = "_Netcdf4Dimid", "_Netcdf4Coordinates"
# netCDF-4's mark of a dimension without a variable: NC_DIM_NAME, "netCDF-4 format specification", appendix of HDF5.
_DIMENSION_ONLY_MARK = b"This is a netCDF dimension but not a netCDF variable"
# Attributes of the file's structure, which describe no data: dimension scales (HDF5) and netCDF-4's own.
_INTERNAL_ATTRIBUTES = frozenset({
    "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS",
    _DIMENSION_ID, _DIMENSION_IDS, "_nc3_strict", "_NCProperties",
})  # fmt: skip
_ATTRIBUTE_DTYPES: Mapping[str, str] = MappingProxyType({"f2": "f4", "f16": "f8", "f12": "f8"})  # by unsupported types
_UNSUPPORTED_VALUE = np.empty(0)  # in place of a value that cannot be carried: listed among the omissions


def read(path: FilePath, memo: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _open_hdf5(path) as file:
        omitted: dict[str, str] = {}
        objects = dict(_walk_groups(file, omitted))
        specs = {spec.name: spec for name in objects for spec in _list_arrays(name, objects, omitted)}
        sources = {name: _make_source(path, spec, memo) for name, spec in specs.items()}
        scales = _DimensionScales.collect(objects)
        own_names = {name: scales.get_dimension_names(spec)[: len(sources[name].shape)] for name, spec in specs.items()}
        names = make_variable_names((*specs, *objects, *filter(None, chain.from_iterable(own_names.values()))))
        dimensions = resolve_dimension_names(
            {names[name]: tuple(names[own] if own else "" for own in owns) for name, owns in own_names.items()},
            {names[name]: source.shape for name, source in sources.items()},
        )
        variables = {
            names[name]: create_lazy_variable(
                dimensions[names[name]], sources[name], _build_attributes(spec, names[name], sources[name])
            )
            for name, spec in specs.items()
        }
        attributes = normalize_attributes(_read_attributes(file))
        for path_in_file, item in objects.items():
            if isinstance(item, h5py.Group):  # its attributes get its path: ``DATA/SHOT/units``
                name = names[path_in_file]
                renamed: dict[str, Attribute] = {} if name == path_in_file else {"original_name": path_in_file}
                of_group = normalize_attributes(_read_attributes(item)) | renamed
                attributes |= {f"{name}/{key}": value for key, value in of_group.items()}
        attributes = add_omissions(attributes, map(": ".join, omitted.items()))
    return build_dataset(variables, attributes, {names[name]: owns for name, owns in own_names.items()})


@contextmanager
def _open_hdf5(path: FilePath) -> Iterator[h5py.File]:
    try:
        status = path.stat()
        with _FILE_LOCKS.lock_key((status.st_dev, status.st_ino)), ExitStack() as stack:
            try:
                file = h5py.File(path, "r", locking=False)
            except OSError:
                if path.stat().st_nlink:
                    raise
                # HDF5 looks for the file's real path, and fails if another file was renamed over it. Then the file is
                # opened by its descriptor, which reads slices with steps far slower.
                file = h5py.File(stack.enter_context(path.open("rb", buffering=0)), "r")
            yield stack.enter_context(file)
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except Unreadable:
        raise
    except Exception as error:  # a damaged file makes h5py or NumPy raise anything
        raise Unreadable("The HDF5 library cannot read the file; it may be damaged or cut short.") from error


# If two threads open one inode at a time, the library takes both for one file: headers that it read before the file was
# rewritten in place would describe the new bytes to the other thread. It runs one call at a time anyway.
_FILE_LOCKS = KeyedLocks()


def _walk_groups(
    group: h5py.Group, omitted: dict[str, str], above: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield groups and datasets by their paths without the leading slash, in the file's order, each group once.

    Hard links may make cycles of groups, or lead to one group by too many paths to follow.
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
    """The origin of one array: a dataset, or one field of a table."""

    name: str
    dataset: _Dataset
    field: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type in the file, with the metadata that h5py adds."""
        dtype: np.dtype[Any] = self.dataset.dtype
        return dtype[self.field] if self.field else dtype


def _list_arrays(name: str, objects: Mapping[str, Any], omitted: dict[str, str]) -> Iterator[_ArraySpec]:
    """Yield the arrays that an object of the file becomes; add the others to the omissions."""
    item = objects[name]
    if not isinstance(item, h5py.Dataset):
        return
    if reason := _find_unsupported_reason(item):
        omitted[name] = reason
    elif item.dtype.names:
        for field in item.dtype.names:
            if reason := _find_unsupported_type(item.dtype[field]):
                omitted[f"{name}.{field}"] = reason
            else:
                yield _ArraySpec(_make_unique_name(f"{name}_{field}", objects), item, field)
    elif reason := _find_unsupported_type(item.dtype):
        omitted[name] = reason
    elif not _is_dimension_only(item):
        group, slash, last = name.rpartition("/")
        plain = f"{group}{slash}{last.removeprefix(_NON_COORDINATE_PREFIX)}"  # netCDF-4's, if a dimension has the name
        other = objects.get(plain)
        is_free = other is None or (isinstance(other, h5py.Dataset) and _is_dimension_only(other))
        yield _ArraySpec(plain if is_free and last != _NON_COORDINATE_PREFIX else name, item)


def _find_unsupported_reason(dataset: _Dataset) -> str:
    """Return the reason why a dataset cannot be read; empty if it can."""
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
        code, _, _, name = plist.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            return f"it is compressed by {decode_text(name) or 'filter'} ({code}), which the HDF5 library at hand lacks"
    if dataset.chunks and np.prod(dataset.chunks, dtype=float) * dataset.dtype.itemsize > _MAX_CHUNK_SIZE:
        return f"its chunks are greater than {_MAX_CHUNK_SIZE >> 20} MiB"
    return ""


def _find_unsupported_type(dtype: np.dtype[Any]) -> str:
    """Return the reason why values of a type cannot be carried; empty if they can."""
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
    """Check whether a dataset represents a dimension without a variable."""
    name = decode_text(dataset.name).rpartition("/")[2]
    mark = dataset.attrs.get("NAME", b"")  # netCDF-4's is bytes
    return bool(_FAKE_DIMENSION_PATTERN.fullmatch(name)) or (
        isinstance(mark, bytes) and mark.startswith(_DIMENSION_ONLY_MARK)
    )


def _read_attributes(owner: h5py.HLObject) -> dict[str, Any]:
    """Read the attributes of an object that describe data, by their names as text."""
    is_scale = isinstance(owner, h5py.Dataset) and _is_dimension_scale(owner)
    internal = _INTERNAL_ATTRIBUTES | _SCALE_ATTRIBUTES if is_scale else _INTERNAL_ATTRIBUTES
    own_names = list(owner.attrs)  # as bytes, where they are not UTF-8
    names = dict(zip(decode_unique_names(own_names), own_names, strict=True))
    attributes: dict[str, Any] = {}
    for name in (each for each in names if each not in internal):
        for part_name, value in _convert_attribute(name, _read_attribute(owner, names[name]), owner).items():
            attributes[part_name if part_name == name else _make_unique_name(part_name, names)] = value
    return attributes


def _make_unique_name(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _read_attribute(owner: h5py.HLObject, name: str | bytes) -> Any:  # noqa: ANN401 — any value of a file
    identity = owner.attrs.get_id(name)
    size = math.prod(identity.shape or ()) * identity.get_type().get_size()
    if size > MAX_ATTRIBUTE_SIZE:
        return np.broadcast_to(np.uint8(0), size)  # of the same size, unread: `normalize_attributes` will omit it
    try:
        value = owner.attrs[name]
    except (OSError, TypeError, UnicodeDecodeError):  # h5py knows no NumPy type for it, or no name in its type
        return _UNSUPPORTED_VALUE
    return _UNSUPPORTED_VALUE if isinstance(value, h5py.Empty) else value


def _convert_attribute(name: str, value: Any, owner: h5py.HLObject) -> dict[str, Any]:  # noqa: ANN401 — any value of h5py
    """Return an attribute, or one for each of its fields, with references resolved to paths."""
    if isinstance(value, h5py.RegionReference):
        return {name: _UNSUPPORTED_VALUE}
    if isinstance(value, h5py.Reference):
        return {name: _resolve_reference(owner, value)}
    array = np.asarray(value)
    if array.dtype.names:
        return {
            part_name: part
            for field in array.dtype.names
            for part_name, part in _convert_attribute(f"{name}_{field}", array[field], owner).items()
        }
    if array.dtype.kind == "O" and h5py.check_ref_dtype(array.dtype) is h5py.Reference:
        return {name: [_resolve_reference(owner, reference) for reference in array.reshape(-1)]}
    if array.dtype.kind == "O" and not all(isinstance(item, str | bytes) for item in array.reshape(-1)):
        return {name: _UNSUPPORTED_VALUE}
    dtype = _ATTRIBUTE_DTYPES.get(array.dtype.str[1:])
    return {name: array.astype(dtype) if dtype else value}


def _resolve_reference(owner: h5py.HLObject, reference: h5py.Reference) -> str:
    """Return the path of an object in its file; empty for a null reference or a deleted object."""
    try:
        name = h5py.h5r.get_name(reference, owner.file.id) if reference else None
    except (OSError, RuntimeError, ValueError):
        return ""
    return decode_text(name) if name else ""


def _make_source(path: FilePath, spec: _ArraySpec, memo: Memo) -> ArraySource:
    dataset = spec.dataset
    dtype, _ = _get_conversion(spec)
    source: ArraySource = _DatasetSource(path, dataset.name, spec.field, dataset.shape, dtype)
    if _is_character_array(spec):
        encoding = _read_attribute(dataset, ENCODING_ATTRIBUTE) if ENCODING_ATTRIBUTE in dataset.attrs else ""
        return decode_characters(source, decode_text(encoding) if isinstance(encoding, str | bytes) else "")
    # Blocks are useful if each chunk holds whole rows. One block is several small chunks, since each block opens the
    # file. Texts are not cached, since the memory that they take is unknown.
    chunks = dataset.chunks
    is_compressed = bool(chunks) and dataset.id.get_create_plist().get_nfilters() > 0
    if not is_compressed or chunks[1:] != dataset.shape[1:] or dataset.dtype.hasobject or dataset.dtype.kind == "S":
        return source
    size = max(1, math.prod(chunks) * dataset.dtype.itemsize)
    return BlockSource(source, spec.name, int(chunks[0] * max(1, _MIN_BLOCK_SIZE // size)), memo)


def _is_character_array(spec: _ArraySpec) -> bool:
    """Check whether the elements of an array are netCDF's characters."""
    return not spec.field and spec.dtype == np.dtype("S1")


def _build_attributes(spec: _ArraySpec, name: str, source: ArraySource) -> dict[str, Attribute]:
    """Build an array's attributes: the dataset's own, CF flags for an enumeration, and notes of this reader."""
    attributes = normalize_attributes(_read_attributes(spec.dataset))
    members = h5py.check_enum_dtype(spec.dtype)  # as CF flags: CF conventions, section 3.5
    if members and spec.dtype.kind != "b":
        values = np.array(list(members.values()), np.dtype(spec.dtype.str).newbyteorder("="))
        meanings = " ".join(re.sub(r"\s", "_", decode_text(member)) for member in members)
        attributes |= {"flag_values": values, "flag_meanings": meanings}
    if is_text_source(source):
        attributes.pop(ENCODING_ATTRIBUTE, None)  # of the bytes in the file, now decoded
    elif _is_character_array(spec):
        attributes.setdefault("note", CHARACTER_CODES_NOTE)
    if name != spec.name:
        attributes["original_name"] = spec.name
    if spec.field:
        attributes["field_of"] = decode_text(spec.dataset.name).removeprefix("/")
    return attributes


@dataclass(frozen=True)
class _DimensionScales:
    """The dimension scales of a file."""

    paths_by_address: Mapping[int, str]
    """Each dataset's path, by its address in the file. To find the name of an attached scale, the HDF5 library searches
    the file: 2,000 scales took 50 s."""
    paths_by_id: Mapping[int, str]
    """The path of each of netCDF-4's dimensions, by its number."""

    @classmethod
    def collect(cls, objects: Mapping[str, Any]) -> _DimensionScales:
        """Collect a file's scales."""
        datasets = {path: item for path, item in objects.items() if isinstance(item, h5py.Dataset)}
        numbers = {
            path: _read_attribute(item, _DIMENSION_ID)
            for path, item in datasets.items()
            if _DIMENSION_ID in item.attrs and _is_dimension_scale(item)
        }
        return cls(
            # The first of several links to one dataset.
            {h5o.get_info(item.id).addr: path for path, item in reversed(datasets.items())},
            {int(number): path for path, number in numbers.items() if np.size(number) == 1 and np.isreal(number)},
        )

    def get_dimension_names(self, spec: _ArraySpec) -> tuple[str, ...]:
        """Return the names of a dataset's dimensions, empty for a dimension without one.

        They are the names of the attached scales. A scale's dimension is its own; netCDF-4 numbers the dimensions of a
        scale that has several. The fields of one table share its dimensions.
        """
        dataset = spec.dataset
        if _is_dimension_scale(dataset) and not spec.field:
            if dataset.ndim == 1:
                return (spec.name,)
            numbers = (
                np.ravel(_read_attribute(dataset, _DIMENSION_IDS)).tolist() if _DIMENSION_IDS in dataset.attrs else []
            )
            if len(numbers) == dataset.ndim:
                return tuple(self.paths_by_id.get(number, "") for number in numbers)
        table = decode_text(dataset.name).removeprefix("/")
        names: list[str] = []
        for axis, dimension in enumerate(dataset.dims):
            try:
                scale = dimension[0] if len(dimension) else None
                name = None if scale is None else self.paths_by_address.get(h5o.get_info(scale.id).addr) or scale.name
            except (KeyError, RuntimeError, ValueError):  # the scale was deleted
                name = None
            path = "" if name is None else decode_text(name).removeprefix("/")
            if _FAKE_DIMENSION_PATTERN.fullmatch(path.rpartition("/")[2]):
                path = ""
            names.append(path or (f"{table}_{axis}" if spec.field else ""))
        return tuple(names)


def _is_dimension_scale(dataset: _Dataset) -> bool:
    """Check whether a dataset is a dimension scale.

    `H5DSis_scale` checks it too, but aborts the process if CLASS is another text of the same length (HDF5 2.0.0).
    """
    value = _read_attribute(dataset, "CLASS") if "CLASS" in dataset.attrs else None
    return isinstance(value, str | bytes) and decode_text(value) == _SCALE_CLASS


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
    """Convert numbers and enumerations to a type without the metadata that h5py adds."""
    numbers = np.asarray(stored)
    return numbers.view(dtype) if numbers.dtype == dtype else numbers.astype(dtype)


_TEXT_CONVERSION: tuple[np.dtype[Any], _Converter] = (
    np.dtype(object), lambda _file, stored, _dtype: np.asarray(np.frompyfunc(decode_text, 1, 1)(stored), object)
)  # fmt: skip
_REFERENCE_CONVERSION: tuple[np.dtype[Any], _Converter] = (
    np.dtype(object),
    lambda file, stored, _dtype: np.asarray(
        np.frompyfunc(partial(_resolve_reference, file), 1, 1)(np.asarray(stored, object)), object
    ),
)
_NUMBER_CONVERSIONS: Mapping[str, tuple[np.dtype[Any], _Converter]] = MappingProxyType({
    "b1": (np.dtype("i1"), _convert_numbers), "f2": (np.dtype("f4"), _convert_numbers)
})  # fmt: skip


def _get_conversion(spec: _ArraySpec) -> tuple[np.dtype[Any], _Converter]:
    """Return the output type of an array's values, and the function that converts them."""
    dtype = spec.dtype
    if dtype.kind == "O" and h5py.check_ref_dtype(dtype):
        return _REFERENCE_CONVERSION
    if dtype.kind in "SO" and not _is_character_array(spec):
        return _TEXT_CONVERSION
    # A type made of its string has no metadata of h5py.
    return _NUMBER_CONVERSIONS.get(dtype.str[1:], (np.dtype(dtype.str), _convert_numbers))
