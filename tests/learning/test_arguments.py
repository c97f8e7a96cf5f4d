# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all learning verbs do with options, seeds and estimators that they are given."""

import numpy as np
import pytest
from sklearn import cluster, decomposition, manifold, mixture, preprocessing
from sklearn.pipeline import make_pipeline

import hs_rvae
from hs_rvae.learning import features
from hs_rvae.signals import decomposition as of_hyperspy
from hs_rvae.signals import learning, sources

PCA, NMF = decomposition.PCA, decomposition.NMF


def decompose(*args, **kwargs):
    def call(stack, **more):
        result = stack.decomposition(*args, **{"output_dimension": 3} | kwargs, **more)
        return result, stack.learning_results.loadings

    return call


def embed(*args, **kwargs):
    def call(stack, **more):
        result = stack.embedding(*args, **kwargs, **more)
        return result, stack.sites[list(stack.metadata.Sub_images.embedding.columns)]

    return call


def group(*args, **kwargs):
    def call(stack, **more):
        result = stack.cluster_analysis(*args, **{"n_clusters": 3} | kwargs, **more)
        return result, stack.sites[["cluster", "cluster_probability"]]

    return call


def count(*args, **kwargs):
    def call(stack, **more):
        result = stack.estimate_number_of_clusters(*args, **{"max_clusters": 3} | kwargs, **more)
        return result, stack.learning_results.cluster_metric_data

    return call


def _uneasy():
    """A step that is random, to which nobody gave a seed."""
    return make_pipeline("passthrough", decomposition.FastICA(3))


RANDOM = {
    "SVD": decompose("SVD"),
    "SVD, randomized": decompose("SVD", svd_solver="randomized"),
    "SVD, arpack": decompose("SVD", svd_solver="arpack"),
    "PCA": decompose("PCA"),
    "NMF": decompose("NMF", init="random"),
    "sparse PCA": decompose("mini_batch_sparse_pca"),
    "MLPCA": decompose("MLPCA", max_iter=4),
    "RPCA": decompose("RPCA", maxiter=3),
    "ORPCA": decompose("ORPCA"),
    "ORNMF": decompose("ORNMF", output_dimension=1),
    "pipeline": decompose(algorithm=_uneasy()),
    "t-SNE": embed("tsne", "signal", max_iter=250),
    "MDS": embed("mds", "signal", max_sites=20),
    "Isomap": embed("isomap", "signal"),
    "estimator": embed(manifold.SpectralEmbedding(2), "signal"),
    "GMM": group(["x", "y"], algorithm="gmm"),
    "k-means": group("signal", algorithm="kmeans"),
    "spectral": group(["x", "y"], algorithm="spectralclustering"),
    "clusters": group(["x", "y"], algorithm=cluster.KMeans(3)),
    "scaled": group(
        "signal", preprocessing=decomposition.FastICA(3, whiten="unit-variance"), algorithm="kmeans"
    ),
    "BIC": count(["x", "y"]),
    "gap": count("signal", metric="gap"),
}
LAZY = {
    "SVD": decompose("SVD"),
    "SVD, randomized": decompose("SVD", svd_solver="randomized"),
    "SVD, normalised": decompose(True, "SVD"),
    "NMF": decompose("NMF", init="random"),
    "NMF by blocks": decompose("NMF", num_chunks=1),
    "PCA by blocks": decompose("PCA", num_chunks=1),
    "ORNMF": decompose("ORNMF", output_dimension=1),
    "pipeline": decompose(algorithm=_uneasy()),
    "Isomap": embed("isomap", "signal"),
    "clusters": group("signal", algorithm="kmeans"),
    "number": count("signal"),
}
ALL = [("stack", name) for name in RANDOM] + [("lazy", name) for name in LAZY]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_the_seed_alone_decides_and_the_global_generator_is_left_alone(kind, name, request):
    stack, call = request.getfixturevalue(kind), (RANDOM if kind == "stack" else LAZY)[name]
    stack = stack.inav[:40].isig[:8, :8]
    found = []
    for state in (1, 2):
        np.random.seed(state)
        before = np.random.get_state()
        found.append(call(stack, random_state=5)[1])
        after = np.random.get_state()
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    np.testing.assert_array_equal(*found)
    call(stack)
    after = np.random.get_state()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_components_of_sub_images_depend_on_the_seed_in_memory_as_lazily(stack, monkeypatch):
    seeds = []

    class Told(PCA):
        def __init__(self, n_components=None, *, random_state=None):
            seeds.append(random_state)
            super().__init__(n_components, random_state=random_state)

    monkeypatch.setattr("sklearn.decomposition.PCA", Told)
    stack.embedding("mds", "signal", random_state=4, max_sites=50)
    assert seeds == [4]


# Estimators of the caller -----------------------------------------------------------


