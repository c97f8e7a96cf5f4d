# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every public method on every kind of stack: it works, or raises the documented error."""

from functools import cache

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hs_rvae
from hs_rvae import SubImageStack

WINDOW = 30
KINDS = (
    "image",
    "series",
    "joined",
    "one site",
    "one site without axis",
    "two sites",
    "lazy",
    "loaded",
    "loaded lazily",
    "without image",
    "without model",
    "channels",
)


@cache
def _film(seed):
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (240, 240), cell=18.0, domain_size=5, random_state=seed
    )
    return image, truth.b_sites[["x", "y"]].to_numpy(), truth.a_sites[["x", "y"]].to_numpy()


@cache
def _lattice():
    return hs_rvae.find_sublattices(_film(0)[0].deepcopy())


def _cut(seed, lazy=None):
    image, xy, neighbours = _film(seed)
    image = image.deepcopy()
    return SubImageStack.from_positions(
        image.as_lazy() if lazy else image, xy, window_size=WINDOW, neighbours=neighbours
    )


def _cut_series():
    frames = [_film(0) for _ in range(3)]
    image = hs.signals.Signal2D(np.stack([frame[0].data for frame in frames]))
    for axis in image.axes_manager.signal_axes:
        axis.scale, axis.units = 0.02, "nm"
    return SubImageStack.from_positions(
        image,
        [frame[1] for frame in frames],
        window_size=WINDOW,
        neighbours=[frame[2] for frame in frames],
    )


def _cut_channels():
    image, xy, neighbours = _film(0)
    return SubImageStack.from_positions(
        hs.stack([image, image * -1.0]), xy, window_size=WINDOW, neighbours=neighbours,
        channels=True,
    )  # fmt: skip


def _with_results(stack):
    if stack.axes_manager.navigation_dimension == 2:
        return _with_results_of_channels(stack)
    stack.rvae(output_dimension=2, random_state=0, epochs=4, q_max=0.15)
    stack.register_angle("displacement")
    stack.assign_variants(4)
    stack.find_domains()
    stack.measure_modes()
    stack.decomposition("PCA", output_dimension=3)
    stack.embedding("mds", random_state=0)
    stack.cluster_analysis("rvae", algorithm="kmeans", n_clusters=2, random_state=0)
    return stack


def _with_results_of_channels(stack):
    stack.rvae(output_dimension=2, random_state=0, epochs=4, q_max=0.15)
    stack.register_angle("displacement")
    stack.assign_variants(4)
    stack.find_domains()
    return stack


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """One stack of each kind, with the results of every verb where there is a model."""
    image = _with_results(_cut(0))
    folder = tmp_path_factory.mktemp("stack")
    path = folder / "stack.zspy"
    image.image.save(folder / "film.hspy")
    image.rvae_model.save(folder / "model.safetensors")
    image.save(path)
    joined = _with_results(hs_rvae.stack([_cut(0), _cut(1)]))
    without_image = image.deepcopy()
    without_image.image = None
    stacks = {
        "image": image,
        "series": _with_results(_cut_series()),
        "joined": joined,
        "one site": image.inav[:1],
        "one site without axis": image.inav[4],
        "two sites": image.inav[:2],
        "lazy": _with_results(_cut(0, lazy=True)),
        "loaded": hs.load(path),
        "loaded lazily": hs.load(path, lazy=True),
        "without image": without_image,
        "without model": _cut(0),
        "channels": _with_results(_cut_channels()),
    }
    return stacks, folder


def _columns(*names):
    """A check: the table has these columns, with a value for every site."""

    def check(stack, result):
        for name in names:
            assert stack.sites[name].shape == (len(stack.sites),)

    return check


def _finite(*names):
    """A check: the table has these columns, with a finite value for every site."""

    def check(stack, result):
        _columns(*names)(stack, result)
        assert np.isfinite(stack.sites[list(names)]).all()

    return check


