# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the columns of a fit mean, against the truth of simulated films.

Angles are directions of displacement; sites without displacement have none; latents follow the
composition and do not tell the variant.
"""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from hs_rvae import SubImageStack
from hs_rvae.neighbours import displacement
from hs_rvae.simulation import simulate_hexagonal

SMALL = {"n_cells": 30, "cell": 18.0}  # about 800 sites


def seeds(n, fast=1):
    """Seeds 0 ... n - 1, of which the first few run by default."""
    return [
        seed if seed < fast else pytest.param(seed, marks=pytest.mark.slow) for seed in range(n)
    ]


def fit(make_film, seed, **settings):
    film = make_film(seed, **settings)
    film.stack.rvae(output_dimension=2, random_state=seed)
    return film


# Sites without displacement


def check_no_variant(film):
    stack = film.stack
    assert stack.rvae_verdict.kind == "nothing"
    for n_variants in ("auto", 4):
        assert stack.assign_variants(n_variants) == 0
        assert (stack.sites["variant"] == -1).all() and not stack.sites["order_amplitude"].any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_small_crystal_without_displacement_has_no_variants(make_film, seed):
    check_no_variant(fit(make_film, seed, shift=0.0, tilt=0.0, nonpolar=0.0, **SMALL))


@pytest.mark.slow
@pytest.mark.parametrize("tilt", [0.0, 0.06])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_crystal_without_displacement_has_no_variants(make_film, seed, tilt):
    check_no_variant(fit(make_film, seed, shift=0.0, tilt=tilt, nonpolar=0.0))


# Films in which each variant has domains; a domain narrower than its wall has another direction.
@pytest.mark.parametrize("seed", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 5))])
def test_the_non_polar_part_is_undefined_and_the_polar_part_is_not(make_film, seed):
    film = fit(make_film, seed, nonpolar=0.25)
    assert film.stack.assign_variants("auto") == 4
    undefined = film.stack.sites["variant"] == -1
    non_polar = (film.sites["variant"] == -1).to_numpy()  # up to its wall
    print(undefined[non_polar].mean(), undefined[film.interior].mean())
    assert non_polar.mean() > 0.2
    assert undefined[non_polar].mean() >= 0.90
    assert undefined[film.interior].mean() <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(3))
def test_three_variants_of_a_hexagonal_film_are_counted_as_three(seed):
    image, truth = simulate_hexagonal((700, 700), n_variants=3, random_state=seed)
    stack = SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
    stack.rvae(random_state=seed, epochs=1)
    assert stack.assign_variants("auto") == 3


# Directions


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(3))
def test_angles_are_directions_of_displacement(make_film, seed):
    # An error of 0.1 px of the positions would turn each displacement of 1.8 px by 3 degrees.
    film = fit(make_film, seed, position_noise=0.0)
    before = film.stack.sites["angle"]
    a, b = (t[["x", "y"]].to_numpy() for t in (film.truth.a_sites, film.truth.b_sites))
    sites = film.stack.sites
    vectors = displacement(b, a)[sites["site_index"]]  # of the true positions
    names = ["displacement_x", "displacement_y"]
    sites.set_many(dict(zip(names, vectors.T, strict=True)), units=dict.fromkeys(names, "px"))
    offset, resultant = film.stack.register_angle("displacement")
    assert offset == 0 and resultant > 0.95
    np.testing.assert_array_equal(sites["angle"], before)
    difference = np.exp(1j * (sites["angle"] - np.arctan2(vectors[:, 1], vectors[:, 0])))
    difference = difference[film.interior]
    print(resultant, np.degrees(np.angle(difference.mean())))
    # One by one they scatter by the disorder of the columns: 0.05 px in 1.8 px.
    assert np.degrees(np.abs(np.angle(difference))).mean() < 3
    assert abs(np.degrees(np.angle(difference.mean()))) < 1
    variant_angle = film.true_angle[film.interior]
    error = np.abs(np.angle(np.exp(1j * (sites["angle"][film.interior] - variant_angle))))
    assert np.degrees(error).mean() < 2


# Composition


def interior_latents(film):
    sites = film.stack.sites
    return np.stack([sites["latent_0"], sites["latent_1"]], axis=1)[film.interior]


def cross_validated_r2(features, values):
    folds = KFold(10, shuffle=True, random_state=0)
    return r2_score(values, cross_val_predict(LinearRegression(), features, values, cv=folds))


@pytest.mark.slow
@pytest.mark.parametrize("chemistry", [0.35, 0.7])
@pytest.mark.parametrize("seed", seeds(3))
def test_latents_tell_the_composition_as_well_as_the_intensity_does(make_film, seed, chemistry):
    film = fit(make_film, seed, chemistry=chemistry, nonpolar=0.0)
    truth = film.sites[film.interior]
    reached = cross_validated_r2(interior_latents(film), truth["chemistry"])
    # The best that can be asked for: a column's own intensity also varies by thickness and by
    # 5 % for reasons of its own.
    possible = cross_validated_r2(truth[["amplitude"]], truth["chemistry"])
    print(chemistry, seed, reached, possible, reached / possible)
    assert reached >= 0.9 * possible


# The variant must not be readable from the latents. Sites of one film are no fair test of that by
# themselves: there are few domains, and composition and thickness change smoothly, so a classifier
# that has seen the surroundings of a site knows the place, hence the domain. (True composition and
# intensity, which know no angle, tell the variant as well in such a test.) So sites are guessed
# from domains that lie elsewhere: small domains and large blocks, or other films.

CLASSIFIERS = {
    "neighbours": KNeighborsClassifier(25),
    "logistic": make_pipeline(
        PolynomialFeatures(2), LogisticRegression(class_weight="balanced", max_iter=1000)
    ),
    "boosting": HistGradientBoostingClassifier(
        class_weight="balanced", max_iter=60, random_state=0
    ),
}


def guess(features, variant, groups, folds, name):
    """Balanced accuracy of guessing the variant in groups of sites not learned from."""
    classifier = make_pipeline(StandardScaler(), CLASSIFIERS[name])
    found = cross_val_predict(classifier, features, variant, groups=groups, cv=folds)
    return balanced_accuracy_score(variant, found)


def blocks(film, n_cells):
    """Number of the block of n x n cells that a site lies in."""
    column, row = (
        (film.sites[name][film.interior] // (n_cells * film.truth.cell)).astype(int)
        for name in "xy"
    )
    return (100 * row + column).to_numpy()


@pytest.mark.slow
def test_the_variant_cannot_be_read_from_the_latents_of_another_part_of_the_film(make_film):
    accuracies = []
    for seed in range(4):
        film = fit(make_film, seed, nonpolar=0.0, domain_size=6.0)
        variant = film.sites["variant"][film.interior].to_numpy()
        latents, where = interior_latents(film), blocks(film, 12)
        accuracies.append(guess(latents, variant, where, GroupKFold(5), "neighbours"))
    print(accuracies)
    assert max(accuracies) <= 0.25 + 0.10


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_the_variant_cannot_be_read_from_the_latents_of_other_films(make_film, name):
    films = [fit(make_film, 0, nonpolar=0.0)]
    for seed in range(1, 6):
        films.append(make_film(seed, nonpolar=0.0))
        films[-1].stack.apply_rvae(films[0].stack.rvae_model)
    latents = np.concatenate([interior_latents(film) for film in films])
    variant = np.concatenate([film.sites["variant"][film.interior] for film in films])
    number = np.repeat(np.arange(len(films)), [film.interior.sum() for film in films])
    accuracy = guess(latents, variant, number, LeaveOneGroupOut(), name)
    print(name, accuracy)
    assert accuracy <= 0.25 + 0.10


@pytest.mark.slow
def test_a_classifier_would_find_the_variant_where_it_is(make_film):
    # The same test can fail: features that hold the angle are found out.
    films = [make_film(seed, nonpolar=0.0) for seed in range(3)]
    vectors = np.concatenate(
        [f.sites[["displacement_x", "displacement_y"]][f.interior] for f in films]
    )
    variant = np.concatenate([film.sites["variant"][film.interior] for film in films])
    number = np.repeat(np.arange(len(films)), [film.interior.sum() for film in films])
    for name in CLASSIFIERS:
        assert guess(vectors, variant, number, LeaveOneGroupOut(), name) > 0.95
