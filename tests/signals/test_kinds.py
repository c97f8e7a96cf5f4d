# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every figure of every kind of stack: it is drawn, or an error names the remedy."""

import re

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.exceptions import TooFewSites
from hs_rvae.signals.meaning import instrument_quantities

QUICK = {"epochs": 2, "n_init": 1, "q_max": 0.15, "random_state": 0}


def analysed(stack):
    stack.rvae(**QUICK)
    stack.assign_variants(4)
    stack.decomposition("PCA", 2, random_state=0)
    stack.cluster_analysis("rvae", algorithm="gmm", n_clusters=2, random_state=0)
    return stack


@pytest.fixture(scope="module")
def kinds(make_film, tmp_path_factory):
    """Stacks by what is special in them."""
    film = make_film(0, n_cells=13, cell=18.0, domain_size=6, nonpolar=0.0)
    options = {"window_size": 32, "neighbours": film.truth.a_sites}
    stack = analysed(SubImageStack.from_positions(film.image, film.positions, **options))
    path = tmp_path_factory.mktemp("kinds") / "stack.zspy"
    stack.save(path)
    series, truths = hs_rvae.simulation.simulate_series((240, 240), 2, cell=18.0, random_state=1)
    xy = [truth.b_sites[["x", "y"]] for truth in truths]
    others = [truth.a_sites for truth in truths]
    in_frames = analysed(
        SubImageStack.from_positions(series, xy, window_size=32, neighbours=others)
    )
    alone = stack.deepcopy()
    alone._image = alone._rvae_model = None
    joined = hs_rvae.stack([stack, stack.deepcopy()])
    lazy = stack.as_lazy()
    return {
        "of an image": stack,
        "lazy": lazy,
        "loaded": hs.load(path),
        "loaded lazily": hs.load(path, lazy=True),
        "alone": alone,
        "a single site": stack.inav[3],
        "a single lazy site": lazy.inav[3],
        "one site": stack.inav[3:4],
        "two sites": stack.inav[3:5],
        "cropped": stack.isig[2:-2, 2:-2],
        "oblong": stack.isig[2:-4, :],
        "joined": joined,
        "one of joined": joined.select_sites(joined.sites["image"] == 1),
        "series": in_frames,
        "one frame": in_frames.select_sites(in_frames.sites["frame"] == 1),
        "one site of a series": in_frames.inav[5],
        "without a model": SubImageStack.from_positions(film.image, film.positions, **options),
        "without a table": SubImageStack(stack.data),
    }


def walk(explorer):
    explorer.show(len(explorer.sites) - 1)
    explorer.figure.canvas.draw()
    explorer.close()


