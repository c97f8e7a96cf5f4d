# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shifts of the harmonic model: phases, miscentred windows, laws."""

import dask.array as da
import numpy as np
import pytest
import torch

import hs_rvae
from hs_rvae import RVAE
from hs_rvae.rvae.geometry import HarmonicGrid
from hs_rvae.rvae.harmonic.shifts import common_part
from hs_rvae.simulation import compare_angles

# Fits of seconds each.
pytestmark = pytest.mark.slow

GRID = HarmonicGrid(41, q_max=0.12, n_q=12, max_order=18)


def columns(at, size=41):
    """Columns about a middle one that stands at `at` (x, y) from the centre of the window."""
    line = np.arange(size) - (size - 1) / 2
    image = np.zeros((size, size))
    for x, y, height in [(0, 0, 0.5), (13, 12, 1), (-13, 13, 1), (-12, -13, 1), (13, -13, 1)]:
        along = np.exp(-((line - x - at[0]) ** 2) / 18)
        image += height * along * np.exp(-((line[:, None] - y - at[1]) ** 2) / 18)
    return torch.as_tensor(image[None], dtype=torch.float32)


def miscentre(film, seed, largest=1.5, **options):
    """A stack whose windows stand up to `largest` px off, and where its contents then stand."""
    rng = np.random.default_rng(seed)
    xy = film.truth.b_sites[["x", "y"]].to_numpy()
    radius, azimuth = largest * rng.random(len(xy)) ** 0.5, 2 * np.pi * rng.random(len(xy))
    error = radius[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], 1)
    window = film.stack.data.shape[-1]
    stack = hs_rvae.SubImageStack.from_positions(
        film.image, xy + error, window_size=window, **options
    )
    index = stack.sites["site_index"]
    b = film.truth.b_sites.iloc[index]
    return stack, -error[index], b["angle"].to_numpy(), film.truth.interior()[index]


@pytest.fixture(scope="module")
def off(film):
    """A film with miscentred windows, and its model."""
    stack, shift, angle, inside = miscentre(film, 0)
    stack.rvae(1, translation=True, shift_prior=1.0, random_state=0)
    return stack, shift, angle, inside


def test_windows_about_a_moved_column_are_those_cut_there():
    # All columns move, so a disk that moves along sees what it saw.
    still = GRID.shifted_harmonics(columns((0, 0)), torch.zeros((1, 2)))
    moved = GRID.shifted_harmonics(columns((2.0, -1.5)), torch.tensor([[2.0, -1.5]]))
    assert float((moved - still).abs().max() / still.abs().max()) < 0.01
    whole = GRID.harmonics(columns((0, 0)))
    assert float((whole - still).abs().max() / still.abs().max()) < 1e-5


def test_the_gradient_is_the_difference_of_small_shifts():
    harmonics = GRID.harmonics(columns((0.3, 0.1)))
    step = 1e-2
    for axis in range(2):
        shift = torch.zeros((1, 2))
        shift[0, axis] = step
        difference = GRID.shift(harmonics, shift) - GRID.shift(harmonics, -shift)
        difference = difference / (2 * step)
        gradient = GRID.gradient(harmonics)[:, axis]
        assert float((gradient - difference).abs().max() / gradient.abs().max()) < 1e-2


def test_where_the_motif_stands_is_told_from_where_sites_stand():
    rng = np.random.default_rng(0)
    angle = torch.as_tensor(np.pi / 2 * rng.integers(4, size=2000), dtype=torch.float32)
    sites = torch.as_tensor(rng.normal(0.2, 0.5, (2000, 2)), dtype=torch.float32)
    cos, sin = torch.cos(angle), torch.sin(angle)
    motif = torch.stack([0.3 * cos + 0.1 * sin, 0.3 * sin - 0.1 * cos], 1)
    assert float((common_part(sites + motif, angle) - motif).abs().max()) < 0.05


def test_shifts_of_miscentred_windows_are_found(off):
    stack, shift, angle, inside = off
    sites = stack.sites
    error = sites[["shift_x", "shift_y"]] - shift
    assert np.sqrt((shift**2).sum(1).mean()) > 1
    assert np.sqrt((error**2).sum(1).mean()) < 0.3
    assert np.abs(error.mean(0)).max() < 0.1
    # Stated as it is, within a factor of two.
    stated = sites[["shift_x_std", "shift_y_std"]]
    assert 0.5 < np.sqrt((stated**2).mean()) / np.sqrt((error**2).mean()) < 2
    found = compare_angles(sites["angle"][inside], angle[inside], 4)
    assert found["ari"] >= 0.97 and found["mean_error"] < 3


