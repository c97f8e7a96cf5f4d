# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad sites and unusual intensities: the variants of the good sites stay what they were."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

# Fits of seconds each.
pytestmark = pytest.mark.slow

MODEL_COLUMNS = ("angle", "angle_std", "latent_0", "latent_1", "order_amplitude", "log_likelihood")
N_BAD = 12


@pytest.fixture(scope="module")
def bad(film):
    """Sites to be spoilt, inside domains and at walls."""
    return np.random.default_rng(0).choice(len(film.stack.sites), N_BAD, replace=False)


@pytest.fixture(scope="module")
def fitted(film):
    """A function that changes the sub-images of the small film and fits them anew."""

    def fit(change, n_variants=4):
        stack = film.stack.deepcopy()
        stack.data = change(stack.data.copy())
        stack.rvae(output_dimension=2, epochs=3, random_state=0)
        assert stack.assign_variants(n_variants) == 4
        return stack

    return fit


@pytest.fixture(scope="module")
def clean(fitted):
    return fitted(lambda data: data)


@pytest.fixture(scope="module")
def clean_groups(fitted):
    """The clean stack with the groups that its angles lie in."""
    return fitted(lambda data: data, n_variants="auto")


def check_good_sites(film, clean, stack, bad=()):
    """Good sites have the variants of the clean stack and of the truth, and no column is NaN."""
    good = np.ones(len(stack.sites), bool)
    good[list(bad)] = False
    variant, before = stack.sites["variant"], clean.sites["variant"]
    assert adjusted_rand_score(before[good], variant[good]) >= 0.98
    inside = good & film.interior
    assert adjusted_rand_score(film.sites["variant"][inside], variant[inside]) >= 0.98
    for name in MODEL_COLUMNS:
        assert np.isfinite(stack.sites[name][good]).all(), name


def spoil(bad, change):
    def changed(data):
        data[bad] = change(data[bad])
        return data

    return changed


def one_pixel_missing(images):
    images = images.copy()
    images[:, 0, 0] = np.nan
    return images


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images * np.nan,
        one_pixel_missing,
        pytest.param(lambda images: images + np.inf, marks=pytest.mark.slow),
    ],
    ids=["all of it NaN", "one pixel NaN", "infinite"],
)
def test_sub_images_with_missing_pixels_have_no_angle_and_no_variant(
    film, clean, fitted, bad, change
):
    stack = fitted(spoil(bad, change))
    check_good_sites(film, clean, stack, bad)
    for name in (*MODEL_COLUMNS, "variant_residual"):
        assert np.isnan(stack.sites[name][bad]).all(), name
    assert (stack.sites["variant"][bad] == -1).all()
    assert stack.rvae_model.n_sites_fit_ == len(stack.sites) - N_BAD


@pytest.mark.parametrize("level", [0.0, pytest.param(150.0, marks=pytest.mark.slow)])
def test_constant_sub_images_have_no_variant(film, clean, fitted, bad, level):
    stack = fitted(spoil(bad, lambda images: np.full_like(images, level)))
    check_good_sites(film, clean, stack, bad)
    assert (stack.sites["variant"][bad] == -1).all()
    assert stack.rvae_model.n_sites_fit_ == len(stack.sites) - N_BAD


@pytest.mark.parametrize("where", ["whole sub-image", "one pixel"])
def test_an_outlier_a_million_times_brighter_stays_alone(film, clean, fitted, bad, where):
    pixels = np.s_[:] if where == "whole sub-image" else np.s_[:, 5, 5]

    def brighten(images):
        images = images.copy()
        images[pixels] *= 1e6
        return images

    stack = fitted(spoil(bad[:1], brighten))
    check_good_sites(film, clean, stack, bad[:1])
    # The contrast of each site is normalised: brighter as a whole, it is the same crystal.
    known = clean.sites["variant"][bad[0]]
    assert stack.sites["variant"][bad[0]] in ((-1, known) if where != "one pixel" else (-1,))
    assert stack.rvae_model.n_sites_fit_ == len(stack.sites) - 1


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data * 1e-6,
        pytest.param(lambda data: data * 1e6, marks=pytest.mark.slow),
        lambda data: data.max() - data,
        pytest.param(lambda data: data + 1e4, marks=pytest.mark.slow),
        lambda data: np.clip(data, 0, None).astype(np.uint16),
    ],
    ids=["x 1e-6", "x 1e6", "inverted", "on a background", "whole numbers"],
)
def test_units_contrast_and_background_do_not_change_the_variants(
    film, clean_groups, fitted, change
):
    # Where groups end, between walls and domains, single sites go to either side.
    check_good_sites(film, clean_groups, fitted(change, n_variants="auto"))


def test_all_of_it_at_once(film, clean, fitted, bad):
    def change(data):
        data = 1e-6 * (data.max() - data)
        data[bad[:4]] = np.nan
        data[bad[4:8]] = 0.0
        data[bad[8:]] *= 1e6
        return data

    stack = fitted(change)
    check_good_sites(film, clean, stack, bad)
    variant = stack.sites["variant"][bad]
    assert (variant[:8] == -1).all()
    known = clean.sites["variant"][bad[8:]]
    assert ((variant[8:] == -1) | (variant[8:] == known)).all()  # brighter, and else the same


def test_a_stack_with_nothing_to_learn_is_refused_in_words(film):
    stack = film.stack.deepcopy()
    stack.data = np.full_like(stack.data, np.nan)
    with pytest.raises(ValueError, match="there is no finite sub-image; check the image for"):
        stack.rvae(random_state=0)
    stack.data = np.ones_like(stack.data)
    with pytest.raises(ValueError, match="most sub-images are constant, so there is nothing to"):
        stack.rvae(random_state=0)


def test_a_few_sites_left_out_are_told_on_request(film, fitted, bad, caplog):
    caplog.set_level("INFO", logger="hs_rvae")
    fitted(spoil(bad, lambda images: images * np.nan))
    (line,) = [r for r in caplog.records if "left out of the fit" in r.getMessage()]
    assert line.levelname == "INFO"
    assert f"{N_BAD} of {len(film.stack.sites)} sites are left out" in line.getMessage()
    assert "not finite, empty or far brighter" in line.getMessage()


def test_many_sites_left_out_are_named_in_a_warning(film, fitted, caplog):
    third = np.arange(0, len(film.stack.sites), 3)
    fitted(spoil(third, lambda images: 50 * images))
    assert "left out of the fit" in caplog.text and "same intensity scale" in caplog.text
