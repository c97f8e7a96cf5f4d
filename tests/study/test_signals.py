# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectra and patterns at the sites reach their figures on simulated films.

``pytest -m slow tests/study/test_signals.py`` takes about three minutes. The films of 2,000 sites
are measured with two seeds; ``HS_RVAE_SWEEP=1 pytest -m sweep`` adds the others.
"""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.optimize import least_squares

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.simulation import simulate_4dstem, simulate_perovskite, simulate_spectrum_image

SEEDS = range(6)
CELL = 20  # px, of the films of the spectra
PURE = {"cell": CELL, "chemistry": 0.0, "random_composition": 0.0, "domain_size": 8}
# As in the paper on patterns: 26 px are 4 angstroms.
FILM = {
    "cell": 26, "column_width": 0.06, "domain_size": 7, "chemistry": 0.15,
    "thickness_gradient": 0.05, "scan_jitter": 0.0, "dose": np.inf,
}  # fmt: skip
STEP = 2  # px of the film in a step of the scan


def expected(spectra, truth):
    """The expectation in every pixel, with the axes of the spectra."""
    new = hs.signals.Signal1D(truth.expected())
    for one, like in zip(
        new.axes_manager.navigation_axes, spectra.axes_manager.navigation_axes, strict=True
    ):
        one.scale, one.units = like.scale, like.units
    return new


@pytest.mark.slow
def test_mean_spectra_of_sublattices_keep_their_errors():
    off = []
    for seed in SEEDS:
        image, spectra, truth = simulate_spectrum_image(
            (300, 300), n_channels=128, random_state=seed, **PURE
        )
        lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
        means = hs_rvae.get_sublattice_means(lattice, spectra, radius=3)
        pixels = (np.hypot(*np.mgrid[-3:4, -3:4]) <= 3).sum()
        counts = np.array(means.metadata.Clusters.counts)[:, None] * pixels * means.data
        wanted = hs_rvae.get_sublattice_means(lattice, expected(spectra, truth), radius=3).data
        error = np.sqrt(means.get_noise_variance().data)
        off.append((np.abs(means.data - wanted) / error)[counts >= 20])
    off = np.concatenate(off)
    print(f"{len(off)} channels, {(off < 3).mean():.4f} within 3, {(off < 1).mean():.3f} within 1")
    assert (off < 3).mean() >= 0.99
    assert 0.60 <= (off < 1).mean() <= 0.76


def peak(image, start, reach):
    """Place of the column nearest to a place, by a fit of a round Gaussian and a constant."""
    y, x = np.indices(image.shape)
    near = np.hypot(x - start[0], y - start[1]) <= reach
    x, y, values = x[near], y[near], image[near]

    def missed(p):
        distance = (x - p[0]) ** 2 + (y - p[1]) ** 2
        return p[2] * np.exp(-distance / (2 * p[3] ** 2)) + p[4] - values

    low = values.min()
    return least_squares(missed, [*start, values.max() - low, reach / 2.5, low]).x[:2]


def shift_in_cell(maps, spacing):
    """B column less the middle of the four A columns around it, in px of the maps."""
    a, b = maps
    middle = (np.array(a.shape[::-1]) - 1) / 2
    corners = spacing / 2 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    cage = np.mean([peak(a, middle + corner, 0.3 * spacing) for corner in corners], axis=0)
    return peak(b, middle, 0.3 * spacing) - cage


def elemental_maps(cell, truth):
    """Maps of A and B of each variant: counts in the strongest line, less the continuum."""
    lines = [int(np.argmax(each)) for each in truth.spectra[:2]]
    windows = [cell.data[..., line - 4 : line + 5].sum(axis=-1) for line in lines]
    return np.stack(windows, axis=1)


def ways(spectra):
    """The same spectra in several forms, and the film's px in a px of each."""
    lazy = spectra.as_lazy()
    lazy.rechunk(nav_chunks=(70, 90), sig_chunks=50)
    yield "eager", spectra, 1
    yield "lazy", lazy, 1
    yield "another step", spectra.rebin(scale=(2, 2, 1)), 2
    yield "ROI", spectra.inav[30:, 40:-20], 1


