"""Film: a wedge and a shot that are exposed, developed and scanned by code, read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shotdap.server.demo import COUNTS_PER_OD, FOG, WEDGE, compute_film_density, compute_film_log_exposure
from shotdap.server.demo.physics import film_scan
from shotdap.transforms import TRANSFORMS, BadOptions, BadRecipe, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract

SCANNED = {"density_per_count": 1 / COUNTS_PER_OD}
DENSITIES = np.asarray(compute_film_density(WEDGE.compute_log_exposure()))


def make_image(values: Any) -> xr.DataArray:  # noqa: ANN401 — what NumPy makes an array of
    return xr.DataArray(np.asarray(values), dims=("frame", "y", "x")[-np.ndim(values) :])


def make_steps(values: Any) -> xr.DataArray:  # noqa: ANN401 — what NumPy makes an array of
    return xr.DataArray(np.asarray(values, float), dims=("step",))


def apply(transform: str, *inputs: xr.DataArray, **options: Any) -> NDArray[Any]:  # noqa: ANN401 — each one's own
    return np.asarray(TRANSFORMS[transform].apply(*inputs, **options).values)


def scan_wedge(wedge: film_scan.Wedge = WEDGE) -> xr.DataArray:
    return make_image(film_scan.scan_film(np.random.default_rng(0), wedge.compute_exposure()))


class TestWedgeDensities(TransformContract):
    transform = TRANSFORMS["wedge_densities"]
    variants = (
        {"steps": 5},
        {"steps": 5, "extent": (4, 55), "inner": 1, "density_per_count": 0.00125},
        {"steps": 4, "along": "rows", "inner": 0.01},
    )

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        steps = np.repeat([3000, 2400, 1500, 700, 250], 12)
        return (xr.DataArray((steps + rng.normal(0, 9, (2, 30, 60))).astype(">i2"), dims=("frame", "row", "column")),)

    @pytest.mark.parametrize(
        "wedge",
        [
            WEDGE,
            film_scan.Wedge(line_width=0),
            film_scan.Wedge(margin=0),
            film_scan.Wedge(margin=150, step_width=30),
            film_scan.Wedge(margin=60, step_width=20, line_width=2),
            film_scan.Wedge(step_count=10, step_density=0.3, step_width=60),
            film_scan.Wedge(margin=150, step_width=200, line_width=10, height=12),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("reverse", [False, True], ids=["black first", "black last"])
    @pytest.mark.parametrize("along", ["columns", "rows"])
    def test_finds_the_steps(self, wedge: film_scan.Wedge, along: str, *, reverse: bool) -> None:
        """With and without margins and lines, and in either direction, the film's density under each step is found."""
        scan = scan_wedge(wedge)[:, :: -1 if reverse else 1]
        turned = make_image(scan.values.T) if along == "rows" else scan
        found = apply("wedge_densities", turned, steps=wedge.step_count, along=along, **SCANNED)

        np.testing.assert_allclose(
            found[:: -1 if reverse else 1], compute_film_density(wedge.compute_log_exposure()), atol=0.004
        )

    def test_given_extent(self) -> None:
        """If the extent is given, the steps divide it evenly, and no search happens."""
        wedge = make_image([[1, 1, 7, 7, 7, 7, 3, 3, 3, 3, 9, 9]])

        assert apply("wedge_densities", wedge, steps=2, extent=(2, 9)).tolist() == [7, 3]
        assert apply("wedge_densities", wedge, steps=2, extent=(6, 11), inner=1).tolist() == [3, 9]

    def test_dust_and_scratches(self) -> None:
        """Dust, a scratch along the wedge, and missing pixels change no density."""
        scan = scan_wedge().astype(float)
        clean = apply("wedge_densities", scan, **SCANNED)
        scan[55:58] = 4000
        scan[:, 100:105] = 0
        scan[40:50, 300:700] = np.nan

        np.testing.assert_allclose(apply("wedge_densities", scan, **SCANNED), clean, atol=0.003)

    def test_missing_step(self) -> None:
        """A missing step is NaN; in a frame without values, all are NaN."""
        wedge = np.repeat([[9.0, np.nan, 5, 1]], 10, axis=1)

        np.testing.assert_array_equal(
            apply("wedge_densities", make_image([wedge, wedge * np.nan]), steps=4, extent=(0, 39)),
            [[9, np.nan, 5, 1], [np.nan] * 4],
        )
        assert np.isnan(apply("wedge_densities", make_image(wedge * np.nan), steps=4)).all()

    def test_no_wedge(self) -> None:
        """A picture whose blackest part is in its middle is no wedge, and has no densities."""
        bump = np.repeat([[0, 0, 1, 2, 9, 9, 2, 1, 0, 0]], 8, axis=1)

        assert np.isnan(apply("wedge_densities", make_image(bump), steps=8)).all()

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"extent": (0, 60)}, "x ends with 59, and 60 is beyond it"),
            ({"extent": (0, 40)}, "21 steps need 42 pixels at least, and along x are 41"),
            ({"along": "rows"}, "21 steps need 42 pixels at least, and along y are 30"),
        ],
    )
    def test_too_small(self, options: dict[str, Any], sentence: str) -> None:
        """A wedge that does not fit its scan is refused when the dataset is opened."""
        with pytest.raises(BadRecipe, match=sentence):
            add_variables(
                xr.Dataset({"wedge": make_image(np.zeros((30, 60)))}),
                [create_recipe("made", "wedge_densities", ["wedge"], options)],
            )

    def test_bad_options(self) -> None:
        """A reversed extent, and zero steps, are refused."""
        with pytest.raises(BadOptions, match=r"extent: .*the first must not be greater"):
            apply("wedge_densities", make_image(np.zeros((30, 60))), extent=(9, 3))
        with pytest.raises(BadOptions, match="steps: Input should be greater than or equal to 2"):
            apply("wedge_densities", make_image(np.zeros((30, 60))), steps=1)


