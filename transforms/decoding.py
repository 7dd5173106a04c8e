"""Decoding of stored numbers: CF's packing, missing values and signedness, and the calibration of HDF4.

Strategy: the attributes of a variable are parsed once into a `Packing`, which knows the type of the result and decodes
any part of the stored numbers. A decoded variable is as lazy as the stored one; a variable whose attributes say nothing
of the kind is returned as it is, at no cost.

Rules:

1. The values and their type are those of ``xarray.decode_cf(mask_and_scale=True)``: first ``_Unsigned``, then
   ``_FillValue`` and ``missing_value`` become NaN, then ``value = stored * scale_factor + add_offset`` (CF conventions
   1.11, chapters 2.5.1 and 8.1). Missing values are compared after the conversion to the result's type, so -1 beside
   uint16 and 1e300 beside float32 mask nothing, and never an infinity. One difference: a scale or an offset of an
   integer type gives float64, where xarray lets small integers wrap.
2. The calibration of HDF4 has its own formula, ``value = scale_factor * (stored - offset)``, in float64 (HDF User's
   Guide, 3.10.5). Its reader keeps the offset as `HDF4_OFFSET`, beside CF's equivalent in ``add_offset``.
3. Applied attributes are removed, but for a NaN that marks missing values, which is still true. Those that are stated
   in stored numbers (``valid_range``, ``saturation``) are converted like the numbers.
4. An attribute that cannot be applied, such as a scale that is text, changes nothing: it is renamed to
   ``file_<name>``, and ``omitted`` says why.
5. Text, booleans, and integer times ("days since …"), whose missing values their readers decode, stay as stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

__all__ = ["HDF4_OFFSET", "PACKING", "STATED_AS_STORED", "Packing", "decode", "decode_dataset"]

Array: TypeAlias = NDArray[Any]
DType: TypeAlias = np.dtype[Any]

HDF4_OFFSET: Final = "hdf4_add_offset"
"""The attribute that holds the offset of HDF4's formula, which is subtracted before the scale is applied."""

_FILLS: Final = ("_FillValue", "missing_value")
_LINEAR: Final = ("scale_factor", "add_offset", HDF4_OFFSET)

PACKING: Final = (*_FILLS, *_LINEAR, "_Unsigned")
"""The attributes that decoding applies and removes."""

_RANGES: Final = ("valid_min", "valid_max", "valid_range")
_FLAGS: Final = ("flag_values", "flag_masks")

STATED_AS_STORED: Final = (*_RANGES, *_FLAGS, "saturation")
"""The attributes whose numbers are of the variable's stored type, and are converted with it."""

_FLOAT32: Final = np.dtype(np.float32)
_FLOAT64: Final = np.dtype(np.float64)
_SMALL: Final = 2  # bytes of an integer type that float32 holds exactly
_WORD: Final = 4  # bytes of an integer type that xarray scales in float64, whatever the scale's type