class Plain:
    """An estimator without ``get_params``."""

    random_state = None

    def fit(self, values):
        self.fitted = True
        self.components_ = np.eye(3, values.shape[1])
        self.labels_ = (values[:, 0] > np.median(values[:, 0])).astype(int)
        return self

    def transform(self, values):
        return values[:, :3]

    def fit_transform(self, values):
        return self.fit(values).transform(values)


@pytest.mark.parametrize("kind", ["stack", "lazy"])
@pytest.mark.parametrize(
    ("call", "make"),
    [
        (decompose, PCA),
        (decompose, lambda: decomposition.MiniBatchNMF(3)),
        (decompose, Plain),
        (embed, lambda: manifold.Isomap(n_neighbors=8)),
        (embed, Plain),
        (group, lambda: mixture.GaussianMixture(2)),
        (group, Plain),
    ],
)
def test_an_estimator_stays_as_it_is_and_its_copy_is_returned(call, make, kind, request):
    stack, given = request.getfixturevalue(kind), make()
    before = dict(vars(given))
    source = {embed: {"source": ["x", "y"]}, group: {"cluster_source": ["x", "y"]}}.get(call, {})
    fitted, _ = call(algorithm=given, **source)(stack, random_state=3, return_info=True)
    assert vars(given) == before
    assert type(fitted) is type(given) and fitted is not given
    assert len(vars(fitted)) > len(before)
    if "random_state" in before:
        assert fitted.random_state == 3


def test_a_scaler_stays_as_it_is(stack):
    given = preprocessing.StandardScaler()
    stack.cluster_analysis("signal", preprocessing=given, n_clusters=2, random_state=0)
    assert not hasattr(given, "mean_")


@pytest.mark.parametrize(
    "call",
    [
        decompose(algorithm=PCA),
        decompose(PCA),
        embed(manifold.Isomap),
        group(["x", "y"], algorithm=cluster.KMeans),
        group(["x", "y"], preprocessing=preprocessing.StandardScaler),
    ],
)
def test_a_class_in_the_place_of_an_estimator_is_refused(stack, call):
    with pytest.raises(TypeError, match=r"this is a class; give an estimator, \w+\(\)"):
        call(stack)


# Options ------------------------------------------------------------------------------


def _lines(*rows):
    return pytest.mark.parametrize(("call", "options", "message"), rows)


@pytest.fixture
def no_work(monkeypatch):
    """Whatever reads features or sub-images fails."""

    def work(*args, **kwargs):
        raise AssertionError("work before the options were checked")

    for module in (features, sources, of_hyperspy, learning):
        for name in ("pixel_scores", "rows_of", "table_features", "loadings_features"):
            monkeypatch.setattr(module, name, work, raising=False)


@_lines(
    (decompose("PCA"), {"whitten": True}, "whitten=True: algorithm='PCA'.*Nearest: whiten"),
    (decompose("SVD"), {"n_itr": 4}, "n_itr=4: algorithm='SVD'.* Nearest: n_iter"),
    (decompose("SVD"), {"v0": 4}, "v0=4: algorithm='SVD' has no option v0"),
    (decompose("NMF"), {"n_components": 4}, "n_components=4: .*Nearest: output_dimension"),
    (decompose("sparse_pca"), {"alfa": 4}, "alfa=4: .*'sparse_pca'.*Nearest: alpha"),
    (decompose("ORPCA"), {"store_error": True}, "store_error=True: algorithm='ORPCA'"),
    (decompose(), {"seed": 1}, "seed=1: algorithm='SVD'.*Nearest: random_state"),
    (embed("tsne"), {"perplexty": 5}, "perplexty=5: algorithm='tsne'.* Nearest: perplexity"),
    (embed("mds"), {"n_components": 3}, "n_components=3: .*Nearest: output_dimension"),
    (embed("isomap"), {"n_neighbours": 5}, "algorithm='isomap' has .*Nearest: n_neighbors"),
    (embed("isomap"), {"max_site": 5}, "max_site=5: .*Nearest: max_sites"),
    (embed(manifold.Isomap()), {"n_neighbors": 5}, "n_neighbors=5: .* set n_neighbors in it"),
    (group("signal", algorithm="gmm"), {"n_components": 3}, "n_components=3: .*st: n_clusters"),
    (group("signal"), {"n_inti": 3}, "n_inti=3: algorithm='kmeans' .*Nearest: n_init"),
    (group("signal"), {"n_cluster": 3}, "n_cluster=3: .*Nearest: n_clusters"),
    (group("signal", algorithm="hdbscan"), {"eps": 3}, "algorithm='hdbscan'.*min_cluster_size"),
    (
        group("signal", preprocessing="minmax"),
        {"preprocessing_kwargs": {"range": 3}},
        "range=3: preprocessing='minmax' has no option range; it has .*feature_range",
    ),
    (count("signal"), {"n_inti": 3}, "n_inti=3: algorithm='gmm' .*Nearest: n_init"),
    (count("signal"), {"n_clusters": 3}, "n_clusters=3: algorithm='gmm' has .* max_clusters"),
)
def test_unknown_options_are_refused_before_any_work(stack, no_work, call, options, message):
    columns, calls = stack.sites.columns, stack.metadata.get_item("Sub_images.calls")
    with pytest.raises(TypeError, match=message):
        call(stack, **options)
    assert stack.sites.columns == columns
    assert stack.metadata.get_item("Sub_images.calls") == calls


