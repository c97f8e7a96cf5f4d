# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model and the table that it wrote belong together, also after Ctrl-C."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import RVAE
from hs_rvae.report import text
from hs_rvae.rvae.harmonic.model import HarmonicModel
from hs_rvae.signals import exploring
from hs_rvae.signals.sub_image_stack import SubImageStack

FIT = {"output_dimension": 2, "epochs": 1, "n_init": 1, "q_max": 0.15}


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.fixture
def fitted(fitted_once):
    return fitted_once.inav[:60].deepcopy()


@pytest.fixture
def other(fitted):
    """Another fit of the same sites."""
    return RVAE(**FIT, random_state=5).fit(fitted.data)


def assert_unchanged(stack, before):
    assert stack.sites.to_dataframe().equals(before.sites.to_dataframe())
    assert stack.sites.writers == before.sites.writers
    assert str(stack.metadata) == str(before.metadata)
    assert stack.rvae_model is before.rvae_model


@pytest.mark.parametrize(
    "architecture", ["harmonic", pytest.param("convolutional", marks=pytest.mark.slow)]
)
def test_after_an_interrupted_encoding_the_stack_is_as_before(fitted, monkeypatch, architecture):
    fitted.register_angle(0.3)
    fitted.assign_variants(4)
    before, decoded = fitted.deepcopy(), fitted.get_rvae_model().data
    from hs_rvae.rvae.estimator import MODELS

    monkeypatch.setattr(MODELS[architecture], "encode", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"belongs to stack.rvae_model.*apply_rvae\(\)"):
        fitted.rvae(**FIT, architecture=architecture, random_state=5)
    monkeypatch.undo()
    assert_unchanged(fitted, before)
    np.testing.assert_array_equal(fitted.get_rvae_model().data, decoded)
    fitted.apply_rvae()  # what the message says
    assert "apply_rvae('model.safetensors')" in fitted.metadata.Sub_images.calls[-1]
    assert fitted.rvae_model is not before.rvae_model
    assert fitted.rvae_model.architecture == architecture
    assert "variant" not in fitted.sites
    assert np.isfinite(fitted.get_rvae_residual().data).all()
    expected = before.deepcopy()
    expected.rvae(**FIT, architecture=architecture, random_state=5)
    np.testing.assert_allclose(fitted.sites["latent_0"], expected.sites["latent_0"], atol=1e-4)
    assert fitted.rvae_model.pixel_units_ == "nm"