@dataclass(frozen=True)
class Packing:
    """The meaning of a variable's stored numbers, as its attributes state it."""

    stored: DType
    """The stored type in native byte order."""
    signed_as: DType
    """The same, signed or unsigned as ``_Unsigned`` states."""
    fills: tuple[Any, ...] = ()
    """The stored numbers that stand for missing ones; no NaN among them."""
    scale: np.number[Any] | None = None
    offset: np.number[Any] | None = None
    """Added after scaling; for HDF4's calibration, subtracted before it."""
    is_calibration: bool = False
    """Whether scale and offset are HDF4's."""
    has_nan_fill: bool = False
    """Whether NaN is the only missing value of a float type, which changes xarray's choice of a type."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """For each attribute that cannot be applied, the reason."""

    @classmethod
    def of(cls, variable: xr.Variable) -> Packing:
        """Parse the attributes of a variable of numbers."""
        stored = variable.dtype.newbyteorder("=")
        kind = {"true": "u", "false": "i"}.get(str(variable.attrs.get("_Unsigned")).lower())
        signed_as = np.dtype(f"{kind}{stored.itemsize}") if kind and stored.kind in "iu" else stored
        unusable: dict[str, str] = {}
        fills: list[Any] = []
        for name in _FILLS:
            numbers = _parse_numbers(variable.attrs, name, unusable)
            if name == "_FillValue" and signed_as != stored:
                numbers = [np.asarray(number).astype(stored).view(signed_as)[()] for number in numbers]
                numbers = (
                    [int(number) for number in numbers] if kind == "u" else numbers
                )  # compared in float32, as there
            fills += numbers
        scale, offset, hdf4_offset = (_parse_number(variable.attrs, name, unusable) for name in _LINEAR)
        return cls(
            stored,
            signed_as,
            fills=tuple(fill for fill in fills if not np.isnan(fill)),
            scale=scale,
            offset=offset if hdf4_offset is None else hdf4_offset,
            is_calibration=hdf4_offset is not None,
            has_nan_fill=stored.kind == "f" and bool(fills) and bool(np.isnan(fills).all()),
            unusable=unusable,
        )

    @property
    def is_scaled(self) -> bool:
        """Whether a stored number stands for another number."""
        return (self.scale is not None and self.scale != 1) or (self.offset is not None and self.offset != 0)

    @cached_property
    def dtype(self) -> DType:
        """The type of the decoded numbers."""
        types = [each.dtype for each in (self.scale, self.offset) if each is not None]
        if self.is_calibration:
            return _FLOAT64 if self.is_scaled else self._masked_type
        if not types:
            return self._masked_type
        if self.has_nan_fill:
            return self.signed_as
        if any(each.kind != "f" for each in types):
            return _FLOAT64
        if self.offset is None:
            return types[0]
        is_word = self.signed_as.kind in "iu" and self.signed_as.itemsize == _WORD
        return types[0] if types in ([_FLOAT32] * 2, [_FLOAT64] * 2) and not is_word else _FLOAT64

    @property
    def _masked_type(self) -> DType:
        if not self.fills or self.signed_as.kind == "f":
            return self.signed_as
        return _FLOAT32 if self.signed_as.itemsize <= _SMALL else _FLOAT64

    @property
    def is_identity(self) -> bool:
        """Whether the decoded numbers are the stored ones, of the same type."""
        return not (self.fills or self.is_scaled) and self.dtype == self.stored

    def decode(self, stored: Array) -> Array:
        """Decode stored numbers, in either byte order, to a new array of the type `dtype`."""
        if stored.dtype.kind != self.signed_as.kind:
            stored = stored.view(self.signed_as.newbyteorder(stored.dtype.byteorder))
        values = np.array(stored, self.dtype)
        if self.fills:
            with np.errstate(invalid="ignore"):
                missing = np.any([values == fill for fill in self.fills], axis=0)
            values[missing] = np.nan
        return self._convert(values)

    def _convert(self, values: Array) -> Array:
        """Apply scale and offset, in place."""
        if not self.is_calibration:
            if self.scale is not None:
                values *= self.scale
            if self.offset is not None:
                values += self.offset
        elif self.is_scaled:
            values -= np.float64(self.offset or 0)
            values *= np.float64(1 if self.scale is None else self.scale)
        return values

    def decode_attribute(self, name: str, value: object) -> object:
        """Convert an attribute that is stated in stored numbers; any other is returned as it is.

        A range of a floating type beside integers is in decoded numbers already (CF conventions 1.11, chapter 2.5.1).
        """
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf" or (name in _RANGES and numbers.dtype.kind == "f" != self.signed_as.kind):
            return value
        if numbers.dtype.kind in "iu" and numbers.dtype.itemsize == self.signed_as.itemsize:
            numbers = numbers.astype(self.signed_as, copy=False)
        if name not in _FLAGS and self.dtype.kind == "f":
            numbers = self._convert(np.array(numbers, _FLOAT64)).astype(self.dtype)
            numbers = np.sort(numbers) if name == "valid_range" else numbers  # a negative scale turns it round
        return numbers[()]


def decode(variable: xr.Variable) -> xr.Variable:
    """Return what a variable's stored numbers mean, lazily.

    Args:
        variable: numbers with CF's attributes or HDF4's; variables of other types are returned as they are.

    Returns:
        The same variable where its attributes say nothing; otherwise a variable of the same dimensions and encoding
        whose attributes are those that are true of the decoded numbers.
    """
    if not any(name in variable.attrs for name in PACKING) or variable.dtype.kind not in "iuf" or _is_time(variable):
        return variable
    packing = Packing.of(variable)
    decoded = variable.to_base_variable().copy(deep=False)
    if not packing.is_identity:
        lazy = indexing.LazilyIndexedArray(_DecodedArray(variable, packing))
        decoded = xr.Variable(variable.dims, lazy, encoding=variable.encoding)
    decoded.attrs = _decode_attributes(variable.attrs, packing)
    return decoded


def decode_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose variables and coordinates are all decoded, lazily and without indexes; see `decode`."""
    decoded = {name: decode(variable) for name, variable in dataset.variables.items()}
    return xr.Dataset(
        {name: variable for name, variable in decoded.items() if name not in dataset.coords},
        coords=xr.Coordinates({name: decoded[name] for name in dataset.coords}, indexes={}),
        attrs=dataset.attrs,
    )


