# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deformation modes: displacement, rotation and strain of each site from its pixels."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import modes
from hs_rvae.modes.noise import Noise, interpolation_loss
from hs_rvae.modes.profiles import POWERS, local_images, monomials, moved_images

MODES = ["mode_displacement_x", "mode_displacement_y", "mode_rotation"]
MODES += ["mode_strain_xx", "mode_strain_yy", "mode_strain_xy"]


def film(shape=(240, 240), **settings):
    """A quiet film with a displacement of 0.8 px, and its truth."""
    quiet = dict(shift=0.8, strain=0.005, dose=400.0, scan_jitter=0.0, random_state=0)
    return hs_rvae.simulation.simulate_perovskite(shape, **(quiet | settings))


def cut(image, truth, **options):
    """The sub-images of the B columns."""
    return hs_rvae.SubImageStack.from_positions(
        image,
        truth.b_sites[["x", "y"]],
        neighbours=truth.a_sites[["x", "y"]],
        show_progressbar=False,
        **{"window_size": 46} | options,
    )


@pytest.fixture(scope="module")
def example():
    image, truth = film()
    stack = cut(image, truth)
    stack.measure_modes(show_progressbar=False)
    return image, truth, stack


# Geometry --------------------------------------------------------------------


def test_a_turn_is_a_rotation_without_strain():
    turn = np.radians(7)
    gradient = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) - np.eye(2)
    rotation, strain = modes.rotation_and_strain(gradient)
    assert rotation == pytest.approx(turn)
    np.testing.assert_allclose(strain, 0, atol=1e-12)


def test_the_shell_gives_the_gradient_of_its_displacements():
    shell = np.array([[-10.0, -10], [10, -10], [10, 10], [-10, 10]]) + [0.3, 0.1]
    gradient = np.array([[0.01, -0.02], [0.03, 0.005]])
    found = (modes.shell_inverse(shell) @ (shell @ gradient.T + [1.0, 2.0])).T
    np.testing.assert_allclose(found, gradient)
    assert np.isnan(modes.shell_inverse(shell * [1, 0])).all()


@pytest.mark.parametrize("dark", [False, True])
def test_columns_are_found_in_the_mean_window(dark):
    image, truth = film(shift=0.01, dark=dark)
    columns = modes.find_columns(cut(image, truth).data.mean(axis=0))
    assert columns.n_shell == 4
    np.testing.assert_allclose(np.abs(columns.shell), 13, atol=0.3)
    assert (columns.heights[:5] < 0).all() == dark
    assert len(columns.offsets) > 5  # flanks of the columns outside


def test_a_window_without_surroundings_is_refused():
    image, truth = film()
    with pytest.raises(modes.SmallWindow, match="larger windows"):
        modes.deformation_modes(cut(image, truth, window_size=16).data)


def test_a_moved_column_is_the_sum_of_its_powers():
    image, truth = film()
    mean = cut(image, truth).data.mean(axis=0)
    columns = modes.find_columns(mean)
    local = local_images(mean, columns)
    powers = moved_images(local[0], columns.widths[0], len(mean))
    assert len(powers) == len(POWERS)
    moved = np.tensordot(monomials(np.array([1.0, 0.0])), powers, axes=1)
    np.testing.assert_allclose(moved[:, 1:], powers[0][:, :-1], atol=0.01 * local[0].max())
    border = (local.shape[-1] - len(mean)) // 2
    shared = local.sum(axis=0)[border:-border, border:-border] + columns.background
    assert np.std(shared - mean) < 0.02 * np.std(mean)


# Noise -----------------------------------------------------------------------


def test_rows_with_an_offset_are_weighted_by_their_covariance():
    rng = np.random.default_rng(0)
    noise = Noise(rng.uniform(1, 2, (5, 5)), rng.normal(size=(5, 5)), 0.3)
    images = rng.normal(size=(3, 5, 5))
    for row in range(5):
        slope = noise.slope[row]
        covariance = np.diag(noise.variance[row]) + 0.3 * np.outer(slope, slope)
        expected = np.linalg.solve(covariance, images[:, row].T).T
        np.testing.assert_allclose(noise.weighted(images)[:, row], expected)


def test_windows_between_pixels_keep_less_of_the_noise():
    kept = interpolation_loss(np.array([[10.5, 20.5], [11.0, 21.0]]), 12)
    np.testing.assert_allclose(kept[0], 1, atol=1e-6)
    noise = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    from hs_rvae.windows import cut_windows

    between = cut_windows(noise, np.array([[100.0, 100.0]]), 150)
    assert between.var() == pytest.approx(kept[1].prod(), rel=0.05)


# What is measured ------------------------------------------------------------


