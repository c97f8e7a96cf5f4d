# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refined positions: exact without noise, as precise as noise allows, and honest about failures."""

from concurrent.futures import ThreadPoolExecutor

import dask
import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae.neighbours import displacement
from hs_rvae.refinement import (
    STATUS,
    fill_sublattice,
    refine_columns,
    refine_sublattice,
    refine_two_sublattices,
)

COLUMNS = [
    "x", "y", "sigma_x", "sigma_y", "rotation", "amplitude", "volume", "disk_mean", "background",
    "residual", "x_std", "y_std", "amplitude_std", "status",
]  # fmt: skip


def draw(shape, xy, height, sigma=2.9, share=0.0, tail=7.0):
    """Sum of round Gaussians, a share of their height in wider ones."""
    image = np.zeros(shape)
    for (x, y), h in zip(xy, np.broadcast_to(height, len(xy)), strict=True):
        reach = int(5 * max(sigma, tail if share else 0))
        rows = slice(max(round(y) - reach, 0), max(round(y) + reach, 0))
        columns = slice(max(round(x) - reach, 0), max(round(x) + reach, 0))
        v, u = (np.arange(n)[part] for n, part in zip(shape, (rows, columns), strict=True))
        square = (v[:, None] - y) ** 2 + (u - x) ** 2
        image[rows, columns] += h * (1 - share) * np.exp(-square / (2 * sigma**2))
        if share:
            image[rows, columns] += h * share * np.exp(-square / (2 * tail**2))
    return image


def grid(shape, spacing, rng=None, first=20.0):
    """Positions on a square grid, off the pixels by random fractions."""
    x, y = np.meshgrid(*(np.arange(first, n - first, spacing) for n in shape[::-1]))
    xy = np.stack([x.ravel(), y.ravel()], axis=1)
    return xy if rng is None else xy + rng.uniform(-0.5, 0.5, xy.shape)


def perovskite(shape, seed, b_height=140.0, dose=1.0, share=0.12, background=80.0):
    """A counted image with known positions: two sublattices, four domains, columns with tails."""
    rng = np.random.default_rng(seed)
    cell, turn = 26.1, np.deg2rad(2.0)
    matrix = cell * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    n = int(0.8 * np.hypot(*shape) / cell) + 3
    index = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 2), axis=-1).reshape(-1, 2)
    centre = np.array(shape[::-1]) / 2 + rng.uniform(-cell / 2, cell / 2, 2)
    a, b = index @ matrix + centre, (index + 0.5) @ matrix + centre
    quarter = (b[:, 0] > centre[0]) + 2 * (b[:, 1] > centre[1])
    angle = turn + np.pi / 4 + np.pi / 2 * quarter
    length = rng.uniform(1.5, 3.0, len(b))[:, None]
    b = b + length * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    a, b = (xy + rng.normal(0, 0.05, xy.shape) for xy in (a, b))
    near = [((xy > -30) & (xy < np.array(shape[::-1]) + 30)).all(axis=1) for xy in (a, b)]
    a, b = a[near[0]], b[near[1]]
    image = draw(shape, a, 400.0, share=share) + draw(shape, b, b_height, share=share) + background
    inside = [((xy >= 0) & (xy <= np.array(shape[::-1]) - 1)).all(axis=1) for xy in (a, b)]
    return rng.poisson(dose * image) / dose, a[inside[0]], b[inside[1]]


def starts(xy, seed=0):
    """Whole pixels, off by up to 1 px or so, as maxima of a noisy image are."""
    return np.round(xy + np.random.default_rng(seed).normal(0, 0.5, xy.shape))


def xy_of(table):
    return table[["x", "y"]].to_numpy()


def interior(xy, shape, distance=30):
    return ((xy > distance) & (xy < np.array(shape[::-1]) - 1 - distance)).all(axis=1)


def rms(table, truth, shape):
    """Pooled root mean square error per axis of the good columns away from the border."""
    used = interior(truth, shape) & (table.status == 0)
    assert used.sum() > 0.95 * interior(truth, shape).sum()
    return np.sqrt(np.mean((xy_of(table) - truth)[used] ** 2))


