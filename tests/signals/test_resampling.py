# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images brought to the pixels, the window and the intensities of a model."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy import ndimage

import hs_rvae
from hs_rvae.signals.resampling import resampling_matrix
from hs_rvae.simulation import compare_angles


def resampled_film(film, factor, unit="nm"):
    """The film as a microscope with pixels `factor` times as large sees it, and the B columns."""
    image = film.image.data.astype(float)
    if factor > 1:  # a coarser pixel takes in what a finer one tells apart
        image = ndimage.gaussian_filter(image, 0.4 * np.sqrt(factor**2 - 1))
    size = int((image.shape[0] - 1) / factor)
    line = np.arange(size) * factor
    data = ndimage.map_coordinates(image, np.meshgrid(line, line, indexing="ij"), order=3)
    other = hs.signals.Signal2D(data.astype(np.float32))
    scale = film.image.axes_manager[0].scale * factor * {"nm": 1, "Å": 10, "px": 1}[unit]
    for axis, name in zip(other.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.scale, axis.units = name, scale, unit
    return other, film.positions / factor


def difference_of_angles(one, other):
    rows, rows_other = one.match_sites(other)
    apart = one.sites["angle"][rows] - other.sites["angle"][rows_other]
    return np.degrees(np.abs(np.angle(np.exp(1j * apart)))), rows, rows_other


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.15, 1.4])
@pytest.mark.parametrize("unit", ["nm", "Å"])
def test_other_pixels_are_resampled_to_those_of_the_model(film, fitted, factor, unit, caplog):
    caplog.set_level("INFO", logger="hs_rvae")
    image, xy = resampled_film(film, factor, unit)
    size = 32 * film.image.axes_manager[0].scale * {"nm": 1, "Å": 10}[unit]
    other = hs_rvae.SubImageStack.from_positions(image, xy, window_size=float(size))
    before = other.data.copy()
    other.apply_rvae(fitted.rvae_model)
    np.testing.assert_array_equal(other.data, before)
    assert f"{other.data.shape[-1]} px ({0.015 * factor * size / 0.48:.4g} {unit}" in caplog.text
    apart, rows, rows_other = difference_of_angles(fitted, other)
    # Measured 0.05 to 0.27 degrees; the noise of one site makes 2.5.
    assert np.median(apart) < 0.15 * np.degrees(np.median(fitted.sites["angle_std"]))
    for name in ("latent_0", "latent_1"):
        values = fitted.sites[name][rows], other.sites[name][rows_other]
        assert np.corrcoef(*values)[0, 1] > 0.999


@pytest.mark.parametrize("seed", [5, 6])
def test_another_film_with_other_pixels_shows_its_true_variants(make_film, fitted, seed):
    other = make_film(
        seed, n_cells=24, cell=22.5, pixel_size=0.012, shift=2.25, domain_size=8, nonpolar=0.0,
        window_cells=32 / 18,
    )  # fmt: skip
    other.stack.apply_rvae(fitted.rvae_model)
    found = compare_angles(
        other.stack.sites["angle"][other.interior], other.true_angle[other.interior], 4
    )
    assert found["ari"] >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_the_model_is_rebuilt_on_the_pixels_of_the_stack(film, fitted, factor):
    image, xy = resampled_film(film, factor)
    other = hs_rvae.SubImageStack.from_positions(image, xy, window_size=0.48)
    other.apply_rvae(fitted.rvae_model)
    residual = other.get_rvae_residual()
    size, grid = other.data.shape[-1], fitted.rvae_model._model.grid
    line = np.arange(size) - (size - 1) / 2
    inside = np.hypot(line, line[:, None]) * factor < grid.radius - 2 * grid.edge
    contrast = other.data[:, inside].var()
    assert residual.data[:, inside].var() < 0.12 * contrast
    other.sites["angle"] = np.roll(other.sites["angle"], 7)
    assert other.get_rvae_residual().data[:, inside].var() > 0.25 * contrast
    manifold = other.get_rvae_manifold((2, 2))
    assert manifold.axes_manager.signal_shape == (size, size)


