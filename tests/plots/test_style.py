# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every figure: none is missing, nothing is cut or hidden, and matplotlibrc changes nothing."""

import ast
import base64
import inspect
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from PIL import Image

import hs_rvae
from hs_rvae import SubImageStack, plots
from hs_rvae.plots.color import get_colormap
from hs_rvae.report.figures import draw_figures
from hs_rvae.signals.comparison import RVAEComparison

# Each of them alone would turn an image over, hide something or put something else in its place.
UNUSUAL = {
    "image.origin": "lower",
    "image.aspect": "auto",
    "image.interpolation": "bicubic",
    "image.interpolation_stage": "rgba",
    "image.resample": False,
    "image.cmap": "jet",
    "axes.xmargin": -0.3,
    "axes.ymargin": 0.4,
    "axes.autolimit_mode": "round_numbers",
    "axes.prop_cycle": matplotlib.cycler(color=["white"]),
    "lines.linestyle": ":",
    "lines.marker": "x",
    "lines.color": "white",
    "scatter.marker": "s",
    "scatter.edgecolors": "white",
    "patch.facecolor": "white",
    "hist.bins": 3,
    "xtick.bottom": False,
    "xtick.labelbottom": False,
    "ytick.left": False,
    "ytick.labelleft": False,
    "axes.spines.left": False,
    "axes.spines.bottom": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.autolayout": False,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
}


@pytest.fixture(scope="module")
def things(make_film, tmp_path_factory):
    """A stack with all columns that figures show, and a series."""
    film = make_film(0, n_cells=13, cell=18.0, domain_size=6, nonpolar=0.0)
    stack = SubImageStack.from_positions(
        film.image, film.positions, window_size=32, neighbours=film.truth.a_sites
    )
    stack.rvae(epochs=2, n_init=1, q_max=0.15, random_state=0)
    stack.assign_variants(4)
    stack.find_domains()
    stack.measure_modes()
    stack.decomposition("PCA", 2, random_state=0)
    stack.cluster_analysis(algorithm="gmm", n_clusters=2, random_state=0)
    stack.estimate_number_of_clusters("rvae", max_clusters=3, random_state=0)
    series, truths = hs_rvae.simulation.simulate_series((120, 130), 2, cell=20.0, random_state=1)
    xy = [truth.b_sites[["x", "y"]] for truth in truths]
    return SimpleNamespace(
        film=film,
        stack=stack,
        series=SubImageStack.from_positions(series, xy, window_size=32),
        found=stack.rvae_diagnostics(n_shuffles=10, max_sites=100, random_state=0),
        extent=stack._extent_of_windows()[0],
        manifold=stack._registered_manifold((2, 3), (-1, 1)),
        folder=tmp_path_factory.mktemp("movies"),
    )


def details(site):
    angle = np.linspace(-3, 3, 20)
    image = np.arange(48.0).reshape(6, 8)
    return {"sub_image": image, "model": "none", "posterior": (angle, np.cos(angle) + 1)}


def explore(navigator):
    """Go to another site, which draws anew."""
    navigator.show(3)
    navigator.figure.canvas.draw()


def bare_axes():
    return plt.figure(layout="none").add_axes((0, 0, 1, 1))


def linked(stack):
    """The map and the window of HyperSpy that follows it, from the first site on."""
    stack.axes_manager.indices = (0,)
    explore(stack.plot(navigator="sites", color="variant"))


