# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions against scikit-learn, lazy against eager, and data that never change."""

import logging

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn import decomposition as skd
from sklearn.manifold import TSNE

import hs_rvae
from hs_rvae.learning import rows, streaming

IN_MEMORY = ["PCA", "SVD", "NMF", "sparse_pca", "mini_batch_sparse_pca"]
IN_MEMORY += [pytest.param(name, marks=pytest.mark.slow) for name in ("MLPCA", "RPCA")]
ESTIMATORS = {
    "FastICA": lambda: skd.FastICA(3, random_state=0, max_iter=1000, tol=0.01),
    "PCA": lambda: skd.PCA(3, random_state=0),
    "whitened PCA": lambda: skd.PCA(3, whiten=True, random_state=0),
    "IncrementalPCA": lambda: skd.IncrementalPCA(3),
    "TruncatedSVD": lambda: skd.TruncatedSVD(3, random_state=0),
    "FactorAnalysis": lambda: skd.FactorAnalysis(3, random_state=0),
    "MiniBatchNMF": lambda: skd.MiniBatchNMF(3, random_state=0),
}


def values_of(signal):
    return signal.data.compute() if signal._lazy else signal.data


def rows_of(stack):
    return values_of(stack).reshape(len(stack.sites), -1)


def signs(a, b):
    """Signs that bring the columns of a to those of b."""
    return np.sign(np.einsum("ij,ij->j", a, b))


# Against scikit-learn ----------------------------------------------------------


def test_pca_is_that_of_scikit_learn(stack):
    expected = skd.PCA(4, svd_solver="full")
    scores = expected.fit_transform(rows_of(stack))
    stack.decomposition("PCA", 4, svd_solver="full")
    results = stack.learning_results
    turn = signs(results.loadings, scores)
    np.testing.assert_allclose(results.factors * turn, expected.components_.T, atol=2e-5)
    np.testing.assert_allclose(results.loadings * turn, scores, atol=1e-3 * scores.std())
    np.testing.assert_allclose(
        results.explained_variance_ratio, expected.explained_variance_ratio_, rtol=1e-4
    )
    np.testing.assert_allclose(stack.sites["pca_2"], results.loadings[:, 2], rtol=1e-6)


def test_nmf_is_that_of_scikit_learn(stack):
    expected = skd.NMF(3, random_state=1)
    scores = expected.fit_transform(rows_of(stack))
    stack.decomposition("NMF", 3, random_state=1)
    np.testing.assert_array_equal(stack.learning_results.loadings, scores)
    np.testing.assert_array_equal(stack.learning_results.factors, expected.components_.T)


def test_svd_is_that_of_numpy(stack):
    u, s, vt = np.linalg.svd(rows_of(stack).astype(float), full_matrices=False)
    stack.decomposition("SVD", 3)
    results = stack.learning_results
    turn = signs(results.factors, vt[:3].T)
    np.testing.assert_allclose(results.factors * turn, vt[:3].T, atol=1e-4)
    np.testing.assert_allclose(results.loadings * turn, u[:, :3] * s[:3], atol=1e-4 * s[0])
    np.testing.assert_allclose(
        results.explained_variance_ratio, (s**2 / (s**2).sum())[:3], rtol=1e-4
    )


