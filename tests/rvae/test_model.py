# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The estimator: laws, truth, seeds, files, interruption, odd input."""

import functools
import os
import signal
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch
from hyperspy.external import progressbar
from sklearn.exceptions import NotFittedError

from hs_rvae import RVAE
from hs_rvae.progress import Progress
from hs_rvae.simulation import compare_angles


def angle_difference(a, b):
    return np.angle(np.exp(1j * (a - b)))


def test_variants_are_found(film, result):
    found = compare_angles(result.angle[film.interior], film.true_angle[film.interior], 4)
    # Smaller than the films of the slow test, and as good.
    assert found["ari"] >= 0.98
    assert found["mean_error"] <= 3


def test_turned_sub_images_have_turned_angles_and_equal_latents(film, model, result):
    images = film.stack.data
    turned = model.transform(np.rot90(images, axes=(1, 2)))  # counter-clockwise on screen
    moved = angle_difference(turned.angle, result.angle)
    assert np.degrees(np.abs(angle_difference(moved, -np.pi / 2)).max()) < 0.1
    assert np.abs(turned.latent - result.latent).max() < 1e-2


def test_a_turned_image_with_turned_positions_gives_the_same(film, model, result):
    # As a user would: turn the image, turn the positions, cut again, encode with the same model.
    from hs_rvae import SubImageStack

    width = film.image.data.shape[1]
    image = film.image._deepcopy_with_new_data(np.rot90(film.image.data).copy())
    x, y = film.stack.sites.xy.T
    turned = SubImageStack.from_positions(
        image, np.stack([y, width - 1 - x], axis=1), window_size=film.stack.data.shape[-1]
    )
    assert len(turned.sites) == len(film.stack.sites)
    turned.apply_rvae(model)
    moved = angle_difference(turned.sites["angle"], result.angle)
    defined = result.angle_std < np.radians(5)
    assert np.degrees(np.abs(angle_difference(moved, -np.pi / 2))[defined].max()) < 1
    for k in range(2):
        assert np.corrcoef(turned.sites[f"latent_{k}"], result.latent[:, k])[0, 1] > 0.99


def test_angles_and_latents_follow_a_turn_by_any_angle(model):
    # The manifold's own images: band-limited, so that only the disk's rim is not exact.
    latent = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    angle = np.linspace(-3.1, 3.1, 50)
    result = model.transform(model.inverse_transform(latent, angle))
    error = np.degrees(np.abs(angle_difference(result.angle, angle)))
    # All angles together may be off by what the covariance makes of a noise-free motif.
    offset = np.degrees(np.angle(np.exp(1j * (result.angle - angle)).mean()))
    assert abs(offset) < 1
    assert np.median(error) < 1
    assert np.corrcoef(result.latent[:, 0], latent[:, 0])[0, 1] > 0.98


