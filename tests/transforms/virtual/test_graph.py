"""The graph of virtual variables: its order, and the variables that can be computed for a dataset."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from shotdap.transforms import (
    BadRecipe,
    FromAttribute,
    Recipe,
    check_recipes,
    create_recipe,
    dependencies,
    topological_order,
    try_add_variables,
)

DIFFERENCE = create_recipe("difference", "subtract_background")
PART = create_recipe("part", "crop", ["difference"], {"rows": FromAttribute("area")})
LINE = create_recipe("line", "row_mean", ["part"])
IMAGE = xr.Variable(("y", "x"), np.ones((9, 5), "u2"))


def get_names(recipes: tuple[Recipe, ...]) -> list[str]:
    return [recipe.name for recipe in recipes]


def test_order() -> None:
    """Each recipe comes after its inputs, whatever the given order."""
    assert get_names(topological_order([LINE, PART, DIFFERENCE])) == ["difference", "part", "line"]


def test_dependencies() -> None:
    """The dependencies of a variable include those of its inputs."""
    other = create_recipe("other", "crop", ["image"])

    assert get_names(dependencies("part", [LINE, PART, other, DIFFERENCE])) == ["difference", "part"]
    assert dependencies("image", [LINE, PART]) == ()


def test_cycle() -> None:
    """The error for recipes that depend on one another names them in a cycle."""
    with pytest.raises(BadRecipe, match=r"a → b → a: a = crop\(b\); b = crop\(a\)\.$"):
        topological_order([create_recipe("a", "crop", ["b"]), create_recipe("b", "crop", ["a"])])


class TestTryAddVariables:
    def test_options_of_the_file(self) -> None:
        """An option is taken from an attribute of an input, or of the dataset, and validated like any other."""
        of_input = xr.Variable(("y", "x"), IMAGE.values, {"area": [1, 2]})
        recipe = create_recipe("part", "crop", ["image"], {"rows": FromAttribute("area")})
        attributes = {"area": np.array([2, 5])}
        (own,) = try_add_variables(xr.Dataset({"image": IMAGE}, attrs=attributes), [recipe]).recipes
        (inputs,) = try_add_variables(xr.Dataset({"image": of_input}, attrs=attributes), [recipe]).recipes

        assert own.validated_options.model_dump()["rows"] == (2, 5)
        assert inputs.validated_options.model_dump()["rows"] == (1, 2)

    @pytest.mark.parametrize(
        ("variables", "attributes", "name", "reason"),
        [
            ({"image": IMAGE}, {}, "difference", "needs background, which is not there"),
            ({"image": IMAGE, "background": IMAGE}, {}, "part", "There is no attribute area"),
            ({"image": IMAGE, "background": IMAGE}, {"area": [5, 2]}, "part", "the first must not be greater"),
            ({"image": IMAGE, "background": IMAGE}, {"area": [5, 99]}, "part", "99 is beyond it"),
            ({"image": IMAGE, "background": IMAGE}, {"area": "all"}, "part", "rows: "),
            (
                {"image": IMAGE, "background": xr.Variable((), "text")},
                {},
                "difference",
                "it needs numbers, and there is text",
            ),
        ],
    )
    def test_omitted_variables(
        self, variables: dict[str, xr.Variable], attributes: dict[str, object], name: str, reason: str
    ) -> None:
        """A missing part of a file omits only the variables that need it, each with its reason."""
        dataset = xr.Dataset(variables, attrs=attributes)
        done = try_add_variables(dataset, [LINE, PART, DIFFERENCE])

        assert reason in done.left_out[name]
        assert "needs part, which is not there" in done.left_out["line"]
        assert get_names(done.recipes) == [each for each in ("difference",) if each != name]


def test_check_knows_no_file() -> None:
    """The check without a file accepts what only a file can decide, and refuses the rest."""
    check_recipes([LINE, PART, DIFFERENCE], {"image": {"y": 9, "x": 5}}, {"background"})
    with pytest.raises(BadRecipe, match="needs background"):
        check_recipes([LINE, PART, DIFFERENCE], {"image": {"y": 9, "x": 5}})
    with pytest.raises(BadRecipe, match="must share their dimensions"):
        check_recipes([DIFFERENCE], {"image": {"y": 9, "x": 5}, "background": {"z": 9}})