@pytest.mark.parametrize("kind", ["eager", "lazy"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_model_is_what_the_estimator_makes_of_the_data(stack, lazy, name, kind):
    signal, estimator = (stack if kind == "eager" else lazy), ESTIMATORS[name]()
    estimator = signal.decomposition(algorithm=estimator, output_dimension=3, return_info=True)
    model = values_of(signal.get_decomposition_model()).reshape(len(stack.sites), -1)
    scores = estimator.transform(rows_of(stack))
    if hasattr(estimator, "inverse_transform"):
        expected = estimator.inverse_transform(scores)
    else:
        expected = scores @ estimator.components_ + estimator.mean_
    scale = np.abs(expected).max()
    # FastICA and MiniBatchNMF find their scores of the fit on the way: not to the last digit.
    loose = 2e-2 if name == "MiniBatchNMF" else 1e-4
    assert np.abs(model - expected).max() < loose * scale
    stem = type(estimator).__name__.lower()
    np.testing.assert_allclose(
        signal.sites[f"{stem}_1"], signal.learning_results.loadings[:, 1], rtol=1e-6
    )


def test_a_model_of_all_components_is_the_data(stack):
    stack.decomposition("PCA")
    model = stack.get_decomposition_model()
    assert isinstance(model, hs_rvae.SubImageStack)
    np.testing.assert_allclose(model.data, stack.data, atol=1e-3 * stack.data.max())
    # Only the first ten become columns unless more are asked for.
    assert [n for n in stack.sites.columns if n.startswith("pca")] == [
        f"pca_{i}" for i in range(10)
    ]


@pytest.mark.parametrize("centre", ["navigation", "signal"])
def test_a_centred_svd_can_be_rebuilt(stack, centre):
    stack.decomposition("SVD", centre=centre)
    model = stack.get_decomposition_model()
    np.testing.assert_allclose(model.data, stack.data, atol=1e-3 * stack.data.max())


# Lazy against eager ------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["PCA", "SVD", "NMF"])
@pytest.mark.parametrize("masked", [False, True])
def test_lazy_equals_eager(stack, lazy, algorithm, masked):
    options = {"svd_solver": "full"} if algorithm == "PCA" else {}
    masks = {}
    if masked:
        masks = {
            "navigation_mask": np.arange(len(stack.sites)) % 5 == 0,
            "signal_mask": np.eye(20, dtype=bool),
        }
    stack.decomposition(algorithm, 3, random_state=0, **masks, **options)
    lazy.decomposition(algorithm, 3, random_state=0, **masks)
    ours, theirs = lazy.learning_results, stack.learning_results
    turn = np.sign(np.nansum(ours.factors * theirs.factors, 0))
    np.testing.assert_allclose(
        ours.factors * turn, theirs.factors, atol=2e-4 * np.nanmax(theirs.factors)
    )
    np.testing.assert_allclose(
        ours.loadings * turn, theirs.loadings, atol=2e-4 * np.nanmax(np.abs(theirs.loadings))
    )
    if algorithm != "NMF":
        np.testing.assert_allclose(
            ours.explained_variance_ratio, theirs.explained_variance_ratio, rtol=1e-4
        )
    assert lazy._lazy and lazy.get_decomposition_model()._lazy
    np.testing.assert_allclose(
        values_of(lazy.get_decomposition_model()),
        stack.get_decomposition_model().data,
        atol=1e-3 * stack.data.max(),
    )
    if masked:
        assert np.isnan(stack.sites[f"{algorithm.lower()}_0"][::5]).all()
        assert np.isfinite(stack.sites[f"{algorithm.lower()}_0"][1::5]).all()


def test_a_lazy_svd_about_the_mean_equals_the_eager_one(stack, lazy):
    for one in (stack, lazy):
        one.decomposition("SVD", 3, centre="navigation")
    ours, theirs = lazy.learning_results, stack.learning_results
    assert ours.mean.shape == theirs.mean.shape == (1, 400)
    for name in ("explained_variance", "explained_variance_ratio", "mean"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-4)
    scale = np.abs(theirs.loadings).max()
    np.testing.assert_allclose(ours.loadings, theirs.loadings, atol=1e-4 * scale)


def test_windows_of_many_pixels_take_the_compressed_svd(lazy, stack, monkeypatch):
    import dask.array as da

    wide = np.random.default_rng(0).normal(size=(60, 6, 200, 1)).astype(np.float32)
    data = (wide * np.ones(4, np.float32)).reshape(60, 60, 80)  # 4800 pixels
    flat = rows.as_blocks(da.from_array(data, chunks=(20, -1, -1)))
    found = streaming.stream_svd(flat, 3, True, random_state=0)
    expected = skd.PCA(3, svd_solver="full").fit(data.reshape(60, -1))
    np.testing.assert_allclose(found.explained_variance, expected.explained_variance_, rtol=0.02)
    again = streaming.stream_svd(flat, 3, True, random_state=0)
    np.testing.assert_array_equal(found.factors, again.factors)


def test_a_subset_is_fitted_where_there_are_many_sites(stack, lazy, caplog):
    import dask.array as da

    flat = rows.as_blocks(da.from_array(stack.data, chunks=(40, -1, -1)))
    with caplog.at_level(logging.INFO, "hs_rvae"):
        part = streaming.stream_estimator(
            flat, skd.NMF(3, random_state=0), max_fit_sites=60, random_state=0
        )
    assert f"random subset of 60 of {len(flat)} sites" in caplog.text
    whole = skd.NMF(3, random_state=0)
    whole_scores = whole.fit_transform(rows_of(stack))
    errors = [
        np.linalg.norm(rows_of(stack) - scores @ factors)
        for scores, factors in (
            (part.loadings, part.factors.T),
            (whole_scores, whole.components_),
        )
    ]
    assert errors[0] < 1.05 * errors[1]


@pytest.mark.parametrize("algorithm", ["ORPCA", "ORNMF"])
def test_online_algorithms_are_hyperspys(lazy, algorithm):
    lazy = lazy.inav[:30]
    lazy.decomposition(algorithm, 2, random_state=0, reproject="navigation")
    first = lazy.sites[f"{algorithm.lower()}_0"]
    assert np.isfinite(first).all() and first.std() > 0
    assert lazy.get_decomposition_model().data.shape == lazy.data.shape


@pytest.mark.parametrize(
    "options",
    [
        {"svd_solver": "incremental"},
        {"centre": "signal"},
        {"reproject": "both"},
        {"num_chunks": 2},
        {"normalize_poissonian_noise": True},
    ],
)
def test_what_hyperspy_does_with_lazy_stacks_still_works(stack, lazy, options):
    k = 5
    lazy.decomposition(algorithm="SVD", output_dimension=k, random_state=0, **options)
    model = values_of(lazy.get_decomposition_model())
    stack.decomposition(algorithm="SVD", output_dimension=k)
    best = np.linalg.norm(stack.get_decomposition_model().data - stack.data)
    assert np.linalg.norm(model - stack.data) < 1.2 * best
    np.testing.assert_array_equal(values_of(lazy), stack.data)


# Data never change --------------------------------------------------------------


@pytest.mark.parametrize("algorithm", IN_MEMORY)
def test_the_data_do_not_change(stack, algorithm):
    before = stack.data.copy()
    quick = {"max_iter": 2} if "sparse" in algorithm else {}
    stack.decomposition(algorithm, 3, random_state=0, **quick)
    np.testing.assert_array_equal(stack.data, before)
    assert stack.data.dtype == np.float32


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_do_not_change_the_data(stack, name):
    before = stack.data.copy()
    stack.decomposition(algorithm=ESTIMATORS[name](), output_dimension=3)
    np.testing.assert_array_equal(stack.data, before)


@pytest.mark.parametrize(
    "options",
    [{"centre": "navigation"}, {"centre": "signal"}, {"normalize_poissonian_noise": True}],
)
def test_pretreatments_do_not_change_the_data(stack, options):
    before = stack.data.copy()
    stack.decomposition(algorithm="SVD", output_dimension=3, **options)
    np.testing.assert_array_equal(stack.data, before)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
@pytest.mark.parametrize("is_lazy", [False, True])
def test_integer_data_are_taken(stack, dtype, is_lazy):
    data = np.round(100 * stack.data / stack.data.max()).astype(dtype)
    stack.data = data
    signal = stack.as_lazy() if is_lazy else stack
    signal.decomposition("PCA", 3, random_state=0)
    assert signal.data.dtype == dtype
    np.testing.assert_array_equal(values_of(signal), data)
    expected = skd.PCA(3).fit(data.reshape(len(data), -1).astype(float))
    np.testing.assert_allclose(
        signal.learning_results.explained_variance, expected.explained_variance_, rtol=1e-3
    )


# Results follow the sites -------------------------------------------------------


def test_results_follow_slices_and_selections(stack):
    stack.decomposition("PCA", 3, random_state=0)
    loadings = stack.learning_results.loadings
    part = stack.inav[5:40:2]
    np.testing.assert_array_equal(part.learning_results.loadings, loadings[5:40:2])
    chosen = stack.select_sites(stack.sites["x"] > 150)
    kept = np.flatnonzero(stack.sites["x"] > 150)
    np.testing.assert_array_equal(chosen.learning_results.loadings, loadings[kept])
    model = stack.get_decomposition_model()
    np.testing.assert_allclose(chosen.get_decomposition_model().data, model.data[kept], rtol=1e-5)
    one = stack.inav[7]
    np.testing.assert_allclose(one.get_decomposition_model().data, model.data[7], rtol=1e-5)
    assert chosen.plot_decomposition_factors() is not None
    np.testing.assert_array_equal(stack.learning_results.loadings, loadings)


def test_a_crop_in_place_crops_the_results(stack):
    stack.decomposition("PCA", 3, random_state=0)
    loadings = stack.learning_results.loadings
    stack.crop("site", 10, 50)
    np.testing.assert_array_equal(stack.learning_results.loadings, loadings[10:50])
    stack.crop("x", 2, 18)
    assert stack.learning_results.factors is None  # other pixels


# All combinations; half of them are quick enough for every day.
SAVED = [
    pytest.param(algorithm, lazy, suffix, marks=pytest.mark.slow if (i + j + k) % 2 else ())
    for i, algorithm in enumerate(["PCA", "NMF", "estimator"])
    for j, lazy in enumerate([False, True])
    for k, suffix in enumerate(["hspy", "zspy"])
]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm, is_lazy, suffix", SAVED)
def test_results_survive_saving(stack, tmp_path, suffix, is_lazy, algorithm, caplog):
    stack.decomposition(
        algorithm=skd.PCA(3) if algorithm == "estimator" else algorithm,
        output_dimension=3,
        random_state=0,
    )
    with caplog.at_level(logging.ERROR):
        stack.save(tmp_path / f"stack.{suffix}")
    assert not caplog.records
    loaded = hs.load(tmp_path / f"stack.{suffix}", lazy=is_lazy)
    np.testing.assert_array_equal(loaded.learning_results.loadings, stack.learning_results.loadings)
    np.testing.assert_allclose(
        values_of(loaded.get_decomposition_model()),
        stack.get_decomposition_model().data,
        rtol=1e-5,
    )
    loaded.plot_decomposition_factors()
    loaded.plot_decomposition_loadings()
    assert loaded.get_decomposition_loadings().data.shape == (3, len(stack.sites))
    assert loaded.get_decomposition_factors().data.shape == (3, 20, 20)
    if algorithm != "NMF":
        loaded.plot_scree_plot()


def test_a_second_decomposition_replaces_the_columns_of_the_first(stack):
    stack.decomposition("PCA", 4, random_state=0)
    stack.decomposition("PCA", 2, random_state=0)
    stack.decomposition("NMF", 2, random_state=0)
    names = [name for name in stack.sites.columns if name.startswith(("pca", "nmf"))]
    assert names == ["pca_0", "pca_1", "nmf_0", "nmf_1"]
    assert stack.learning_results.decomposition_algorithm == "NMF"
    assert stack.learning_results.mean is None  # not that of the first


def test_hyperspys_own_calls_work(stack):
    stack.decomposition(True, algorithm="NMF", output_dimension=2)
    stack.decomposition(False, "sklearn_pca", 3)
    assert stack.learning_results.output_dimension == 3
    assert "pca_2" in stack.sites
    info = stack.decomposition("PCA", 3, return_info=True)
    assert isinstance(info, skd.PCA)
    stack.decomposition("SVD", 5)
    stack.blind_source_separation(number_of_components=3)
    assert stack.get_bss_factors().data.shape == (3, 20, 20)


def test_the_seed_reaches_the_algorithm(stack):
    results = []
    for seed in (0, 0, 1):
        stack.decomposition("NMF", 3, init="random", max_iter=20, random_state=seed)
        results.append(stack.learning_results.loadings)
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    stack.decomposition("NMF", 3, random_state=np.random.default_rng(0))


# Bad input ----------------------------------------------------------------------


@pytest.mark.parametrize("is_lazy", [False, True])
def test_unknown_algorithms_are_refused_with_the_known(stack, lazy, is_lazy):
    signal = lazy if is_lazy else stack
    with pytest.raises(
        ValueError, match="algorithm='orange' not recognised: take one of 'PCA', 'SVD', 'NMF'"
    ):
        signal.decomposition("orange", 3)
    with pytest.raises(ValueError, match="has no transform.*stack.embedding"):
        signal.decomposition(algorithm=TSNE())
    with pytest.raises(ValueError, match="it has no fit"):
        signal.decomposition(algorithm=object())
    with pytest.raises((ValueError, AttributeError), match="KernelPCA.*no attribute 'components_'"):
        signal.decomposition(algorithm=skd.KernelPCA(2), output_dimension=2)


def test_what_a_lazy_stack_cannot_do_is_said(lazy):
    with pytest.raises(
        NotImplementedError, match="algorithm='MLPCA' is not supported for lazy.*comp"
    ):
        lazy.decomposition("MLPCA", 3)
    with pytest.raises(ValueError, match="`output_dimension` must be specified for 'PCA'"):
        lazy.decomposition("PCA")


@pytest.mark.parametrize("is_lazy", [False, True])
def test_negative_data_are_refused_by_nmf_with_a_way_out(stack, is_lazy):
    stack.data = stack.data - 50
    signal = stack.as_lazy() if is_lazy else stack
    with pytest.raises(
        ValueError, match=r"'NMF' needs values of 0 or more; the lowest is -.*min\(\)"
    ):
        signal.decomposition("NMF", 3)
    assert "nmf_0" not in signal.sites and signal.learning_results.factors is None


@pytest.mark.parametrize("is_lazy", [False, True])
def test_sites_that_are_not_finite_are_named_or_masked(stack, is_lazy):
    stack.data[[3, 8], 2, 2] = np.nan
    signal = stack.as_lazy() if is_lazy else stack
    with pytest.raises(ValueError, match=r"2 sites .* not finite \(site 3, 8\).*navigation_mask"):
        signal.decomposition("PCA", 3)
    mask = np.zeros(len(stack.sites), bool)
    mask[[3, 8]] = True
    signal.decomposition("PCA", 3, navigation_mask=mask)
    np.testing.assert_array_equal(np.isnan(signal.sites["pca_0"]), mask)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_constant_stack_is_refused(stack, is_lazy):
    stack.data[:] = 3.5
    signal = stack.as_lazy() if is_lazy else stack
    with pytest.raises(ValueError, match=r"All sub-images are the same \(value 3.5 everywhere\)"):
        signal.decomposition("PCA", 2)
    signal.data = signal.data * 0
    with pytest.raises(ValueError, match="All sub-images are the same"):
        signal.decomposition("NMF", 2)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_masks_of_the_wrong_shape_or_kind_are_refused(small_stack, is_lazy):
    stack = small_stack.isig[:16, :]  # 16 columns, 20 rows
    stack = stack.as_lazy() if is_lazy else stack
    n = len(stack.sites)
    with pytest.raises(ValueError, match=rf"navigation_mask has the shape \(5,\); \({n},\)"):
        stack.decomposition("PCA", 3, navigation_mask=np.zeros(5, bool))
    with pytest.raises(ValueError, match="navigation_mask has the dtype int64; bool"):
        stack.decomposition("PCA", 3, navigation_mask=np.zeros(n, np.int64))
    with pytest.raises(
        ValueError, match=r"signal_mask has the shape \(16, 20\); \(20, 16\).*Transp"
    ):
        stack.decomposition("PCA", 3, signal_mask=np.zeros((16, 20), bool))
    with pytest.raises(ValueError, match="navigation_mask: .* `signal_dimension` equal to 0.*T"):
        stack.decomposition("PCA", 3, navigation_mask=hs.signals.Signal1D(np.zeros(n, bool)))
    with pytest.raises(ValueError, match="All the data are masked"):
        stack.decomposition("PCA", 3, navigation_mask=np.ones(n, bool))
    # As an array in the order of the data, or as a signal: the same.
    mask = np.zeros((20, 16), bool)
    mask[:3, 5] = True
    stack.decomposition("PCA", 3, signal_mask=mask, random_state=0)
    first = stack.learning_results.factors
    assert (np.isnan(first[:, 0]).reshape(20, 16) == mask).all()
    stack.decomposition("PCA", 3, signal_mask=hs.signals.Signal2D(mask), random_state=0)
    np.testing.assert_allclose(stack.learning_results.factors, first, atol=1e-5)


@pytest.mark.parametrize("wrong", [0, -2, 2.5, True])
def test_a_wrong_number_of_components_is_refused(stack, wrong):
    with pytest.raises(ValueError, match="`output_dimension` must be a positive integer"):
        stack.decomposition(algorithm="PCA", output_dimension=wrong)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_words_that_are_unknown_are_refused(stack, lazy, is_lazy):
    signal = lazy if is_lazy else stack
    with pytest.raises(
        ValueError, match="`centre` must be None, 'navigation' or 'signal', not 'x'"
    ):
        signal.decomposition("SVD", 2, centre="x")
    with pytest.raises(ValueError, match="`reproject` must be None, .* or 'both', not 'x'"):
        signal.decomposition("SVD", 2, reproject="x")
    with pytest.raises(ValueError, match="navigation_size < 2"):
        signal.inav[:1].decomposition("SVD", 1)


def test_more_components_than_there_can_be_are_refused(stack):
    with pytest.raises(ValueError, match=r"output_dimension=900 is more than .*: 225 at most"):
        stack.decomposition("PCA", 900)


def test_a_mean_does_not_go_with_poissonian_noise(stack):
    with pytest.raises(ValueError, match="normalize_poissonian_noise=True cannot be combined"):
        stack.decomposition(True, algorithm="PCA", output_dimension=2)


def test_a_model_without_a_decomposition_says_what_to_call(stack):
    with pytest.raises(RuntimeError, match=r"call stack.decomposition\('PCA'\)"):
        stack.get_decomposition_model()


def _refused(stack, algorithm, match):
    with pytest.raises(TypeError, match=match):
        stack.decomposition(algorithm, 2, tolerance=0.1)
    assert stack.learning_results.loadings is None


@pytest.mark.parametrize("algorithm", ["SVD", "MLPCA", "RPCA", "ORPCA", "ORNMF", "PCA", "NMF"])
def test_options_that_an_algorithm_does_not_have_are_refused(stack, algorithm):
    _refused(
        stack,
        algorithm,
        f"^tolerance=0.1: algorithm='{algorithm}' has no option tolerance; it has ",
    )


def test_options_beside_an_estimator_are_refused(stack, lazy):
    _refused(stack, skd.FastICA(2), "FastICA is an estimator: set tolerance in it")
    _refused(lazy, skd.FastICA(2), "FastICA has no option tolerance; it has get, num_chunks")
