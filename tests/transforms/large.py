"""Memory that each transform takes for a large image, NumPy's and that of C libraries: ``python -m`` this module.

It prints a line of JSON for each transform. It runs in its own process, in which glibc returns every larger block
to the system as soon as it is freed, so that the peak of the resident memory is that of the transform.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import xarray as xr

from shotdap.transforms import TRANSFORMS, Transform

__all__ = ["ENVIRONMENT", "OPTIONS", "SIDE"]

SIDE: Final = 2048
"""Pixels of the image."""

ENVIRONMENT: Final = MappingProxyType(
    {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0", "OMP_NUM_THREADS": "1"}
)

_WARM: Final = 512  # pixels of an image for a first call, so that imports do not count
_NAMES: Final = ("y", "x")

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "bin_pixels": {"rows": 256, "columns": 1},
        "comb_time": {"beyond": 10},
        "crop": {"rows": (10, 400)},
        "dewarp": {"order": 3},
        "fading_corrected": {"delay": 600},
        "film_exposure": {"density_per_count": 1e-4},
        "lineout": {"statistic": "median"},
        "median_filter": {"size": 31},
        "morphological_filter": {"operation": "both", "size": 31},
        "nominal_time": {"speed": 1},
        "normalise": {"by": "range"},
        "rotate_flip": {"rotation": 90},
        "sigma_clip": {"size": 7},
        "subtract_background": {"smooth": 5, "clip": True, "scale": 1.5},
        "subtract_region": {"columns": (0, 400)},
        "saturated": {"level": 4000},
        "count_saturated": {"level": 4000},
    }
)
"""Options that take most memory, or are required; otherwise the defaults."""


def _make_noise(side: int, level: xr.DataArray | float = 500) -> xr.DataArray:
    image = xr.DataArray(np.random.default_rng(0).normal(0, 9, (side, side)), dims=_NAMES) + level
    return image.astype("f4")


def _make_fringes(side: int) -> xr.DataArray:
    image = _make_noise(side, xr.DataArray(2000 + 1600 * np.cos(0.2 * np.arange(side)), dims="y"))
    return image.where(np.random.default_rng(1).random(image.shape) > 1e-5)


def _make_comb(side: int) -> xr.DataArray:
    columns = np.arange(side)
    return _make_noise(side, xr.DataArray(500 + 1000 * np.exp(-(((columns + 10) % 40 - 20) ** 2) / 20), dims="x"))


def _make_wedge(side: int) -> xr.DataArray:
    columns = xr.DataArray(np.arange(side), dims="x")
    return _make_noise(side, 500 + 1500 * ((columns - side // 20) // (side // 24)).clip(0, 20))


def _make_columns(side: int) -> xr.DataArray:
    return xr.DataArray(np.arange(side), dims="x")


def _make_peaks(side: int) -> xr.DataArray:
    return TRANSFORMS["comb_peaks"].apply(_make_comb(side))


def _make_densities(side: int) -> xr.DataArray:
    return TRANSFORMS["wedge_densities"].apply(_make_wedge(side), density_per_count=1e-4)


_INPUTS: Final[Mapping[str, tuple[Callable[[int], xr.DataArray], ...]]] = MappingProxyType(
    {
        "comb_fit": (_make_peaks,),
        "comb_peaks": (_make_comb,),
        "comb_residuals": (_make_peaks,),
        "comb_time": (_make_columns, lambda side: TRANSFORMS["comb_fit"].apply(_make_peaks(side))),
        "film_exposure": (_make_wedge, _make_densities),
        "nominal_time": (_make_columns,),
        "wedge_densities": (_make_wedge,),
    }
)


def _make_inputs(transform: Transform, side: int) -> list[xr.DataArray]:
    makers = _INPUTS.get(transform.name, (_make_fringes,) * len(transform.inputs))
    return [make(side) for make in makers]


def _compute_values(
    transform: Transform, inputs: Sequence[xr.DataArray], options: Mapping[str, Any]
) -> np.ndarray[Any, Any]:
    made = np.asarray(transform.function(*inputs, **options).values)
    return made.astype(transform.infer_dtype([each.variable for each in inputs]), copy=False)


def _read_memory(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) << 10


def main() -> None:
    """Measure each transform."""
    for name, transform in TRANSFORMS.items():
        options = dict(transform.validate_options(OPTIONS.get(name, {})))
        _compute_values(transform, _make_inputs(transform, _WARM), options)
        inputs = _make_inputs(transform, SIDE)
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current value: proc(5)
        before = _read_memory("VmRSS")
        values = _compute_values(transform, inputs, options)
        peak = _read_memory("VmHWM") - before
        footprint = transform.footprint_of([{str(n): s for n, s in each.sizes.items()} for each in inputs],
                                   transform.validate_options(OPTIONS.get(name, {})))  # fmt: skip
        stated = footprint.memory.estimate_bytes(max(each.size for each in inputs))
        sys.stdout.write(json.dumps({"name": name, "peak": peak, "stated": stated, "result": values.nbytes}) + "\n")
        del values, inputs


if __name__ == "__main__":
    main()
