# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that do and do not follow the instrument, on maps of which everything is known."""

import logging

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from hs_rvae.diagnostics import dependence, diagnose, quantities

CELL = 20.0  # px


@pytest.fixture(scope="module")
def xy():
    """Sites of 30 x 30 cells, row after row."""
    x, y = np.meshgrid(np.arange(30), np.arange(30))
    noise = np.random.default_rng(0).normal(0, 0.5, (900, 2))
    return np.stack([x.ravel(), y.ravel()], axis=1) * CELL + noise


def smooth_map(rng, cells, noise=0.5):
    """Values on the sites of `xy`, smoothed over so many cells, plus noise of each site."""
    values = gaussian_filter(rng.standard_normal((30, 30)), cells, mode="reflect").ravel()
    return values / values.std() + noise * rng.standard_normal(900)


def scan_axes(xy):
    return {"x": xy[:, 0], "y": xy[:, 1]}


def cell_of(found, value, quantity):
    table = found.table.set_index(["value", "quantity"])
    return table.loc[(value, quantity)]


@pytest.mark.parametrize("n", [100, 441, 1000])
def test_the_coefficient_is_that_of_scikit_learn(n):
    from sklearn.feature_selection import mutual_info_regression

    rng = np.random.default_rng(n)
    quantity = rng.standard_normal(n)
    columns = rng.standard_normal((n, 5))
    columns[:, 0] += quantity
    columns[:, 1] = np.round(2 * quantity)  # ties
    columns[:, 2] = quantity + 1e-9 * columns[:, 2]
    columns[:, 3] = 1.0
    columns[:, 4] = np.round(columns[:, 4])
    ranks = np.stack([dependence.ranked(column) for column in columns.T], axis=1)
    known = mutual_info_regression(
        ranks, dependence.ranked(quantity), discrete_features=False, n_neighbors=20, random_state=7
    )
    found = dependence.information_coefficient(ranks, dependence.ranked(quantity), 7)
    np.testing.assert_allclose(found**2, 1 - np.exp(-2 * known), atol=1e-13)


def test_ranks_of_equal_values_are_their_mean():
    ranks = dependence.ranked(np.array([9.0, -1.0, 9.0, 2.0]))
    np.testing.assert_array_equal(4 * ranks + 0.5, [3.5, 1.0, 3.5, 2.0])


def test_the_coefficient_of_gaussians_is_their_correlation():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1000))
    columns = np.stack([r * a + np.sqrt(1 - r**2) * b for r in (0.0, 0.5, 0.9)], axis=1)
    found = dependence.information_coefficient(columns, a)
    # The estimate of 1000 pairs scatters by 0.03 nat, which is much of a small coefficient.
    assert np.all(np.abs(found - [0, 0.5, 0.9]) < [0.2, 0.08, 0.05])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_trend_is_named_and_noise_is_not(xy, seed):
    rng = np.random.default_rng(seed)
    latent = 0.7 * (xy[:, 1] - 290) / 173 + 0.5 * smooth_map(rng, 1.5)
    found = diagnose(
        xy,
        {"latent_0": rng.standard_normal(900), "latent_1": latent},
        scan_axes(xy),
        n_shuffles=20,
        random_state=seed,
    )
    follows = found.table[found.table["follows"]]
    assert list(zip(follows["value"], follows["quantity"], strict=True)) == [("latent_1", "y")]
    (line,) = found.summary
    assert line.startswith("latent_1 follows the scan direction y (0.")
    assert "by chance): likely an instrument or thickness effect, not chemistry" in line


@pytest.mark.parametrize("axis", [0, 1])
def test_an_angle_that_is_a_copy_of_a_scan_axis_is_flagged(xy, axis):
    copy = np.angle(np.exp(2j * np.pi * xy[:, axis] / np.ptp(xy[:, axis]) + 1j))
    found = diagnose(xy, {"angle": copy}, scan_axes(xy), n_shuffles=20, random_state=0)
    assert list(found.table["follows"]) == [axis == 0, axis == 1]
    assert cell_of(found, "angle", "xy"[axis])["coefficient"] > 0.95


@pytest.mark.slow
def test_an_angle_has_no_seam(xy):
    """The same angles count the same, wherever the zero is."""
    angle = np.random.default_rng(0).normal(0, 0.3, 900) + 0.002 * xy[:, 0]
    for zero in (1.0, np.pi):
        turned = diagnose(
            xy, {"angle": np.angle(np.exp(1j * (angle + zero)))}, scan_axes(xy), random_state=0
        )
        plain = diagnose(xy, {"angle": angle}, scan_axes(xy), random_state=0)
        np.testing.assert_allclose(
            turned.table["coefficient"], plain.table["coefficient"], atol=1e-6
        )


