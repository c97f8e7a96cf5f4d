# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Embeddings against scikit-learn and openTSNE, subsets that are extended, missing extras."""

import logging

import numpy as np
import pytest
from sklearn.manifold import MDS, TSNE, Isomap, SpectralEmbedding, trustworthiness

from hs_rvae.learning import embedding
from hs_rvae.learning.embedding import embed

needs_opentsne = pytest.mark.skipif(not embedding.has_opentsne(), reason="openTSNE is an extra")


@pytest.fixture
def without_opentsne(monkeypatch):
    monkeypatch.setattr(embedding, "has_opentsne", lambda: False)


@pytest.fixture(scope="module")
def values():
    """A curved sheet in eight dimensions."""
    rng = np.random.default_rng(0)
    u, v = rng.uniform(0, 1, (2, 240))
    sheet = np.stack([np.cos(2.5 * u), np.sin(2.5 * u), v], 1)
    return np.concatenate([sheet, 0.01 * rng.standard_normal((240, 5))], 1)


def test_isomap_is_that_of_scikit_learn(values):
    found = embed(values, "isomap", random_state=0)
    expected = Isomap(n_neighbors=12).fit_transform(values)
    np.testing.assert_allclose(found.coordinates, expected, atol=1e-9)


@pytest.mark.filterwarnings("error")
def test_groups_that_isomap_cannot_connect_are_told_in_one_line(values, caplog):
    embed(np.concatenate([values, values + 50]), "isomap", random_state=0)
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "fall into 2 groups" in record.message and "n_neighbors=36" in record.message


def test_mds_is_that_of_scikit_learn(values):
    found = embed(values, "mds", random_state=0)
    again = found.estimator.set_params(random_state=0)
    assert isinstance(again, MDS)
    np.testing.assert_allclose(found.coordinates, again.fit_transform(values))


def test_tsne_is_that_of_scikit_learn_without_the_extra(values, without_opentsne):
    found = embed(values, "tsne", random_state=0, perplexity=20, max_iter=300)
    expected = TSNE(2, perplexity=20, max_iter=300, init="pca", random_state=0).fit_transform(
        values
    )
    np.testing.assert_array_equal(found.coordinates, expected)
    assert found.method == "t-SNE (scikit-learn)"


@needs_opentsne
def test_tsne_is_that_of_opentsne(values):
    import openTSNE

    found = embed(values, "tsne", random_state=0, n_iter=100)
    expected = openTSNE.TSNE(2, random_state=0, n_jobs=1, n_iter=100).fit(values)
    np.testing.assert_allclose(found.coordinates, np.asarray(expected), atol=1e-6)


@pytest.mark.parametrize("algorithm", ["isomap", "mds", pytest.param("tsne", marks=needs_opentsne)])
def test_sites_beyond_the_subset_are_placed_where_they_belong(values, algorithm, caplog):
    with caplog.at_level(logging.INFO, "hs_rvae"):
        found = embed(values, algorithm, max_sites=120, random_state=0)
    assert len(found.fitted) == 120 and np.isfinite(found.coordinates).all()
    assert "120 of 240 sites are fitted, the others placed among them" in caplog.text
    rest = np.setdiff1d(np.arange(240), found.fitted)
    whole = embed(values, algorithm, random_state=0).coordinates
    share = trustworthiness(values[rest], found.coordinates[rest], n_neighbors=10)
    assert share > trustworthiness(values[rest], whole[rest], n_neighbors=10) - 0.05
    same = embed(values, algorithm, max_sites=120, random_state=0)
    np.testing.assert_array_equal(found.fitted, same.fitted)


def test_cost_is_said(values, caplog):
    with caplog.at_level(logging.INFO, "hs_rvae"):
        embed(values, "isomap", max_sites=100)
    assert "isomap compares all pairs of 100 sites (of 240): about 0.0 GB" in caplog.text


def test_a_subset_that_nobody_asked_for_is_warned_of(values, monkeypatch, caplog):
    monkeypatch.setitem(embedding.MAX_SITES, "mds", 80)
    found = embed(values, "mds", random_state=0)
    assert "MDS: 80 of 240 sites are fitted, the others placed" in caplog.text
    assert found.method == "MDS; 80 of 240 sites fitted"


def test_estimators_are_taken(values, caplog):
    found = embed(values, Isomap(n_neighbors=8), max_sites=150, random_state=0)
    assert np.isfinite(found.coordinates).all()
    with caplog.at_level(logging.WARNING, "hs_rvae"):
        found = embed(values, SpectralEmbedding(3, random_state=0), max_sites=150, random_state=0)
    assert found.coordinates.shape == (240, 3)
    assert np.isnan(found.coordinates).all(1).sum() == 90
    assert "150 of 240 sites are fitted; the others get no coordinates" in caplog.text