def test_a_lazy_stack_of_other_pixels_and_chunks_gives_the_same(film, fitted):
    image, xy = resampled_film(film, 0.8)
    eager = hs_rvae.SubImageStack.from_positions(image, xy, window_size=0.48)
    lazy = hs_rvae.SubImageStack.from_positions(image.as_lazy(), xy, window_size=0.48)
    lazy.data = lazy.data.rechunk((77, 20, -1))
    for stack in (eager, lazy):
        stack.apply_rvae(fitted.rvae_model)
    assert lazy._lazy
    for name in ("angle", "latent_0", "log_likelihood"):
        np.testing.assert_allclose(lazy.sites[name], eager.sites[name], rtol=2e-3, atol=2e-3)


def test_whole_pixel_windows_of_other_pixels_are_centred(film, fitted):
    image, xy = resampled_film(film, 0.8)
    size = 41
    exact = hs_rvae.SubImageStack.from_positions(image, xy, window_size=size)
    nearest = hs_rvae.SubImageStack.from_positions(image, xy, window_size=size, centring="nearest")
    for stack in (exact, nearest):
        stack.apply_rvae(fitted.rvae_model)
    apart, _, _ = difference_of_angles(exact, nearest)
    assert np.median(apart) < 0.5 * np.degrees(np.median(fitted.sites["angle_std"]))


def test_larger_windows_are_cut_to_those_of_the_model(film, fitted, caplog):
    large = hs_rvae.SubImageStack.from_positions(film.image, film.positions, window_size=40)
    large.apply_rvae(fitted.rvae_model)
    rows, rows_large = fitted.match_sites(large)
    # Of the same parity, they lose pixels and nothing else.
    apart = fitted.sites["angle"][rows] - large.sites["angle"][rows_large]
    assert np.abs(np.angle(np.exp(1j * apart))).max() < 1e-3
    np.testing.assert_allclose(
        large.sites["latent_0"][rows_large], fitted.sites["latent_0"][rows], atol=1e-3
    )


def test_windows_too_small_are_refused_with_the_size_to_cut(film, fitted):
    image, xy = resampled_film(film, 0.8)
    small = hs_rvae.SubImageStack.from_positions(image, xy, window_size=32)
    with pytest.raises(
        ValueError,
        match=r"32 px wide with pixels of 0.012 nm; .* 32 px with pixels of 0.015 nm. "
        r"Cut windows of window_size=40 \(px\), that is 0.48 nm",
    ):
        small.apply_rvae(fitted.rvae_model)
    assert "angle" not in small.sites
    small = hs_rvae.SubImageStack.from_positions(film.image, film.positions, window_size=24)
    with pytest.raises(ValueError, match=r"window_size=32 \(px\), that is 0.48 nm"):
        small.apply_rvae(fitted.rvae_model)


def test_without_units_windows_are_compared_in_pixels(film, fitted, caplog):
    caplog.set_level("INFO", logger="hs_rvae")
    image, xy = hs.signals.Signal2D(film.image.data), film.positions
    plain = hs_rvae.SubImageStack.from_positions(image, xy, window_size=32)
    plain.apply_rvae(fitted.rvae_model)
    assert "pixel size of the sub-images is not known: windows are compared in px" in caplog.text
    np.testing.assert_allclose(plain.sites["angle"], fitted.sites["angle"], atol=1e-4)
    other = hs_rvae.SubImageStack.from_positions(image, xy, window_size=34)
    with pytest.raises(ValueError, match="windows of 34 px, the model was fitted to 32 px"):
        other.apply_rvae(fitted.rvae_model)
    plain.rvae(output_dimension=1, epochs=1, random_state=0)
    assert plain.rvae_model.pixel_size_ is None
    with pytest.raises(ValueError, match="windows of 40 px, the model was fitted to 32 px"):
        hs_rvae.SubImageStack.from_positions(film.image, xy, window_size=40).apply_rvae(
            plain.rvae_model
        )
    assert "pixel size of the model is not known" in caplog.text
    strange = film.stack.deepcopy()
    for axis in strange.axes_manager.signal_axes:
        axis.units = "1/nm"
    with pytest.raises(ValueError, match="measured in '1/nm', those of the model in 'nm'"):
        strange.apply_rvae(fitted.rvae_model)