def test_the_same_seed_gives_the_same_result_bit_for_bit(film, result):
    images = film.stack.data
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    again = RVAE(output_dimension=2, rotation="motif", random_state=0).fit_transform(images)
    for name in ("angle", "angle_std", "latent", "latent_std", "log_likelihood"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_another_seed_changes_the_weights_but_not_the_variants(film, model, result):
    other = RVAE(output_dimension=2, rotation="motif", random_state=1).fit(film.stack.data)
    weights = model._model.content.encode_mlp[0].weight, other._model.content.encode_mlp[0].weight
    assert (weights[0] - weights[1]).abs().max() > 0.01
    difference = angle_difference(other.transform(film.stack.data).angle, result.angle)
    resultant = np.abs(np.exp(1j * difference[film.interior]).mean())
    assert resultant > 0.999  # one offset for all


def test_angles_are_in_range_and_uncertainties_positive(result):
    assert result.angle.min() > -np.pi and result.angle.max() <= np.float32(np.pi)
    assert (result.angle_std > 0).all() and (result.latent_std > 0).all()


def test_latents_are_ordered_by_explained_variance_and_rise_with_intensity(film, model, result):
    images = film.stack.data
    assert np.corrcoef(result.latent[:, 0], images.mean((1, 2)))[0, 1] > 0.5
    spread = [
        np.var(model.inverse_transform(result.latent * np.eye(2)[k]), axis=0).sum()
        for k in range(2)
    ]
    assert spread[0] > spread[1]


def test_content_carries_chemistry_and_not_the_variant(film):
    from sklearn.linear_model import LinearRegression
    from sklearn.neighbors import KNeighborsClassifier

    images, xy = film.stack.data, film.stack.sites.xy
    model = RVAE(output_dimension=3, random_state=0)
    result = model.fit_transform(images, positions=xy)
    assert model.rotation_ == "distortion" and model.n_latents_recommended_ in (2, 3, 4)
    latent, inside = result.latent[film.interior], film.sites[film.interior]
    share = LinearRegression().fit(latent, inside["chemistry"]).score(latent, inside["chemistry"])
    assert share > 0.7  # the column amplitudes themselves explain about 0.87
    # A variant read from the latents: domains differ in place, hence in chemistry, so split in
    # space by halves of the image; no more than chance plus 15 points.
    left = (inside["x"] < inside["x"].median()).to_numpy()
    guess = KNeighborsClassifier(15).fit(latent[left], inside["variant"][left])
    right = guess.score(latent[~left], inside["variant"][~left])
    chance = inside["variant"][~left].value_counts(normalize=True).max()
    assert right < chance + 0.15


def test_manifold_shows_whole_sub_images(film, model):
    images, values_y, values_x = model.manifold((3, 4), limits=(-2, 2))
    w = film.stack.data.shape[-1]
    assert images.shape == (3, 4, w, w)
    np.testing.assert_allclose(values_x, np.linspace(-2, 2, 4))
    np.testing.assert_allclose(values_y, [-2, 0, 2])
    # Whole: the motif's columns stand where the mean aligned sub-image has them, not in rings.
    middle = model.inverse_transform(np.zeros((1, 2)))[0]
    line = np.arange(w) - (w - 1) / 2
    radius, azimuth = np.hypot(*np.meshgrid(line, line)), np.arctan2(*np.meshgrid(line, line)[::-1])
    ring = (radius > 0.55 * w / 2) & (radius < 0.85 * w / 2)
    sectors = [middle[ring & (np.abs(angle_difference(azimuth, a)) < 0.2)].mean() for a in
               np.linspace(-np.pi, np.pi, 16, endpoint=False)]  # fmt: skip
    assert np.ptp(sectors) > 0.3 * film.stack.data.std()


def test_saved_and_loaded_models_agree(tmp_path, film, model, result):
    path = model.save(tmp_path / "model.safetensors")
    loaded = RVAE.load(path)
    again = loaded.transform(film.stack.data)
    for name in ("angle", "angle_std", "latent", "latent_std", "log_likelihood"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert loaded.random_state == 0 and loaded.n_sites_fit_ == model.n_sites_fit_
    for name, values in model.history_.items():
        np.testing.assert_array_equal(loaded.history_[name], values)
    np.testing.assert_array_equal(
        loaded.inverse_transform([[1.0, 0.5]], 0.3), model.inverse_transform([[1.0, 0.5]], 0.3)
    )
    assert b"pickle" not in path.read_bytes()[:2000]


def test_nothing_is_left_of_a_failed_save(tmp_path, model, monkeypatch):
    with pytest.raises(FileNotFoundError, match="missing.*choose a folder that exists"):
        model.save(tmp_path / "missing" / "model.safetensors")
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.save(tmp_path / "taken")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="path=.*cannot be written"):
        model.save(tmp_path / "file" / "model.safetensors")
    (tmp_path / "file").unlink()
    path = model.save(tmp_path / "model.safetensors")
    before = path.read_bytes()

    def fail(name, content):
        with open(name, "wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="model could not be saved.*No space.*is as it was"):
        model.save(path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "taken"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_saved_model_has_the_permissions_of_a_new_file(tmp_path, model):
    before = os.umask(0o027)
    try:
        path = model.save(tmp_path / "model.safetensors")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    assert model.save(path).stat().st_mode & 0o777 == 0o604


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        RVAE.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here")
    with pytest.raises(ValueError, match="not a safetensors file"):
        RVAE.load(tmp_path / "text.safetensors")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no model of hs_rvae"):
        RVAE.load(tmp_path / "other.safetensors")


def test_lazy_images_give_the_same_model(film, model, result):
    images = da.from_array(film.stack.data, chunks=(100, -1, -1))
    lazy = RVAE(output_dimension=2, rotation="motif", random_state=0).fit(images)
    assert lazy.fit_id_ == model.fit_id_
    found = lazy.transform(images)
    for name in ("angle", "angle_std", "latent", "log_likelihood", "order_amplitude"):
        np.testing.assert_array_equal(getattr(found, name), getattr(result, name))


@pytest.mark.slow
def test_intensity_units_do_not_matter(film, result):
    images = film.stack.data
    for factor in (1e-6, 1e6):
        scaled = RVAE(output_dimension=2, rotation="motif", random_state=0).fit_transform(
            images * factor
        )
        difference = angle_difference(scaled.angle, result.angle)[film.interior]
        assert np.degrees(np.abs(difference).max()) < 0.1


def test_odd_sites_stay_alone(film, result):
    images = film.stack.data.copy()
    images[3, 5, 5] = np.nan
    images[7] = 12.0
    images[11] *= 1e6
    model = RVAE(output_dimension=2, rotation="motif", random_state=0).fit(images)
    odd = model.transform(images)
    rest = film.interior.copy()
    rest[[3, 7, 11]] = False
    found = compare_angles(odd.angle[rest], film.true_angle[rest], 4)
    assert found["ari"] >= 0.98
    assert np.isnan(odd.angle[3]) and np.isnan(odd.latent[3]).all()
    assert np.isfinite(odd.angle[rest]).all() and np.isfinite(odd.latent[rest]).all()
    assert model.n_sites_fit_ == len(images) - 3


@pytest.mark.parametrize("copies", ["four variants", "one cell"])
def test_sites_without_noise_do_not_break_the_fit(copies):
    # Noise-free simulations tile one cell: the sites differ by nothing, or by exact turns.
    line = np.arange(32) - 15.5
    motif = sum(
        h * np.exp(-((line[None] - x) ** 2 + (line[:, None] - y) ** 2) / 12)
        for x, y, h in [(0, 0, 0.4), (9, 8, 1), (-8, 8, 1), (-8, -9, 1), (9, -9, 1)]
    )
    turns = np.arange(200) % 4 if copies == "four variants" else np.zeros(200, int)
    images = np.stack([np.rot90(motif, -k) for k in turns])
    result = RVAE(output_dimension=1, rotation="motif", random_state=0).fit_transform(images)
    assert np.isfinite(result.angle).all() and np.isfinite(result.latent).all()
    offsets = angle_difference(result.angle, turns * np.pi / 2)
    assert np.degrees(np.abs(angle_difference(offsets, offsets[0])).max()) < 0.5


def test_beyond_the_range_of_numbers_all_columns_are_nan(film, model):
    images = film.stack.data[:3].copy()
    images[1] *= 1e25
    result = model.transform(images)
    assert all(np.isnan(c[1]).all() for c in (result.angle, result.angle_std, result.latent))
    assert np.isfinite(result.angle[[0, 2]]).all()


def test_numbers_of_numpy_are_saved_as_numbers(tmp_path, film):
    model = RVAE(output_dimension=np.int64(1), epochs=1, learning_rate=np.float32(1e-3))
    model.set_params(random_state=np.int64(3), architecture=np.str_("harmonic"))
    model.fit(film.stack.data)
    model.pixel_size_, model.pixel_units_ = np.float32(0.5), np.array("nm")
    loaded = RVAE.load(model.save(tmp_path / "model.safetensors"))
    assert loaded.output_dimension == 1 and loaded.random_state == 3
    assert loaded.pixel_size_ == 0.5 and loaded.pixel_units_ == "nm"


@pytest.mark.slow
def test_leaving_out_many_sites_is_said_aloud(film, caplog):
    images = film.stack.data.copy()
    images[: len(images) // 3] *= 50
    RVAE(output_dimension=1, epochs=1, random_state=0).fit(images)
    assert "left out of the fit" in caplog.text and "same intensity scale" in caplog.text
    caplog.clear()
    RVAE(output_dimension=1, epochs=1, random_state=0).fit(film.stack.data[:60])
    assert "60 sites are few" in caplog.text


def test_windows_at_whole_pixels_need_their_offsets(film, result):
    from hs_rvae import SubImageStack

    w = film.stack.data.shape[-1]
    nearest = SubImageStack.from_positions(
        film.image, film.stack.sites.xy, window_size=w, centring="nearest"
    )
    offsets = nearest.sites[["offset_x", "offset_y"]]
    assert np.abs(offsets).max() > 0.4
    with_offsets = RVAE(random_state=0).fit_transform(nearest.data, offsets)
    found = compare_angles(with_offsets.angle[film.interior], film.true_angle[film.interior], 4)
    assert found["ari"] >= 0.98 and found["mean_error"] < 1


@pytest.mark.slow
def test_without_rotation_all_angles_are_zero(film):
    model = RVAE(output_dimension=1, rotation=False, random_state=0).fit(film.stack.data)
    result = model.transform(film.stack.data)
    assert not result.angle.any() and not result.angle_std.any()
    assert np.isfinite(result.log_likelihood).all()
    # Four variants in one frame are less likely than in a frame that turns with them.
    turning = RVAE(output_dimension=1, rotation="motif", random_state=0).fit_transform(
        film.stack.data
    )
    assert turning.log_likelihood.mean() > result.log_likelihood.mean()


@pytest.mark.parametrize("stage", ["rVAE reading", "rVAE angles", "rVAE content"])
def test_ctrl_c_leaves_a_usable_model_and_a_warning(monkeypatch, film, stage):
    step = Progress.step

    def interrupting_step(self, description, values=None):
        if description == stage and not self.stopped:
            signal.raise_signal(signal.SIGINT)
        step(self, description, values)

    monkeypatch.setattr(Progress, "step", interrupting_step)
    handler = signal.getsignal(signal.SIGINT)
    model = RVAE(output_dimension=2, rotation="motif", random_state=0)
    with pytest.warns(UserWarning, match="interrupted .* can be used"):
        model.fit(film.stack.data)
    assert signal.getsignal(signal.SIGINT) is handler
    result = model.transform(film.stack.data)
    assert np.isfinite(result.angle).all() and np.isfinite(result.latent).all()
    assert len(model.history_["loss"]) < 15


def test_a_second_ctrl_c_interrupts_at_once(monkeypatch, film):
    step = Progress.step

    def interrupting_step(self, description, values=None):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        step(self, description, values)

    monkeypatch.setattr(Progress, "step", interrupting_step)
    model = RVAE(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(film.stack.data)
    with pytest.raises(NotFittedError, match="not fitted"):
        model.transform(film.stack.data)


def test_a_subset_is_fitted_and_all_sites_encoded(film):
    model = RVAE(output_dimension=1, rotation="motif", max_fit_sites=300, random_state=0).fit(
        film.stack.data
    )
    assert model.n_sites_fit_ == 300
    result = model.transform(film.stack.data)
    found = compare_angles(result.angle[film.interior], film.true_angle[film.interior], 4)
    assert len(result.angle) == len(film.stack.data) and found["ari"] >= 0.95


def test_the_number_of_sites_to_fit_is_larger_where_more_are_needed(monkeypatch):
    monkeypatch.setattr("hs_rvae.rvae.estimator._ENOUGH_SITES", 100)
    monkeypatch.setattr("hs_rvae.rvae.estimator._MANY_SITES", 120)
    images = np.random.default_rng(0).normal(size=(140, 12, 12)).astype(np.float32)
    options = dict(output_dimension=1, rotation=False, epochs=1, random_state=0)
    of_one, of_two = np.zeros(140, int), np.arange(140) % 2
    for strata, more, expected in (
        (None, {}, 100),
        (of_one, {}, 100),
        (of_two, {}, 120),
        (None, {"architecture": "convolutional"}, 120),
        (of_two, {"max_fit_sites": 90}, 90),
    ):
        model = RVAE(**options, **more).fit(images, strata=strata)
        assert model.n_sites_fit_ == expected


@pytest.mark.slow
def test_the_progress_bar_is_shown_on_request_only(capfd, film, monkeypatch):
    # Every step is drawn, however fast the machine.
    every_step = functools.partial(progressbar.progressbar, mininterval=0)
    monkeypatch.setattr(progressbar, "progressbar", every_step)
    RVAE(output_dimension=1, epochs=1, random_state=0).fit(film.stack.data)
    assert "rVAE" not in capfd.readouterr().err
    RVAE(output_dimension=1, epochs=1, random_state=0, show_progressbar=True).fit(film.stack.data)
    shown = capfd.readouterr().err
    assert "loss=" in shown and "log_likelihood=" in shown and "<" in shown


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_dimension": 0}, "output_dimension=0: give a whole number of 1 or more"),
        ({"output_dimension": 1.5}, "output_dimension=1.5"),
        ({"output_dimension": 400}, "output_dimension=400: windows of .* at most"),
        ({"architecture": "transformer"}, "architecture='transformer': there are 'harmonic'"),
        ({"shift_prior": float("inf")}, "shift_prior=inf: give a number above 0"),
        ({"epochs": 0}, "epochs=0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"n_factors": -1}, "n_factors=-1"),
        ({"q_max": "high"}, "q_max='high'"),
        ({"q_max": 0.7}, "q_max=0.7: give cycles/px between 0 and 0.5"),
        ({"device": "abacus"}, "device='abacus' cannot be used here"),
    ],
)
def test_unusable_settings_are_refused(film, settings, message):
    with pytest.raises(ValueError, match=message):
        RVAE(**settings).fit(film.stack.data)


def test_as_many_latents_as_components_are_fitted():
    images = np.random.default_rng(0).normal(size=(60, 16, 16)).astype(np.float32)
    settings = {"rotation": False, "q_max": 0.1, "epochs": 1, "random_state": 0}  # 6 frequencies
    assert RVAE(24, **settings).fit(images).n_latents_ == 24
    with pytest.raises(ValueError, match="output_dimension=25: windows of 16 px have 24"):
        RVAE(25, **settings).fit(images)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((20, 16, 18)), ValueError, r"shape \(20, 16, 18\)"),
        (np.zeros((20, 16)), ValueError, r"shape \(20, 16\)"),
        (np.zeros((20, 6, 6)), ValueError, "windows of 6 px; the smallest is 8 px"),
        (np.zeros((20, 16, 16), complex), TypeError, "complex128"),
        (np.zeros((20, 16, 16), object), TypeError, "object"),
        ([[1.0]], TypeError, "list"),
        (np.ones((20, 16, 16)), ValueError, "constant"),
        (np.full((20, 16, 16), np.nan), ValueError, "no finite"),
        (np.random.default_rng(0).normal(size=(5, 16, 16)), ValueError, "5 usable .* 10 at least"),
        (np.zeros((0, 16, 16)), ValueError, "no sub-image"),
    ],
)
def test_unusable_images_are_refused(images, error, message):
    with pytest.raises(error, match=message):
        RVAE().fit(images)


def test_a_model_is_asked_only_what_it_can_answer(model, film):
    with pytest.raises(ValueError, match="windows of 16 px.*fitted"):
        model.transform(np.zeros((3, 16, 16)))
    with pytest.raises(ValueError, match="latent has 3 columns; the model has 2"):
        model.inverse_transform(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"axes=\(0, 2\)"):
        model.manifold(axes=(0, 2))
    with pytest.raises(ValueError, match=r"angle has shape \(3,\)"):
        model.inverse_transform(np.zeros((2, 2)), np.zeros(3))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        RVAE().transform(film.stack.data)
    with pytest.raises(ValueError, match=r"offsets has shape \(2,\)"):
        model.transform(film.stack.data, np.zeros(2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(film, model, result):
    model = RVAE(output_dimension=2, rotation="motif", random_state=0, device="cuda").fit(
        film.stack.data
    )
    cuda = model.transform(film.stack.data)
    assert np.abs(angle_difference(cuda.angle, result.angle))[film.interior].max() < 1e-3
    assert np.abs(cuda.latent - result.latent).max() < 1e-2
