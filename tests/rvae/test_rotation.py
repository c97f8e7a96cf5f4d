# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns: the distortion in a film, the motif in grains, nothing in a perfect crystal."""

import numpy as np
import pytest

import hs_rvae
from hs_rvae import RVAE
from hs_rvae.verdict import FEW_SITES

QUICK = {"output_dimension": 1, "epochs": 1, "n_init": 1, "random_state": 0}
A = 18.0


def sites_of(make_film, n_cells=22, **settings):
    """Sub-images and positions of a small film."""
    settings = {"cell": A, "domain_size": 6, "shift": 1.0, "nonpolar": 0.0} | settings
    film = make_film(0, n_cells=n_cells, window_cells=1.7, **settings)
    return film.stack.data, film.stack.sites.xy, film


def grains(angles=(0.0, 20.0, 55.0), size=30, side=26 * A):
    """Sub-images and positions of grains of one square lattice, side by side, and their numbers."""
    rng = np.random.default_rng(0)
    index = np.stack(np.meshgrid(*2 * [np.arange(-40, 41)]), -1).reshape(-1, 2)
    near = index[np.hypot(*index.T) < 3]
    line = np.arange(size) - (size - 1) / 2
    images, positions, numbers = [], [], []
    for number, angle in enumerate(np.radians(angles)):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        xy = A * index @ turn + side / 2
        low, high = (side * (number + k) / len(angles) for k in (0, 1))
        inside = (xy[:, 0] > low + 9) & (xy[:, 0] < high - 9) & (xy[:, 1] > 0) & (xy[:, 1] < side)
        window = np.zeros((size, size))
        for shift, height in ((0.0, 0.5), (0.5, 1.0)):
            for at in A * (near + shift) @ turn:
                along = np.exp(-((line - at[0]) ** 2) / 10)
                window += height * along * np.exp(-((line[:, None] - at[1]) ** 2) / 10)
        positions.append(xy[inside])
        images.append(window + 0.1 * rng.standard_normal((inside.sum(), size, size)))
        numbers += [number] * int(inside.sum())
    return np.concatenate(images).astype(np.float32), np.concatenate(positions), np.array(numbers)


@pytest.fixture(scope="module")
def null(make_film):
    return sites_of(make_film, shift=0.0)


@pytest.fixture(scope="module")
def null_model(null):
    return RVAE(**QUICK).fit(null[0], positions=null[1])


def test_the_distortion_of_a_film_turns(make_film):
    images, positions, film = sites_of(make_film)
    model = RVAE(**QUICK).fit(images, positions=positions)
    verdict = model.verdict_
    assert model.rotation_ == verdict.rotation == "distortion"
    assert verdict.kind == "variants" and verdict.tested and not verdict.notes
    assert verdict.evidence["predicted"] > verdict.thresholds["predicted"]
    assert model.motif_symmetry_ == 1 and model.lattice_symmetry_ == 4
    error = np.angle(np.exp(1j * (model.transform(images).angle - film.true_angle)))
    assert np.degrees(np.median(np.abs(error[film.interior]))) < 8


@pytest.mark.slow
def test_the_motif_turns_in_grains_of_one_lattice():
    images, positions, number = grains()
    model = RVAE(**QUICK).fit(images, positions=positions)
    verdict = model.verdict_
    assert model.rotation_ == verdict.rotation == "motif"
    assert verdict.kind == "turning motif" and verdict.tested
    assert verdict.evidence["coherence"] < verdict.thresholds["coherence"]
    assert model.motif_symmetry_ == 4
    angle = model.transform(images).angle
    middles = [np.angle(np.exp(4j * angle[number == k]).mean()) / 4 for k in range(3)]
    turns = np.degrees(np.array(middles[1:]) - middles[0]) % 90
    np.testing.assert_allclose(turns, [20, 55], atol=3)


def test_nothing_turns_in_a_perfect_crystal(null, null_model):
    result = null_model.transform(null[0])
    assert null_model.verdict_.kind == "nothing" and not null_model.verdict_.found
    assert not result.order_amplitude.any()
    np.testing.assert_allclose(result.angle_std, np.pi / np.sqrt(3), rtol=1e-6)
    assert null_model.angle_scatter_ == 0


@pytest.mark.slow
@pytest.mark.parametrize("rotation", ["distortion", "motif"])
def test_nothing_is_found_in_a_perfect_crystal_whatever_is_asked_for(null, rotation):
    model = RVAE(**QUICK, rotation=rotation).fit(null[0], positions=null[1])
    assert model.rotation_ == rotation and model.verdict_.kind == "nothing"
    assert not model.transform(null[0]).order_amplitude.any()


