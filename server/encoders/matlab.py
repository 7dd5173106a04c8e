"""MAT: a dataset for MATLAB and Octave, version 5, by SciPy.

``load`` gives each variable by its name, and a struct ``attributes`` with a field for each of them and one,
``dataset``, for those of the dataset; ``attributes.image.dimensions`` names the dimensions, in the order of MATLAB's
subscripts.

Rules:

1. A name is a letter and up to 62 more letters, digits and underscores, and no keyword; others are mended, and
   ``original_name`` says what they were; the field ``renamed_attributes`` does for the others of a struct.
2. A variable of one dimension is a column. Half floats become single ones, which are equal.
3. Texts become a char row; many become a cell array. Attributes with nothing in them are ``[]``.
4. A text beyond ASCII has a blank behind it for each byte that UTF-8 needs more: Octave takes the number of characters
   for that of bytes, and would cut it short; ``strtrim`` takes the blanks away.
5. The format counts in 31 bits: a variable of 2 GiB or more is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.io import savemat

from shotdap import __version__
from shotdap.server.encoders import Encoded
from shotdap.server.encoders.blocks import of_file
from shotdap.server.encoders.netcdf.rules import is_text, text
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

__all__ = ["encode"]

_MOST: Final = 2**31 - 2**16  # bytes of one variable, with room for what is said of it
_LONGEST: Final = 63  # MATLAB's namelengthmax
_ROOM: Final = 4  # characters for making names different
_DESCRIPTION: Final = "attributes"
_DATASET: Final = "dataset"
# Text of 116 bytes, by which MATLAB knows the format; SciPy's has the time in it, and a file would never be the same.
_HEADER: Final = f"MATLAB 5.0 MAT-file, made by shotdap {__version__}".ljust(116).encode()
# MATLAB's and Octave's, as iskeyword() lists them.
_KEYWORDS: Final = frozenset({
    "break", "case", "catch", "classdef", "continue", "do", "else", "elseif", "end", "end_try_catch",
    "end_unwind_protect", "endfor", "endfunction", "endif", "endparfor", "endswitch", "endwhile", "enumeration",
    "events", "for", "function", "global", "if", "methods", "otherwise", "parfor", "persistent", "properties",
    "return", "spmd", "switch", "try", "until", "unwind_protect", "unwind_protect_cleanup", "while",
})  # fmt: skip


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a MAT file; see `Encode`."""
    names = _legal_names(map(str, dataset.variables), {_DESCRIPTION, _DATASET})
    content: dict[str, Any] = {}
    said: dict[str, Any] = {_DATASET: _attributes(dataset.attrs)}
    for name, variable in dataset.variables.items():
        legal = names[str(name)]
        content[legal] = _values(str(name), variable)
        said[legal] = _attributes(
            ({"original_name": name} if legal != name else {})
            | {"dimensions": [str(dimension) for dimension in variable.dims]}
            | variable.attrs
        )
    file = BytesIO()
    savemat(file, {**content, _DESCRIPTION: said}, format="5", long_field_names=True, oned_as="column")
    file.getbuffer()[: len(_HEADER)] = _HEADER
    return of_file(file)


def _values(name: str, variable: xr.Variable) -> NDArray[Any]:
    values = np.asarray(variable.values)
    if values.nbytes > _MOST:
        raise BadSelection(
            f"{name} has {values.nbytes / 2**30:.1f} GiB; a MAT file holds less than 2 GiB of one variable. Ask for a"
            " part of it, or for h5, which MATLAB reads by h5read."
        )
    if is_text(values.dtype):
        return _cells(values)
    if values.dtype.kind in "mM":
        return _cells(np.datetime_as_string(values) if values.dtype.kind == "M" else values.astype(str))
    if values.dtype.kind not in "biufc" or values.dtype.itemsize > _WIDEST[values.dtype.kind]:
        raise BadSelection(f"{name} is of the type {values.dtype}, which MAT cannot hold.")
    native = np.float32 if values.dtype.newbyteorder("=") == np.float16 else values.dtype.newbyteorder("=")
    return values.astype(native, copy=False)


_WIDEST: Final[Mapping[str, int]] = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}


def _cells(values: NDArray[Any]) -> NDArray[Any]:
    cells = np.empty(values.shape, object)
    cells.reshape(-1)[:] = list(map(_text, values.reshape(-1).tolist()))
    return cells


def _text(value: object) -> str:
    """Text, by rule 4."""
    cleaned = text(value)
    return cleaned + " " * (len(cleaned.encode()) - len(cleaned))


def _attributes(attrs: Mapping[Any, object]) -> dict[str, Any]:
    names = _legal_names(map(str, attrs))
    fields = {names[str(name)]: _attribute(value) for name, value in attrs.items()}
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, {legal: name for name, legal in names.items()})
    return fields | {name: _text(lines) for name, lines in renamed.items()}


def _attribute(value: object) -> Any:  # noqa: ANN401 — whatever SciPy writes
    if isinstance(value, list | tuple) and all(isinstance(item, str | bytes) for item in value):
        return _cells(np.array(value, object))
    array = np.asarray(value) if not isinstance(value, list | tuple | dict) else np.empty(0)
    if array.dtype.kind in "biufc" and not isinstance(value, str | bytes | list | tuple | dict):
        return array.astype(np.float32) if array.dtype == np.float16 else array
    if isinstance(value, np.ndarray):
        return _cells(value)
    return _text(value)


def _legal_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A legal name for each of these, all different; one that is legal keeps itself."""
    names = list(dict.fromkeys(names))
    legal: dict[str, str] = {}
    unique = UniqueNames(taken)
    for name in sorted(names, key=lambda name: name != _legal(name)):
        legal[name] = unique.claim(_legal(name))
    return {name: legal[name] for name in names}


def _legal(name: str) -> str:
    name = re.sub("[^A-Za-z0-9_]", "_", name)
    name = name if re.match("[A-Za-z]", name) else f"x{name}"
    name = name if len(name) <= _LONGEST else name[: _LONGEST - _ROOM]
    return f"{name}_" if name in _KEYWORDS else name