def _images(stack, result):
    """A check: a stack with the table of this one."""
    assert result.data.shape[-2:] == stack.data.shape[-2:]
    assert len(result.sites) == len(stack.sites)
    assert np.isfinite(np.asarray(result.data)).all()


def _turned(stack, result):
    """A check: sub-images of sites with a variant are turned, others are NaN."""
    assert result.data.shape == stack.data.shape
    data = np.asarray(result.data).reshape(-1, WINDOW, WINDOW)
    seen = np.isfinite(data).all((1, 2))
    np.testing.assert_array_equal(seen, stack.sites["variant"] >= 0)
    np.testing.assert_array_equal(seen, np.isfinite(result.sites["lattice_turn"]))
    assert np.isnan(data[~seen]).all()


def _drawn(stack, result):
    """A check: something was drawn."""
    axes = [ax for number in plt.get_fignums() for ax in plt.figure(number).axes]
    assert any(ax.has_data() for ax in axes)


def _written(name):
    """A check: the file is there, and not empty."""

    def check(stack, result):
        path = stack.folder / name
        assert path.is_dir() or path.stat().st_size > 1000

    return check


def _stated(stack, verdict):
    assert (verdict is None) == ("angle" not in stack.sites)
    assert verdict is None or (verdict.rotation == "distortion" and verdict.sentence)


def _four_variants(stack, table):
    assert len(table) == 4 and np.isfinite(table).to_numpy().all()
    assert table["n_sites"].sum() == (stack.sites["variant"] >= 0).sum()


def _of_domains(name):
    """A check: a table of domains or walls, which states why it is empty."""

    def check(stack, table):
        assert (table[name] > 0).all() and (len(table) or table.attrs["reason"])

    return check


def _cut_anew(stack, result):
    assert isinstance(result, SubImageStack)
    assert 115 < len(result.sites) < 130


def _sites(number):
    """A check: a stack of at most `number` sites."""

    def check(stack, result):
        assert len(result.sites) == min(number, len(stack.sites))
        assert isinstance(result, SubImageStack)

    return check


def _cropped(stack, result):
    height, width = stack.data.shape[-2:]
    assert (height, width) == (
        stack.axes_manager.signal_shape[1],
        stack.axes_manager.signal_shape[0],
    )
    assert height == width - 4
    assert np.isfinite(stack.sites.xy).all()


def _shape(*shape):
    def check(stack, result):
        assert np.shape(result.data) == shape

    return check


def _posterior(stack, result):
    np.testing.assert_allclose(np.asarray(result.data).sum(axis=-1), 1, rtol=1e-4)


def _means(stack, result):
    assert result.data.shape[-2:] == stack.data.shape[-2:]
    assert len(result.data.reshape(-1, *stack.data.shape[-2:])) == len(
        np.unique(stack.sites["cluster"])
    )


def _data(stack, data):
    n_detectors = data.shape[1] if data.ndim == 4 else 1
    assert data.reshape(-1, WINDOW, WINDOW).shape[0] == len(stack.sites) * n_detectors


def _transformed(stack, model):
    shape = stack.data.shape[-3:] if stack.data.ndim == 4 else (WINDOW, WINDOW)
    assert np.isfinite(model.transform(stack.data.reshape(-1, *shape)[:1]).angle).all()


def _same_pixels(image, path):
    np.testing.assert_array_equal(image.data, hs.load(path).data)


def _rebinned(stack, result):
    assert result.data.shape[-1] == stack.data.shape[-1] // 2
    np.testing.assert_array_equal(result.sites["x"], stack.sites["x"])


def _from_lattice(stack):
    return SubImageStack.from_atom_lattice(_lattice(), sublattice="B", window_size=WINDOW)


def _patterns_of(stack):
    """A stack made of its own sub-images, as if they were patterns."""
    data = np.asarray(stack.data)
    images = np.abs(data[:, 0] if data.ndim == 4 else data.reshape(-1, WINDOW, WINDOW))
    return SubImageStack.from_site_signals(hs.signals.Signal2D(images), stack.sites)