@pytest.mark.slow
def test_smooth_maps_are_not_taken_for_a_trend(xy):
    """Neighbours that are alike imitate a trend; sites shuffled one by one would not tell."""
    flagged, by_sites = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = diagnose(
            xy,
            {"latent_0": smooth_map(rng, 2.0)},
            scan_axes(xy) | {"intensity": smooth_map(rng, 3.0)},
            n_shuffles=15,
            max_sites=500,
            random_state=seed,
        )
        flagged += found.table["follows"].sum()
        by_sites += (found.table["coefficient"] > 0.3).sum()
    assert by_sites > 30  # of 60: the coefficients alone would mislead
    assert flagged <= 1  # under 2 % of the comparisons


def test_the_correlation_length_is_that_of_the_map(xy):
    rng = np.random.default_rng(0)
    # Smoothing by s leaves an autocorrelation exp(-(d / 2s)^2), 1/e at 2s.
    for cells in (1.5, 2.5):
        maps = [smooth_map(rng, cells, 0.0) for _ in range(8)]
        lengths = [dependence.correlation_length(xy, one - one.mean()) for one in maps]
        assert np.mean(lengths) == pytest.approx(2 * cells * CELL, rel=0.25)
    assert dependence.correlation_length(xy, rng.standard_normal(900)) == 0


def test_a_trend_is_removed_from_ranks_and_from_angles():
    xy = np.random.default_rng(0).uniform(0, 1, (500, 2))
    x = xy[:, 0]
    np.testing.assert_allclose(dependence.without_plane(xy, 3 * x + 1), 0, atol=1e-12)
    # The best of 1000 zeros leaves 0.1 % of a turn on the wrong side at most.
    wrapped = dependence.without_plane(xy, np.mod(x + 0.3033, 1), is_angle=True)
    assert np.sum(np.abs(wrapped) > 0.1) <= 2
    assert np.std(dependence.without_plane(xy, np.mod(x + 0.3033, 1))) > 0.2


def test_values_that_share_information_are_told_once(xy):
    latent = np.random.default_rng(0).standard_normal(900)
    values = {"latent_0": latent, "latent_1": latent**2}
    found = diagnose(xy, values, scan_axes(xy), n_shuffles=20, random_state=0)
    (line,) = found.summary
    assert line.startswith("latent_0 and latent_1 follow each other")
    matrix = found.coefficients
    assert list(matrix.columns) == ["x", "y", "latent_0", "latent_1"]
    assert matrix.loc["latent_0", "latent_1"] == matrix.loc["latent_1", "latent_0"] > 0.8
    assert np.isnan(matrix.loc["latent_0", "latent_0"])
    assert "1.00*" in repr(found) and line in repr(found)


def test_the_seed_decides(xy):
    rng = np.random.default_rng(0)
    values = {"angle": rng.uniform(-3, 3, 900), "latent_0": smooth_map(rng, 1.5)}

    def run(seed):
        return diagnose(
            xy, values, scan_axes(xy), n_shuffles=10, max_sites=300, random_state=seed
        ).table

    pd.testing.assert_frame_equal(run(3), run(3))
    assert not run(3).equals(run(4))
    assert set(run(3)["n_sites"]) == {300}


def test_values_without_sites_are_left_out_and_said(xy):
    angle = np.full(900, np.nan)
    angle[:99] = 0.1
    values = {"angle": angle, "latent_0": xy[:, 0]}
    found = diagnose(xy, values, scan_axes(xy), n_shuffles=10, random_state=0)
    assert set(found.table["value"]) == {"latent_0"}
    assert found.summary[-1] == "angle is left out: it is defined at 99 sites, and 100 are needed."
    with pytest.raises(ValueError, match="99 of 900 sites have finite values; at least 100"):
        diagnose(xy, {"angle": angle}, scan_axes(xy))


def test_a_constant_quantity_has_no_coefficient(xy):
    found = diagnose(xy, {"latent_0": xy[:, 0]}, {"background": np.ones(900)}, n_shuffles=10)
    assert np.isnan(found.table["coefficient"][0]) and not found.table["follows"][0]
    assert found.summary[0] == "No dependence is significant."


def test_options_out_of_range_are_named(xy):
    with pytest.raises(ValueError, match="n_shuffles=3: at least 10"):
        diagnose(xy, {"latent_0": xy[:, 0]}, scan_axes(xy), n_shuffles=3)
    with pytest.raises(ValueError, match="max_sites=50: give at least 100"):
        diagnose(xy, {"latent_0": xy[:, 0]}, scan_axes(xy), max_sites=50)


