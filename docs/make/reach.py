"""How far a transform reaches, in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from shotdap.transforms import Along, Footprint, Transform
from shotdap.transforms.virtual.footprint import Sizes, pointwise

__all__ = ["reach"]

_IMAGE: Final[Sizes] = MappingProxyType({"y": 1100, "x": 1100})
_INPUTS: Final[Mapping[str, Sizes]] = MappingProxyType(
    {
        "columns": MappingProxyType({"x": 1100}),
        "densities": MappingProxyType({"step": 21}),
        "fit": MappingProxyType({"term": 7}),
        "peaks": MappingProxyType({"peak": 275}),
    }
)
"""The dimensions of the inputs that are no images."""


def reach(transform: Transform, options: Mapping[str, Any]) -> str:
    """Describe in a sentence which input values one value of the result depends on.

    Args:
        transform: of which it is told.
        options: some that it could have; where the reach depends on them, the sentence says so.
    """
    inputs = {name: _INPUTS.get(name, _IMAGE) for name in transform.inputs}
    footprint = transform.footprint_of(list(inputs.values()), transform.validate_options(options))
    if footprint.is_whole:
        return "a value needs the inputs entire; all values are computed once, and remembered."
    depends = transform.footprint is not pointwise and transform.options_model.model_fields
    return f"{_in_words(footprint, inputs)}{', with the options of the example' if depends else ''}."


def _in_words(footprint: Footprint, inputs: Mapping[str, Sizes]) -> str:
    along = [each for each in footprint.dimensions.values() if isinstance(each, Along)]
    first = next(iter(inputs.values()))
    if len(along) < len(first):
        (gone,) = first.keys() - {each.source for each in along}
        band = len(footprint.reduced_ranges.get(gone, range(first[gone])))
        return f"a value needs {'all' if band == first[gone] else band} of the values along `{gone}`"
    if any(each.step > 1 for each in along):
        return f"a value needs a block of {' x '.join(str(each.after + 1) for each in along)} pixels"
    far = max(each.before for each in along)
    if far:
        return f"a value needs its neighbours up to {far} pixel{'s' * (far > 1)} away"
    entire = [f"`{name}`" for name, sizes in inputs.items() if not sizes.keys() & {each.source for each in along}]
    one = "a value needs one of each input" if len(inputs) > 1 + len(entire) else "a value needs one of the input"
    return " and all of ".join([one, *entire])
