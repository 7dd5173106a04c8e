"""Decoding of stored numbers: CF's packing, missing values and signedness, and the calibration of HDF4.

Strategy: the attributes of a variable are parsed once into a `Packing`, which knows the type of the result and decodes
any part of the stored numbers. A decoded variable is as lazy as the stored one; a variable without such attributes is
returned as it is, at no cost.

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

from shotdap.transforms.virtual.assembly import assemble_dataset

Array: TypeAlias = NDArray[Any]
_DType: TypeAlias = np.dtype[Any]

HDF4_OFFSET: Final = "hdf4_add_offset"
"""The attribute that holds the offset of HDF4's formula, which is subtracted before the scale is applied."""

_FILL_ATTRIBUTES: Final = ("_FillValue", "missing_value")
_SCALING_ATTRIBUTES: Final = ("scale_factor", "add_offset", HDF4_OFFSET)

PACKING_ATTRIBUTES: Final = (*_FILL_ATTRIBUTES, *_SCALING_ATTRIBUTES, "_Unsigned")
"""The attributes that decoding applies and removes."""

_RANGE_ATTRIBUTES: Final = ("valid_min", "valid_max", "valid_range")
_FLAG_ATTRIBUTES: Final = ("flag_values", "flag_masks")

STORED_TYPE_ATTRIBUTES: Final = (*_RANGE_ATTRIBUTES, *_FLAG_ATTRIBUTES, "saturation")
"""The attributes whose numbers are of the variable's stored type, and are converted with it."""

_FLOAT32: Final = np.dtype(np.float32)
_FLOAT64: Final = np.dtype(np.float64)
_FLOAT32_EXACT_ITEMSIZE: Final = 2  # bytes of an integer type that float32 holds exactly
_INT32_ITEMSIZE: Final = 4  # bytes of an integer type that xarray scales in float64, whatever the scale's type


@dataclass(frozen=True)
class Packing:
    """The meaning of a variable's stored numbers, as its attributes state it."""

    stored_dtype: _DType
    """The stored type in native byte order."""
    signed_dtype: _DType
    """The same, signed or unsigned as ``_Unsigned`` states."""
    fill_values: tuple[Any, ...] = ()
    """The stored numbers that stand for missing ones; no NaN among them."""
    scale: np.number[Any] | None = None
    offset: np.number[Any] | None = None
    """Added after scaling; for HDF4's calibration, subtracted before it."""
    is_calibration: bool = False
    """Whether scale and offset are HDF4's."""
    has_nan_fill: bool = False
    """Whether NaN is the only missing value of a float type, which changes xarray's choice of a type."""
    unusable_attributes: Mapping[str, str] = field(default_factory=dict)
    """For each attribute that cannot be applied, the reason."""

    @classmethod
    def from_variable(cls, variable: xr.Variable) -> Packing:
        """Parse the attributes of a variable of numbers."""
        stored = variable.dtype.newbyteorder("=")
        kind = {"true": "u", "false": "i"}.get(str(variable.attrs.get("_Unsigned")).lower())
        signed_as = np.dtype(f"{kind}{stored.itemsize}") if kind and stored.kind in "iu" else stored
        unusable: dict[str, str] = {}
        fills: list[Any] = []
        for name in _FILL_ATTRIBUTES:
            numbers = _parse_numbers(variable.attrs, name, unusable)
            if name == "_FillValue" and signed_as != stored:
                numbers = [np.asarray(number).astype(stored).view(signed_as)[()] for number in numbers]
                if kind == "u":
                    numbers = [int(number) for number in numbers]  # which xarray compares in float32 too
            fills += numbers
        scaling: list[Any] = []
        for name in _SCALING_ATTRIBUTES:
            numbers = _parse_numbers(variable.attrs, name, unusable)
            is_usable = len(numbers) == 1 and np.isfinite(numbers[0])
            if numbers and not is_usable:
                unusable[name] = "it is not one finite number, and was not applied"
            scaling.append(numbers[0] if is_usable else None)
        scale, offset, hdf4_offset = scaling
        return cls(
            stored,
            signed_as,
            fill_values=tuple(fill for fill in fills if not np.isnan(fill)),
            scale=scale,
            offset=offset if hdf4_offset is None else hdf4_offset,
            is_calibration=hdf4_offset is not None,
            has_nan_fill=stored.kind == "f" and bool(fills) and bool(np.isnan(fills).all()),
            unusable_attributes=unusable,
        )

    @property
    def is_scaled(self) -> bool:
        """Check whether a stored number stands for another number."""
        return (self.scale is not None and self.scale != 1) or (self.offset is not None and self.offset != 0)

    @cached_property
    def dtype(self) -> _DType:
        """The type of the decoded numbers."""
        types = [each.dtype for each in (self.scale, self.offset) if each is not None]
        if self.is_calibration:
            return _FLOAT64 if self.is_scaled else self._masked_dtype
        if not types:
            return self._masked_dtype
        if self.has_nan_fill:
            return self.signed_dtype
        if any(each.kind != "f" for each in types):
            return _FLOAT64
        if self.offset is None:
            return types[0]
        is_word = self.signed_dtype.kind in "iu" and self.signed_dtype.itemsize == _INT32_ITEMSIZE
        return types[0] if types in ([_FLOAT32] * 2, [_FLOAT64] * 2) and not is_word else _FLOAT64

    @property
    def _masked_dtype(self) -> _DType:
        if not self.fill_values or self.signed_dtype.kind == "f":
            return self.signed_dtype
        return _FLOAT32 if self.signed_dtype.itemsize <= _FLOAT32_EXACT_ITEMSIZE else _FLOAT64

    @property
    def is_identity(self) -> bool:
        """Check whether the decoded numbers are the stored ones, of the same type."""
        return not (self.fill_values or self.is_scaled) and self.dtype == self.stored_dtype

    def decode(self, stored: Array) -> Array:
        """Decode stored numbers, in either byte order, to a new array of the type `dtype`."""
        if stored.dtype.kind != self.signed_dtype.kind:
            stored = stored.view(self.signed_dtype.newbyteorder(stored.dtype.byteorder))
        values = np.array(stored, self.dtype)
        if self.fill_values:
            with np.errstate(invalid="ignore"):
                missing = np.any([values == fill for fill in self.fill_values], axis=0)
            values[missing] = np.nan
        return self._apply_scale_and_offset(values)

    def _apply_scale_and_offset(self, values: Array) -> Array:
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
        if numbers.dtype.kind not in "iuf" or (
            name in _RANGE_ATTRIBUTES and numbers.dtype.kind == "f" != self.signed_dtype.kind
        ):
            return value
        if numbers.dtype.kind in "iu" and numbers.dtype.itemsize == self.signed_dtype.itemsize:
            numbers = numbers.astype(self.signed_dtype, copy=False)
        if name not in _FLAG_ATTRIBUTES and self.dtype.kind == "f":
            numbers = self._apply_scale_and_offset(np.array(numbers, _FLOAT64)).astype(self.dtype)
            numbers = np.sort(numbers) if name == "valid_range" else numbers  # a negative scale turns it round
        return numbers[()]