def test_modes_agree_with_the_truth_within_their_errors(example):
    image, truth, stack = example
    rows = stack.sites["site_index"]
    true = truth.b_sites.iloc[rows]
    values, errors = stack.sites[MODES], stack.sites[[f"{name}_std" for name in MODES]]
    expected = np.column_stack([
        np.degrees(true["rotation"]),
        100 * true[["strain_xx", "strain_yy", "strain_xy"]].to_numpy(),
    ])  # fmt: skip
    off = values[:, 2:] - expected
    off -= np.nanmean(off, axis=0)
    ratio = off / errors[:, 2:]
    assert 0.6 < np.nanstd(ratio) < 1.5
    assert np.nanstd(expected[:, 0]) > 2 * np.nanstd(off[:, 0])
    # The neighbours of the truth are those of the register's displacement.
    measured = stack.sites[["displacement_x", "displacement_y"]]
    ratio = (values[:, :2] - measured) / errors[:, :2]
    assert 0.6 < np.nanstd(ratio) < 1.5
    assert np.nanstd(values[:, :2] - measured) < 0.2 < np.nanstd(measured)


def test_the_columns_have_units_kinds_and_a_writer(example):
    sites = example[2].sites
    assert sites.units["mode_displacement_x"] == "px"
    assert sites.units["mode_displacement_x_calibrated"] == "pm"
    assert sites.units["mode_rotation"] == sites.units["mode_rotation_std"] == "deg"
    assert sites.units["mode_strain_xy"] == "%"
    assert {sites.writers[name] for name in MODES} == {"measure_modes"}
    np.testing.assert_allclose(
        sites["mode_displacement_x_calibrated"], 15 * sites["mode_displacement_x"]
    )
    assert 0.5 < np.nanmedian(sites["mode_residual"]) < 1.5


def test_a_reference_is_where_rotation_and_strain_are_zero(example):
    stack = example[2].deepcopy()
    left = stack.sites["x"] < 120
    stack.measure_modes(reference=left, show_progressbar=False)
    means = np.nanmean(stack.sites[MODES[2:]][left], axis=0)
    np.testing.assert_allclose(means, 0, atol=1e-9)
    moved = stack.sites[MODES] - example[2].sites[MODES]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    np.testing.assert_array_equal(moved[:, :2], 0)
    with pytest.raises(ValueError, match="no site"):
        stack.measure_modes(reference=np.zeros(len(left), bool))
    with pytest.raises(ValueError, match="reference: sites has the shape"):
        stack.measure_modes(reference="left")


def test_every_image_needs_sites_of_the_reference(example):
    joined = hs_rvae.stack([example[2].deepcopy(), example[2].deepcopy()])
    first = joined.sites["image"] == 0
    with pytest.raises(ValueError, match="reference selects no site of image 1"):
        joined.measure_modes(reference=first, show_progressbar=False)


def test_rotation_and_strain_are_those_in_the_specimen(example):
    image, truth, stack = example
    flat = image.deepcopy()
    flat.axes_manager.signal_axes[1].scale *= 2.0
    wide = cut(flat, truth)
    wide.measure_modes(show_progressbar=False)
    np.testing.assert_array_equal(wide.sites[MODES[:2]], stack.sites[MODES[:2]])
    old, new = (np.radians(one.sites["mode_rotation"]) for one in (stack, wide))
    shear, sheared = (one.sites["mode_strain_xy"] / 100 for one in (stack, wide))
    np.testing.assert_allclose(new, 1.25 * old + 0.75 * shear, atol=2e-4)
    np.testing.assert_allclose(sheared, 0.75 * old + 1.25 * shear, atol=2e-4)
    normal = ["mode_strain_xx", "mode_strain_yy"]
    np.testing.assert_allclose(wide.sites[normal], stack.sites[normal], atol=0.02)
    assert (wide.sites["mode_strain_xy_std"] > stack.sites["mode_strain_xy_std"]).all()


def test_lazy_stacks_give_the_same_bits_whatever_their_chunks(example):
    image, truth, stack = example
    lazy = stack.as_lazy()
    lazy.data = lazy.data.rechunk((7, -1, -1))
    lazy.measure_modes(show_progressbar=False)
    np.testing.assert_array_equal(lazy.sites[MODES], stack.sites[MODES])
    assert lazy._lazy


def test_results_follow_selections_and_files(example, tmp_path):
    stack = example[2]
    few = stack.select_sites(np.arange(12))
    np.testing.assert_array_equal(few.sites[MODES], stack.sites[MODES][:12])
    stack.save(tmp_path / "stack.hspy")
    loaded = hs.load(tmp_path / "stack.hspy")
    np.testing.assert_array_equal(loaded.sites[MODES], stack.sites[MODES])
    assert loaded.metadata.Sub_images.modes.reference == "mean"
    few.measure_modes(show_progressbar=False)  # of twelve sub-images
    assert np.isfinite(few.sites["mode_rotation"]).any()


def test_sub_images_with_masked_pixels_get_nan(example):
    stack = example[2].deepcopy()
    stack.data[3, 5, 5] = np.nan
    stack.measure_modes(show_progressbar=False)
    assert np.isnan(stack.sites[MODES][3]).all()
    assert np.isfinite(stack.sites["mode_rotation"]).sum() > 0.9 * len(stack.sites)


