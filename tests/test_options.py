# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options by name, seeds, and estimators that belong to the caller."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from hs_rvae.options import as_seed, named_options, own_copy, refuse_unknown, seeded


def test_unknown_options_are_named_with_their_values_and_with_what_there_is():
    with pytest.raises(
        TypeError, match=r"^n_inti=3: k-means has no option n_inti; it has n_init, "
    ):
        refuse_unknown({"n_inti": 3}, ["n_init", "tol"], "k-means")
    with pytest.raises(TypeError, match=r"has no options a, b; it has none\.$"):
        refuse_unknown({"b": 1, "a": 2}, [], "k-means")
    refuse_unknown({"tol": 3}, ["n_init", "tol"], "k-means")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("n_inti", "n_init"), ("random_sate", "random_state"), ("seed", "random_state")],
)
def test_the_nearest_options_are_named_those_of_the_verb_among_them(given, nearest):
    with pytest.raises(TypeError, match=rf"Nearest: {nearest}\.$"):
        refuse_unknown({given: 3}, ["n_init", "tol"], "k-means", own=["random_state"])


def test_a_large_value_is_shown_in_short():
    with pytest.raises(TypeError) as caught:
        refuse_unknown({"a": np.zeros(10_000)}, ["tol"], "k-means")
    assert len(str(caught.value)) < 200


def test_a_function_refuses_options_before_it_runs():
    ran = []
    call = named_options(lambda x, *, tol=1: ran.append(x))
    with pytest.raises(TypeError, match="tool=2: .* it has tol, x. Nearest: tol"):
        call(3, tool=2)
    assert ran == []
    call(3, tol=2)
    assert ran == [3]


def test_seeds_are_numbers_whatever_they_come_from():
    assert as_seed(5) == as_seed(np.int64(5)) == 5
    assert as_seed(np.random.default_rng(0)) == as_seed(np.random.default_rng(0))
    assert as_seed(np.random.RandomState(0)) == as_seed(np.random.RandomState(0))
    assert as_seed(None) != as_seed(None)


@pytest.mark.parametrize("wrong", [-1, 1.5, "0", True, 2**32, [1, 2]])
def test_what_is_not_a_seed_is_refused(wrong):
    with pytest.raises(ValueError, match="random_state=.*whole number from 0 to 4294967295"):
        as_seed(wrong)


def test_the_global_generator_gives_the_numbers_of_the_seed_and_comes_back_to_the_bit():
    np.random.seed(1)
    np.random.normal()  # one more is held back: it belongs to the state
    before = np.random.get_state()
    drawn = []
    for _ in range(2):
        with seeded(3):
            drawn.append(np.random.normal(size=5))
        after = np.random.get_state()
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    np.testing.assert_array_equal(*drawn)
    with pytest.raises(KeyError), seeded(3):
        raise KeyError
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_a_copy_is_unfitted_and_has_the_seed_in_every_step():
    given = make_pipeline(PCA(3), KMeans(2))
    given.fit(np.random.default_rng(0).normal(size=(20, 5)))
    own = own_copy(given, seed=7)
    assert not hasattr(own[0], "components_") and hasattr(given[0], "components_")
    assert [step.random_state for step in own] == [7, 7]
    assert [step.random_state for step in given] == [None, None]
    assert [step.random_state for step in own_copy(given)] == [None, None]


def test_an_object_of_another_library_is_copied():
    class Own:
        random_state, fitted = 1, False

    given = Own()
    given.list = [1]
    own = own_copy(given, seed=7)
    own.list.append(2)
    assert own.random_state == 7 and given.random_state == 1 and given.list == [1]


def test_a_class_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"algorithm=PCA: this is a class; .*PCA\(\)"):
        own_copy(PCA)