@pytest.mark.slow
def test_the_mean_cell_of_a_variant_shows_its_displacement():
    missed = {}
    for seed in SEEDS:
        image, spectra, truth = simulate_spectrum_image(
            (640, 640), n_channels=64, random_state=seed, **PURE
        )
        b = truth.film.b_sites
        known = {name: b[name].to_numpy() for name in ("variant", "displacement_x")}
        known["displacement_y"] = b["displacement_y"].to_numpy()
        stack = SubImageStack.from_positions(image, b, window_size=2 * CELL, columns=known)
        for name, signal, step in ways(spectra):
            cell = stack.get_mean_cell(signal, "variant", window_size=2 * CELL // step)
            node = cell.metadata.Clusters
            for k, (label, count) in enumerate(zip(node.labels, node.counts, strict=True)):
                if count < 100:
                    continue
                own = stack.sites["variant"] == label
                moved = stack.sites[["displacement_x", "displacement_y"]][own].mean(axis=0)
                found = step * shift_in_cell(elemental_maps(cell, truth)[k], CELL / step)
                missed.setdefault(name, []).append(found - moved)
    for name, vectors in missed.items():
        error = np.sqrt((np.array(vectors) ** 2).sum(axis=1).mean())
        print(f"{name}: {len(vectors)} cells, {error:.3f} px")
        assert len(vectors) >= 12 and error <= 0.1


def patterns_of(seed, size, found=False, **film):
    """Stack of the patterns about the cages of a film, and the true displacements of its sites."""
    film = FILM | film
    shape = (size, size)
    _, truth = simulate_perovskite(shape, random_state=seed, **film)
    positions = truth.b_sites[["x", "y"]].to_numpy()
    moved = truth.b_sites[["displacement_x", "displacement_y"]].to_numpy()
    place = (positions - moved) / STEP  # of the cages, in scan pixels
    inside = ((place >= 2) & (place < size / STEP - 3)).all(axis=1)
    place, moved = place[inside], moved[inside]
    nearest = np.floor(place + 0.5)
    probes = nearest[:, None] + [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]
    settings = {k: v for k, v in film.items() if k not in ("scan_jitter", "dose")}
    data, _ = simulate_4dstem(
        shape, positions=STEP * probes.reshape(-1, 2), random_state=seed, **settings
    )
    # What get_site_signals(data, radius=1, about="cage") makes of a whole scan.
    patterns = hs.signals.Signal2D(data.data.reshape(-1, 5, 64, 64).mean(axis=1, dtype=np.float32))
    patterns.metadata.add_dictionary(data.metadata.as_dictionary())
    patterns.metadata.set_item("Regions.offset", nearest - place)
    columns = dict(zip("xy", place.T, strict=True))
    return SubImageStack.from_site_signals(patterns, columns), moved


def resultant(angle, moved):
    """|mean exp(i (angle - direction))| of the sites displaced by more than half the median."""
    length = np.hypot(*moved.T)
    off = np.exp(1j * (angle - np.arctan2(moved[:, 1], moved[:, 0])))
    return abs(off[length > 0.5 * np.median(length)].mean())


def ridge(images, moved, n_components=8, n_folds=5):
    """Angles that a regression on the true directions gives sites that it was not fitted to."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=0)
    u, s, _ = np.linalg.svd(flat, full_matrices=False)
    design = np.column_stack([u[:, :n_components] * s[:n_components], np.ones(len(flat))])
    wanted = moved / np.hypot(*moved.T)[:, None]
    fold = np.random.default_rng(0).permutation(len(flat)) % n_folds
    found = np.empty_like(wanted)
    for k in range(n_folds):
        kept, out = design[fold != k], fold == k
        normal = kept.T @ kept
        normal += 1e-3 * np.trace(normal) / len(normal) * np.eye(len(normal))
        found[out] = design[out] @ np.linalg.solve(normal, kept.T @ wanted[fold != k])
    return np.arctan2(found[:, 1], found[:, 0])


def judge(seed, size, minimum):
    """Fit a film, and compare its resultant with the minimum and with the regression."""
    stack, moved = patterns_of(seed, size)
    stack.rvae(random_state=0)
    found = resultant(stack.sites["angle"], moved)
    supervised = resultant(ridge(stack.data, moved), moved)
    print(f"seed {seed}, {len(moved)} sites: {found:.3f}, regression {supervised:.3f}")
    assert stack.rvae_verdict.kind == "variants"
    assert found >= minimum and found >= supervised - 0.03
    off = np.exp(1j * (stack.sites["angle"] - np.arctan2(moved[:, 1], moved[:, 0])))
    assert abs(np.angle(off.mean())) < np.radians(10)  # the zero is that of the image


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_patterns_show_the_direction_of_the_displacement(seed):
    judge(seed, 400, 0.78)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_two_thousand_patterns_show_it_better(seed):
    judge(seed, 1200, 0.87)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_other_films_of_two_thousand_patterns(seed):
    judge(seed, 1200, 0.87)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_patterns_of_undistorted_films_show_nothing(seed):
    stack, _ = patterns_of(seed, 400, shift=0.0)
    stack.rvae(random_state=0)
    assert stack.rvae_verdict.kind == "nothing"
    assert not stack.sites["order_amplitude"].any()