def _same_sites(stack, result):
    assert isinstance(result, SubImageStack)
    np.testing.assert_array_equal(result.sites["x"], stack.sites["x"])


# Every public name of a stack: how it is used, and what must be true afterwards.
USES = {
    "apply_rvae": (lambda s: s.apply_rvae(s.other_model), _finite("angle", "latent_0")),
    "assign_variants": (lambda s: s.assign_variants(4), _finite("variant")),
    "cluster_analysis": (
        lambda s: s.cluster_analysis("rvae", random_state=0),
        _finite("cluster", "cluster_probability"),
    ),
    "crop": (lambda s: s.crop(0, 0, 1), lambda s, result: _sites(1)(s, s)),
    "crop_signal": (lambda s: s.crop_signal(2, -2), _cropped),
    "data": (lambda s: s.data, _data),
    "decomposition": (lambda s: s.decomposition("NMF", output_dimension=2), _finite("nmf_0")),
    "derotate": (lambda s: s.derotate(), _turned),
    "domains": (lambda s: s.domains, _of_domains("n_sites")),
    "embedding": (lambda s: s.embedding("tsne", random_state=0), _finite("tsne_0", "tsne_1")),
    "estimate_number_of_clusters": (
        lambda s: s.estimate_number_of_clusters("rvae", max_clusters=3, random_state=0),
        lambda s, result: _drawn(s, s.plot_cluster_metric()),
    ),
    "explore": (lambda s: s.explore(), _drawn),
    "find_domains": (lambda s: s.find_domains(), _finite("domain")),
    "from_atom_lattice": (_from_lattice, _cut_anew),
    "from_positions": (lambda s: _cut(1), _cut_anew),
    "from_sublattice": (
        lambda s: SubImageStack.from_sublattice(_lattice().sublattice_list[1], window_size=WINDOW),
        _cut_anew,
    ),
    "from_site_signals": (_patterns_of, _same_sites),
    "get_angle_posterior": (lambda s: s.get_angle_posterior(36), _posterior),
    "get_cluster_means": (lambda s: s.get_cluster_means(), _means),
    "get_current_signal": (lambda s: s.get_current_signal(), _sites(1)),
    "get_decomposition_model": (lambda s: s.get_decomposition_model(), _images),
    "get_mean_cell": (
        lambda s: s.get_mean_cell(_film(0)[0], "cluster", window_size=20),
        lambda s, cell: _shape(len(cell.metadata.Clusters.labels), 20, 20)(s, cell),
    ),
    "get_rvae_distortion": (lambda s: s.get_rvae_distortion(4), _shape(4, WINDOW, WINDOW)),
    "get_rvae_manifold": (lambda s: s.get_rvae_manifold((3, 2)), _shape(3, 2, WINDOW, WINDOW)),
    "get_rvae_model": (lambda s: s.get_rvae_model(), _images),
    "get_rvae_residual": (lambda s: s.get_rvae_residual(), _images),
    "get_site_signals": (
        lambda s: s.get_site_signals(_film(0)[0], radius=2),
        lambda s, result: _shape(len(s.sites))(s, result),
    ),
    "image": (lambda s: s.image, lambda s, image: None),
    "link_frames": (lambda s: s.link_frames(), _finite("track")),
    "load_image": (
        lambda s: s.load_image(s.files / "film.hspy"),
        lambda s, image: _same_pixels(s.image, s.files / "film.hspy"),
    ),
    "load_rvae_model": (
        lambda s: s.load_rvae_model(s.files / "model.safetensors"),
        lambda s, model: _images(s, s.get_rvae_model()),
    ),
    "match_sites": (lambda s: s.match_sites(s), lambda s, pairs: None),
    "measure_modes": (lambda s: s.measure_modes(), _columns("mode_rotation")),
    "plot": (lambda s: s.plot(navigator="sites"), _drawn),
    "plot_angle_histogram": (lambda s: s.plot_angle_histogram(), _drawn),
    "plot_cluster_means": (lambda s: s.plot_cluster_means(), _drawn),
    "plot_cluster_metric": (lambda s: s.plot_cluster_metric(), _drawn),
    "plot_columns": (lambda s: s.plot_columns(), _drawn),
    "plot_domains": (lambda s: s.plot_domains(), _drawn),
    "plot_image": (lambda s: s.plot_image(), _drawn),
    "plot_latent_space": (lambda s: s.plot_latent_space(), _drawn),
    "plot_method_comparison": (lambda s: s.plot_method_comparison(["pca", "mds"]), _drawn),
    "plot_modes": (lambda s: s.plot_modes(), _drawn),
    "plot_polar_map": (lambda s: s.plot_polar_map("displacement"), _drawn),
    "plot_polar_scatter": (lambda s: s.plot_polar_scatter("latent_0", "latent_1"), _drawn),
    "plot_rvae_diagnostics": (lambda s: s.plot_rvae_diagnostics(n_shuffles=10), _drawn),
    "plot_rvae_history": (lambda s: s.plot_rvae_history(), _drawn),
    "plot_rvae_manifold": (lambda s: s.plot_rvae_manifold((3, 3)), _drawn),
    "plot_scatter": (lambda s: s.plot_scatter("x", "y"), _drawn),
    "plot_site_map": (lambda s: s.plot_site_map("angle"), _drawn),
    "plot_sub_image": (lambda s: s.plot_sub_image(0), _drawn),
    "recut": (lambda s: s.recut(_film(0)[0]), _same_sites),
    "rebin": (
        lambda s: s.rebin(scale=[1] * s.axes_manager.navigation_dimension + [2, 2]),
        _rebinned,
    ),
    "register_angle": (lambda s: s.register_angle("displacement"), _finite("angle")),
    "report": (lambda s: s.report(s.folder / "page.html", n_shuffles=10), _written("page.html")),
    "rvae": (lambda s: s.rvae(random_state=0, epochs=2, q_max=0.15), _finite("angle", "latent_1")),
    "rvae_diagnostics": (
        lambda s: s.rvae_diagnostics(n_shuffles=10),
        lambda s, frame: None,
    ),
    "rvae_verdict": (
        lambda s: s.rvae_verdict,
        _stated,
    ),
    "rvae_model": (
        lambda s: s.rvae_model,
        _transformed,
    ),
    "save": (
        lambda s: s.save(s.folder / "stack.zspy"),
        lambda s, result: _images(s, hs.load(s.folder / "stack.zspy")),
    ),
    "save_movie": (lambda s: s.save_movie(s.folder / "m.gif", "angle", dpi=40), _written("m.gif")),
    "select_sites": (lambda s: s.select_sites([0]), _sites(1)),
    "sites": (lambda s: s.sites, lambda s, sites: None),
    "split": (lambda s: s.split("site", number_of_parts=1), lambda s, parts: None),
    "variants": (lambda s: s.variants, _four_variants),
    "walls": (lambda s: s.walls, _of_domains("length")),
}