# What draws each figure; a number in the name tells two ways of drawing it apart.
FIGURES = {
    "plots.plot_angle_histogram": lambda t: plots.plot_angle_histogram(t.stack.sites, variants=4),
    "plots.plot_angle_histogram 2": lambda t: plots.plot_angle_histogram(t.stack.sites, polar=True),
    "plots.plot_cluster_means": lambda t: plots.plot_cluster_means(
        t.stack.data[:3], [0, 1, 2], [5, 6, 7], pixel_size=0.1, pixel_units="nm"
    ),
    "plots.plot_cluster_metric": lambda t: plots.plot_cluster_metric([1, 2, 3], [9, 4, 5], "bic"),
    "plots.plot_color_wheel": lambda t: plots.plot_color_wheel(bare_axes()),
    "plots.plot_columns": lambda t: plots.plot_columns(
        {"B": t.film.positions, "": t.film.positions[:3] + 9}, image=t.film.image
    ),
    "plots.plot_comparison": lambda t: plots.plot_comparison(
        {"one": {"sites": t.stack.sites, "manifold": t.manifold}}
    ),
    "plots.plot_defects": lambda t: plots.plot_defects(
        t.film.image,
        pd.DataFrame(
            {
                "kind": ["vacancy", "substitution", "substitution", "interstitial"],
                "x": [30.0, 60.0, 90.0, 40.0],
                "y": [30.0, 40.0, 50.0, 80.0],
                "ratio": [0.0, 0.75, 1.3, 0.4],
            }
        ),
    ),
    "plots.plot_diagnostics": lambda t: plots.plot_diagnostics(t.found.table),
    "plots.plot_distortion": lambda t: plots.plot_distortion(*t.stack._distortion_to_plot(4)),
    "plots.plot_domains": lambda t: plots.plot_domains(
        t.stack.sites, t.stack.domains, t.stack.walls
    ),
    "plots.plot_history": lambda t: plots.plot_history(t.stack.rvae_model.history_),
    "plots.plot_image": lambda t: plots.plot_image(t.film.image, boxes=[(1, 1, 2, 2)]),
    "plots.plot_manifold": lambda t: plots.plot_manifold(*t.manifold),
    "plots.plot_method_comparison": lambda t: plots.plot_method_comparison(
        t.stack.sites, ["pca", "latent"]
    ),
    "plots.plot_modes": lambda t: plots.plot_modes(t.stack.sites),
    "plots.plot_polar_map": lambda t: plots.plot_polar_map(
        t.stack.sites, "displacement", image=t.film.image.data, arrows=True
    ),
    "plots.plot_polar_scatter": lambda t: plots.plot_polar_scatter(t.stack.sites, "x", "latent_1"),
    "plots.plot_scatter": lambda t: plots.plot_scatter(t.stack.sites, "x", "pca_0", "angle"),
    "plots.plot_scatter 2": lambda t: plots.plot_scatter(t.stack.sites, "x", "pca_0", equal=True),
    "plots.plot_site_map": lambda t: plots.plot_site_map(
        t.stack.sites, "angle", image=t.film.image.data
    ),
    "plots.plot_site_map 2": lambda t: plots.plot_site_map(t.stack.sites, "latent_0"),
    "plots.plot_sub_image": lambda t: plots.plot_sub_image(t.stack.data[4], t.extent, "nm"),
    "plots.plot_sublattices": lambda t: plots.plot_sublattices(
        t.film.image, {"B": t.film.positions}
    ),
    "plots.save_movie": lambda t: plots.save_movie(t.folder / "p.gif", t.series.sites, "x"),
    "plots.Explorer": lambda t: explore(
        plots.Explorer(t.stack.sites, "latent_0", "angle", "angle", details)
    ),
    "plots.SiteNavigator": lambda t: explore(plots.SiteNavigator(t.stack.sites)),
    "stack.plot": lambda t: t.stack.plot(),
    "stack.plot 2": lambda t: linked(t.stack),
    "stack.plot_angle_histogram": lambda t: t.stack.plot_angle_histogram(),
    "stack.plot_cluster_means": lambda t: t.stack.plot_cluster_means(),
    "stack.plot_cluster_metric": lambda t: t.stack.plot_cluster_metric(),
    "stack.plot_columns": lambda t: t.stack.plot_columns(),
    "stack.plot_domains": lambda t: t.stack.plot_domains(),
    "stack.plot_image": lambda t: t.stack.plot_image(region=(0.5, 0.5, 2, 2)),
    "stack.plot_latent_space": lambda t: t.stack.plot_latent_space(),
    "stack.plot_method_comparison": lambda t: t.stack.plot_method_comparison(["pca"], "angle"),
    "stack.plot_modes": lambda t: t.stack.plot_modes(),
    "stack.plot_polar_map": lambda t: t.stack.plot_polar_map(),
    "stack.plot_polar_scatter": lambda t: t.stack.plot_polar_scatter("latent_0", "latent_1"),
    "stack.plot_rvae_diagnostics": lambda t: t.stack.plot_rvae_diagnostics(t.found),
    "stack.plot_rvae_history": lambda t: t.stack.plot_rvae_history(),
    "stack.plot_rvae_manifold": lambda t: t.stack.plot_rvae_manifold((3, 3)),
    "stack.plot_scatter": lambda t: t.stack.plot_scatter("pca_0", "pca_1", "cluster"),
    "stack.plot_site_map": lambda t: t.stack.plot_site_map("order_amplitude"),
    "stack.plot_site_map 2": lambda t: t.series.plot_site_map("x", frame=1),
    "stack.plot_sub_image": lambda t: t.stack.plot_sub_image(3, disk=True),
    "stack.explore": lambda t: explore(t.stack.explore()),
    "stack.save_movie": lambda t: t.series.save_movie(t.folder / "s.gif", "x"),
    "comparison.plot": lambda t: RVAEComparison(None, None, None, {"a": t.stack}).plot(
        shape=(2, 2)
    ),
    "report": lambda t: draw_figures(t.stack, t.found)[0],
}