def test_pixels_too_coarse_for_the_model_are_warned_of(film, fitted, caplog):
    image, xy = resampled_film(film, 2.2)
    coarse = hs_rvae.SubImageStack.from_positions(image, xy, window_size=16)
    coarse.apply_rvae(fitted.rvae_model)
    assert "too coarse for the details" in caplog.text


def test_intensities_of_another_scale_are_warned_of_or_rescaled(film, fitted, caplog):
    caplog.set_level("WARNING", logger="hs_rvae")
    fitted.apply_rvae(fitted.rvae_model)
    assert "intensity scale" not in caplog.text
    other = fitted.deepcopy()
    other.data = (2.5 * other.data + 700).astype(np.float32)
    other.apply_rvae(fitted.rvae_model)
    assert "rescale_intensity=True" in caplog.text
    assert np.abs(other.sites["latent_0"] - fitted.sites["latent_0"]).mean() > 1
    other.apply_rvae(fitted.rvae_model, rescale_intensity=True)
    np.testing.assert_allclose(other.sites["latent_0"], fitted.sites["latent_0"], atol=0.01)
    apart, _, _ = difference_of_angles(fitted, other)
    assert apart.max() < 0.1
    # What is rebuilt is in the intensities of the stack.
    np.testing.assert_allclose(
        other.get_rvae_model().data, 2.5 * fitted.get_rvae_model().data + 700, rtol=1e-3
    )


def test_resampling_keeps_slow_waves_and_takes_fast_ones_away():
    at = np.arange(64) - 31.5
    for step in (0.6, 1.0, 1.7):
        matrix = resampling_matrix(20, 64, step)
        new = (np.arange(20) - 9.5) * step
        slow = 0.35 / max(step, 1)  # cycles/px; the coarser pixels end at 0.5
        kept = matrix @ np.cos(2 * np.pi * slow * at + 0.3)
        np.testing.assert_allclose(kept, np.cos(2 * np.pi * slow * new + 0.3), atol=0.02)
        np.testing.assert_allclose(matrix @ np.ones(64), 1, rtol=1e-5)
    fast = resampling_matrix(20, 64, 1.7) @ np.cos(2 * np.pi * 0.42 * at)
    assert np.abs(fast).max() < 0.03
    np.testing.assert_allclose(resampling_matrix(30, 64, 1.0), np.eye(64)[17:47], atol=1e-6)


@pytest.mark.slow
def test_a_saved_model_knows_its_pixel_size(tmp_path, film, fitted):
    path = fitted.rvae_model.save(tmp_path / "model.safetensors")
    loaded = hs_rvae.RVAE.load(path)
    assert (loaded.pixel_size_, loaded.pixel_units_) == (pytest.approx(0.015), "nm")
    image, xy = resampled_film(film, 0.8)
    other = hs_rvae.SubImageStack.from_positions(image, xy, window_size=0.48)
    other.apply_rvae(path)
    apart, _, _ = difference_of_angles(fitted, other)
    assert np.median(apart) < 0.1 * np.degrees(np.median(fitted.sites["angle_std"]))
    # Files of models without one are read as before.
    plain = hs_rvae.RVAE(output_dimension=1, epochs=1, random_state=0).fit(film.stack.data)
    assert plain.pixel_size_ is None
    loaded = hs_rvae.RVAE.load(plain.save(tmp_path / "plain.safetensors"))
    assert loaded.pixel_size_ is None and loaded.pixel_units_ is None


def test_posteriors_are_those_of_the_sub_images_as_encoded(film, fitted):
    image, xy = resampled_film(film, 0.8, "nm")
    size = 32 * film.image.axes_manager[0].scale
    other = hs_rvae.SubImageStack.from_positions(image, xy, window_size=float(size))
    other.data = 3 * other.data + 100
    other.apply_rvae(fitted.rvae_model, rescale_intensity=True)
    posterior = other.get_angle_posterior(n_angles=720)
    axis = posterior.axes_manager.signal_axes[0].axis
    error = np.angle(posterior.data @ np.exp(1j * axis) * np.exp(-1j * other.sites["angle"]))
    sharp = other.sites["angle_weight"] > 0.999
    assert sharp.mean() > 0.9
    assert np.abs(error[sharp]).max() < 0.02
