# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw images, multislice and real, to variants, against what is known about them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae.variants import common_offset, wrap

pytestmark = pytest.mark.slow


def fitted(image, seed, window_size=None, **settings):
    """The B stack of a raw image, angles registered on displacements."""
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(
        lattice, image=image, sublattice="B", window_size=window_size
    )
    stack.rvae(random_state=seed, show_progressbar=False, **settings)
    return stack


def agreement(angle, direction, weights):
    """Chance-corrected agreement of two sets of directions, up to a common offset."""
    resultant = common_offset(angle, direction, weights)[1]
    zeros = np.zeros(len(angle))
    expected = np.prod([common_offset(each, zeros, weights)[1] for each in (angle, direction)])
    return (resultant - expected) / (1 - expected)


def circular_correlation(a, b):
    """Jammalamadaka and Sengupta's coefficient, about the circular means."""
    a, b = (np.sin(wrap(x - np.angle(np.mean(np.exp(1j * x))))) for x in (a, b))
    return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_multislice_mosaic_from_its_raw_image(seed):
    image, truth = hs_rvae.data.bfo_multislice()
    stack = fitted(image, seed)
    _, resultant = stack.register_angle("displacement")
    assert stack.assign_variants("auto") == 4
    true_xy = truth["cell_centre_xy_warped"] + truth["B_shift_angstrom_xy"] / truth["px_angstrom"]
    distance, row = cKDTree(true_xy).query(stack.sites.xy)
    assert (distance < 3).mean() > 0.99
    label, variant = truth["label"][row], stack.sites["variant"]
    # Away from walls: the eight neighbours belong to the same domain.
    _, near = cKDTree(true_xy).query(true_xy, k=9)
    inside = (truth["label"][near] == truth["label"][:, None]).all(axis=1)[row] & (distance < 3)
    polar = inside & (label < 4)
    print(resultant, (variant[inside & (label == 4)] == -1).mean(), (variant[polar] == -1).mean())
    assert polar.sum() > 500
    assert resultant > 0.9
    assert adjusted_rand_score(label[polar], variant[polar]) >= 0.99
    assert (variant[inside & (label == 4)] == -1).mean() >= 0.90
    assert (variant[polar] == -1).mean() <= 0.03
    shift = truth["B_shift_angstrom_xy"][row]
    error = wrap(stack.sites["angle"] - np.arctan2(shift[:, 1], shift[:, 0]))[polar]
    # Measured displacements are turned against the atoms' by 5 degrees, as the columns of the image
    # are; the angles keep this offset and scatter little about it.
    print(np.degrees(np.median(error)), np.degrees(error.std()))
    assert abs(np.degrees(np.median(error))) < 7
    # Positions are found in the image, and angles follow those of each site: 1.4 degrees.
    assert np.degrees(np.abs(error - np.median(error))).mean() < 1.6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_angles_of_the_superlattice_are_directions_that_turn_continuously(pto_sro, seed):
    stack = fitted(pto_sro, seed)
    verdict = stack.rvae_verdict
    assert (verdict.kind, verdict.rotation) == ("continuous", "distortion")
    _, resultant = stack.register_angle("displacement")
    sites = stack.sites
    x, y = sites["displacement_x"], sites["displacement_y"]
    direction, length = np.arctan2(y, x), np.hypot(x, y)
    good = np.isfinite(x) & (sites["order_amplitude"] > 0.5)
    agrees = agreement(sites["angle"][good], direction[good], length[good])
    correlation = circular_correlation(sites["angle"][good], direction[good])
    print(seed, good.sum(), resultant, agrees, correlation)
    assert good.sum() > 280
    assert resultant > 0.95 and agrees > 0.9 and correlation > 0.8
    assert stack.assign_variants() == 0 and (sites["variant"] == -1).all()
    # On request, four parts of the circle.
    assert stack.assign_variants(4) == 4
    variant = sites["variant"][sites["variant"] >= 0]
    assert np.bincount(variant, minlength=4).min() > 20
    assert len(variant) > 0.7 * good.sum()  # others are uncertain by more than half a part
    assert stack.rvae_model.lattice_symmetry_ == 4


def test_the_whole_motif_of_the_superlattice_does_not_turn(pto_sro):
    stack = fitted(pto_sro, 0, rotation="motif")
    assert stack.rvae_verdict.kind == "nothing" and not stack.sites["order_amplitude"].any()
    assert stack.assign_variants() == stack.assign_variants(4) == 0