@pytest.mark.slow
@pytest.mark.parametrize("rotation", ["auto", "motif"])
def test_without_positions_the_motif_turns_untested(null, rotation):
    model = RVAE(**QUICK, rotation=rotation).fit(null[0][:160])
    assert model.rotation_ == "motif"
    assert model.verdict_.kind == "turning motif" and not model.verdict_.tested
    assert "no positions" in model.verdict_.notes[0]


@pytest.mark.slow
def test_with_translation_and_in_the_paper_s_network_the_motif_turns(null):
    images, positions = null[0][:60], null[1][:60]
    for settings in ({"translation": True}, {"architecture": "convolutional"}):
        model = RVAE(**QUICK, **settings).fit(images, positions=positions)
        assert model.rotation_ == "motif"
        assert not model.verdict_.tested or model.verdict_.rotation == "motif"


@pytest.mark.parametrize(
    ("settings", "n", "placed", "reason"),
    [
        ({}, 60, False, "'auto' is 'motif', because there are no positions"),
        ({"translation": True}, 60, True, "'auto' is 'motif', because sub-images have shifts"),
        ({"architecture": "convolutional"}, 60, True, "'auto' is 'motif'"),
        ({}, 160, True, "uses the model 'distortion'. No distortion stands out"),
    ],
    ids=["no positions", "translation", "convolutional", "evidence"],
)
@pytest.mark.slow
def test_the_choice_is_logged_with_its_reason(null, caplog, settings, n, placed, reason):
    positions = null[1][:n] if placed else None
    with caplog.at_level("INFO", logger="hs_rvae"):
        RVAE(**QUICK, **settings).fit(null[0][:n], positions=positions)
    assert reason in caplog.text


@pytest.mark.slow
def test_few_sites_are_said_to_be_few(null):
    model = RVAE(**QUICK, rotation="distortion").fit(null[0][:140], positions=null[1][:140])
    assert any(f"140 sites are few: below {FEW_SITES}" in note for note in model.verdict_.notes)
    model = RVAE(**QUICK, rotation="motif").fit(null[0][:140], positions=null[1][:140])
    assert not model.verdict_.tested


def test_sites_far_apart_cannot_test(null):
    apart = null[1][:160] + 1e3 * np.random.default_rng(0).random((160, 2)).cumsum(0)
    model = RVAE(**QUICK).fit(null[0][:160], positions=apart)
    assert any("other cells cannot test" in note for note in model.verdict_.notes)
    assert model.verdict_.kind != "variants"


@pytest.mark.parametrize("rotation", [True, np.True_, "average", 1, None])
def test_other_values_of_rotation_are_refused_with_those_there_are(rotation):
    with pytest.raises(ValueError, match=r"rotation=.*'auto', 'distortion'.*'motif'.*or False"):
        RVAE(rotation=rotation).fit(np.zeros((20, 16, 16)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "positions=None with rotation='distortion'.*or rotation='motif'"),
        ({"translation": True}, "translation=True.*cannot be distinguished"),
        ({"architecture": "convolutional"}, "convolutional architecture turns the whole"),
    ],
)
def test_a_distortion_that_cannot_be_fitted_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RVAE(rotation="distortion", **settings).fit(np.zeros((20, 16, 16)))


@pytest.mark.parametrize(
    ("name", "shape"), [("positions", (20, 3)), ("positions", (19, 2)), ("displacements", (20,))]
)
def test_positions_of_another_shape_are_refused(name, shape):
    places = {"positions": np.zeros((20, 2))} | {name: np.zeros(shape)}
    with pytest.raises(ValueError, match=rf"{name} has shape .*; \(20, 2\) is expected"):
        RVAE().fit(np.zeros((20, 16, 16)), **places)
    with pytest.raises(ValueError, match=r"strata has shape \(3,\); \(20,\) is expected"):
        RVAE().fit(np.zeros((20, 16, 16)), strata=[0, 1, 2])


@pytest.mark.slow
def test_two_kinds_of_column_and_few_sites_are_stated():
    image, truth = hs_rvae.simulation.simulate_perovskite((400, 400), shift=0.0, random_state=1)
    both = np.concatenate([truth.a_sites[["x", "y"]], truth.b_sites[["x", "y"]]])
    for xy, word in ((both, "Two kinds of column"), (truth.b_sites[["x", "y"]][:100], "are few")):
        stack = hs_rvae.SubImageStack.from_positions(image, xy, window_size=32)
        stack.rvae(1, random_state=0, epochs=1, q_max=0.15)
        verdict = stack.rvae_verdict
        assert verdict.kind == "nothing" and any(word in note for note in verdict.notes)
        assert stack.assign_variants() == 0
