# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters against scikit-learn and against known groups, their order, their number."""

import logging

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from hs_rvae.learning import clusters, features, number
from hs_rvae.learning.features import table_features
from hs_rvae.signals.sources import first_source

NAMED = {
    "gmm": lambda: GaussianMixture(3, n_init=5, random_state=0, max_iter=500),
    "bayesian_gmm": lambda: BayesianGaussianMixture(
        n_components=3, n_init=5, random_state=0, max_iter=500
    ),
    "kmeans": lambda: KMeans(3, n_init=10, random_state=0),
    "agglomerative": lambda: AgglomerativeClustering(3),
    "spectralclustering": lambda: SpectralClustering(3, random_state=0, gamma=0.01),
}


def values_of(signal):
    return signal.data.compute() if signal._lazy else signal.data


def add_latents(stack, group, seed=0):
    """Columns like those of a model: three groups, one of them split by the angle."""
    rng = np.random.default_rng(seed)
    n = len(group)
    centre = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[group]
    latent = centre + rng.standard_normal((n, 2))
    angle = np.where(rng.random(n) < 0.5, np.pi - 0.1, -np.pi + 0.1)
    stack.sites.set_many(
        {"latent_0": latent[:, 0], "latent_1": latent[:, 1], "angle": angle},
        units={"angle": "rad"},
    )
    return latent


# Against scikit-learn ------------------------------------------------------------


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("algorithm", NAMED)
def test_labels_are_those_of_scikit_learn(grouped, algorithm, is_lazy):
    stack, group = grouped
    stack.decomposition("PCA", 4, random_state=0)
    scores = stack.learning_results.loadings
    signal = stack
    if is_lazy:
        signal = stack.as_lazy()
        signal.learning_results.loadings = scores
    expected = NAMED[algorithm]()
    labels = expected.fit_predict(scores.astype(float))
    options = {"gamma": 0.01} if algorithm == "spectralclustering" else {}
    signal.cluster_analysis(
        "decomposition", algorithm=algorithm, n_clusters=3, random_state=0, **options
    )
    found = signal.sites["cluster"]
    assert adjusted_rand_score(labels, found) == 1.0
    assert adjusted_rand_score(group, found) == 1.0
    assert np.bincount(found).tolist() == [50, 30, 20]
    probability = signal.sites["cluster_probability"]
    if algorithm in ("gmm", "bayesian_gmm"):
        np.testing.assert_allclose(
            probability, expected.predict_proba(scores.astype(float)).max(1), atol=1e-3
        )
    else:
        assert np.isnan(probability).all()


def test_any_estimator_can_be_given(grouped):
    stack, group = grouped
    stack.decomposition("PCA", 3, random_state=0)
    given = KMeans(3, n_init=2)
    info = stack.cluster_analysis(
        "decomposition", algorithm=given, random_state=0, return_info=True
    )
    assert info.random_state == 0 and info.n_init == 2
    assert given.random_state is None  # a copy was fitted
    assert adjusted_rand_score(group, stack.sites["cluster"]) == 1.0
    assert stack.learning_results.cluster_algorithm == "KMeans"


# Order, seeds, sources -----------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_ordered_by_size_whatever_the_seed(grouped, seed):
    stack, group = grouped
    add_latents(stack, group)
    stack.cluster_analysis("rvae", algorithm="gmm", n_clusters=3, random_state=seed)
    found = stack.sites["cluster"]
    assert (np.diff(np.bincount(found)) <= 0).all()
    sizes = stack.learning_results.cluster_labels.sum(1)
    np.testing.assert_array_equal(sizes, np.bincount(found))
    stack.cluster_analysis("rvae", algorithm="gmm", n_clusters=3, random_state=seed)
    np.testing.assert_array_equal(stack.sites["cluster"], found)


def test_equal_sizes_are_ordered_by_the_first_site():
    labels, order = clusters.order_by_size(np.array([5, 2, 2, 5, 7, -1]), "KMeans")
    np.testing.assert_array_equal(labels, [0, 1, 1, 0, 2, -1])
    np.testing.assert_array_equal(order, [5, 2, 7])


def test_an_angle_does_not_jump_at_pi(grouped):
    stack, group = grouped
    add_latents(stack, group)
    # All angles lie within 0.2 rad of pi: one cluster, not two.
    assert stack.sites["angle"].std() > 3
    stack.cluster_analysis(["latent_0", "latent_1", "angle"], n_clusters=3, random_state=0)
    assert adjusted_rand_score(group, stack.sites["cluster"]) == 1.0
    values, names = table_features(stack.sites, ["latent_0", "angle"], "cluster_source")
    assert names == ["latent_0", "cos(angle)", "sin(angle)"]
    # Each column has unit spread; so have both parts of angles spread over the turn.
    assert values[:, 0].std() == pytest.approx(1)
    turn = np.linspace(-np.pi, np.pi, 100, endpoint=False)
    np.testing.assert_allclose(features.scale_columns({"a": turn}, {"a": 1})[0].std(0), 1)