def stretch(a, b, true_a, true_b):
    """Mean length of the displacements in units of the true one."""
    found, true = displacement(b, a), displacement(true_b, true_a)
    used = np.isfinite(found + true).all(axis=1)
    return np.linalg.norm(found[used], axis=1).mean() / np.linalg.norm(true[used], axis=1).mean()


@pytest.fixture(scope="module")
def crystal():
    rng = np.random.default_rng(1)
    shape = (200, 240)
    xy = grid(shape, 22.0, rng)
    return (draw(shape, xy, 300.0) + rng.normal(100, 5, shape)).astype(np.float32), xy


@pytest.fixture(scope="module")
def ferroelectric():
    shape = (560, 560)
    image, a, b = perovskite(shape, 3)
    return image, a, b, refine_two_sublattices(image, starts(a), starts(b))


# One column ------------------------------------------------------------------


def test_a_tilted_column_on_a_slope_is_fitted_exactly():
    """Drawn by Atomap, so the meaning of rotation and volume is Atomap's."""
    from atomap.external.gaussian2d import Gaussian2D

    y, x = np.mgrid[:41.0, :51.0]
    truth = dict(sigma_x=4.0, sigma_y=2.5, rotation=0.4)
    drawn = Gaussian2D(A=5000.0, centre_x=24.3, centre_y=19.8, **truth)
    image = np.vectorize(drawn.function)(x, y) + 30 + 0.5 * x - 0.2 * y
    table = refine_columns(image, [[25, 19]], radius=11)
    assert list(table.columns) == COLUMNS
    row = table.iloc[0]
    assert row.status == STATUS["ok"]
    expected = truth | dict(
        x=24.3, y=19.8, volume=5000.0, amplitude=5000 / (2 * np.pi * 4.0 * 2.5),
        background=30 + 0.5 * 24.3 - 0.2 * 19.8,
    )  # fmt: skip
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-6), name
    assert row.residual < 1e-6


@pytest.mark.parametrize("turn", np.deg2rad([0, 30, 44, 46, 90, 120, 136, 179]))
def test_sigma_x_is_the_width_along_the_axis_nearest_to_x(turn):
    y, x = np.mgrid[:41.0, :41.0] - 20.0
    # Counter-clockwise on the screen, where y points down.
    along, across = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    image = 100 * np.exp(-0.5 * ((along / 3.6) ** 2 + (across / 2.4) ** 2))
    row = refine_columns(image, [[20, 20]], radius=10).iloc[0]
    long_is_x = np.abs(np.cos(turn)) > np.sqrt(0.5)
    assert (row.sigma_x, row.sigma_y) == pytest.approx((3.6, 2.4) if long_is_x else (2.4, 3.6))
    expected = turn if long_is_x else turn + np.pi / 2
    assert 0 <= row.rotation < np.pi
    assert np.sin(row.rotation - expected) == pytest.approx(0, abs=1e-6)


def test_a_constant_background_is_fitted_exactly():
    image = draw((40, 40), [[18.7, 21.2]], 50.0) + 7
    row = refine_columns(image, [[20, 20]], radius=9, background="constant").iloc[0]
    assert (row.x, row.y, row.background) == pytest.approx((18.7, 21.2, 7.0))


# Many columns ----------------------------------------------------------------


def test_standard_errors_are_those_of_repeated_counts():
    """2,025 columns: the scatter itself is known to 2 %, and the errors' mean better."""
    rng = np.random.default_rng(2)
    shape = (1000, 1000)
    xy = grid(shape, 21.5, rng)
    image = rng.poisson(draw(shape, xy, 200.0) + 60)
    table = refine_columns(image, xy, radius=8)
    assert (table.status == 0).all()
    for name, k in (("x", 0), ("y", 1)):
        pull = (table[name] - xy[:, k]) / table[f"{name}_std"]
        assert 0.93 < pull.std() < 1.07
        assert abs(pull.mean()) < 4 / np.sqrt(len(xy))
    assert 0.93 < ((table.amplitude - 200) / table.amplitude_std).std() < 1.07


