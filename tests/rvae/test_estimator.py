# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RVAE as scikit-learn knows estimators, and without HyperSpy."""

import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from hs_rvae import RVAE, SubImageStack

# The checks of scikit-learn that need no data: theirs is a table, ours are images.
CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_no_attributes_set_in_init",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
]


@pytest.mark.parametrize("name", CHECKS)
def test_the_checks_of_scikit_learn_pass(name):
    getattr(estimator_checks, name)("RVAE", RVAE())


def test_a_clone_has_the_settings_and_nothing_else(model):
    copy = clone(model.set_params())
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    check_is_fitted(model)


def test_settings_are_set_by_name():
    model = RVAE().set_params(output_dimension=3, architecture="convolutional", shift_prior=1.5)
    assert (model.output_dimension, model.shift_prior) == (3, 1.5)
    with pytest.raises(ValueError, match="Invalid parameter 'latent_dim'"):
        model.set_params(latent_dim=2)


def test_settings_are_those_of_the_stack():
    ours = inspect.signature(RVAE).parameters
    theirs = inspect.signature(SubImageStack.rvae).parameters
    assert list(RVAE().get_params()) == sorted(ours)
    for name, parameter in ours.items():
        assert name in theirs and theirs[name].default == parameter.default, name
    own = {"initial_model", "navigation_mask", "channel", "overwrite"}
    assert set(theirs) - set(ours) == {"self", *own}


@pytest.mark.parametrize("owner", [RVAE, SubImageStack.rvae])
def test_every_setting_is_documented_once(owner):
    section = owner.__doc__.partition("Parameters\n---")[2].partition("\n\n")[0]
    heads = re.findall(r"^(\w+(?:, \w+)*)", section, flags=re.MULTILINE)
    documented = [name for head in heads for name in head.split(", ")]
    assert documented == [name for name in inspect.signature(owner).parameters if name != "self"]


def test_the_documentation_of_the_model_is_whole():
    titles = re.findall(r"^(\w+)\n-+$", RVAE.__doc__, flags=re.MULTILINE)
    assert titles == ["Parameters", "Attributes", "Examples"]
    assert RVAE.__doc__.startswith("Rotationally invariant variational autoencoder of sub-images.")


@pytest.mark.parametrize("options", [{"epoch": 3}, {"settings": {}}])
def test_an_option_that_a_fit_has_not_is_refused(film, options):
    with pytest.raises(TypeError, match=rf"stack\.rvae\(\) has no option {next(iter(options))}"):
        film.stack.rvae(**options)
    with pytest.raises(TypeError, match=next(iter(options))):
        RVAE(**options)


def test_fitting_leaves_the_settings_and_adds_attributes_with_underscores(film):
    model = RVAE(1, epochs=1, random_state=0)
    settings, before = model.get_params(), set(vars(model))
    assert model.fit(film.stack.data[:200]) is model
    assert model.get_params() == settings
    added = {name for name in set(vars(model)) - before if not name.startswith("_")}
    assert added and all(name.endswith("_") for name in added)


@pytest.mark.parametrize("verb", ["transform", "score", "angle_posterior", "save", "manifold"])
def test_what_is_not_fitted_says_so(verb, film, tmp_path):
    arguments = {"save": [tmp_path / "m"], "manifold": []}.get(verb, [film.stack.data[:5]])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(RVAE(), verb)(*arguments)


@pytest.mark.slow
def test_held_out_likelihood_by_cross_validation(film):
    model = RVAE(1, epochs=1, n_init=1, random_state=0)
    scores = cross_val_score(model, film.stack.data, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()


@pytest.mark.slow
def test_arrays_need_no_hyperspy():
    code = (
        "import json, sys, numpy as np, dask.array as da\n"
        "from hs_rvae import RVAE\n"
        "images = np.random.default_rng(0).random((60, 12, 12))\n"
        "model = RVAE(1, epochs=1, n_init=1, random_state=0)\n"
        "model.fit(images).transform(da.from_array(images, chunks=(20, -1, -1)))\n"
        "print(json.dumps([m for m in ('hyperspy', 'atomap') if m in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []


@pytest.mark.slow
def test_a_fit_has_an_identity_that_seed_and_file_repeat(film, tmp_path):
    images = film.stack.data[:40, 8:-8, 8:-8]  # small: every pixel of the network costs
    for settings in ({}, {"architecture": "convolutional"}, {"translation": True}):
        settings = {"output_dimension": 1, "epochs": 1, "n_init": 1} | settings
        fits = [RVAE(**settings, random_state=s).fit(images) for s in (0, 0, 1)]
        first, again, another = (model.fit_id_ for model in fits)
        assert first == again != another
        fits[0].save(tmp_path / "model.safetensors")
        assert RVAE.load(tmp_path / "model.safetensors").fit_id_ == first
        assert fits[0].fit(images * 2).fit_id_ != first