@_lines(
    (decompose("PCA"), {"whiten": True}, "whiten=True: .*it has get, num_chunks"),
    (decompose("NMF"), {"n_iter": 3}, "n_iter=3: algorithm='NMF' has.* Nearest: max_iter"),
    (decompose("ORPCA"), {"lambda3": 3}, "lambda3=3: algorithm='ORPCA' has .*lambda2"),
    (group("signal"), {"copy_y": True}, "copy_y=True: algorithm='kmeans' has no option"),
)
def test_unknown_options_are_refused_of_lazy_stacks(lazy, no_work, call, options, message):
    with pytest.raises(TypeError, match=message):
        call(lazy, **options)


def test_verbs_without_further_options_say_which_they_have(stack):
    with pytest.raises(TypeError, match=r"epoch=3: stack.rvae\(\) has no option.*Nearest: epochs"):
        stack.rvae(epoch=3)
    with pytest.raises(TypeError, match=r"seed=3: stack.rvae\(\) .*Nearest: random_state"):
        stack.rvae(seed=3)
    with pytest.raises(TypeError, match=r"sed=3: compare_rvae\(\) has no option sed; it has arch"):
        hs_rvae.compare_rvae(stack, sed=3)


@pytest.mark.parametrize("call", [RANDOM["NMF"], RANDOM["Isomap"], RANDOM["GMM"], RANDOM["BIC"]])
def test_what_is_not_a_seed_is_refused_by_the_verbs(stack, call):
    with pytest.raises(ValueError, match="random_state=-1: give a whole number"):
        call(stack, random_state=-1)


# An algorithm in the first place --------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("PCA", "NMF"), {}),
        (("PCA", "SVD"), {}),
        (("PCA",), {"algorithm": "NMF"}),
        (("PCA",), {"algorithm": "PCA"}),
        (("PCA", NMF(3)), {}),
        ((PCA(3), "NMF"), {}),
        (("PCA", 3, 4), {}),
        (("PCA", 3), {"output_dimension": 3}),
        (("PCA", 3, "navigation"), {}),
        ((3,), {}),
        ((None, "PCA"), {}),
        ((1, "PCA", 3), {}),
    ],
)
def test_two_algorithms_or_two_numbers_are_refused(stack, args, kwargs):
    with pytest.raises(ValueError, match="^(normalize_poissonian_noise|output_dimension)=.*give"):
        stack.decomposition(*args, **kwargs)
    assert stack.learning_results.factors is None


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (("NMF", 3), {}, "NMF"),
        (("NMF", np.int64(3)), {}, "NMF"),
        (("NMF", None, 3), {}, "NMF"),
        (("NMF",), {"output_dimension": 3}, "NMF"),
        ((NMF(3, init="random"), 3), {}, "NMF"),
        ((False, "NMF", 3), {}, "NMF"),
        ((True,), {"output_dimension": 3}, "SVD"),
        ((), {"output_dimension": 3}, "SVD"),
    ],
)
def test_one_algorithm_and_one_number_are_taken_from_where_they_stand(
    stack, args, kwargs, expected
):
    stack.decomposition(*args, **kwargs)
    assert stack.learning_results.decomposition_algorithm == expected
    assert stack.learning_results.loadings.shape[1] == 3


@pytest.mark.parametrize("kind", ["stack", "lazy"])
def test_an_unknown_solver_is_refused(kind, request):
    with pytest.raises(ValueError, match="`svd_solver` must be None, .*not 'fast'"):
        request.getfixturevalue(kind).decomposition("SVD", 3, svd_solver="fast")


# Few sites ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stack", "lazy"])
@pytest.mark.parametrize("source", ["signal", ["x", "y"]])
def test_one_site_has_no_clusters(kind, source, request):
    stack = request.getfixturevalue(kind)
    mask = np.arange(len(stack.sites)) > 0
    for one, options in ((stack.inav[:1], {}), (stack, {"navigation_mask": mask})):
        with pytest.raises(ValueError, match="at least 2 sites, not 1"):
            one.cluster_analysis(source, n_clusters=1, algorithm="kmeans", **options)
    with pytest.raises(ValueError, match="at least 2 sites, not 1"):
        stack.inav[:1].estimate_number_of_clusters(source)


def test_a_number_that_cannot_be_estimated_is_asked_for(stack):
    two = stack.inav[:2]
    with pytest.raises(ValueError, match="of 2 sites cannot be estimated by 'silhouette'.*give n_"):
        two.cluster_analysis(["x", "y"], algorithm="kmeans")
    with pytest.raises(ValueError, match=r"max_clusters='ten': .* must be specified and be >= 2"):
        stack.estimate_number_of_clusters("signal", max_clusters="ten")
