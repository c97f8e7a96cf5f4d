# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw images, multislice and real, to variants, against what is known about them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae.variants import agreement, wrap

pytestmark = pytest.mark.slow


def fitted(image, seed, window_size=None, **settings):
    """The B stack of a raw image, angles registered on displacements."""
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(
        lattice, image=image, sublattice="B", window_size=window_size
    )
    stack.rvae(random_state=seed, show_progressbar=False, **settings)
    return stack


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
    assert np.degrees(np.abs(error - np.median(error))).mean() < 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_angles_of_the_superlattice_are_one_variant_where_displacements_turn(pto_sro, seed):
    stack = fitted(pto_sro, seed)
    _, resultant = stack.register_angle("displacement")
    sites = stack.sites
    x, y = sites["displacement_x"], sites["displacement_y"]
    direction, length = np.arctan2(y, x), np.hypot(x, y)
    good = np.isfinite(x) & (sites["order_amplitude"] > 0.5)
    correlation = circular_correlation(sites["angle"][good], direction[good])
    long = good & (length > 1.5)
    resultant_long = np.abs(np.mean(np.exp(1j * (sites["angle"] - direction)[long])))
    print(seed, good.sum(), resultant, correlation, long.sum(), resultant_long)
    assert good.sum() > 350
    assert 0.5 < resultant < 0.6
    assert abs(correlation) < 0.2  # as the user guide says: a variant, not a direction
    assert resultant_long > 0.65
    scatter = wrap(sites["angle"] - np.angle(np.mean(np.exp(1j * sites["angle"][good]))))[good]
    assert np.quantile(np.abs(scatter), 0.95) < np.radians(30)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_deviations_from_the_average_tell_the_variants_of_the_superlattice(pto_sro, seed):
    def agreement_of(stack):
        sites = stack.sites
        x, y = sites["displacement_x"], sites["displacement_y"]
        good = np.isfinite(x) & (sites["order_amplitude"] > 0.5)
        direction, length = np.arctan2(y, x)[good], np.hypot(x, y)[good]
        return agreement(sites["angle"][good], direction, length)

    plain = fitted(pto_sro, seed)
    stack = fitted(pto_sro, seed, subtract_average=True)
    _, resultant = stack.register_angle("displacement")
    assert stack.assign_variants() == 4
    share = (stack.sites["variant"] >= 0).mean()
    counts = np.bincount(stack.sites["variant"][stack.sites["variant"] >= 0])
    print(seed, agreement_of(plain), agreement_of(stack), resultant, share, counts)
    assert agreement_of(plain) < 0.2
    assert agreement_of(stack) > 0.6
    assert resultant > 0.7
    assert stack.rvae_model.lattice_symmetry_ == 4
    assert share > 0.6 and counts.min() > 40
