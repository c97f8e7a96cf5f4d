# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's network: geometry, loss, seeds, files, and what training makes of it."""

import signal

import dask.array as da
import numpy as np
import pytest
import torch

from hs_rvae import RVAE
from hs_rvae.progress import Progress
from hs_rvae.rvae.convolutional.network import SpatialNetwork, coordinate_shift, image_shift
from hs_rvae.rvae.loss import spatial_loss

# Fits of seconds each.
pytestmark = pytest.mark.slow

FIELDS = ("angle", "angle_std", "shift", "shift_std", "latent", "latent_std", "log_likelihood",
          "order_amplitude")  # fmt: skip
SETTINGS = {"architecture": "convolutional", "translation": True, "epochs": 1, "random_state": 0}


def angle_difference(a, b):
    return np.angle(np.exp(1j * (a - b)))


@pytest.fixture(scope="module")
def images(film):
    """Middles of the windows of a film: small, because every pixel costs."""
    return film.stack.data[:96, 9:-9, 9:-9]


@pytest.fixture(scope="module")
def model(images):
    return RVAE(**SETTINGS).fit(images)


@pytest.fixture(scope="module")
def result(images, model):
    return model.transform(images)


def motif(angle, shift=(0.0, 0.0), size=13):
    """A bright column in the middle and a weaker one beside it, turned, then moved."""
    line = np.arange(size) - (size - 1) / 2
    image = np.zeros((len(angle), size, size))
    for radius, height in ((0.0, 0.5), (3.5, 1.0)):
        x = radius * np.cos(angle) + np.asarray(shift)[..., 0]
        y = radius * np.sin(angle) + np.asarray(shift)[..., 1]
        along = np.exp(-((line[None, None] - x[:, None, None]) ** 2) / 4)
        image += height * along * np.exp(-((line[None, :, None] - y[:, None, None]) ** 2) / 4)
    return image