ONE = ("one site", "one site without axis")
LOADED = ("loaded", "loaded lazily")
NO_MODEL = {
    **dict.fromkeys(LOADED, (RuntimeError, "not saved with the stack")),
    "without model": (RuntimeError, r"No rVAE model yet: call stack\.rvae\(\)"),
}
NO_COLUMN = {"without model": ((KeyError, ValueError), r"stack\.(rvae|cluster_analysis)\(")}
ONE_IMAGE = {"joined": (ValueError, r"select_sites\(stack\.sites\['image'\] == 0\)")}
ONE_FRAME = ONE_IMAGE | {"series": (ValueError, r"select_sites\(stack\.sites\['frame'\] == 0\)")}
NO_FRAMES = {kind: (ValueError, "no column 'frame'") for kind in KINDS if kind != "series"}
# Methods of one detector, beside those that have a line of their own.
ONE_DETECTOR = {"channels": (ValueError, r"stack\.inav\[0\]")}
NO_DOMAINS = {"without model": (RuntimeError, r"stack\.find_domains\(\)")}
NO_MODES = {"without model": (KeyError, r"stack\.measure_modes\(\)")}
FEW_WHOLE = dict.fromkeys((*ONE, "two sites"), (ValueError, "noise need 10 or more"))
FEW = dict.fromkeys((*ONE, "two sites"), (ValueError, "at least 100 are needed"))
_OF_ONE = (
    "cluster_analysis",
    "decomposition",
    "derotate",
    "embedding",
    "explore",
    "get_rvae_distortion",
    "get_rvae_manifold",
    "get_rvae_model",
    "get_rvae_residual",
    "measure_modes",
    "plot_rvae_diagnostics",
    "plot_rvae_manifold",
    "plot_sub_image",
    "report",
    "rvae_diagnostics",
)
# The uses that are refused, with the error that the documentation names.
REFUSED = {
    "assign_variants": NO_COLUMN,
    "cluster_analysis": NO_COLUMN | dict.fromkeys(ONE, (ValueError, "at least 2 sites, not 1")),
    "decomposition": dict.fromkeys(ONE, (ValueError, "one site only")),
    "derotate": NO_COLUMN,
    "domains": NO_DOMAINS,
    "embedding": dict.fromkeys(ONE, (ValueError, "at least 4 sites, not 1"))
    | {"two sites": (ValueError, "at least 4 sites, not 2")},
    "estimate_number_of_clusters": NO_COLUMN
    | dict.fromkeys(ONE, (ValueError, "at least 2 sites, not 1")),
    "explore": ONE_FRAME | NO_COLUMN | {ONE[1]: (ValueError, "no navigation axis")},
    "find_domains": {"without model": (KeyError, r"stack\.assign_variants\(\)")},
    "get_angle_posterior": NO_MODEL,
    "get_cluster_means": NO_COLUMN,
    "get_decomposition_model": {"without model": (RuntimeError, r"call stack\.decomposition\(")},
    "get_mean_cell": NO_COLUMN | ONE_FRAME | {"channels": (KeyError, "no column 'cluster'")},
    "get_rvae_distortion": NO_MODEL,
    "get_rvae_manifold": NO_MODEL,
    "get_rvae_model": NO_MODEL,
    "get_rvae_residual": NO_MODEL,
    "get_site_signals": ONE_FRAME,
    "link_frames": NO_FRAMES,
    "measure_modes": FEW_WHOLE,
    "plot": ONE_FRAME | {ONE[1]: (ValueError, "no navigation axis")},
    "plot_angle_histogram": NO_COLUMN,
    "plot_cluster_means": NO_COLUMN,
    "plot_cluster_metric": dict.fromkeys(KINDS, (ValueError, "estimate_number_of_clusters")),
    **dict.fromkeys(
        ("plot_columns", "plot_image"),
        dict.fromkeys(("joined", *LOADED, "without image"), (ValueError, r"give one with image="))
        | {"series": (ValueError, r"such as image\.inav\[0\]")},
    ),
    "plot_domains": NO_DOMAINS | ONE_FRAME,
    "plot_latent_space": NO_COLUMN,
    "plot_method_comparison": ONE_FRAME
    | {"without model": (KeyError, r"stack\.decomposition\(\)")},
    "plot_modes": ONE_FRAME | NO_MODES | {"channels": NO_MODES["without model"]},
    "plot_polar_map": ONE_FRAME,
    "plot_polar_scatter": NO_COLUMN,
    "plot_rvae_diagnostics": NO_COLUMN | ONE_FRAME | FEW,
    "plot_rvae_history": NO_MODEL,
    "plot_rvae_manifold": NO_MODEL,
    "plot_site_map": NO_COLUMN | ONE_IMAGE,
    "recut": ONE_FRAME,
    "register_angle": NO_COLUMN,
    "report": NO_COLUMN | ONE_FRAME,
    "rvae": dict.fromkeys((*ONE, "two sites"), (ValueError, "a fit needs 10")),
    "rvae_diagnostics": NO_COLUMN | ONE_FRAME | FEW,
    "rvae_model": NO_MODEL,
    "save_movie": NO_FRAMES,
    "load_image": {
        "series": (ValueError, "path=.*film.hspy"),
        "joined": (ValueError, "give a list of as many paths"),
    },
    "load_rvae_model": {
        "series": (ValueError, "is not the model"),
        "joined": (ValueError, "is not the model"),
        "without model": (ValueError, r"stack\.apply_rvae\(path\)"),
    },
    "select_sites": {ONE[1]: (ValueError, "no navigation axis")},
    "split": {ONE[1]: (ValueError, "no DataAxis named site")},
    "variants": {"without model": (ValueError, r"stack\.assign_variants\(\)")},
    "walls": NO_DOMAINS,
}
for _name in _OF_ONE:
    REFUSED[_name] = REFUSED.get(_name, {}) | ONE_DETECTOR