def test_many_sites_need_the_extra_or_a_subset(without_opentsne, monkeypatch, caplog):
    monkeypatch.setitem(embedding.MAX_SITES, "sklearn_tsne", 60)
    values = np.random.default_rng(0).normal(size=(90, 3))
    with pytest.raises(ImportError, match=r'pip install "hs_rvae\[tsne\]".*max_sites=60'):
        embed(values, "tsne")
    found = embed(values, "tsne", max_sites=60, random_state=0)
    assert np.isfinite(found.coordinates).all(1).sum() == 60
    assert "the others get no coordinates" in caplog.text


def test_bad_input_is_refused(values):
    with pytest.raises(
        ValueError, match="algorithm='umap' not recognised: take one of 'tsne', 'mds'"
    ):
        embed(values, "umap")
    with pytest.raises(ValueError, match="not recognised: it has no fit_transform"):
        embed(values, object())
    with pytest.raises(ValueError, match="output_dimension=0: give a whole number"):
        embed(values, "mds", 0)
    with pytest.raises(ValueError, match="max_sites=-3: give a whole number"):
        embed(values, "mds", max_sites=-3)
    with pytest.raises(ValueError, match="All sites have the same values"):
        embed(np.ones((20, 3)), "isomap")
    with pytest.raises(ValueError, match="at least 4 sites, not 3"):
        embed(values[:3], "isomap")


# The verb of the stack ------------------------------------------------------------


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("source", ["signal", "decomposition", "pca", ["pca_0", "x"], None])
def test_the_verb_writes_columns(stack, source, is_lazy):
    before = stack.data.copy()
    signal = stack.as_lazy() if is_lazy else stack
    signal.decomposition("PCA", 3, random_state=0)
    signal.embedding("isomap", source, random_state=0)
    assert np.isfinite(signal.sites[["isomap_0", "isomap_1"]]).all()
    assert signal.metadata.Sub_images.embedding.method == "Isomap"
    np.testing.assert_array_equal(signal.data.compute() if is_lazy else signal.data, before)
    signal.embedding("isomap", source, 1, random_state=0)
    assert "isomap_0" in signal.sites and "isomap_1" not in signal.sites


def test_lazy_equals_eager(stack, lazy):
    for one in (stack, lazy):
        one.embedding("isomap", "signal", random_state=0)
    a, b = (one.sites[["isomap_0", "isomap_1"]] for one in (stack, lazy))
    a = a * np.sign((a * b).sum(0))
    np.testing.assert_allclose(a, b, atol=0.02 * np.abs(b).max())


def test_masked_and_undefined_sites_have_no_coordinates(stack):
    mask = np.arange(len(stack.sites)) < 20
    stack.decomposition("PCA", 3, navigation_mask=mask, random_state=0)
    other = np.arange(len(stack.sites)) > 200
    stack.embedding("isomap", navigation_mask=other, random_state=0)
    np.testing.assert_array_equal(np.isnan(stack.sites["isomap_0"]), mask | other)


def test_the_embedding_survives_saving_and_slicing(stack, tmp_path):
    import hyperspy.api as hs

    stack.embedding("isomap", "signal", random_state=0)
    stack.inav[10:60].save(tmp_path / "stack.zspy")
    loaded = hs.load(tmp_path / "stack.zspy")
    np.testing.assert_array_equal(loaded.sites["isomap_0"], stack.sites["isomap_0"][10:60])
    loaded.cluster_analysis("embedding", n_clusters=2, random_state=0)


def test_sources_that_are_not_there_say_which_call_makes_them(stack):
    for source, call in {
        "rvae": r"stack.rvae\(\)",
        "decomposition": r"stack.decomposition\('PCA'",
        "mds": r"stack.embedding\(\) writes it",
    }.items():
        with pytest.raises(ValueError, match=call):
            stack.embedding("isomap", source)
    with pytest.raises(ValueError, match=r"navigation_mask has the shape \(3,\)"):
        stack.embedding("isomap", "signal", navigation_mask=np.zeros(3, bool))


def test_options_beside_an_estimator_are_refused(values):
    with pytest.raises(TypeError, match="algorithm=Isomap is an estimator: set n_neighbors in it"):
        embed(values, Isomap(), n_neighbors=5)


def test_an_estimator_takes_the_seed(values):
    one, other, third = (
        embed(values, MDS(2, n_init=1, max_iter=5), random_state=seed).coordinates
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)
