# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images of several detectors of one scan, fitted together with one angle a site."""

import dask.array as da
import numpy as np
import pytest

from hs_rvae import RVAE, SubImageStack
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.rvae.geometry import HarmonicGrid
from hs_rvae.rvae.joint_grid import JointGrid
from hs_rvae.simulation import simulate_perovskite

# Fits of seconds each.
pytestmark = pytest.mark.slow

WINDOW = 38
FILM = dict(
    cell=20, scan_jitter=0, disorder=0, random_composition=0, strain=0, tilt=0, chemistry=0.1,
    thickness_gradient=0.05,
)  # fmt: skip


def _recordings(shape, doses, seed, **film):
    """Sub-images of one film at several doses, positions, true angles, sites with a distortion."""
    image, truth = simulate_perovskite(shape, dose=np.inf, random_state=seed, **FILM, **film)
    expected = np.clip(image.data, 0, None) / image.data.max()
    rng, cut = np.random.default_rng(100 + seed), []
    b = truth.b_sites
    for dose in doses:
        counts = (rng.poisson(expected * dose) / dose).astype(np.float32)
        cut.append(SubImageStack.from_positions(counts, b[["x", "y"]], window_size=WINDOW))
    rows = cut[0].sites["site_index"]
    size = np.hypot(b["displacement_x"], b["displacement_y"]).to_numpy()[rows]
    angle = b["angle"].to_numpy()[rows]
    return [one.data for one in cut], cut[0].sites.xy, angle, size > 0.8 * np.median(size)


def _deviations(images, xy, angle, distorted):
    model = RVAE(1, rotation="distortion", epochs=1, random_state=0)
    found = model.fit_transform(images, positions=xy).angle
    return np.angle(np.exp(1j * (found - angle)))[distorted]


def _errors(doses, n_seeds):
    """Root mean square errors of each recording, and of the first two together."""
    deviations = []
    for seed in range(n_seeds):
        images, *truth = _recordings((500, 500), doses, seed, order="vortices", domain_size=10)
        together = np.stack(images[:2], axis=1)
        deviations.append([_deviations(each, *truth) for each in (*images, together)])
    joined = [np.concatenate(each) for each in zip(*deviations, strict=True)]
    return [float(np.sqrt((each**2).mean())) for each in joined]


@pytest.mark.slow
@pytest.mark.parametrize("dose", [3.0, 8.0])
def test_two_equal_detectors_are_as_good_as_one_at_the_full_dose(dose):
    one, two, full, together = _errors((dose / 2, dose / 2, dose), 4)
    assert together < min(one, two)
    assert together <= 1.1 / np.sqrt(one**-2 + two**-2)
    assert together <= 1.1 * full


@pytest.mark.slow
@pytest.mark.parametrize("doses", [(2.0, 6.0), (1.0, 16.0)])
def test_errors_of_unequal_detectors_add_as_those_of_independent_measurements(doses):
    one, two, together = _errors(doses, 4)
    assert together < min(one, two)
    assert together <= 1.1 / np.sqrt(one**-2 + two**-2)


@pytest.fixture(scope="module")
def recorded():
    images, xy, angle, distorted = _recordings(
        (300, 300), (30.0, 20.0), 0, order="domains", domain_size=5
    )
    images[1] = 500 - 40 * images[1]  # dark columns, other intensities
    return np.stack(images, axis=1), xy, angle, distorted


@pytest.fixture(scope="module")
def fitted(recorded):
    images, xy, *_ = recorded
    model = RVAE(1, epochs=4, random_state=0)
    return model, model.fit_transform(images, positions=xy)


def test_there_is_one_angle_a_site(recorded, fitted):
    images, xy, angle, distorted = recorded
    model, result = fitted
    assert model.n_detectors_ == 2 and model.verdict_.kind == "variants"
    apart = np.angle(np.exp(1j * (result.angle - angle)))[distorted]
    assert np.median(np.abs(apart)) < np.radians(6)
    assert result.latent.shape == (len(images), 1)


def test_the_fit_in_one_pass_is_that_in_two(recorded, fitted):
    images, xy, *_ = recorded
    model = RVAE(1, epochs=4, random_state=0).fit(images, positions=xy)
    assert model.fit_id_ == fitted[0].fit_id_
    np.testing.assert_array_equal(model.transform(images).angle, fitted[1].angle)


