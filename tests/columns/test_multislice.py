# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the errors of positions in the multislice image come from: the image, not the fit.

True positions there are those of the Bi and Fe atoms before they vibrate. What the user guide
says about this image is asserted here.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns import find_sublattices
from hs_rvae.refinement import refine_sublattice

pytestmark = pytest.mark.slow

NEAR = 0.3  # px


@pytest.fixture(scope="module")
def film():
    image, truth = hs_rvae.data.bfo_multislice()
    a, b = (s.column_table for s in find_sublattices(image).sublattice_list)
    shift = truth["B_shift_angstrom_xy"] / truth["px_angstrom"]
    label = truth["label"]
    true_b = truth["cell_centre_xy_warped"] + shift
    polar = label < 4
    # The variants are one cell, turned: back to the direction of the shift and across it.
    along = (
        np.where(polar[:, None], shift, -1) / np.where(polar, np.hypot(*shift.T), 2**0.5)[:, None]
    )
    return SimpleNamespace(
        image=image, a=a, b=b, true_a=truth["A_xy_warped"], true_b=true_b, label=label,
        along=along, across=np.stack([-along[:, 1], along[:, 0]], axis=1),
    )  # fmt: skip


def errors(film, xy, true, margin=20):
    """Along and across the shift, and which fit and site they belong to."""
    distance, nearest = cKDTree(xy).query(true)
    inner = ((true > margin) & (true < 960 - margin)).all(axis=1) & (distance < 3)
    error = xy[nearest] - true
    parts = np.stack([(error * axis).sum(axis=1) for axis in (film.along, film.across)], axis=1)
    return parts, nearest, inner


def test_the_scatter_is_that_of_the_counts(film):
    """Without its mean, the error is what the standard errors say; noise alone loses 1 in 100."""
    parts, nearest, inner = errors(film, film.b[["x", "y"]].to_numpy(), film.true_b)
    std = film.b[["x_std", "y_std"]].to_numpy()[nearest]
    rng = np.random.default_rng(0)
    for kind in (film.label < 4, film.label == 4):
        used = inner & kind
        offset = parts[used].mean(axis=0)
        ratio = (parts[used] - offset).std() / np.sqrt((std[used] ** 2).mean())
        assert 0.9 < ratio < 1.2
        near = (np.hypot(*(parts[used] - offset).T) < NEAR).mean()
        noise = rng.normal(0, 1, (50, *std[used].shape)) * std[used]
        expected = (np.hypot(*np.moveaxis(noise, -1, 0)) < NEAR).mean()
        assert near > 0.97 and expected - near < 0.02
        # With the mean error, that of the image, it is the share measured against the atoms.
        measured = (np.hypot(*parts[used].T) < NEAR).mean()
        expected = (np.hypot(*np.moveaxis(noise + offset, -1, 0)) < NEAR).mean()
        print(f"ratio {ratio:.2f}, near {near:.3f}, {measured:.3f}, expected {expected:.3f}")
        assert abs(measured - expected) < 0.05


def test_the_mean_error_turns_with_the_cell_and_is_there_without_polarity(film):
    """The fit favours no direction of the image; a symmetric cell already stands off its truth."""
    means = {}
    for name in "ab":
        xy = getattr(film, name)[["x", "y"]].to_numpy()
        parts, _, inner = errors(film, xy, getattr(film, "true_" + name))
        means[name] = np.array([np.median(parts[inner & (film.label == k)], 0) for k in range(5)])
    print(means)
    for each in means.values():
        assert np.abs(each[:4] - each[:4].mean(axis=0)).max() < 0.05
    # Of the cell that should be symmetric: 0.1 px each, 0.02 angstrom, A across the shift.
    assert np.hypot(*means["a"][4]) > 0.1 and np.hypot(*means["b"][4]) > 0.07
    assert 0.2 < means["b"][:4, 0].mean() < 0.29
    assert np.abs(means["b"][:4, 1]).mean() < 0.03


def test_the_maximum_of_the_image_is_farther_off_than_the_fit(film):
    """No model: a parabola through the top of the raw peaks, whose noise the mean takes away."""
    values = film.image.data.astype(float)
    xy = film.b[["x", "y"]].to_numpy()
    parts, nearest, inner = errors(film, xy, film.true_b)
    used = np.flatnonzero(inner & (film.label < 4))
    v, u = np.mgrid[-2:3, -2:3]
    found = []
    for k in used:
        centre = np.round(film.true_b[k] + 0.245 * film.along[k]).astype(int)
        patch = values[centre[1] - 2 : centre[1] + 3, centre[0] - 2 : centre[0] + 3]
        design = np.stack([np.ones(25), *(z.ravel() for z in (u, v, u * u, u * v, v * v))], axis=1)
        _, a, b, c, d, e = np.linalg.lstsq(design, patch.ravel(), rcond=None)[0]
        top = np.linalg.solve([[2 * c, d], [d, 2 * e]], [-a, -b])
        found.append((centre + top - film.true_b[k]) @ film.along[k])
    maximum, fit = np.median(found), np.median(parts[used, 0])
    print(f"maximum {maximum:.3f} px, fit {fit:.3f} px")
    assert fit < maximum < 0.4


def test_atomaps_fit_is_farther_off(film):
    """A, then B in the image without the fitted A, as is usual with Atomap."""
    import atomap.api as am
    from atomap.tools import remove_atoms_from_image_using_2d_gaussian

    size = 400
    image = film.image.data[:size, :size].astype(float)
    a, b = (each[["x", "y"]].to_numpy() for each in (film.a, film.b))
    a, b = (xy[(xy < size - 6).all(axis=1)] for xy in (a, b))
    first = am.Sublattice(np.round(a), image)
    refine_sublattice(first, image, method="atomap")
    rest = remove_atoms_from_image_using_2d_gaussian(image, first, show_progressbar=False)
    second = am.Sublattice(np.round(b), rest)
    refine_sublattice(second, rest, method="atomap")
    means = []
    for xy in (b, second.atom_positions):
        parts, _, inner = errors(film, xy, film.true_b)
        used = inner & (film.true_b < size - 25).all(axis=1) & (film.label < 4)
        assert used.sum() > 200
        near = (np.hypot(*parts[used].T) < NEAR).mean()
        print("along", parts[used].mean(axis=0), "scatter", parts[used].std(axis=0), "near", near)
        means.append(np.median(parts[used, 0]))
    assert 0.15 < means[0] < means[1]