def test_the_kind_of_image_does_not_matter(crystal):
    image, xy = crystal
    image = np.round(image)
    expected = refine_columns(image, xy, radius=8)
    assert (expected.status == 0).all()
    read_only = image.astype(np.float64)
    read_only.flags.writeable = False
    kinds = [image.astype(kind) for kind in ("u2", "i4", ">f4", "f8", "f2")]
    signal = hs.signals.Signal2D(image)
    for each in [*kinds, read_only, np.asfortranarray(image), signal, signal.as_lazy()]:
        table = refine_columns(each, xy, radius=8)
        np.testing.assert_array_equal(table, expected)


def test_offset_and_scale_of_the_intensities_do_not_matter(crystal):
    image, xy = crystal
    expected = refine_columns(image, xy, radius=8)
    for scale, offset in ((1e-12, 0.0), (1e9, 0.0), (1.0, -300.0)):
        table = refine_columns(image * np.float64(scale) + offset, xy, radius=8)
        # Both stop within a thousandth of a pixel of the minimum.
        np.testing.assert_allclose(xy_of(table), xy_of(expected), atol=1e-3)
        np.testing.assert_allclose(table.amplitude, scale * expected.amplitude, rtol=1e-2)


def test_starts_off_by_a_third_of_the_radius_lead_to_the_same_place(crystal):
    image, xy = crystal
    expected = refine_columns(image, xy, radius=9)
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, len(xy))
    moved = xy + 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    table = refine_columns(image, moved, radius=9)
    assert (table.status == 0).all()
    # The disk ends within 0.3 px of where it would be: another draw of a few pixels at its rim.
    assert np.abs(xy_of(table) - xy_of(expected)).max() < 0.02


def test_rows_follow_the_positions_in_any_order_and_form(crystal):
    image, xy = crystal
    expected = refine_columns(image, xy)
    order = np.random.default_rng(0).permutation(len(xy))
    np.testing.assert_array_equal(refine_columns(image, xy[order]), expected.iloc[order])
    np.testing.assert_array_equal(refine_columns(image, xy[:, ::-1], order="rc"), expected)
    frame = expected.assign(x=xy[:, 0], y=xy[:, 1])
    np.testing.assert_array_equal(refine_columns(image, frame), expected)


def test_no_positions_give_an_empty_table(crystal):
    table = refine_columns(crystal[0], np.empty((0, 2)))
    assert list(table.columns) == COLUMNS
    assert len(table) == 0
    assert [len(t) for t in refine_two_sublattices(crystal[0], [], [])] == [0, 0]


# Threads ---------------------------------------------------------------------


def test_threads_change_nothing(crystal):
    image, xy = crystal
    many = np.concatenate([xy] * 5)  # several blocks
    expected = refine_columns(image, many, radius=8, num_workers=1)
    np.testing.assert_array_equal(refine_columns(image, many, radius=8, num_workers=3), expected)


def test_several_threads_may_refine_at_once(crystal):
    image, xy = crystal
    expected = refine_columns(image, xy, radius=8)
    tasks = [dask.delayed(refine_columns)(image, xy, radius=8) for _ in range(6)]
    for table in dask.compute(*tasks, scheduler="threads", num_workers=3):
        np.testing.assert_array_equal(table, expected)
    with ThreadPoolExecutor(3) as pool:
        for table in pool.map(lambda _: refine_columns(image, xy, radius=8), range(6)):
            np.testing.assert_array_equal(table, expected)


# Mean intensity --------------------------------------------------------------


def mean_in_disk(image, xy, radius):
    """Pixel by pixel, with a rim one pixel wide; NaN where a pixel is not known."""
    known = np.full(np.add(image.shape, 100), np.nan)
    known[50:-50, 50:-50] = image
    y, x = np.indices(known.shape) - 50
    means = []
    for centre in xy:
        weight = np.clip(radius + 0.5 - np.hypot(x - centre[0], y - centre[1]), 0, 1)
        means.append(np.average(known[weight > 0], weights=weight[weight > 0]))
    return np.array(means)