def test_columns_may_come_one_by_one_and_only_columns(grouped):
    stack, _ = grouped
    _, names = table_features(stack.sites, iter(["x", "y"]), "cluster_source")
    assert names == ["x", "y"]
    of_itself = []
    of_itself.append(of_itself)
    for source in (of_itself, 3):
        with pytest.raises(ValueError, match="cluster_source=.*a column, a stem or a list of col"):
            table_features(stack.sites, source, "cluster_source")


def test_the_axis_of_an_ellipse_is_the_same_after_half_a_turn(grouped):
    stack, group = grouped
    stack.sites.set_many({"rotation": np.where(group == 0, 0.0, np.pi)}, units={"rotation": "rad"})
    values, names = table_features(stack.sites, ["rotation"], "cluster_source")
    assert names == ["cos(2 rotation)", "sin(2 rotation)"]
    assert np.ptp(values, axis=0).max() < 1e-12


def test_sites_without_latents_or_masked_are_in_no_cluster(grouped):
    stack, group = grouped
    latent = add_latents(stack, group)
    latent[:4] = np.nan
    stack.sites["latent_0"] = latent[:, 0]
    mask = np.zeros(100, bool)
    mask[10:15] = True
    stack.cluster_analysis("rvae", n_clusters=3, navigation_mask=mask, random_state=0)
    out = mask | (np.arange(100) < 4)
    np.testing.assert_array_equal(stack.sites["cluster"] == -1, out)
    np.testing.assert_array_equal(np.isnan(stack.sites["cluster_probability"]), out)
    assert adjusted_rand_score(group[~out], stack.sites["cluster"][~out]) == 1.0
    assert stack.learning_results.cluster_labels[:, out].sum() == 0


def test_the_source_is_the_best_there_is(grouped):
    stack, group = grouped
    stack.cluster_analysis(n_clusters=3, random_state=0)
    assert stack.learning_results.cluster_algorithm == "kmeans"  # of the pixels
    stack.decomposition("PCA", 2, random_state=0)
    assert first_source(stack, None) == "decomposition"
    add_latents(stack, group)
    stack.cluster_analysis(n_clusters=3, random_state=0)
    assert stack.learning_results.cluster_algorithm == "gmm"
    assert stack.learning_results.cluster_centroids.shape == (3, 2)


@pytest.mark.parametrize("source", ["pca", ["pca_0", "pca_1"], "embedding", "isomap", "latent_0"])
def test_columns_stems_and_embeddings_are_sources(grouped, source):
    stack, group = grouped
    add_latents(stack, group)
    stack.decomposition("PCA", 3, random_state=0)
    stack.embedding("isomap", random_state=0)
    stack.cluster_analysis(source, algorithm="gmm", n_clusters=3, column="mine", random_state=0)
    assert adjusted_rand_score(group, stack.sites["mine"]) > (0.3 if source == "latent_0" else 0.9)
    assert "mine_probability" in stack.sites and "cluster" not in stack.sites


def test_units_do_not_matter_to_mixtures(grouped):
    stack, group = grouped
    stack.decomposition("PCA", 3, random_state=0)
    stack.learning_results.loadings = stack.learning_results.loadings * 1e-9
    stack.cluster_analysis("decomposition", algorithm="gmm", n_clusters=3, random_state=0)
    assert adjusted_rand_score(group, stack.sites["cluster"]) == 1.0


# Means ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("source", ["signal", "decomposition", "rvae"])
def test_means_are_means_of_the_data(grouped, source, is_lazy):
    stack, group = grouped
    before = stack.data.copy()
    add_latents(stack, group)
    signal = stack.as_lazy() if is_lazy else stack
    signal.decomposition("PCA", 3, random_state=0)
    algorithm = "kmeans" if source == "signal" else "gmm"
    signal.cluster_analysis(source, algorithm=algorithm, n_clusters=3, random_state=0)
    means = signal.get_cluster_means()
    labels = signal.sites["cluster"]
    expected = np.stack([before[labels == i].mean(0) for i in range(3)])
    np.testing.assert_allclose(means.data, expected, rtol=1e-5)
    assert list(means.metadata.Clusters.counts) == [50, 30, 20]
    if source != "decomposition":  # whose sums are of the model, as in HyperSpy
        np.testing.assert_allclose(signal.get_cluster_signals().data, expected, rtol=1e-5)
    assert signal.get_cluster_labels().data.shape == (3, 100)
    assert signal.get_cluster_distances().data.shape == (3, 100)
    nearest = signal.get_cluster_signals("centroid").data.reshape(3, -1)
    flat = before.reshape(100, -1)
    if source != "decomposition":
        assert all((flat[labels == i] == nearest[i]).all(1).any() for i in range(3))
    signal.plot_cluster_signals()
    signal.plot_cluster_labels()
    np.testing.assert_array_equal(values_of(signal), before)