FIGURES = {
    "site map": lambda stack, path: stack.plot_site_map("angle"),
    "polar map": lambda stack, path: stack.plot_polar_map("displacement"),
    "histogram": lambda stack, path: stack.plot_angle_histogram(variants=4),
    "manifold": lambda stack, path: stack.plot_rvae_manifold((2, 2)),
    "history": lambda stack, path: stack.plot_rvae_history(),
    "latent space": lambda stack, path: stack.plot_latent_space(),
    "scatter": lambda stack, path: stack.plot_scatter("x", "pca_0", "cluster"),
    "polar scatter": lambda stack, path: stack.plot_polar_scatter("latent_0", "latent_1"),
    "cluster means": lambda stack, path: stack.plot_cluster_means(),
    "methods": lambda stack, path: stack.plot_method_comparison(["pca", "latent"]),
    "image": lambda stack, path: stack.plot_image(),
    "sub-image": lambda stack, path: stack.plot_sub_image(0),
    "explorer": lambda stack, path: walk(stack.explore()),
    "navigator": lambda stack, path: walk(stack.plot(navigator="sites")),
    "diagnostics": lambda stack, path: stack.plot_rvae_diagnostics(
        n_shuffles=10, max_sites=100, random_state=0
    ),
    "report": lambda stack, path: stack.report(path / "report.html", n_shuffles=10),
}
MAPS = ("site map", "polar map", "methods", "explorer", "navigator")
SINGLE = ("a single site", "a single lazy site", "one site of a series")
FEW = (*SINGLE, "one site", "two sites")
# Pairs that are refused, and by which words.
REFUSED = {
    **{(kind, name): "load_rvae_model\\((path)?\\) reads it"
       for kind in ("loaded", "loaded lazily", "alone") for name in ("manifold", "history")},
    **{(kind, "image"): "give one with image=, or set stack.image"
       for kind in ("loaded", "loaded lazily", "alone", "joined", "without a table")},
    **{(kind, name): "a single sub-image and has no navigation axis"
       for kind in SINGLE for name in ("explorer", "navigator")},
    **{(kind, "diagnostics"): "at least 100 are needed" for kind in FEW},
    **{("joined", name): r"choose one with stack.select_sites\(stack.sites\['image'\] == 0\)"
       for name in MAPS},
    **{("series", name): r"choose one with stack.select_sites\(stack.sites\['frame'\] == 0\)"
       for name in MAPS[1:]},
    ("series", "image"): "give one frame",
    ("series", "diagnostics"): r"is a series.*select_sites\(stack.sites\['frame'\] == 0\)",
    ("series", "report"): r"is a series.*select_sites\(stack.sites\['frame'\] == 0\)",
    ("joined", "diagnostics"): r"joins several images.*select_sites\(stack.sites\['image'\] == 0\)",
    ("joined", "report"): r"joins several images.*select_sites\(stack.sites\['image'\] == 0\)",
    **{("without a model", name): r"stack\.(rvae|decomposition|cluster_analysis)\("
       for name in FIGURES if name not in ("polar map", "image", "sub-image", "navigator")},
    **{("without a table", name): "no site table|No rVAE model|no column"
       for name in FIGURES if name not in ("image", "sub-image")},
}  # fmt: skip
KINDS = (
    *("of an image", "lazy", "loaded", "loaded lazily", "alone", "a single site"),
    *("a single lazy site", "one site", "two sites", "cropped", "oblong", "joined"),
    *("one of joined", "series", "one frame", "one site of a series"),
    *("without a model", "without a table"),
)


def _pairs():
    """All pairs; of those that are drawn, a quarter is quick enough for every day.

    The quarter holds every figure on four kinds or so, and every kind with four figures or so.
    A report takes seconds; test_every_method.py has one for every day.
    """
    for i, kind in enumerate(KINDS):
        for j, name in enumerate(FIGURES):
            daily = (kind, name) in REFUSED or ((i + j) % 4 == 0 and name != "report")
            yield pytest.param(kind, name, marks=() if daily else pytest.mark.slow)


@pytest.mark.parametrize("kind, name", list(_pairs()))
def test_a_figure_is_drawn_or_its_error_names_the_remedy(kinds, kind, name, tmp_path):
    stack = kinds[kind]
    table = None if stack.sites is None else set(stack.sites.columns)
    refused = REFUSED.get((kind, name))
    if refused is None:
        FIGURES[name](stack, tmp_path)
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
    else:
        with pytest.raises((ValueError, KeyError, RuntimeError)) as error:
            FIGURES[name](stack, tmp_path)
        assert re.search(refused, str(error.value))
        assert list(tmp_path.iterdir()) == [] and not plt.get_fignums()
    if table is not None and name != "diagnostics":  # which measures intensities
        assert set(stack.sites.columns) == table


def test_all_kinds_are_tried(kinds):
    assert set(kinds) == set(KINDS)


def test_the_edge_of_a_frame_is_that_of_its_image(kinds):
    """The distance to the edge is that of the whole frame, as for an image of its own."""
    one = kinds["one frame"]
    xy, (rows, columns) = one.sites.xy, one.image.data.shape[1:]
    found, _, _ = instrument_quantities(one, one.deepcopy().sites)
    to_edges = np.column_stack([xy + 0.5, np.array([columns, rows]) - 0.5 - xy])
    np.testing.assert_array_equal(found["edge distance"], to_edges.min(axis=1))


def test_too_few_sites_have_an_error_of_their_own(kinds):
    with pytest.raises(TooFewSites, match="2 of 2 sites"):
        kinds["two sites"].rvae_diagnostics()