for _name, _refusal in {
    "apply_rvae": (ValueError, "choose one, channel=0"),
    "crop": (ValueError, r"stack\.inav\[\.\.\.\]"),
    "get_cluster_means": (KeyError, r"stack\.cluster_analysis\("),
    "get_decomposition_model": (RuntimeError, r"call stack\.decomposition\("),
    "load_image": (ValueError, "is not the image of this stack"),
    "load_rvae_model": (ValueError, "is not the model"),
    "plot_cluster_means": (KeyError, r"stack\.cluster_analysis\("),
    "plot_method_comparison": (KeyError, r"stack\.decomposition\(\)"),
}.items():
    REFUSED[_name] = REFUSED.get(_name, {}) | {"channels": _refusal}


def test_every_public_name_has_its_row():
    ours = [cls for cls in SubImageStack.__mro__ if cls.__module__.startswith("hs_rvae")]
    public = {name for cls in ours for name in vars(cls) if not name.startswith("_")}
    assert public == set(USES)


def _pairs():
    """All pairs; of those that work, a third is quick enough for every day.

    The third holds every method on three kinds or so, and every kind with every third method.
    A report takes seconds: of a lazy stack, it is written every day.
    """
    for i, name in enumerate(USES):
        for j, kind in enumerate(KINDS):
            quick = kind == "lazy" if name == "report" else (i + j) % 3 == 0
            daily = quick or kind in REFUSED.get(name, {})
            yield pytest.param(name, kind, marks=() if daily else pytest.mark.slow)


@pytest.mark.parametrize("name, kind", list(_pairs()))
def test_every_method_works_or_says_why_not(name, kind, complete, tmp_path):
    stacks, files = complete
    stack = stacks[kind].deepcopy()
    stack.folder, stack.files, stack.other_model = tmp_path, files, stacks["image"].rvae_model
    use, check = USES[name]
    columns = stack.sites.columns
    if kind in REFUSED.get(name, {}):
        error, message = REFUSED[name][kind]
        with pytest.raises(error, match=message):
            use(stack)
        assert stack.sites.columns == columns  # nothing was lost or half done
        assert not list(tmp_path.iterdir())
    else:
        check(stack, use(stack))


@pytest.mark.parametrize("name", REFUSED)
def test_every_refusal_is_documented(name):
    documentation = getattr(SubImageStack, name).__doc__.partition("Raises\n")[2]
    kinds = {error for error, _ in REFUSED[name].values()}
    for error in kinds:
        names = [one.__name__ for one in (error if isinstance(error, tuple) else (error,))]
        assert any(one in documentation for one in names), f"{name}: {names}"