def test_the_mean_of_the_disk_is_that_of_the_image(crystal):
    image, xy = crystal
    for options, radius in (({}, 2 / 3 * 8), (dict(disk_radius=3.3), 3.3)):
        table = refine_columns(image, xy, radius=8, **options)
        assert table.attrs["disk_radius"] == radius
        np.testing.assert_allclose(table.disk_mean, mean_in_disk(image, xy_of(table), radius))
    # Offset and scale are those of the image: nothing is subtracted.
    other = refine_columns(5 * image.astype(float) - 900, xy, radius=8, disk_radius=3.3)
    np.testing.assert_allclose(other.disk_mean, 5 * table.disk_mean - 900, rtol=1e-3)


def test_disks_with_unknown_pixels_have_no_mean(crystal):
    image, xy = crystal
    middle = np.argmin(np.hypot(*(xy - (120, 100)).T))
    for bad in (np.nan, np.inf):
        gappy = image.copy()
        gappy[round(xy[middle, 1]) + 3, round(xy[middle, 0])] = bad
        table = refine_columns(gappy, xy, radius=8)
        assert (table.status == 0).all()
        assert np.flatnonzero(table.disk_mean.isna()).tolist() == [middle]
    saturated = refine_columns(image, xy, radius=8, saturation=350)
    assert saturated.disk_mean.isna().all()
    # Half a disk would be brighter or darker than a whole one.
    cut = draw((40, 40), [[4.0, 20.0], [20.0, 20.0]], 300.0)
    table = refine_columns(cut, [[4, 20], [20, 20]], radius=8)
    assert (table.status == 0).all()
    assert table.disk_mean.isna().tolist() == [True, False]


def test_every_refinement_measures_the_same_disks(ferroelectric, crystal):
    image, _, _, tables = ferroelectric
    radius = tables[0].attrs["disk_radius"]
    for table in tables:
        assert table.attrs["disk_radius"] == radius
        good = table.status == 0
        expected = mean_in_disk(image, xy_of(table)[good][:40], radius)
        np.testing.assert_allclose(table.disk_mean[good][:40], expected)
    everything = np.concatenate([xy_of(table) for table in tables])
    gaps = np.linalg.norm(everything[:, None] - everything, axis=2)
    assert 2 * radius < gaps[gaps > 0].min()


@pytest.mark.slow
def test_a_sublattice_refined_by_atomap_has_means_too(crystal, sublattice):
    table = refine_sublattice(sublattice, crystal[0], method="atomap", radius=8, disk_radius=4)
    np.testing.assert_allclose(table.disk_mean, mean_in_disk(crystal[0], xy_of(table), 4))


# Failures --------------------------------------------------------------------


def test_a_failed_column_keeps_its_start_and_harms_no_other(crystal):
    image, xy = crystal
    bad = {
        "edge": [[-0.2, 90.0], [1000.0, 20.0], [120.0, -30.0]],
        "non_finite": [[np.nan, 20.0], [np.inf, np.inf]],
    }
    table = refine_columns(image, np.concatenate([xy, *bad.values()]), radius=8)
    np.testing.assert_array_equal(table[: len(xy)], refine_columns(image, xy, radius=8))
    failed = table[len(xy) :]
    names = [name for name, positions in bad.items() for _ in positions]
    assert failed.status.tolist() == [STATUS[name] for name in names]
    np.testing.assert_array_equal(xy_of(failed), np.concatenate([*bad.values()]))
    assert failed.drop(columns=["x", "y", "status"]).isna().all(axis=None)


def test_columns_that_move_too_far_are_flagged(crystal):
    image, xy = crystal
    moved = xy + (2.5, 0)
    table = refine_columns(image, moved, radius=8, max_shift=1.5)
    assert (table.status == STATUS["left_region"]).all()
    np.testing.assert_array_equal(xy_of(table), moved)


def test_a_fit_that_takes_too_long_is_flagged(crystal):
    image, xy = crystal
    table = refine_columns(image, xy, radius=8, max_iterations=1)
    assert (table.status == STATUS["not_converged"]).all()


