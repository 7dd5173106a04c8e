"""Variants: the effect of a path's segment on a dataset, and its canonical text."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import QUICK

from shotdap.transforms import (
    TRANSFORMS,
    BadVariant,
    FromAttribute,
    Variant,
    build_variant,
    create_recipe,
    parse_variant,
)

RECIPES = (
    create_recipe("background_subtracted", "subtract_background"),
    create_recipe("active", "crop", ["background_subtracted"], {"rows": (0, 9)}),
)
THERE = frozenset({"image", "background", "reference", "y", "x", "dark.image"})


def build(segment: str) -> Variant:
    return build_variant(parse_variant(segment), RECIPES, THERE, TRANSFORMS)


def get_options(variant: Variant, name: str) -> dict[str, Any]:
    (recipe,) = (recipe for recipe in variant.recipes if recipe.name == name)
    return dict(recipe.options)


class TestMeaning:
    def test_other_options(self) -> None:
        """A step that names a virtual variable changes its options, and so everything that is derived from it."""
        variant = build("~background_subtracted-scale-1.5-clip-true")

        assert get_options(variant, "background_subtracted") == {"scale": 1.5, "clip": True}
        assert [recipe.name for recipe in variant.recipes] == ["background_subtracted", "active"]

    def test_lists_and_negative_numbers(self) -> None:
        """A list's items are joined by underscores; a number may begin with a minus."""
        assert get_options(build("~active-rows-3_5"), "active") == {"rows": (3, 5)}
        assert get_options(build("~background_subtracted-scale--2.5"), "background_subtracted") == {"scale": -2.5}

    def test_chain(self) -> None:
        """Transforms are applied one after the other; the result of the last is the variable `result`."""
        variant = build("~background_subtracted~crop-rows-1_2~crop-columns-3_4")
        *_, first, last = variant.recipes

        assert (first.inputs, first.hidden) == (("background_subtracted",), True)
        assert (last.name, last.inputs, last.hidden) == ("result", (first.name,), False)
        assert variant.requested_variables == {"background_subtracted", first.name, "result"}

    def test_first_input(self) -> None:
        """If no variable was named, the first input of a transform is the variable with that name."""
        assert build("~crop-rows-1_2").recipes[-1].inputs == ("image",)

    def test_other_inputs(self) -> None:
        """Another input is the variable of the same name, or a given one, also of another image."""
        assert build("~reference~subtract_background").recipes[-1].inputs == ("reference", "background")
        assert build("~image~subtract_background-background-dark.image").recipes[-1].inputs == ("image", "dark.image")

    def test_borrowed_options(self) -> None:
        """An option that is usually taken from the file's attributes can be given in the segment instead."""
        recipe = create_recipe("active", "crop", ["image"], {"rows": FromAttribute("active_area_y")})
        variant = build_variant(parse_variant("~active-rows-3_5"), [recipe], THERE, TRANSFORMS)

        assert get_options(variant, "active") == {"rows": (3, 5)}
        assert variant.canonical_text == "~active-rows-3_5"


class TestCanonicalText:
    @pytest.mark.parametrize(
        ("segment", "text"),
        [
            ("~background_subtracted-scale-1.50-clip-1", "~background_subtracted-clip-true-scale-1.5"),
            ("~background_subtracted-clip-false", ""),
            ("~background_subtracted", ""),
            ("~image", ""),
            ("~active-rows-0_9", ""),
            ("~active-rows-1_9~background_subtracted-clip-true", "~active-rows-1_9~background_subtracted-clip-true"),
            ("~background_subtracted-clip-true~active-rows-1_9", "~active-rows-1_9~background_subtracted-clip-true"),
            ("~crop", "~image~crop"),
            ("~image~crop-rows-03_4", "~image~crop-rows-3_4"),
            ("~image~background_subtracted~crop", "~background_subtracted~crop"),
            ("~image~subtract_background-background-background", "~image~subtract_background"),
            ("~background_subtracted-scale-0.00001", "~background_subtracted-scale-0.00001"),
        ],
    )
    def test_text(self, segment: str, text: str) -> None:
        """Each variant has one canonical text: steps without effect are left out, the rest has a fixed order."""
        assert build(segment).canonical_text == text

    @QUICK
    @given(
        scale=st.floats(-1e6, 1e6),
        clip=st.booleans(),
        rows=st.tuples(st.integers(0, 99), st.integers(0, 99)).map(sorted),
    )
    def test_read_again(self, *, scale: float, clip: bool, rows: list[int]) -> None:
        """The canonical text is parsed to the same variant with the same text; no digit of a number is lost."""
        number = np.format_float_positional(scale)
        variant = build(f"~background_subtracted-clip-{clip}-scale-{number}~crop-rows-{rows[0]}_{rows[1]}")
        again = build(variant.canonical_text)

        assert again.canonical_text == variant.canonical_text
        assert get_options(again, "background_subtracted").get("scale", 1.0) == scale
        assert again == variant

    @pytest.mark.parametrize("segment", ["~active-rows-3_5", "~background_subtracted-scale--2.5~crop-rows-1_2"])
    def test_unreserved(self, segment: str) -> None:
        """The text contains no character that a client might encode."""
        assert re.fullmatch(r"[A-Za-z0-9_.~-]+", build(segment).canonical_text)


@pytest.mark.parametrize(
    ("segment", "words"),
    [
        ("~", "'' is no step of a variant; write NAME-OPTION-VALUE, such as"),
        ("~~crop", "'' is no step"),
        ("~crop-rows", "'crop-rows' is no step"),
        ("~crop rows", "is no step"),
        ("~image~crop-rows-1_2-rows-3_4", "gives rows twice"),
        ("~nonesuch", "no variable and no transform 'nonesuch'. The variables are: active, background"),
        ("~image-clip-true", "image is in the file: it has no options"),
        ("~crop~image", "image is a variable, which comes before the transforms"),
        ("~background_subtracted-clip-maybe", "clip: Input should be a valid boolean"),
        ("~background_subtracted-cut-true", "cut: Extra inputs are not permitted. Its options are: "),
        ("~image~crop-rows-5_2", "the first must not be greater than the last"),
        ("~image~crop-rows-1_2_3", "rows: "),
        ("~background_subtracted-scale-nan", "scale: "),
        ("~background_subtracted-scale-1e400", "scale: "),
        ("~crop" * 9, "has 9 steps; it may have 8"),
        ("~image" + "x" * 2000, "2006 characters long; it may have 1000"),
    ],
)
def test_refusals(segment: str, words: str) -> None:
    """Text that is no variant is refused with a sentence that says what would be one."""
    with pytest.raises(BadVariant) as caught:
        build(segment)

    assert words in str(caught.value)


@QUICK
@given(st.text("~-_.ab1", max_size=30).map("~".__add__))
def test_any_text(segment: str) -> None:
    """Any text is a variant, or is refused."""
    with suppress(BadVariant):
        assert isinstance(build(segment), Variant)