def test_lazy_sub_images_give_the_same(recorded, fitted):
    images, xy, *_ = recorded
    lazy = da.from_array(images, chunks=(50, 1, 20, -1))
    model = RVAE(1, epochs=4, random_state=0).fit(lazy, positions=xy)
    assert model.fit_id_ == fitted[0].fit_id_
    np.testing.assert_array_equal(model.transform(lazy).latent, fitted[1].latent)


def test_intensities_of_a_detector_do_not_matter(recorded, fitted):
    images, xy, *_ = recorded
    other = images * np.float32([[[1]], [[64]]]) + np.float32([[[0]], [[8]]])
    result = RVAE(1, epochs=4, random_state=0).fit_transform(other, positions=xy)
    apart = np.angle(np.exp(1j * (result.angle - fitted[1].angle)))
    assert np.median(np.abs(apart)) < np.radians(0.5)


def test_each_detector_is_decoded_in_its_own_intensities(recorded, fitted):
    images = recorded[0]
    model, result = fitted
    decoded = model.inverse_transform(result.latent, result.angle, order=result.order_amplitude)
    assert decoded.shape == images.shape
    middle = slice(12, -12)
    for k in (0, 1):
        mean = images[:, k].mean(0)[middle, middle]
        ours = decoded[:, k].mean(0)[middle, middle]
        assert np.abs(ours - mean).max() < 0.2 * np.ptp(mean)
        part = model.of_detector(k)
        alone = part.inverse_transform(result.latent, result.angle, order=result.order_amplitude)
        np.testing.assert_array_equal(alone, decoded[:, k])
        with pytest.raises(ModelMismatch, match="of all of them"):
            part._model.encode(images[:, k], None, "cpu", False)


@pytest.mark.slow
def test_latents_are_those_of_the_named_detector(recorded):
    images, xy, *_ = recorded
    second = RVAE(1, epochs=4, random_state=0, latent_channel=1)
    latent = second.fit_transform(images, positions=xy).latent

    def alike(channel):
        """Correlation of the latents with those after a change of one detector."""
        changed = images.copy()
        brighter = np.random.default_rng(0).uniform(0.7, 1.3, len(images))
        changed[:, channel] *= brighter[:, None, None].astype(changed.dtype)
        return np.corrcoef(second.transform(changed).latent[:, 0], latent[:, 0])[0, 1]

    # Not exactly: the direction of the distortion, which is taken out, is that of all detectors.
    assert alike(0) > 0.95 > 0.7 > alike(1)


@pytest.mark.slow
def test_a_file_holds_all_detectors(recorded, fitted, tmp_path):
    model, result = fitted
    loaded = RVAE.load(model.save(tmp_path / "joint.safetensors"))
    assert loaded.fit_id_ == model.fit_id_ and loaded.n_detectors_ == 2
    np.testing.assert_array_equal(loaded.transform(recorded[0]).angle, result.angle)
    more = RVAE(1, epochs=1, random_state=0)
    more.fit(recorded[0], positions=recorded[1], initial_model=loaded)
    assert more.n_detectors_ == 2


@pytest.mark.slow
def test_a_turning_motif_has_one_angle_too(recorded):
    images, xy, *_ = recorded
    alone, together = (
        RVAE(1, rotation="motif", epochs=1, random_state=0).fit_transform(each, positions=xy)
        for each in (images[:, 0], images)
    )
    turn = np.exp(1j * (alone.angle - together.angle))
    assert np.abs(turn.mean()) > 0.9  # up to one offset
    assert np.median(together.angle_std) < np.median(alone.angle_std)


def test_whatever_needs_one_detector_is_refused(recorded, fitted):
    images, xy, *_ = recorded
    for options in ({"translation": True}, {"architecture": "convolutional", "rotation": "motif"}):
        with pytest.raises(ValueError, match="channel=k"):
            RVAE(1, **options).fit(images, positions=xy)
    with pytest.raises(ValueError, match="0 to 1"):
        RVAE(1, latent_channel=2).fit(images, positions=xy)
    with pytest.raises(ModelMismatch, match=r"1 detector, the model was fitted to 2"):
        fitted[0].transform(images[:, 0])
    with pytest.raises(ValueError, match="0 to 1"):
        fitted[0].of_detector(2)


def test_blocks_of_the_grid_are_those_of_the_detectors():
    single = HarmonicGrid(24, 0.2, 8, 9)
    grid = JointGrid.of(single, (1, 0))
    assert (grid.n_q, grid.n_radial, grid.single) == (16, 8, single)
    assert grid.block(1) == slice(0, 8) and grid.block(0) == slice(8, 16)
    assert grid.noise_power().shape == (16, 10)