def test_shifts_are_columns_in_px_and_pm(off):
    sites = off[0].sites
    assert sites.units["shift_x"] == sites.units["shift_y_std"] == "px"
    assert sites.units["shift_x_calibrated"] == "pm"
    pm = sites["shift_x"] * sites.pixel_size[0] * 1000
    np.testing.assert_allclose(sites["shift_x_calibrated"], pm)


def test_rebuilt_sub_images_stand_where_the_data_do(off):
    stack, shift, *_ = off
    residual = stack.get_rvae_residual().data[:200]
    model = stack.rvae_model
    names = ["latent_0", "angle", "shift_x", "shift_y"]
    latent, angle, *_ = stack.sites[names][:200].T
    middle = model.inverse_transform(latent[:, None], angle)
    disk = model._model.grid.disk().numpy()
    level = model._model.level
    unmoved = (stack.data[:200] - level) * disk - (middle - level)
    assert residual.var() < 0.6 * unmoved.var()  # what is left is noise for the most part


def test_a_turned_image_has_turned_shifts(off):
    stack = off[0]
    result = stack.rvae_model.transform(stack.data)
    turned = stack.rvae_model.transform(np.rot90(stack.data, axes=(1, 2)))
    x, y = result.shift.T
    np.testing.assert_allclose(turned.shift, np.stack([y, -x], 1), atol=0.01)
    moved = np.angle(np.exp(1j * (turned.angle - result.angle + np.pi / 2)))
    assert np.degrees(np.abs(moved)).max() < 0.5


def test_saved_and_loaded_models_agree(tmp_path, off):
    stack = off[0]
    loaded = RVAE.load(stack.rvae_model.save(tmp_path / "model.safetensors"))
    here, there = (m.transform(stack.data[:50]) for m in (stack.rvae_model, loaded))
    for name in ("angle", "shift", "shift_std", "log_likelihood"):
        np.testing.assert_allclose(getattr(here, name), getattr(there, name), atol=1e-5, rtol=1e-5)


def test_lazy_stacks_with_offsets_have_the_same_shifts(film, off):
    lazy, shift, *_ = miscentre(film, 0, lazy=True, centring="nearest")
    lazy.rvae(1, translation=True, shift_prior=1.0, random_state=0)
    error = lazy.sites[["shift_x", "shift_y"]] - shift
    assert np.abs(lazy.sites["offset_x"]).max() > 0.4
    assert np.sqrt((error**2).sum(1).mean()) < 0.3
    here, there = lazy.match_sites(off[0])
    difference = [s.sites[["shift_x", "shift_y"]] for s in (lazy, off[0])]
    assert len(here) > 500
    assert np.sqrt(((difference[0][here] - difference[1][there]) ** 2).mean()) < 0.1


def test_dask_arrays_give_the_same_shifts(off):
    stack = off[0]
    images = da.from_array(stack.data, chunks=(150, -1, -1))
    result = stack.rvae_model.transform(images)
    np.testing.assert_allclose(result.shift, stack.sites[["shift_x", "shift_y"]], atol=2e-3)


def test_well_centred_windows_keep_their_angles(film, result):
    moved = RVAE(2, translation=True, random_state=0).fit_transform(film.stack.data)
    difference = np.exp(1j * (moved.angle - result.angle)[film.interior])
    assert np.abs(difference.mean()) > 0.995
    assert np.sqrt((moved.shift**2).sum(1).mean()) < 0.3  # positions are off by 0.1 px each axis


def test_a_fit_goes_on_from_another(off):
    stack = off[0]
    again = RVAE(1, translation=True, shift_prior=1.0, random_state=1)
    again.fit(stack.data, initial_model=stack.rvae_model)
    shift = again.transform(stack.data).shift
    assert np.abs(shift - stack.sites[["shift_x", "shift_y"]]).mean() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_shifts_are_found_in_every_seed(make_film, seed):
    film = make_film(seed, n_cells=34, position_noise=0.0)
    stack, shift, angle, inside = miscentre(film, seed)
    stack.rvae(translation=True, shift_prior=1.0, random_state=seed)
    error = stack.sites[["shift_x", "shift_y"]] - shift
    found = compare_angles(stack.sites["angle"][inside], angle[inside], 4)
    rms = np.sqrt((error**2).sum(1).mean())
    print(seed, len(error), "rms", rms, found)
    assert rms <= 0.3
    assert found["ari"] >= 0.97