class TestFilmExposure(TransformContract):
    transform = TRANSFORMS["film_exposure"]
    variants = ({**SCANNED}, {**SCANNED, "step": 0.3, "gamma": 0.5})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        exposures = (10 ** rng.uniform(-3.5, 0.2, (2, 23, 31))).astype(np.float32)
        return (make_image(film_scan.scan_film(rng, exposures).astype(">i2")), make_steps(DENSITIES))

    def test_shot_read_back(self) -> None:
        """The scans of a wedge and of a shot give the exposure, to the film's grain; outside the curve it is NaN."""
        exposure = film_scan.draw_implosion(np.random.default_rng(1))
        dataset = xr.Dataset(
            {
                "wedge": xr.Variable(("row", "column"), scan_wedge().values),
                "film": make_image(film_scan.scan_film(np.random.default_rng(2), exposure)),
            }
        )
        recipes = [
            create_recipe("densities", "wedge_densities", ["wedge"], SCANNED),
            create_recipe("exposure", "film_exposure", ["film", "densities"], SCANNED),
        ]
        found = add_variables(dataset, recipes).exposure.values
        bright = exposure > 0.01

        assert bright.mean() > 0.1
        assert np.isfinite(found[bright]).all()
        # The grain, 0.012 OD at a density of 1, is a few per cent of the exposure at a gamma of 1 to 2.
        assert np.std(found[bright] / exposure[bright]) < 0.04
        assert np.mean(found[bright] / exposure[bright]) == pytest.approx(1, abs=0.002)
        assert np.isnan(found[exposure < 5e-4]).mean() > 0.9

    @given(st.floats(-2.4, -0.01))
    def test_between_the_steps(self, log_exposure: float) -> None:
        """Between the steps, the exposure is that of the film's curve, to half a per cent."""
        found = apply(
            "film_exposure", make_image([[compute_film_density(np.asarray(log_exposure))]]), make_steps(DENSITIES)
        )

        assert found[0, 0] == pytest.approx(10**log_exposure, rel=0.005)

    @pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["black first", "black last"])
    def test_at_the_steps(self, order: slice) -> None:
        """At the density of a step, the exposure is the step's own, in either direction of the wedge."""
        found = apply("film_exposure", make_image([DENSITIES[:17]]), make_steps(DENSITIES[order]))

        np.testing.assert_allclose(np.log10(found[0]), -0.15 * np.arange(17), atol=1e-6)
        np.testing.assert_allclose(np.log10(found[0]), compute_film_log_exposure(DENSITIES[:17]), atol=1e-6)

    def test_by_hand(self) -> None:
        """On a straight curve of three steps of 1 OD, the exposure between two steps is their geometric mean."""
        image = make_image([[2.5, 2, 1.5, 1, 0.5]])

        np.testing.assert_allclose(
            apply("film_exposure", image, make_steps([2.5, 1.5, 0.5]), step=1),
            [[1, 10**-0.5, 0.1, 10**-1.5, 0.01]],
            rtol=1e-6,
        )

    def test_never_extrapolated(self) -> None:
        """For densities above the blackest step, below the clearest, and NaN, the exposure is NaN."""
        image = make_image([[3.0, 2.500001, 0.499999, FOG, -1, np.nan, np.inf]])

        assert np.isnan(apply("film_exposure", image, make_steps([2.5, 1.5, 0.5]), step=1)).all()

    def test_toe_and_shoulder(self) -> None:
        """If steps do not differ, a density does not determine the exposure; noise there does no harm."""
        densities = [2.9, 2.91, 2.9, 2, 1, 0.3, 0.31, 0.29, 0.3]
        image = make_image([[2.95, 2, 1.5, 1, 0.295]])
        found = apply("film_exposure", image, make_steps(densities), step=1)

        assert np.isnan(found[0, [0, -1]]).all()
        np.testing.assert_allclose(found[0, [1, 3]], [1e-3, 1e-4], rtol=1e-6)
        assert 1e-4 < found[0, 2] < 1e-3

    def test_steps_that_fall(self) -> None:
        """A step that noise put on the wrong side of its neighbour shares its place with the neighbour."""
        found = apply("film_exposure", make_image([[2.0]]), make_steps([4, 3, 1.9, 2.1, 1]), step=1)

        assert found[0, 0] == pytest.approx(10**-2.5)

    def test_missing_steps(self) -> None:
        """Steps that were not measured are omitted, and the others keep their exposures."""
        image = make_image([[2.5, 0.5]])

        np.testing.assert_allclose(
            apply("film_exposure", image, make_steps([np.nan, 2.5, np.nan, 0.5]), step=1), [[0.1, 1e-3]], rtol=1e-6
        )

    @pytest.mark.parametrize("densities", [[2, 2, 2], [np.nan] * 3, [1, np.nan, np.nan]])
    def test_no_curve(self, densities: list[float]) -> None:
        """If no two steps differ, no exposure is known."""
        assert np.isnan(apply("film_exposure", make_image([[1, 2]]), make_steps(densities))).all()

    def test_densities_of_an_image(self) -> None:
        """An image in place of the steps is refused, and so is a profile along the film itself."""
        pictures = {"film": make_image(np.zeros((3, 4))), "profile": ("x", np.zeros(4))}

        with pytest.raises(BadRecipe, match="the densities of the steps have one dimension, and these have 2"):
            add_variables(xr.Dataset(pictures), [create_recipe("made", "film_exposure", ["film", "film"])])
        with pytest.raises(BadRecipe, match="the steps of the wedge lie along x, as the image does"):
            add_variables(xr.Dataset(pictures), [create_recipe("made", "film_exposure", ["film", "profile"])])