def test_intensity_is_that_of_the_disk_around_the_column():
    y, x = np.indices((17, 21))
    offsets = np.array([[0.0, 0.0], [0.4, -0.3]])
    blocks = np.stack(
        [5 + 3 * ((x - 10 - dx) ** 2 + (y - 8 - dy) ** 2 <= 4) for dx, dy in offsets]
    ).astype(np.float32)
    blocks[:, :3] = 1.0  # more than a tenth of the pixels
    found = quantities.column_intensity(blocks, offsets, 2.0)
    np.testing.assert_allclose(found, [[8, 1], [8, 1]])


def test_an_ellipse_is_the_same_with_its_axes_swapped_and_a_mean_of_neighbours(xy):
    long, short = np.full(900, 3.0), np.full(900, 2.0)
    turned = np.arange(900) % 2 == 0
    strength, twice = quantities.ellipse(
        xy,
        np.where(turned, long, short),
        np.where(turned, short, long),
        np.where(turned, 0.3, 0.3 + np.pi / 2),
    )
    np.testing.assert_allclose(strength, 0.5)
    np.testing.assert_allclose(np.exp(1j * twice), np.exp(0.6j))
    # Columns that are elongated by noise point anywhere: a third is left of their ellipticity.
    rng = np.random.default_rng(0)
    long[0] = np.nan
    strength, _ = quantities.ellipse(xy, long, short, rng.uniform(0, np.pi, 900))
    assert np.isfinite(strength).all()
    assert 0.1 < strength.mean() < 0.2


def test_the_edge_is_that_of_the_image_or_of_the_sites():
    xy = np.array([[0.0, 5.0], [4.0, 6.0], [9.5, 19.0]])
    np.testing.assert_allclose(quantities.edge_distance(xy, (20, 10)), [0.5, 4.5, 0.0])
    np.testing.assert_allclose(quantities.edge_distance(xy), [0, 1, 0])


def test_nothing_is_printed(xy, capsys, caplog):
    with caplog.at_level(logging.DEBUG, "hs_rvae"):
        diagnose(xy, {"latent_0": xy[:, 0]}, scan_axes(xy), n_shuffles=10, random_state=0)
    assert capsys.readouterr() == ("", "")


def summary_of(values, compared, xy, **options):
    return diagnose(xy, values, compared, random_state=0, n_shuffles=10, **options).summary


def test_layers_of_a_superlattice_are_not_taken_for_the_instrument():
    y, x = np.divmod(np.arange(1600.0), 40)
    xy, rng = 20 * np.column_stack([x, y]), np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=1600)
    for layers in (y // 5 % 2, (y > 12) * 1.0):
        (line,) = [s for s in summary_of({"latent_0": layers + noise}, {"y": xy[:, 1]}, xy)
                   if s.startswith("latent_0 follows")]  # fmt: skip
        assert "in steps" in line and "instrument" not in line
    assert not quantities.changes_in_steps(xy, np.sin(y / 40 * 2 * np.pi) + noise, 1)
    for smooth in (y / 40, (y / 40) ** 2):
        (line,) = [s for s in summary_of({"latent_0": smooth + noise}, {"y": xy[:, 1]}, xy)
                   if s.startswith("latent_0 follows")]  # fmt: skip
        assert "likely an instrument or thickness effect" in line


@pytest.mark.parametrize("along", [True, False])
def test_columns_elongated_along_their_displacement_are_no_alarm(along):
    """The angle follows the shape in both cases; in one the displacement agrees with the angle."""
    y, x = np.divmod(np.arange(1600.0), 40)
    xy, rng = 20 * np.column_stack([x, y]), np.random.default_rng(0)
    domain = rng.integers(0, 4, (14, 14))[(y // 3).astype(int), (x // 3).astype(int)]
    angle = np.angle(np.exp(1j * (np.pi / 4 + domain * np.pi / 2 + 0.1 * rng.normal(size=1600))))
    doubled = np.angle(np.exp(2j * angle))  # of an axis, as the elongation is given
    direction = angle if along else rng.uniform(-np.pi, np.pi, 1600)
    found = diagnose(
        xy, {"angle": angle}, {"elongation": doubled}, angles=("angle", "elongation"),
        direction=direction, random_state=0,
    )  # fmt: skip
    assert found.table["follows"].all()
    assert any("likely the direction of tilt" in line for line in found.summary) is not along