def test_nothing_there_is_no_column():
    y, x = np.mgrid[:60, :60]
    dip = 100 - draw((60, 60), [[30.2, 29.8]], 50.0)
    wide = draw((60, 60), [[30.2, 29.8]], 50.0, sigma=25.0)
    line = 100.0 * np.exp(-0.5 * ((y - 30) / 2.5) ** 2)
    pixel = np.where((x == 30) & (y == 30), 100.0, 5.0)
    for image in (np.zeros((60, 60)), np.full((60, 60), 7.0), x + 0.3 * y, dip, wide, line, pixel):
        table = refine_columns(image, [[30, 30]], radius=8)
        assert table.status[0] in (
            STATUS["no_peak"], STATUS["degenerate"], STATUS["left_region"], STATUS["not_converged"],
        )  # fmt: skip
        assert xy_of(table).tolist() == [[30, 30]]


def test_a_column_on_the_border_is_flagged_and_one_beside_it_is_good():
    xy = np.array([[0.4, 30.0], [30.0, 58.9], [4.0, 60.0], [55.5, 4.0]])
    image = draw((60, 60), xy, 100.0) + 10
    on_border = refine_columns(image, xy[:2], radius=8)
    assert (on_border.status == STATUS["edge"]).all()
    beside = refine_columns(draw((80, 80), xy[2:], 100.0) + 10, xy[2:] + 0.7, radius=8)
    assert (beside.status == 0).all()
    np.testing.assert_allclose(xy_of(beside), xy[2:], atol=1e-4)


def test_pixels_that_are_not_finite_are_left_out(crystal):
    image, xy = crystal
    expected = refine_columns(image, xy, radius=8)
    holed = image.copy()
    x, y = np.round(xy[17]).astype(int)
    holed[y + 2, x - 3 : x + 1] = np.nan
    holed[y - 4, x] = np.inf
    x, y = np.round(xy[40]).astype(int)
    holed[y - 7 : y + 8, x - 7 : x + 8] = np.nan
    table = refine_columns(holed, xy, radius=8)
    assert table.status[40] == STATUS["non_finite"]
    others = ~np.isin(np.arange(len(xy)), [17, 40])
    np.testing.assert_array_equal(table[others], expected[others])
    # 5 of 200 pixels are missing: about as good as before.
    assert table.status[17] == 0
    assert 0 < np.abs(xy_of(table)[17] - xy_of(expected)[17]).max() < 2 * expected.x_std[17]


def test_saturated_pixels_can_be_left_out(crystal):
    image, xy = crystal
    clipped = np.minimum(image, 300)  # of a peak of 400
    plain, cut = (refine_columns(clipped, xy, radius=8, saturation=s) for s in (None, 300))
    assert (cut.status == 0).all()
    assert np.abs(cut.amplitude.median() - 300) < 3
    assert plain.amplitude.median() < 270
    assert np.sqrt(np.mean((xy_of(cut) - xy) ** 2)) < 0.05


@pytest.mark.parametrize(
    "changes, error, text",
    [
        (dict(image=np.ones((3, 8, 8))), ValueError, r"shape \(3, 8, 8\).*inav"),
        (dict(image=np.ones((0, 8))), ValueError, "no pixels"),
        (dict(image=np.ones((8, 8), complex)), TypeError, "complex128.*modulus"),
        (dict(radius=1.5), ValueError, "radius=1.5: give 2 to 500 pixels"),
        (dict(radius=np.nan), ValueError, "radius=nan"),
        (dict(background="cubic"), ValueError, "background='cubic'.*'plane' or 'constant'"),
        (dict(order="yx"), ValueError, "order='yx'"),
        (dict(max_shift=0), ValueError, "max_shift=0"),
        (dict(disk_radius=0.2), ValueError, "disk_radius=0.2: give 0.5 to 500 pixels"),
        (dict(max_iterations=0), ValueError, "max_iterations=0"),
        (dict(num_workers=0), ValueError, "num_workers=0"),
        (dict(positions=[[5, 5]], radius=None), ValueError, "give radius in pixels"),
        (dict(positions=[[5, 5], [6, 5]], radius=None), ValueError, r"only 1 px apart.*radius=2"),
        (dict(positions=[1, 2, 3]), ValueError, "shape"),
        (dict(image=np.ones((20, 90)), positions=[[5, 80], [9, 70]]), ValueError, "swapped"),
    ],
)
def test_errors_name_argument_value_and_remedy(changes, error, text):
    arguments = dict(image=np.ones((40, 40)), positions=[[9, 9], [30, 30]], radius=8) | changes
    with pytest.raises(error, match=text):
        refine_columns(**arguments)