def test_means_of_any_labels(grouped):
    stack, group = grouped
    stack.sites["variant"] = np.where(group == 2, -1, group + 3)
    means = stack.get_cluster_means("variant")
    assert list(means.metadata.Clusters.labels) == [3, 4]
    with pytest.raises(ValueError, match="column='x' holds no labels"):
        stack.get_cluster_means("x")
    with pytest.raises(KeyError, match="no column 'orange'; stack.cluster_analysis"):
        stack.get_cluster_means("orange")


def test_lazy_pixels_are_clustered_in_batches(grouped):
    stack, group = grouped
    lazy = stack.as_lazy()
    lazy.data = lazy.data.rechunk((30, -1, -1))
    lazy.cluster_analysis("signal", algorithm="kmeans", n_clusters=3, random_state=0)
    assert adjusted_rand_score(group, lazy.sites["cluster"]) == 1.0
    assert np.bincount(lazy.sites["cluster"]).tolist() == [50, 30, 20]


# Number ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", number.METRICS)
def test_the_number_of_known_groups_is_found(grouped, metric):
    stack, group = grouped
    add_latents(stack, group)
    best = stack.estimate_number_of_clusters("rvae", max_clusters=6, metric=metric, random_state=0)
    assert best == 3
    first = 2 if metric == "silhouette" else 1
    assert stack.learning_results.cluster_metric_index == list(range(first, 7))
    ax = stack.plot_cluster_metric()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), stack.learning_results.cluster_metric_data)


@pytest.mark.parametrize("algorithm", ["gmm", "kmeans"])
def test_auto_takes_the_number_that_is_estimated(grouped, algorithm):
    stack, group = grouped
    add_latents(stack, group)
    stack.cluster_analysis("rvae", algorithm=algorithm, max_clusters=6, random_state=0)
    assert stack.learning_results.number_of_clusters == 3
    assert stack.learning_results.estimated_number_of_clusters == 3


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("source", ["signal", "decomposition"])
def test_estimating_a_number_changes_nothing_else(grouped, source, is_lazy):
    stack, group = grouped
    before, columns = stack.data.copy(), stack.sites.columns
    signal = stack.as_lazy() if is_lazy else stack
    if source == "decomposition":
        signal.decomposition("PCA", 3, random_state=0)
        columns = signal.sites.columns
    best = signal.estimate_number_of_clusters(
        source, max_clusters=5, metric="silhouette", random_state=0
    )
    assert best == 3 and signal.sites.columns == columns
    assert signal.axes_manager.navigation_shape == (100,)  # HyperSpy 2.5 leaves it unfolded
    assert signal.axes_manager.signal_shape == (12, 12)
    np.testing.assert_array_equal(values_of(signal), before)


def test_noise_has_one_cluster():
    values = np.random.default_rng(0).normal(size=(400, 3))
    assert number.estimate_number(values, metric="bic", max_clusters=5, random_state=0).best == 1


def test_a_criterion_that_does_not_settle_is_warned_of(caplog):
    values = np.random.default_rng(0).uniform(size=(1500, 1)) ** 4
    number.estimate_number(values, metric="bic", max_clusters=3, random_state=0)
    assert "still falls at 3 clusters" in caplog.text


# Bad input ------------------------------------------------------------------------


def test_sources_that_are_not_there_say_which_call_makes_them(grouped):
    stack, _ = grouped
    cases = {
        "rvae": r"needs latents.*call stack.rvae\(\)",
        "decomposition": r"none yet; call stack.decomposition\('PCA'",
        "embedding": r"none yet; call stack.embedding\(\)",
        "tsne": r"'tsne' is unknown, or has not been computed \(stack.embedding\(\) writes it\)",
        "orange": "'orange' is unknown.*'signal', 'decomposition', 'rvae', 'embedding'",
    }
    for source, message in cases.items():
        with pytest.raises(ValueError, match=message):
            stack.cluster_analysis(source, n_clusters=2)
        with pytest.raises(ValueError, match=message):
            stack.estimate_number_of_clusters(source)
    with pytest.raises(KeyError, match=r"'latent_5', which is not a column.*stack.rvae\(\)"):
        stack.cluster_analysis(["x", "latent_5"], n_clusters=2)
    assert "cluster" not in stack.sites


def test_more_clusters_than_sites_are_refused(grouped):
    stack, group = grouped
    add_latents(stack, group)
    mask = np.arange(100) > 5
    with pytest.raises(ValueError, match="n_clusters=9 is more than the 6 sites"):
        stack.cluster_analysis("rvae", n_clusters=9, navigation_mask=mask)
    for wrong in (0, 2.5, True, None):
        with pytest.raises(ValueError, match="n_clusters=.*whole number of 1 or more, or 'auto'"):
            stack.cluster_analysis("rvae", n_clusters=wrong)