def test_no_figure_is_missing_here():
    colors = {"angle_colors", "class_colors", "polar_colors"}  # return arrays
    names = {f"plots.{name}" for name in plots.__all__ if name not in colors}
    for name, method in inspect.getmembers(SubImageStack, inspect.isfunction):
        draws = name == "explore" or name == "save_movie" or name.startswith("plot")
        if draws and method.__module__.startswith("hs_rvae"):
            names.add(f"stack.{name}")
    names |= {"comparison.plot", "report"}
    assert {name.split()[0] for name in FIGURES} == names


def _names():
    """All figures; a method of a stack that draws what a function of `plots` draws is slow."""
    for name in FIGURES:
        kind, what = name.split()[0].split(".") if "." in name else ("", name)
        again = kind == "stack" and f"plots.{what.replace('rvae_', '')}" in FIGURES
        again |= name in ("comparison.plot", "stack.explore")
        yield pytest.param(name, marks=pytest.mark.slow if again else ())


def pictures(name, things):
    """All that a figure shows, as pixels."""
    plt.close("all")
    result = FIGURES[name](things)
    if isinstance(result, Path):
        with Image.open(result) as movie:
            frames = []
            for k in range(movie.n_frames):
                movie.seek(k)
                frames.append(np.array(movie.convert("RGBA")))
        return frames
    if isinstance(result, list):
        return [base64.b64decode(figure.png) for figure in result]
    assert plt.get_fignums()
    shown = []
    # While a figure is drawn, this setting moves the ticks and nothing else.
    with matplotlib.rc_context({"axes.autolimit_mode": "data"}):
        for number in plt.get_fignums():
            canvas = plt.figure(number).canvas
            canvas.draw()
            shown.append(np.array(canvas.buffer_rgba()))
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("name", list(_names()))
def test_a_figure_shows_the_same_whatever_matplotlibrc_says(name, things):
    usual = pictures(name, things)
    of_hyperspy = name.split()[0] == "stack.plot"
    settings = {"image.origin": "lower"} if of_hyperspy else UNUSUAL  # its looks are the user's
    with matplotlib.rc_context(settings):
        unusual = pictures(name, things)
        plt.close("all")
    assert len(usual) == len(unusual)
    for one, other in zip(usual, unusual, strict=True):
        assert np.array_equal(one, other)