def test_columns_of_the_user_are_not_replaced(example):
    stack = cut(*example[:2])
    stack.sites["mode_rotation"] = np.zeros(len(stack.sites))
    with pytest.raises(ValueError, match="mode_rotation"):
        stack.measure_modes(show_progressbar=False)
    for cage in ("all", np.zeros(3), np.zeros((0, 2)), [(0, 0), (13, 13), (-13, 13)]):
        with pytest.raises(ValueError, match="cage="):
            stack.measure_modes(cage, overwrite=True)
    with pytest.raises(ValueError, match="on one line"):
        stack.measure_modes([(-13, -13), (13, 13), (12, 12)], overwrite=True)


def test_a_given_cage_may_be_larger_than_the_windows(example):
    stack = cut(*example[:2])
    cage = 26 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    shell = stack.measure_modes(cage, show_progressbar=False)
    np.testing.assert_allclose(np.hypot(*shell.T), 26, atol=0.4)
    assert np.isfinite(stack.sites["mode_rotation"]).mean() > 0.4
    stack._image = None
    with pytest.raises(ValueError, match="do not reach"):
        stack.measure_modes(cage, show_progressbar=False)


def test_windows_that_are_copied_pixel_by_pixel_start_at_their_offsets(example):
    image, truth, stack = example
    nearest = cut(image, truth, centring="nearest")
    nearest.measure_modes(show_progressbar=False)
    apart = nearest.sites[MODES[:2]] - stack.sites[MODES[:2]]
    assert np.nanstd(apart) < 0.08


def test_own_neighbours_are_the_surroundings_in_a_crystal_of_one_sublattice():
    image, truth = film(one_sublattice=True)
    stack = hs_rvae.SubImageStack.from_positions(image, truth.a_sites, show_progressbar=False)
    shell = stack.measure_modes(show_progressbar=False)  # from larger windows
    np.testing.assert_allclose(np.hypot(*shell.T), 26, atol=0.4)
    assert np.isfinite(stack.sites["mode_rotation"]).mean() > 0.5
    stack._image = None
    with pytest.raises(ValueError, match="larger windows"):
        stack.measure_modes(show_progressbar=False)


def test_a_series_has_modes_in_every_frame():
    series, truths = hs_rvae.simulation.simulate_series((150, 150), 2, random_state=0)
    stack = hs_rvae.SubImageStack.from_positions(
        series,
        [truth.b_sites for truth in truths],
        neighbours=[truth.a_sites for truth in truths],
        window_size=46,
        show_progressbar=False,
    )
    stack.measure_modes(show_progressbar=False)
    for frame in (0, 1):
        assert np.isfinite(stack.sites["mode_rotation"][stack.sites["frame"] == frame]).any()


# Figures ---------------------------------------------------------------------


def test_the_maps_state_their_reference_and_share_a_scale(example):
    figure = example[2].plot_modes()
    texts = " ".join(text.get_text() for ax in figure.axes for text in ax.texts)
    assert "strain: mean of the image" in texts and "Median standard errors" in texts
    error = 15 * np.nanmedian(example[2].sites["mode_displacement_x_std"])
    assert f"displacement {error:.2g} pm" in texts
    maps = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    assert list(maps) == ["Displacement", "Rotation", "Strain xx", "Strain yy", "Strain xy"]
    scales = [maps[f"Strain {name}"].collections[0].get_clim() for name in ("xx", "yy", "xy")]
    assert len(set(scales)) == 1 and scales[0][0] == -scales[0][1]
    labels = [f"{ax.get_xlabel()} {ax.get_ylabel()}" for ax in figure.axes]
    others = [
        text.get_text()
        for ax in figure.axes
        for text in ax.texts
        if "Colours" not in text.get_text()
    ]
    assert "Colours: 1 to 99 % of the sites" in texts
    assert not any("99 %" in word for word in labels + others)


def test_the_maps_name_the_call_that_is_missing(example):
    with pytest.raises(KeyError, match="measure_modes"):
        cut(*example[:2]).plot_modes()


# The simulator ---------------------------------------------------------------


@pytest.mark.parametrize("n_twins", [2, 4])
def test_twins_have_the_strain_and_the_axis_of_their_variant(n_twins):
    _, truth = film((500, 500), shift=1e-6, strain=0, disorder=0, twin_strain=0.01, n_twins=n_twins)
    sites = truth.b_sites
    far = sites[(sites["strain_wall_distance"] > 2) & (sites["edge_distance"] > 1)]
    axial = far["strain_xx"] - far["strain_yy"] + 2j * far["strain_xy"]
    expected = 0.02 * np.exp(2j * far["strain_angle"])
    np.testing.assert_allclose(axial, expected, atol=1e-3)
    assert set(sites["strain_variant"]) == set(range(n_twins))
    np.testing.assert_allclose(far["strain_xx"] + far["strain_yy"], 0, atol=1e-3)


def test_bending_turns_the_lattice_from_left_to_right():
    _, truth = film((400, 400), shift=1e-6, strain=0, disorder=0, bending=2.0)
    slope = np.polyfit(truth.b_sites["x"], np.degrees(truth.b_sites["rotation"]), 1)[0]
    assert 400 * slope == pytest.approx(2.0, rel=0.01)
    with pytest.raises(ValueError, match="n_twins=3: give 2 or 4"):
        film(n_twins=3)