class _DecodedArray(BackendArray):
    """The decoded numbers of a stored variable, decoded for what is indexed."""

    def __init__(self, stored: xr.Variable, packing: Packing) -> None:
        self.stored = stored
        self.packing = packing
        self.shape = stored.shape
        self.dtype = packing.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> Array:
        return self.packing.decode(np.asarray(self.stored[key].values))


def _is_time(variable: xr.Variable) -> bool:
    return variable.dtype.kind in "iu" and " since " in str(variable.attrs.get("units", ""))


def _parse_numbers(attributes: Mapping[Any, Any], name: str, unusable: dict[str, str]) -> list[Any]:
    """Return the numbers of an attribute; none where it is absent, or no number, which is noted as unusable."""
    if name not in attributes:
        return []
    numbers = np.ravel(np.asarray(attributes[name]))
    if numbers.dtype.kind in "iuf":
        return list(numbers)
    unusable[name] = "it is no number, and was not applied"
    return []


def _parse_number(attributes: Mapping[Any, Any], name: str, unusable: dict[str, str]) -> Any:  # noqa: ANN401 — NumPy's
    """Return the one finite number of an attribute, or `None`."""
    numbers = _parse_numbers(attributes, name, unusable)
    if len(numbers) == 1 and np.isfinite(numbers[0]):
        return numbers[0]
    if numbers:
        unusable[name] = "it is not one finite number, and was not applied"
    return None


def _decode_attributes(attributes: Mapping[Any, Any], packing: Packing) -> dict[str, Any]:
    """Return the attributes that are true of the decoded numbers; rules 3 and 4."""
    is_reversed = packing.is_scaled and packing.scale is not None and float(packing.scale) < 0
    names = {"valid_min": "valid_max", "valid_max": "valid_min"} if is_reversed else {}
    names |= {name: f"file_{name}" for name in packing.unusable}
    kept = {
        names.get(str(name), str(name)): packing.decode_attribute(name, value) if name in STATED_AS_STORED else value
        for name, value in attributes.items()
        if name in packing.unusable or name not in PACKING
    }
    if packing.has_nan_fill:
        kept |= {name: packing.dtype.type(np.nan) for name in _FILLS if name in attributes}
    if packing.unusable:
        notes = (f"{name}: {reason}" for name, reason in packing.unusable.items())
        kept["omitted"] = ", ".join((*([str(kept["omitted"])] if "omitted" in kept else []), *notes))
    return kept