# Two sublattices -------------------------------------------------------------


def test_two_sublattices_are_as_precise_as_counting_allows(ferroelectric):
    """The bounds for positions in such images are 0.034 px (A) and 0.077 px (B) [1]_.

    .. [1] Cramér-Rao, Gaussian columns on a constant, all counts used with their proper weights.
    """
    image, a, b, (a_table, b_table) = ferroelectric
    assert rms(a_table, a, image.shape) < 0.040
    assert rms(b_table, b, image.shape) < 0.085
    for table, truth in ((a_table, a), (b_table, b)):
        inner = interior(truth, image.shape)
        pull = ((xy_of(table) - truth) / table[["x_std", "y_std"]].to_numpy())[inner]
        assert 0.9 < np.nanstd(pull) < 1.1


def test_the_length_of_the_displacement_is_not_biased_by_tails(ferroelectric):
    image, a, b, tables = ferroelectric
    assert abs(stretch(*map(xy_of, tables), a, b) - 1) < 0.015
    without = refine_two_sublattices(
        image, starts(a), starts(b), tail=(0, 2), background="constant"
    )
    assert stretch(*map(xy_of, without), a, b) > 1.05


def test_the_tail_is_found(ferroelectric):
    """It is known to some 0.015 and 0.15 from this few columns."""
    share, width = ferroelectric[3][0].attrs["tail"]
    assert 0.08 < share < 0.16
    assert 2.0 < width < 2.9
    a_table = ferroelectric[3][0]
    assert a_table.sigma_x.median() == pytest.approx(2.9, abs=0.05)
    whole = 2 * np.pi * 400 * (0.88 * 2.9**2 + 0.12 * 7.0**2)
    assert a_table.volume.median() == pytest.approx(whole, rel=0.1)


def test_no_tail_is_found_where_there_is_none():
    image, a, b = perovskite((400, 400), 4, share=0.0)
    tables = refine_two_sublattices(image, starts(a), starts(b))
    share, width = tables[0].attrs["tail"]
    assert share < 0.03 and width == pytest.approx(2.4, abs=0.3)  # its width is what is usual
    assert abs(stretch(*map(xy_of, tables), a, b) - 1) < 0.015


def test_a_plane_costs_little_where_the_background_is_flat(ferroelectric):
    image, a, b, plane = ferroelectric
    constant = refine_two_sublattices(image, starts(a), starts(b), background="constant")
    for k, truth in enumerate((a, b)):
        assert rms(plane[k], truth, image.shape) < 1.04 * rms(constant[k], truth, image.shape)


def test_a_plane_follows_a_background_that_is_not_flat():
    x = np.arange(420)
    image, a, b = perovskite((420, 420), 5, background=80 + 60 * (1 + np.sin(x / 24)))
    found = {
        background: refine_two_sublattices(image, starts(a), starts(b), background=background)
        for background in ("plane", "constant")
    }
    for k, truth in enumerate((a, b)):
        plane, constant = (rms(found[name][k], truth, image.shape) for name in found)
        assert constant > 1.8 * plane
    assert abs(stretch(*map(xy_of, found["plane"]), a, b) - 1) < 0.02