def test_after_an_interrupted_fit_the_stack_is_as_before(fitted, monkeypatch):
    before = fitted.deepcopy()
    monkeypatch.setattr(HarmonicModel, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        fitted.rvae(**FIT)
    assert "the site table is as it was" in str(caught.value)
    assert "apply_rvae" not in str(caught.value)
    assert_unchanged(fitted, before)
    fitted.get_rvae_model()


def test_after_an_error_while_encoding_the_fit_is_not_lost(fitted, monkeypatch):
    def full(*args, **kwargs):
        raise MemoryError("no room")

    before = fitted.deepcopy()
    monkeypatch.setattr(HarmonicModel, "encode", full)
    with pytest.raises(MemoryError, match="no room") as caught:
        fitted.rvae(**FIT, random_state=5)
    assert "stack.apply_rvae() encodes" in caught.value.__notes__[0]
    monkeypatch.undo()
    assert_unchanged(fitted, before)
    fitted.apply_rvae()
    assert fitted.rvae_model.random_state == 5


def test_a_first_fit_that_was_interrupted_is_at_hand(film, monkeypatch):
    stack = film.stack.inav[:100].deepcopy()
    with pytest.raises(RuntimeError, match="No rVAE model yet"):
        stack.apply_rvae()
    monkeypatch.setattr(HarmonicModel, "encode", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"the site table is as it was\. The new model"):
        stack.rvae(**FIT, random_state=0)
    monkeypatch.undo()
    assert "angle" not in stack.sites and not stack.metadata.has_item("Sub_images.rvae")
    with pytest.raises(ValueError, match=r"has no columns of stack.rvae_model: call stack.apply"):
        stack.get_rvae_model()
    stack.apply_rvae(stack.rvae_model)
    assert np.isfinite(stack.get_rvae_model().data).all()


def test_an_interrupted_application_changes_nothing(fitted, other, monkeypatch):
    before = fitted.deepcopy()
    monkeypatch.setattr(HarmonicModel, "encode", interrupt)
    with pytest.raises(KeyboardInterrupt, match="the site table is as it was"):
        fitted.apply_rvae(other)
    assert_unchanged(fitted, before)


def _as_motif(stack):
    """The stack with angles of a turning motif, whose zero is arbitrary."""
    stack.metadata.Sub_images.rvae.verdict.rotation = "motif"
    return stack


MISMATCHED = {
    "model": lambda s: s.get_rvae_model(),
    "residual": lambda s: s.get_rvae_residual(),
    "manifold": lambda s: s.get_rvae_manifold((2, 2)),
    "figure of the manifold": lambda s: s.plot_rvae_manifold(shape=(2, 2)),
    "posterior": lambda s: s.get_angle_posterior(30),
    "template": lambda s: _as_motif(s).register_angle("template"),
    "symmetry": lambda s: s.assign_variants(2, motif_symmetry=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", MISMATCHED)
def test_a_model_of_another_fit_is_refused(fitted, other, verb):
    fitted._rvae_model = other
    columns = fitted.sites.to_dataframe()
    with pytest.raises(ValueError, match=r"another fit than stack.rvae_model: call stack.apply_"):
        MISMATCHED[verb](fitted)
    assert fitted.sites.to_dataframe().equals(columns)
    fitted.apply_rvae(fitted.rvae_model)  # what the message says
    if verb != "template":  # may find no displacement
        MISMATCHED[verb](fitted)


def test_a_model_that_was_fitted_to_other_images_in_place_is_refused(fitted):
    model = fitted.rvae_model
    fit_id = model.fit_id_
    fitted._rvae_model = RVAE(**FIT, random_state=0).fit(fitted.data)
    fitted.apply_rvae()
    fitted.rvae_model.fit(fitted.data[::-1] * 2)
    with pytest.raises(ValueError, match="another fit"):
        fitted.get_rvae_model()
    assert model.fit_id_ == fit_id


def test_the_explorer_and_the_report_do_not_mix_two_fits(fitted, other):
    details = exploring.details_of(fitted, 3)
    assert np.isfinite(details["model"]).all()
    fitted._rvae_model = other
    mixed = exploring.details_of(fitted, 3)
    assert "another fit" in mixed["model"]
    assert text.model_of(fitted) is None
    _, cautions = text.outcome(fitted, None)
    assert any("did not write this table" in line for line in cautions)


def test_a_saved_model_is_the_same_fit(fitted, tmp_path):
    fitted.save(tmp_path / "stack.hspy")
    fitted.rvae_model.save(tmp_path / "model.safetensors")
    model = RVAE.load(tmp_path / "model.safetensors")
    assert model.fit_id_ == fitted.rvae_model.fit_id_
    loaded = hs.load(tmp_path / "stack.hspy")
    loaded._rvae_model = model
    np.testing.assert_array_equal(loaded.get_rvae_model().data, fitted.get_rvae_model().data)


def test_joined_stacks_keep_a_fit_that_they_share(fitted, other, tmp_path):
    fitted.rvae_model.save(tmp_path / "model.safetensors")
    second = fitted.deepcopy()
    second.apply_rvae(tmp_path / "model.safetensors")
    joined = hs_rvae.stack([fitted, second])
    assert joined.rvae_model.fit_id_ == fitted.rvae_model.fit_id_
    assert joined.metadata.Sub_images.rvae.fit_id == fitted.rvae_model.fit_id_
    second.apply_rvae(other)
    apart = hs_rvae.stack([fitted, second])
    assert not apart.metadata.has_item("Sub_images.rvae")
    with pytest.raises(RuntimeError, match="No rVAE model yet"):
        apart.get_rvae_model()
    for one in (fitted, second):  # as after loading
        one._rvae_model = None
    assert not hs_rvae.stack([fitted, second]).metadata.has_item("Sub_images.rvae")


def test_slices_and_copies_belong_to_the_fit(fitted):
    for one in (fitted.inav[:20], fitted.deepcopy(), fitted.select_sites([3, 1])):
        assert isinstance(one, SubImageStack)
        assert np.isfinite(one.get_rvae_model().data).all()
