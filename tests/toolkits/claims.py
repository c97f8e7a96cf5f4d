# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What explorer and navigator promise, in windows of one toolkit.

Run by ``test_windows_of_toolkits.py`` in a process of its own, with MPLBACKEND qtagg or tkagg.
"""

import gc
import os

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hs_rvae import RVAE, LazySubImageStack

BACKEND = os.environ.get("MPLBACKEND")
QT = BACKEND == "qtagg"
PANELS = ("sub_image_ax", "model_ax", "posterior_ax")


@pytest.fixture(scope="session", autouse=True)
def application():
    """Windows, where other tests have none; they appear as soon as they are made."""
    application = None
    if QT:  # a headless machine is taken for one without Qt until there is an application
        from matplotlib.backends.qt_compat import QtWidgets

        application = QtWidgets.QApplication([])
    plt.switch_backend(BACKEND)
    plt.ion()
    return application


@pytest.fixture
def stack():
    """A fitted stack and its model, as the calling process saved them."""
    stack = hs.load(os.path.join(os.environ["TOOLKITS_FOLDER"], "stack.zspy"))
    stack._rvae_model = RVAE.load(os.path.join(os.environ["TOOLKITS_FOLDER"], "model.safetensors"))
    return stack


@pytest.fixture
def explorer(stack):
    return stack.explore()


def points_of(stack):
    sites = stack.sites
    return sites.xy * sites.pixel_size + sites.pixel_offset


def places_in_scatter(stack):
    return stack.sites[["latent_0", "latent_1"]]


def lonely(points):
    """Number of the point that is farthest from all others."""
    distance = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    return int(distance.min(axis=1).argmax())


def between(points, share):
    """Coordinates in the widest gaps near a quantile: a pixel more or less changes nothing."""
    lines = []
    for values in np.sort(points, axis=0).T:
        k = int(share * len(values))
        near = values[max(k - len(values) // 12, 0) : k + len(values) // 12 + 1]
        widest = np.diff(near).argmax()
        lines.append(near[widest : widest + 2].mean())
    return np.array(lines)


def box(low, high):
    (x0, y0), (x1, y1) = low, high
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


def marked(ax):
    """Where the ring around the current site stands."""
    (ring,) = (line for line in ax.lines if line.get_gid() == "current site")
    return ring.get_xydata()[0]


def test_pixels_of_the_figure_are_pixels_of_the_screen(explorer, hands_on):
    hands = hands_on(explorer.figure)
    ratio = explorer.figure.canvas.device_pixel_ratio
    if QT:
        assert ratio == float(os.environ["QT_SCALE_FACTOR"])
    assert hands.screen().shape[:2] == tuple(np.round(explorer.figure.bbox.size[::-1]))
    drawn = np.asarray(explorer.figure.canvas.buffer_rgba())[..., :3]
    assert np.abs(hands.screen().astype(int) - drawn).max() <= 1
    seen = []
    explorer.figure.canvas.mpl_connect("button_press_event", lambda e: seen.append((e.x, e.y)))
    hands.click(
        explorer.map_ax, np.mean([explorer.map_ax.get_xlim(), explorer.map_ax.get_ylim()], axis=1)
    )
    middle = explorer.map_ax.get_window_extent().get_points().mean(axis=0)
    assert np.abs(seen - middle).max() <= ratio


def test_a_click_on_the_map_goes_to_the_site_and_shows_it(explorer, stack, hands_on):
    hands = hands_on(explorer.figure)
    points = points_of(stack)
    for site in (7, lonely(points), len(points) - 1):
        before = [hands.shown(getattr(explorer, name)) for name in PANELS]
        scatter = hands.shown(explorer.scatter_ax)
        hands.click(explorer.map_ax, points[site])
        assert explorer.site == site and stack.axes_manager.indices == (site,)
        for name, panel in zip(PANELS, before, strict=True):
            assert (hands.shown(getattr(explorer, name)) != panel).mean() > 0.01, name
        assert (hands.shown(explorer.scatter_ax) != scatter).any()
        # The window shows what a drawing from nothing would.
        quick = hands.screen()
        explorer.figure.canvas.draw()
        hands.settle()
        assert np.abs(quick.astype(int) - hands.screen()).max() <= 1


def test_a_click_in_the_scatter_moves_the_marker_of_the_map(explorer, stack, hands_on):
    hands = hands_on(explorer.figure)
    places = places_in_scatter(stack)
    site = lonely(places)
    before = hands.shown(explorer.map_ax)
    hands.click(explorer.scatter_ax, places[site])
    assert explorer.site == site
    np.testing.assert_allclose(marked(explorer.map_ax), points_of(stack)[site])
    assert (hands.shown(explorer.map_ax) != before).any()


def test_a_path_drawn_around_sites_chooses_them(explorer, stack, hands_on):
    hands = hands_on(explorer.figure)
    places = points_of(stack)
    low, high = between(places, 0.3), between(places, 0.7)
    inside = ((places > low) & (places < high)).all(axis=1)
    before = hands.shown(explorer.map_ax)
    hands.draw(explorer.map_ax, box(low, high))
    np.testing.assert_array_equal(explorer.selection, np.flatnonzero(inside))
    assert explorer.select_sites().data.shape[0] == inside.sum() > 10
    assert (hands.shown(explorer.map_ax) != before).mean() > 0.05
    # In the scatter by latents; with shift in addition.
    places = places_in_scatter(stack)
    low, high = places.min(axis=0) - 0.03 * np.ptp(places, axis=0), between(places, 0.4)
    also = ((places > low) & (places < high)).all(axis=1)
    hands.draw(explorer.scatter_ax, box(low, high), shift=True)
    np.testing.assert_array_equal(explorer.selection, np.flatnonzero(inside | also))
    hands.draw(explorer.scatter_ax, box(low, high))
    np.testing.assert_array_equal(explorer.selection, np.flatnonzero(also))
    hands.key("escape")
    assert explorer.selection.size == 0


def test_a_path_can_be_seen_while_it_is_drawn(explorer, stack, hands_on):
    hands = hands_on(explorer.figure)
    corners = explorer.map_ax.transData.transform(points_of(stack)[[0, len(stack.sites) // 2]])
    hands.press(corners[0])
    before = hands.shown(explorer.map_ax).astype(int)
    for place in np.linspace(*corners, 6):
        hands.move(place, held=True)
    during = hands.shown(explorer.map_ax).astype(int)
    magenta = (during[..., 0] > 200) & (during[..., 1] < 80) & (during[..., 2] > 200)
    assert magenta.sum() > 0.8 * np.abs(corners[1] - corners[0]).max()
    hands.release(corners[0])
    hands.settle()
    assert explorer.selection.size == 0
    assert (hands.shown(explorer.map_ax) != before).mean() < 1e-3


def test_keys_go_through_the_sites(explorer, stack, hands_on):
    hands = hands_on(explorer.figure)
    hands.key("right")
    hands.key("right")
    assert explorer.site == 2 and stack.axes_manager.indices == (2,)
    hands.key("left")
    assert explorer.site == 1
    explorer.select([4, 9, 30])
    for expected in (4, 9):
        hands.key("right")
        assert explorer.site == expected
    # HyperSpy's own keys take no notice of the chosen ones.
    hands.key("ctrl+right")
    assert explorer.site == 10
    hands.key("4")
    assert explorer.site == 9


def test_sites_are_hit_after_zooming_and_resizing(explorer, stack, hands_on):
    hands = hands_on(explorer.figure)
    points = points_of(stack)
    middle = np.argsort(np.hypot(*(points - points.mean(axis=0)).T))[:12]
    toolbar = explorer.figure.canvas.manager.toolbar
    toolbar.zoom()
    hands.draw(
        explorer.map_ax, [points[middle].min(axis=0) - 0.2, points[middle].max(axis=0) + 0.2]
    )
    assert explorer.selection.size == 0 and explorer.site == 0
    hands.key("right")  # the toolbar has the mouse, and the keys
    assert explorer.site == 0
    toolbar.zoom()
    limits = explorer.map_ax.get_xlim()
    assert np.ptp(limits) < 0.7 * np.ptp(points[:, 0])
    for site in middle[:3]:
        hands.click(explorer.map_ax, points[site])
        assert explorer.site == site
    # The toolbar's "back" has the same key.
    hands.key("left")
    assert explorer.site == middle[2] - 1 and explorer.map_ax.get_xlim() == limits
    before = hands.screen().shape
    hands.resize(760, 640)
    assert hands.screen().shape[:2] == tuple(np.round(explorer.figure.bbox.size[::-1]))
    assert hands.screen().shape[1] < 0.8 * before[1]
    for site in middle[:3]:
        hands.click(explorer.map_ax, points[site])
        assert explorer.site == site


def test_a_click_draws_no_site_anew(explorer, stack, monkeypatch, hands_on):
    hands = hands_on(explorer.figure)
    drawn = []
    for ax in (explorer.map_ax, explorer.scatter_ax):
        (artist,) = (c for c in ax.collections if c.get_gid() == "sites")
        monkeypatch.setattr(artist, "draw", lambda renderer, ax=ax: drawn.append(ax))
    hands.click(explorer.map_ax, points_of(stack)[20])
    hands.key("right")
    assert explorer.site == 21 and not drawn


def test_all_figures_of_a_stack_go_together(stack, hands_on):
    navigator = stack.plot(navigator="sites", color="angle")
    explorer = stack.explore()
    sub_image = stack._plot.signal_plot
    on_map, on_plot = hands_on(navigator.figure), hands_on(sub_image.figure)
    on_explorer = hands_on(explorer.figure)
    for move, site in (
        (lambda: on_map.click(navigator.map_ax, points_of(stack)[40]), 40),
        (lambda: on_explorer.click(explorer.map_ax, points_of(stack)[60]), 60),
        (lambda: on_plot.key("ctrl+right"), 61),
        (lambda: on_map.key("ctrl+left"), 60),
        (lambda: on_map.key("6"), 61),
        (lambda: on_map.key("right"), 62),
    ):
        before = on_plot.shown(sub_image.ax)
        move()
        assert navigator.site == explorer.site == site and stack.axes_manager.indices == (site,)
        on_plot.settle()
        assert (on_plot.shown(sub_image.ax) != before).mean() > 0.01
    # Sub-images and their map are closed together; the explorer lives on.
    on_plot.close()
    assert plt.get_fignums() == [explorer.figure.number]
    on_explorer.click(explorer.map_ax, points_of(stack)[5])
    assert stack.axes_manager.indices == (5,)
    on_explorer.close()
    assert not plt.get_fignums() and not stack.axes_manager.events.indices_changed.connected


def test_closing_the_map_closes_the_sub_images(stack, hands_on):
    navigator = stack.plot(navigator="sites")
    hands_on(navigator.figure).close()
    assert not plt.get_fignums() and not stack.axes_manager.events.indices_changed.connected
    again = stack.plot(navigator="sites")
    assert len(plt.get_fignums()) == 2
    hands_on(again.figure).close()
    assert not plt.get_fignums()


def test_an_explorer_that_nobody_keeps_answers(stack, hands_on):
    stack.explore()
    gc.collect()
    figure = plt.gcf()
    hands = hands_on(figure)
    gc.collect()
    hands.click(figure.axes[0], points_of(stack)[33])
    assert stack.axes_manager.indices == (33,)


@pytest.mark.parametrize("kind", ["bare", "loaded", "lazy"])
def test_stacks_without_a_model_are_explored_too(stack, kind, tmp_path, hands_on):
    columns = ("latent_0", "latent_1", "angle")
    if kind == "bare":
        stack.sites.remove(*(n for n in stack.sites.columns if n not in ("site_index", "x", "y")))
        stack._rvae_model, columns = None, ("x", "y", "x")
    else:
        stack.save(tmp_path / "stack.zspy")
        stack = hs.load(tmp_path / "stack.zspy", lazy=kind == "lazy")
        assert isinstance(stack, LazySubImageStack) == (kind == "lazy")
    explorer = stack.explore(*columns)
    hands = hands_on(explorer.figure)
    before = hands.shown(explorer.sub_image_ax)
    hands.click(explorer.map_ax, points_of(stack)[12])
    assert explorer.site == 12
    assert (hands.shown(explorer.sub_image_ax) != before).mean() > 0.01
    assert "apply_rvae" in explorer.model_ax.texts[0].get_text()
    said = [text.get_text() for text in explorer.posterior_ax.texts]
    assert any("no angles" in text for text in said) == (kind == "bare")
    hands.close()