def test_one_sublattice_alone_and_unknown_pixels_are_fine(ferroelectric):
    image, a, b, expected = ferroelectric
    holed = image.copy()
    holed[100:180, 100:200] = np.nan
    a_table, b_table = refine_two_sublattices(holed, starts(a), starts(b))
    inside = ((a > (105, 105)) & (a < (195, 175))).all(axis=1)
    assert (a_table.status[inside] == STATUS["non_finite"]).all()
    far = ((a < (70, 70)) | (a > (230, 210))).any(axis=1) & (a_table.status == 0)
    assert np.abs(xy_of(a_table) - xy_of(expected[0]))[far].max() < 0.05
    alone, nothing = refine_two_sublattices(image, starts(a), [])
    assert len(nothing) == 0
    assert rms(alone, a, image.shape) < 0.06


def test_the_image_and_the_positions_are_not_changed(ferroelectric):
    image, a, b, _ = ferroelectric
    before = image.copy(), a.copy(), b.copy()
    refine_two_sublattices(image, a, b, n_passes=1)
    for now, then in zip((image, a, b), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_lazy_equals_eager(ferroelectric):
    image, a, b, expected = ferroelectric
    lazy = hs.signals.Signal2D(image).as_lazy()
    for table, each in zip(
        refine_two_sublattices(lazy, starts(a), starts(b)), expected, strict=True
    ):
        np.testing.assert_array_equal(table, each)


@pytest.mark.parametrize(
    "options, text",
    [
        (dict(tail=0.1), r"tail=0.1: give \(share, width\)"),
        (dict(tail=(1.2, 2)), "0 <= share < 1"),
        (dict(n_passes=0), "n_passes=0"),
        (dict(radius=1), "radius=1"),
        (dict(b_positions=[[5, 80], [9, 70]]), "b_positions fit the image .* swapped"),
        (dict(a_positions=[[9, 9]], b_positions=[]), "give radius in pixels"),
    ],
)
def test_errors_of_two_sublattices_name_argument_value_and_remedy(options, text):
    positions = dict(a_positions=[[10, 10], [30, 10]], b_positions=[[20, 15], [40, 15]])
    with pytest.raises(ValueError, match=text):
        refine_two_sublattices(np.ones((20, 90)), **(positions | options))


# Atomap's sublattices --------------------------------------------------------


@pytest.fixture
def sublattice(crystal):
    import atomap.api as am

    image, xy = crystal
    return am.Sublattice(starts(xy), image)


def test_atomap_goes_on_from_a_refined_sublattice(crystal, sublattice):
    image, xy = crystal
    old = sublattice.atom_positions
    table = refine_sublattice(sublattice, image)
    assert sublattice.column_table is table
    np.testing.assert_array_equal(sublattice.atom_positions, xy_of(table))
    assert np.sqrt(np.mean((sublattice.atom_positions - xy) ** 2)) < 0.05
    assert [atom.old_pixel_x_list for atom in sublattice.atom_list] == [[x] for x in old[:, 0]]
    # Atomap draws what we have fitted.
    model = sublattice.get_model_image(show_progressbar=False).data
    middle = np.s_[15:-15, 15:-15]
    assert np.corrcoef(model[middle].ravel(), image[middle].ravel())[0, 1] > 0.99
    assert model.max() == pytest.approx(300, rel=0.1)
    sublattice.construct_zone_axes()
    assert np.hypot(*sublattice.zones_axis_average_distances[0]) == pytest.approx(22, abs=0.1)
    assert sublattice.find_missing_atoms_from_zone_vector(
        sublattice.zones_axis_average_distances[0]
    )
    ellipticity = sublattice.get_property_map(
        sublattice.x_position, sublattice.y_position, sublattice.ellipticity
    )
    assert np.isfinite(ellipticity.data).any()
    sublattice.refine_atom_positions_using_2d_gaussian(image, show_progressbar=False)
    assert np.abs(sublattice.atom_positions - xy_of(table)).max() < 0.1


def test_both_methods_find_the_same_columns(crystal, sublattice):
    import atomap.api as am

    image, xy = crystal
    other = am.Sublattice(starts(xy), image)
    fast = refine_sublattice(sublattice, image)
    slow = refine_sublattice(other, image, method="atomap", show_progressbar=False)
    assert other.column_table is slow
    assert list(slow.columns) == COLUMNS
    assert (slow.status == 0).all()
    # Atomap subtracts a background of its own and cuts what is below it.
    assert np.sqrt(np.mean((xy_of(fast) - xy_of(slow)) ** 2)) < 0.02
    assert np.abs(fast.amplitude / slow.amplitude - 1).median() < 0.1
    assert np.abs(fast.volume / slow.volume - 1).median() < 0.1
    assert slow.x_std.isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fast", "atomap"])
def test_columns_that_must_not_move_stay(crystal, sublattice, method):
    image, _ = crystal
    atom = sublattice.atom_list[5]
    atom.refine_position = False
    before = atom.pixel_x, atom.pixel_y, atom.sigma_x, atom.amplitude_gaussian
    table = refine_sublattice(sublattice, image, method=method, show_progressbar=False)
    assert (atom.pixel_x, atom.pixel_y, atom.sigma_x, atom.amplitude_gaussian) == before
    assert table.status[5] == STATUS["fixed"]
    assert (table.drop(index=5).status == 0).all()
    assert tuple(xy_of(table)[5]) == before[:2]
    assert np.isnan(table.sigma_x[5])


def test_a_failed_column_gets_the_mark_of_atomap(crystal, sublattice):
    image, _ = crystal
    x, y = map(int, sublattice.atom_positions[8])
    holed = image.copy()
    holed[y - 8 : y + 9, x - 8 : x + 9] = np.nan
    table = refine_sublattice(sublattice, holed)
    atom = sublattice.atom_list[8]
    assert table.status[8] == STATUS["non_finite"]
    assert (atom.pixel_x, atom.pixel_y, atom.amplitude_gaussian) == (x, y, 0)
    with pytest.raises(ValueError, match="not finite.*method='fast'"):
        refine_sublattice(sublattice, holed, method="atomap")


def test_a_sublattice_is_needed_and_a_known_method(crystal, sublattice):
    image, xy = crystal
    with pytest.raises(TypeError, match="ndarray.*Use refine_columns"):
        refine_sublattice(xy, image)
    with pytest.raises(ValueError, match="method='com' is unknown"):
        refine_sublattice(sublattice, image, method="com")
    with pytest.raises(ValueError, match="3 rows, the sublattice"):
        fill_sublattice(sublattice, refine_columns(image, xy[:3], radius=8))


# Against Atomap --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_thousands_of_columns_are_precise(seed):
    """About 5,700 columns of each sublattice."""
    shape = (2000, 2000)
    image, a, b = perovskite(shape, seed)
    tables = refine_two_sublattices(image, starts(a), starts(b))
    assert rms(tables[0], a, shape) < 0.038
    assert rms(tables[1], b, shape) < 0.082
    assert abs(stretch(*map(xy_of, tables), a, b) - 1) < 0.01


@pytest.mark.slow
def test_two_sublattices_are_at_least_as_precise_as_by_atomap():
    """Atomap as usual: A, then B in the image without the fitted A."""
    import atomap.api as am
    from atomap.tools import remove_atoms_from_image_using_2d_gaussian

    shape = (720, 720)
    image, a, b = perovskite(shape, 0)
    tables = refine_two_sublattices(image, starts(a), starts(b))
    first = am.Sublattice(starts(a), image)
    refine_sublattice(first, image, method="atomap")
    rest = remove_atoms_from_image_using_2d_gaussian(image, first, show_progressbar=False)
    second = am.Sublattice(starts(b), rest)
    second.find_nearest_neighbors()
    second.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
    for ours, theirs, truth in ((tables[0], first, a), (tables[1], second, b)):
        # Not where a column beyond the border was never subtracted.
        inner = interior(truth, shape, 40)
        assert inner.sum() > 500
        errors = [(xy - truth)[inner] for xy in (xy_of(ours), theirs.atom_positions)]
        precision = [np.sqrt(np.mean(error**2)) for error in errors]
        assert precision[0] < 1.02 * precision[1]
    bias = [
        abs(stretch(*each, a, b) - 1)
        for each in (map(xy_of, tables), (first.atom_positions, second.atom_positions))
    ]
    assert bias[0] < min(0.01, bias[1])
