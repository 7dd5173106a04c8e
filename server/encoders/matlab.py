"""MAT, version 5: a dataset for MATLAB and Octave, by SciPy.

``load`` returns each variable under its name, and a struct ``attributes`` with a field for each of them and one,
``dataset``, for those of the dataset; ``attributes.image.dimensions`` names the dimensions, in the order of MATLAB's
subscripts.

Rules:

1. A name is a letter and up to 62 more letters, digits and underscores, and no keyword; others are changed, and
   ``original_name`` contains the original; in a struct, the field ``renamed_attributes`` lists them.
2. A variable of one dimension is a column. Half floats become single floats, which have the same values.
3. A text becomes a char row, several become a cell array. Empty attributes are ``[]``.
4. A text beyond ASCII is followed by a blank for each additional byte of UTF-8: Octave takes the number of characters
   for that of bytes, and would cut it short; ``strtrim`` removes the blanks.
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
from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.encoders.netcdf.rules import is_text, normalize_text
from shotdap.transforms import BadSelection, UniqueNames
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

_MAX_VARIABLE_SIZE: Final = 2**31 - 2**16  # bytes, with room for the name and the shape
_MAX_NAME_LENGTH: Final = 63  # MATLAB's namelengthmax
_SUFFIX_LENGTH: Final = 4  # characters that make names unique
_ATTRIBUTES_NAME: Final = "attributes"
_DATASET_NAME: Final = "dataset"
# 116 bytes by which MATLAB recognizes the format; SciPy's contain the time, so the same dataset would give other files.
_HEADER: Final = f"MATLAB 5.0 MAT-file, made by shotdap {__version__}".ljust(116).encode()
# The keywords of MATLAB and Octave, as iskeyword() lists them.
_KEYWORDS: Final = frozenset({
    "break", "case", "catch", "classdef", "continue", "do", "else", "elseif", "end", "end_try_catch",
    "end_unwind_protect", "endfor", "endfunction", "endif", "endparfor", "endswitch", "endwhile", "enumeration",
    "events", "for", "function", "global", "if", "methods", "otherwise", "parfor", "persistent", "properties",
    "return", "spmd", "switch", "try", "until", "unwind_protect", "unwind_protect_cleanup", "while",
})  # fmt: skip


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as a MAT file; see `Encoder`."""
    names = _make_legal_names(map(str, dataset.variables), {_ATTRIBUTES_NAME, _DATASET_NAME})
    content: dict[str, Any] = {}
    attributes: dict[str, Any] = {_DATASET_NAME: _encode_attributes(dataset.attrs)}
    for name, variable in dataset.variables.items():
        legal = names[str(name)]
        values = np.asarray(variable.values)
        if values.nbytes > _MAX_VARIABLE_SIZE:
            raise BadSelection(
                f"{name} has {values.nbytes / 2**30:.1f} GiB; a MAT file holds less than 2 GiB of one variable. Ask for"
                " a part of it, or for h5, which MATLAB reads by h5read."
            )
        if is_text(values.dtype):
            content[legal] = _encode_cells(values)
        elif values.dtype.kind in "mM":
            texts = np.datetime_as_string(values) if values.dtype.kind == "M" else values.astype(str)
            content[legal] = _encode_cells(texts)
        elif values.dtype.kind not in "biufc" or values.dtype.itemsize > _MAX_ITEMSIZES[values.dtype.kind]:
            raise BadSelection(f"{name} is of the type {values.dtype}, which MAT cannot hold.")
        else:
            native = np.float32 if values.dtype.newbyteorder("=") == np.float16 else values.dtype.newbyteorder("=")
            content[legal] = values.astype(native, copy=False)
        attributes[legal] = _encode_attributes(
            ({"original_name": name} if legal != name else {})
            | {"dimensions": [str(dimension) for dimension in variable.dims]}
            | variable.attrs
        )
    file = BytesIO()
    savemat(file, {**content, _ATTRIBUTES_NAME: attributes}, format="5", long_field_names=True, oned_as="column")
    file.getbuffer()[: len(_HEADER)] = _HEADER
    return wrap_file(file)


_MAX_ITEMSIZES: Final[Mapping[str, int]] = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}


def _encode_cells(values: NDArray[Any]) -> NDArray[Any]:
    cells = np.empty(values.shape, object)
    cells.reshape(-1)[:] = list(map(_encode_text, values.reshape(-1).tolist()))
    return cells


def _encode_text(value: object) -> str:
    """Return a text by rule 4."""
    text = normalize_text(value)
    return text + " " * (len(text.encode()) - len(text))


def _encode_attributes(attrs: Mapping[Any, object]) -> dict[str, Any]:
    """Return the fields of a struct, by rules 1 and 3."""
    names = _make_legal_names(map(str, attrs))
    fields: dict[str, Any] = {}
    for name, value in attrs.items():
        array = np.asarray(None if isinstance(value, str | bytes | list | tuple | dict) else value)
        if isinstance(value, list | tuple) and all(isinstance(item, str | bytes) for item in value):
            field: Any = _encode_cells(np.array(value, object))
        elif array.dtype.kind in "biufc":
            field = array.astype(np.float32) if array.dtype == np.float16 else array
        else:
            field = _encode_cells(value) if isinstance(value, np.ndarray) else _encode_text(value)
        fields[names[str(name)]] = field
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, {legal: name for name, legal in names.items()})
    return fields | {name: _encode_text(lines) for name, lines in renamed.items()}


def _make_legal_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a legal name for each of these, all different; a legal name stays as it is."""
    names = list(dict.fromkeys(names))
    legal: dict[str, str] = {}
    unique = UniqueNames(taken)
    for name in sorted(names, key=lambda name: name != _make_legal_name(name)):
        legal[name] = unique.claim(_make_legal_name(name))
    return {name: legal[name] for name in names}


def _make_legal_name(name: str) -> str:
    name = re.sub("[^A-Za-z0-9_]", "_", name)
    name = name if re.match("[A-Za-z]", name) else f"x{name}"
    name = name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - _SUFFIX_LENGTH]
    return f"{name}_" if name in _KEYWORDS else name