def test_unknown_algorithms_and_metrics_are_refused_with_the_known(grouped):
    stack, group = grouped
    add_latents(stack, group)
    with pytest.raises(ValueError, match="algorithm='orange' not recognised: take one of 'gmm'"):
        stack.cluster_analysis("rvae", algorithm="orange", n_clusters=2)
    with pytest.raises(ValueError, match="algorithm='orange' not recognised"):
        stack.cluster_analysis("rvae", algorithm="orange")
    with pytest.raises(ValueError, match="it has no fit"):
        stack.cluster_analysis("rvae", algorithm=object(), n_clusters=2)
    with pytest.raises(ValueError, match="metric='orange' is unknown: take one of 'bic'"):
        stack.estimate_number_of_clusters("rvae", metric="orange")
    with pytest.raises(ValueError, match="metric='bic' needs algorithm='gmm', not 'kmeans'"):
        stack.estimate_number_of_clusters("rvae", algorithm="kmeans", metric="bic")
    with pytest.raises(ValueError, match="supported clustering algorithms, not 'orange'"):
        stack.estimate_number_of_clusters("rvae", algorithm="orange")


@pytest.mark.parametrize("is_lazy", [False, True])
def test_sites_that_are_all_alike_are_refused(grouped, is_lazy):
    stack, group = grouped
    stack.sites["latent_0"] = np.zeros(100)
    stack.data[:] = 1
    signal = stack.as_lazy() if is_lazy else stack
    for source in ("rvae", "signal"):
        with pytest.raises(ValueError, match="all sites have the same values"):
            signal.cluster_analysis(source, n_clusters=2)
    signal.sites["latent_0"] = np.full(100, np.nan)
    with pytest.raises(ValueError, match="no site is left; all are masked or"):
        signal.cluster_analysis("rvae", n_clusters=2)


def test_masks_of_the_wrong_shape_are_refused(grouped):
    stack, group = grouped
    add_latents(stack, group)
    with pytest.raises(ValueError, match=r"navigation_mask has the shape \(7,\); \(100,\)"):
        stack.cluster_analysis("rvae", n_clusters=2, navigation_mask=np.zeros(7, bool))
    with pytest.raises(ValueError, match=r"signal_mask has the shape \(7,\); \(12, 12\)"):
        stack.cluster_analysis("signal", n_clusters=2, signal_mask=np.zeros(7, bool))


def test_what_a_lazy_stack_cannot_do_is_said(grouped):
    lazy = grouped[0].as_lazy()
    with pytest.raises(
        NotImplementedError, match="algorithm='gmm' needs all pixels.*decomposition"
    ):
        lazy.cluster_analysis("signal", algorithm="gmm", n_clusters=3)
    with pytest.raises(ValueError, match="n_clusters='auto': give a number"):
        lazy.cluster_analysis("signal", algorithm="kmeans")


def test_algorithms_that_compare_all_pairs_say_their_cost(caplog):
    with caplog.at_level(logging.WARNING, "hs_rvae"):
        clusters.log_cost("agglomerative", 23_340)
        clusters.log_cost("gmm", 23_340)
    assert "agglomerative compares all pairs of 23340 sites: about 2.2 GB" in caplog.text
    assert len(caplog.records) == 1


def test_a_failed_analysis_leaves_the_last_one(grouped):
    stack, group = grouped
    add_latents(stack, group)
    stack.cluster_analysis("rvae", n_clusters=3, random_state=0)
    before = stack.sites["cluster"], stack.learning_results.cluster_labels
    with pytest.raises(ValueError, match="HDBSCAN finds no cluster: all sites are noise"):
        stack.cluster_analysis("rvae", algorithm="hdbscan", min_cluster_size=99)
    np.testing.assert_array_equal(stack.sites["cluster"], before[0])
    assert stack.learning_results.cluster_labels is before[1]
    metric = stack.learning_results.cluster_metric_data
    with pytest.raises(ValueError, match="source_for_centers: cluster_source does not have"):
        stack.cluster_analysis("rvae", source_for_centers=hs.signals.BaseSignal([1.0]),
                               random_state=0, overwrite=True)  # fmt: skip
    assert stack.learning_results.cluster_metric_data is metric
    np.testing.assert_array_equal(stack.sites["cluster"], before[0])


def test_options_beside_an_estimator_are_refused(grouped):
    with pytest.raises(TypeError, match="algorithm=KMeans is an estimator: set n_init in it"):
        grouped[0].cluster_analysis("signal", n_clusters=3, algorithm=KMeans(3), n_init=2)