def texts_of(figure):
    """All letters that are seen, with their boxes in pixels."""
    hidden = set()  # ticks outside of the limits
    for ax in figure.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = np.sort(axis.get_view_interval())
            near = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (ax.axison and low - near <= tick.get_loc() <= high + near):
                    hidden |= {tick.label1, tick.label2}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in hidden:
            yield text, text.get_window_extent()


# Figures of the user's own size, windows, and pages of many figures.
NOT_OURS = {"plots.plot_color_wheel", "plots.save_movie", "plots.Explorer", "plots.SiteNavigator",
            "stack.plot", "stack.save_movie", "stack.explore", "report"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [each for each in _names() if each.values[0].split()[0] not in NOT_OURS]
)
def test_no_letter_is_cut_and_nothing_lies_on_another(name, things):
    plt.close("all")
    FIGURES[name](things)
    figure = plt.gcf()
    figure.canvas.draw()
    seen = list(texts_of(figure))
    for text, box in seen:
        inside = figure.bbox.padded(1.5)
        assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1), text
    for k, (text, box) in enumerate(seen):
        for other, its in seen[:k]:
            apart = box.padded(-1.5)
            assert not apart.overlaps(its.padded(-1.5)), (text.get_text(), other.get_text())
    for ax in figure.axes:
        if not ax.images or not (ax.collections or ax.lines):
            continue
        # On an image with sites neither legend nor scale bar hides one.
        others = [each for each in ax.artists if each.get_gid() == "scale bar"]
        for artist in filter(None, [*others, ax.get_legend()]):
            assert artist.get_window_extent().y1 <= ax.get_window_extent().y0 + 1, artist
    plt.close("all")


def test_the_first_row_of_an_image_is_at_the_top(things):
    """Of the images that are compared with an image that is not turned over."""
    rows = np.tile(np.arange(32.0)[:, None], (1, 32))
    with matplotlib.rc_context(UNUSUAL):
        for ax in (
            plots.plot_sub_image(rows, (0, 1, 1, 0), "nm", scale_bar=False),
            plots.plot_image(rows, scale_bar=False),
            plots.plot_cluster_means(rows[None], [0], [9], colorbar=False).axes[0],
        ):
            ax.figure.canvas.draw()
            seen = np.array(ax.figure.canvas.buffer_rgba())[..., 0]
            box = ax.images[0].get_window_extent().get_points().round().astype(int)
            column = seen[::-1][box[0, 1] + 4 : box[1, 1] - 4, box[:, 0].sum() // 2]
            assert column[0] > 200 and column[-1] < 60


@pytest.mark.parametrize("name", ["plots.plot_site_map", "plots.plot_history", "plots.Explorer"])
def test_names_with_an_underscore_are_never_given_to_latex(name, things):
    with matplotlib.rc_context({"text.usetex": True}):
        if name == "plots.Explorer":
            plots.Explorer(things.stack.sites, "latent_0", "x", "angle", details).show(2)
        else:
            FIGURES[name](things)
        for number in plt.get_fignums():
            for ax in plt.figure(number).axes:
                titles = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
                assert not any(text.get_usetex() for text in titles if isinstance(text, Text))
        plt.close("all")


def test_colour_maps_have_all_their_colours(monkeypatch):
    few = matplotlib.colormaps["coolwarm"].resampled(4)
    monkeypatch.setitem(matplotlib.colormaps._cmaps, "coolwarm", few)  # as image.lut: 4 does
    assert get_colormap("coolwarm").N == 256
    assert get_colormap("tab10").N == 10  # a map of classes


def test_one_place_draws_images():
    calls = [
        node.func.attr
        for path in Path(plots.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert calls.count("imshow") == 1 and "matshow" not in calls