def decode_variable(variable: xr.Variable) -> xr.Variable:
    """Decode a variable's stored numbers, lazily.

    Args:
        variable: numbers with CF's attributes or HDF4's; variables of other types are returned as they are.

    Returns:
        The same variable if there is nothing to decode; otherwise a variable of the same dimensions and encoding, with
        the attributes that are true of the decoded numbers.
    """
    is_encoded_time = variable.dtype.kind in "iu" and " since " in str(variable.attrs.get("units", ""))
    has_packing = variable.dtype.kind in "iuf" and any(name in variable.attrs for name in PACKING_ATTRIBUTES)
    if is_encoded_time or not has_packing:
        return variable
    packing = Packing.from_variable(variable)
    decoded = variable.to_base_variable().copy(deep=False)
    if not packing.is_identity:
        lazy = indexing.LazilyIndexedArray(_DecodedArray(variable, packing))
        decoded = xr.Variable(variable.dims, lazy, encoding=variable.encoding)
    decoded.attrs = _decode_attributes(variable.attrs, packing)
    return decoded


def decode_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """Decode all variables and coordinates of a dataset, lazily and without indexes; see `decode_variable`."""
    decoded = {str(name): decode_variable(variable.copy(deep=False)) for name, variable in dataset.variables.items()}
    return assemble_dataset(decoded, dataset.coords, dataset.attrs)


class _DecodedArray(BackendArray):
    """The decoded numbers of a stored variable; only the indexed part is decoded."""

    def __init__(self, stored: xr.Variable, packing: Packing) -> None:
        self.stored = stored
        self.packing = packing
        self.shape = stored.shape
        self.dtype = packing.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        def decode(key: tuple[int | slice, ...]) -> Array:
            return self.packing.decode(np.asarray(self.stored[key].values))

        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, decode)


def _parse_numbers(attributes: Mapping[Any, Any], name: str, unusable: dict[str, str]) -> list[Any]:
    """Return the numbers of an attribute; none if it is absent, or is no number, which is noted as unusable."""
    if name not in attributes:
        return []
    numbers = np.ravel(np.asarray(attributes[name]))
    if numbers.dtype.kind in "iuf":
        return list(numbers)
    unusable[name] = "it is no number, and was not applied"
    return []


def _decode_attributes(attributes: Mapping[Any, Any], packing: Packing) -> dict[str, Any]:
    """Return the attributes that are true of the decoded numbers; rules 3 and 4."""
    is_reversed = packing.is_scaled and packing.scale is not None and float(packing.scale) < 0
    names = {"valid_min": "valid_max", "valid_max": "valid_min"} if is_reversed else {}
    names |= {name: f"file_{name}" for name in packing.unusable_attributes}
    kept = {
        names.get(str(name), str(name)): packing.decode_attribute(name, value)
        if name in STORED_TYPE_ATTRIBUTES
        else value
        for name, value in attributes.items()
        if name in packing.unusable_attributes or name not in PACKING_ATTRIBUTES
    }
    if packing.has_nan_fill:
        kept |= {name: packing.dtype.type(np.nan) for name in _FILL_ATTRIBUTES if name in attributes}
    if packing.unusable_attributes:
        notes = (f"{name}: {reason}" for name, reason in packing.unusable_attributes.items())
        kept["omitted"] = ", ".join((*([str(kept["omitted"])] if "omitted" in kept else []), *notes))
    return kept