# Geometry --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("size", [14, 15])
def test_decoded_content_turns_from_x_towards_y(size):
    model = RVAE(**SETTINGS).fit(np.random.default_rng(0).random((20, size, size)))
    latent = [[0.5, -1.0]]
    middle = model.inverse_transform(latent)[0]
    turned = model.inverse_transform(latent, np.pi / 2)[0]
    # Clockwise on screen, as np.rot90 with k = -1.
    np.testing.assert_allclose(turned, np.rot90(middle, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_decoded_content_moves_by_the_shift_whatever_its_angle(model):
    latent = [[0.5, -1.0]]
    for angle in (0.0, 0.7):
        still = model.inverse_transform(latent, angle)[0]
        moved = model.inverse_transform(latent, angle, shift=(1.0, 2.0))[0]
        np.testing.assert_allclose(moved[2:, 1:], still[:-2, :-1], rtol=1e-5)


def test_the_two_frames_of_the_shift_are_inverse():
    angle, shift = torch.linspace(-3, 3, 7), torch.randn((7, 2))
    there = image_shift(angle, shift)
    torch.testing.assert_close(coordinate_shift(angle, there), shift)
    torch.testing.assert_close(there.norm(dim=1), shift.norm(dim=1))


def test_other_windows_and_pixels_show_the_same_content(model):
    latent, w = [[0.5, -1.0]], model.window_size_
    whole = model.inverse_transform(latent, 0.3)[0]
    part = model.inverse_transform(latent, 0.3, window_size=w - 4)[0]
    np.testing.assert_allclose(part, whole[2:-2, 2:-2], rtol=1e-5)
    # Pixels twice as large, about the same middle.
    double = model.inverse_transform(latent, 0.3, window_size=w // 2, pixel_step=2.0)[0]
    fine = model.inverse_transform(latent, 0.3, window_size=2 * w - 1, pixel_step=0.5)[0]
    at = np.arange(w // 2) * 4 + (w - 1) - 2 * (w // 2 - 1)
    np.testing.assert_allclose(double, fine[np.ix_(at, at)], rtol=1e-5)


# Loss ------------------------------------------------------------------------


@pytest.mark.parametrize("translation", [False, True])
def test_the_loss_is_half_the_squared_error_plus_the_divergences(translation):
    network = SpatialNetwork(10, 2, True, translation, torch.Generator().manual_seed(0))
    images = torch.rand((4, 10, 10), generator=torch.Generator().manual_seed(1))
    noise = torch.randn((4, network.n_all), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        terms = spatial_loss(network, images, network.coordinates(), noise, 0.1, 0.2)
        mean, log_std = network.encoder(images[:, None]).numpy().reshape(4, 2, -1).swapaxes(0, 1)
    std = np.exp(log_std)
    z = mean + std * noise.numpy()
    unit = 0.5 * mean[:, 1:] ** 2 + 0.5 * std[:, 1:] ** 2 - 0.5 - log_std[:, 1:]
    turn = -log_std[:, 0] + np.log(0.1) + std[:, 0] ** 2 / (2 * 0.1**2) - 0.5
    np.testing.assert_allclose(float(terms.kl), (unit.sum(1) + turn).mean(), rtol=1e-5)

    weights = {k: v.numpy() for k, v in network.state_dict().items()}
    line = np.linspace(-1, 1, 10)
    grid = np.stack([np.repeat(line, 10), -np.tile(line, 10)], 1)
    error = 0.0
    for k in range(4):
        cos, sin = np.cos(z[k, 0]), np.sin(z[k, 0])
        at = grid @ np.array([[cos, sin], [-sin, cos]])
        content = z[k, 1:]
        if translation:
            at, content = at + 0.2 * z[k, 1:3], z[k, 3:]
        hidden = at @ weights["from_coordinates.weight"].T + weights["from_coordinates.bias"]
        hidden = np.tanh(hidden + content @ weights["from_content.weight"].T)
        for layer in (1, 3):
            hidden = hidden @ weights[f"decoder.{layer}.weight"].T
            hidden = np.tanh(hidden + weights[f"decoder.{layer}.bias"])
        drawn = hidden @ weights["decoder.5.weight"].T + weights["decoder.5.bias"]
        error += 0.5 * ((drawn[:, 0] - images[k].numpy().ravel()) ** 2).sum() / 4
    np.testing.assert_allclose(float(terms.reconstruction), error, rtol=1e-5)


def test_a_shift_that_is_held_costs_nothing():
    network = SpatialNetwork(10, 2, True, True, torch.Generator().manual_seed(0))
    images, noise = torch.rand((4, 10, 10)), torch.randn((4, 5))
    at = network.coordinates()
    held = spatial_loss(network, images, at, noise, 0.1, 0.2, shift_is_free=False)
    free = spatial_loss(network, images, at, noise, 0.1, 0.2)
    assert free.kl > held.kl
    held.total.backward()
    gradient = network.encoder[5].weight.grad
    assert not gradient[1:3].any() and gradient[0].any()


# Seeds, files, input ---------------------------------------------------------


@pytest.mark.slow
def test_the_seed_reaches_the_weights_and_leaves_the_global_one_alone(images, model, result):
    before = torch.random.get_rng_state()
    again = RVAE(**SETTINGS).fit(images)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again.transform(images), name), getattr(result, name))
    other = RVAE(**SETTINGS | {"random_state": 1}).fit(images)
    first = [m._model.network.encoder[0].weight for m in (model, other)]
    assert (first[0] - first[1]).abs().max() > 0.1


def test_saved_and_loaded_models_agree(tmp_path, images, model, result):
    loaded = RVAE.load(model.save(tmp_path / "model.safetensors"))
    assert loaded.architecture == "convolutional" and loaded.translation
    again = loaded.transform(images)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    args = [[1.0, 0.5]], 0.3, (0.5, -0.2)
    np.testing.assert_array_equal(loaded.inverse_transform(*args), model.inverse_transform(*args))


def test_lazy_images_give_the_same_model(images, result):
    lazy = da.from_array(images, chunks=(40, -1, -1))
    again = RVAE(**SETTINGS).fit_transform(lazy)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(again, name), getattr(result, name), atol=1e-4)


@pytest.mark.slow
def test_known_offsets_are_no_shift(model, images):
    # Windows cut a pixel beside their columns, which is told: decoded about the columns.
    network = model._model.network
    offset = torch.tensor([[1.0, -2.0]])
    moved = network.coordinates(offset).reshape(images.shape[1], images.shape[1], 2)
    centred = network.coordinates().reshape(images.shape[1], images.shape[1], 2)
    torch.testing.assert_close(moved[:-2, 1:], centred[2:, :-1])
    RVAE(**SETTINGS).fit(images, np.full((len(images), 2), 0.3))


@pytest.mark.slow
def test_sites_that_are_not_finite_stay_alone(images, model):
    odd = images.copy()
    odd[3, 2, 2] = np.nan
    fitted = RVAE(**SETTINGS).fit(odd)
    assert fitted.n_sites_fit_ == len(images) - 1
    found = fitted.transform(odd)
    assert all(np.isnan(getattr(found, name)[3]).all() for name in FIELDS)
    assert np.isfinite(found.angle[:3]).all()


def test_fields_have_their_shapes_and_ranges(images, result):
    n = len(images)
    assert result.shift.shape == result.shift_std.shape == result.latent.shape == (n, 2)
    assert result.angle.min() > -np.pi and result.angle.max() <= np.float32(np.pi)
    assert (result.angle_std > 0).all() and (result.shift_std > 0).all()


def test_without_rotation_and_translation_there_is_content_only(images):
    model = RVAE(architecture="convolutional", rotation=False, epochs=1, random_state=0)
    found = model.fit_transform(images)
    assert not found.angle.any() and not found.angle_std.any() and found.shift is None
    assert np.isfinite(found.log_likelihood).all()


def test_the_posterior_of_the_angle_is_one_wrapped_normal(images, model, result):
    posterior = model.angle_posterior(images, n_angles=72)
    np.testing.assert_allclose(posterior.probability.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(posterior.modes[:, 0], result.angle, atol=1e-5)
    assert (posterior.weights[:, 0] == 1).all() and not posterior.weights[:, 1:].any()


@pytest.mark.slow
def test_a_fit_goes_on_from_another(images, model):
    again = RVAE(**SETTINGS).fit(images, initial_model=model)
    assert again.history_["loss"][0] < model.history_["loss"][0]
    with pytest.raises(ValueError, match="another number of latents"):
        RVAE(**SETTINGS, output_dimension=3).fit(images, initial_model=model)


def test_ctrl_c_leaves_a_usable_model_and_a_warning(monkeypatch, images):
    step = Progress.step

    def interrupting_step(self, description, values=None):
        if description == "rVAE network":
            signal.raise_signal(signal.SIGINT)
        step(self, description, values)

    monkeypatch.setattr(Progress, "step", interrupting_step)
    with pytest.warns(UserWarning, match="interrupted .* can be used"):
        model = RVAE(**SETTINGS | {"epochs": 5}).fit(images)
    assert len(model.history_["loss"]) == 1
    assert np.isfinite(model.transform(images).angle).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_dimension": "auto"}, "output_dimension='auto': the convolutional model cannot"),
        ({"shift_prior": 0}, "shift_prior=0: give a number above 0, in px"),
        ({"rotation_prior": -1.0}, "rotation_prior=-1.0: give a number above 0, in radians"),
        ({"shift_delay": 2}, "shift_delay=2: give a share of the epochs"),
    ],
)
def test_unusable_settings_are_refused(images, settings, message):
    with pytest.raises(ValueError, match=message):
        RVAE(**SETTINGS | settings).fit(images)


def test_images_without_positive_intensity_are_refused(images):
    with pytest.raises(ValueError, match="the largest intensity is -.*Add a constant"):
        RVAE(**SETTINGS).fit(images - images.max() - 1)


# What training gives -----------------------------------------------------------


def trained(images, **settings):
    noise = np.random.default_rng(1).normal(0, 0.02, images.shape)
    model = RVAE(1, "convolutional", epochs=20, learning_rate=1e-3, random_state=0, **settings)
    return model, model.fit_transform(images + noise)


@pytest.mark.slow
def test_angles_are_learned_with_their_sign_and_follow_a_turn():
    # By up to 60 degrees, so that no barrier is in the way.
    angle = np.random.default_rng(0).uniform(-np.pi / 3, np.pi / 3, 400)
    model, found = trained(motif(angle))
    error = angle_difference(found.angle, angle)
    error = angle_difference(error, np.angle(np.exp(1j * error).mean()))
    assert np.degrees(np.sqrt((error**2).mean())) < 3
    # The law of turning, within the range that was learned.
    before, after = (model.transform(motif(angle / 2 + turn)).angle for turn in (0, 0.25))
    moved = angle_difference(after, before)
    print("turned by 0.25 rad, found", moved.mean(), "+-", moved.std())
    assert moved.mean() == pytest.approx(0.25, abs=0.03) and moved.std() < 0.05


@pytest.mark.slow
def test_shifts_are_learned_with_their_signs():
    shift = np.random.default_rng(0).normal(0, 1, (400, 2))
    settings = {"rotation": False, "translation": True, "shift_prior": 1.0, "shift_delay": 0.0}
    _, found = trained(motif(np.zeros(400), shift), **settings)
    for axis in range(2):
        # Shorter than they are: noise of variance 1 makes a cautious posterior.
        assert np.corrcoef(found.shift[:, axis], shift[:, axis])[0, 1] > 0.9
        assert 0.1 < np.polyfit(shift[:, axis], found.shift[:, axis], 1)[0] < 1.1


@pytest.mark.slow
def test_memory_does_not_grow_with_epochs(images):
    import resource

    def peak(epochs):
        RVAE(architecture="convolutional", epochs=epochs, random_state=0).fit(images[:64])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    first = peak(3)
    assert peak(15) < first + 20  # MB


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(images, model, result):
    loaded = RVAE(**SETTINGS, device="cuda").fit(images)
    assert np.abs(loaded.history_["loss"] / model.history_["loss"] - 1).max() < 1e-3
    model.device = "cuda"
    try:
        cuda = model.transform(images)
    finally:
        model.device = None
    assert np.abs(cuda.latent - result.latent).max() < 1e-3
