# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map and the explorer, driven by the mouse and the keyboard."""

import gc

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import CloseEvent, KeyEvent, MouseEvent
from matplotlib.text import Text

from hs_rvae.plots import Explorer, SiteNavigator


def pixels(ax, place):
    """Where a place of the axes is on the screen."""
    return ax.transData.transform(place)


def mouse(figure, kind, where, key=None):
    name = {"press": "button_press_event", "move": "motion_notify_event"}
    name = name.get(kind, "button_release_event")
    buttons = {} if kind != "move" else {"buttons": [1]}
    event = MouseEvent(name, figure.canvas, *where, button=1, key=key, **buttons)
    figure.canvas.callbacks.process(name, event)


def click(ax, place):
    where = pixels(ax, place)
    for kind in ("press", "release"):
        mouse(ax.figure, kind, where)


def draw(ax, path, key=None):
    """Draw a path with the button held."""
    mouse(ax.figure, "press", pixels(ax, path[0]), key)
    for place in path[1:]:
        mouse(ax.figure, "move", pixels(ax, place), key)
    mouse(ax.figure, "release", pixels(ax, path[-1]), key)


def press(figure, key):
    figure.canvas.callbacks.process(
        "key_press_event", KeyEvent("key_press_event", figure.canvas, key)
    )


def points_of(sites):
    return sites.xy * sites.pixel_size + sites.pixel_offset


def box(low, high):
    (x0, y0), (x1, y1) = low, high
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


def details(site):
    angle = np.linspace(-np.pi, np.pi, 90, endpoint=False)
    probability = np.exp(5 * np.cos(angle))
    image = np.full((8, 8), float(site))
    return {"sub_image": image, "model": image + 1, "posterior": (angle, probability)}


def rows_of(explorer):
    return [text for text in explorer.row_ax.texts if text.get_text()]


@pytest.fixture
def navigator(sites, image):
    return SiteNavigator(sites, "angle", image=image)


@pytest.fixture
def explorer(sites, image):
    return Explorer(sites, "latent_0", "angle", "variant", details, image=image)


def caption(navigator):
    (text,) = (t for t in navigator.map_ax.texts if t.get_gid() == "caption")
    return text.get_text()


def ring(ax):
    (ring,) = (line for line in ax.lines if line.get_gid() == "current site")
    return ring.get_xydata()[0]


def test_a_click_on_the_map_goes_to_the_nearest_site(navigator, sites):
    points = points_of(sites)
    for site in (0, 57, len(sites) - 1):
        click(navigator.map_ax, points[site] + 0.05)
        assert navigator.site == site
        np.testing.assert_allclose(ring(navigator.map_ax), points[site])
        assert f"site {site} of {len(sites)}" in caption(navigator)


def test_a_path_around_sites_chooses_those_inside(navigator, sites):
    points = points_of(sites)
    low, high = np.array([3.0, -0.5]), np.array([6.0, 2.0])
    draw(navigator.map_ax, box(low, high))
    inside = ((points > low) & (points < high)).all(axis=1)
    np.testing.assert_array_equal(navigator.selection, np.flatnonzero(inside))
    assert 10 < inside.sum() < len(sites) - 10 and navigator.site == 0
    # The others fade; escape brings them back.
    (filled,) = (c for c in navigator.map_ax.collections if c.get_gid() == "sites")
    known = np.isfinite(sites["angle"])
    alpha = filled.get_facecolor()[:, 3]
    np.testing.assert_array_equal(alpha == 1, inside[known])
    press(navigator.figure, "escape")
    assert navigator.selection.size == 0 and (filled.get_facecolor()[:, 3] == 1).all()


def test_shift_adds_to_the_chosen_sites(navigator):
    draw(navigator.map_ax, box((2, -0.5), (4, 1)))
    first = navigator.selection
    draw(navigator.map_ax, box((6, 1), (8, 3)), key="shift")
    assert set(first) < set(navigator.selection)
    draw(navigator.map_ax, box((6, 1), (8, 3)))
    assert not set(first) & set(navigator.selection)


def test_shift_counts_also_if_another_window_had_the_keyboard(navigator):
    draw(navigator.map_ax, box((2, -0.5), (4, 1)))
    first = navigator.selection
    where = [pixels(navigator.map_ax, place) for place in box((6, 1), (8, 3))]
    canvas = navigator.figure.canvas
    press = MouseEvent("button_press_event", canvas, *where[0], button=1, modifiers=["shift"])
    canvas.callbacks.process("button_press_event", press)
    for place in where[1:]:
        mouse(navigator.figure, "move", place)
    mouse(navigator.figure, "release", where[-1])
    assert set(first) < set(navigator.selection)


def test_a_path_around_nothing_lets_go(navigator):
    draw(navigator.map_ax, box((2, -0.5), (4, 1)))
    draw(navigator.map_ax, box((1.05, -1.95), (1.2, -1.8)))
    assert navigator.selection.size == 0
    with pytest.raises(ValueError, match="No site is chosen: draw around some"):
        navigator.select_sites()


@pytest.mark.parametrize("chosen", [3, "a", None, [0.5], [True], [10**6], [], [[0, 1]], {0: 1}])
def test_sites_that_cannot_be_chosen_are_refused_by_name(navigator, chosen):
    with pytest.raises((ValueError, IndexError), match="^sites"):
        navigator.select(chosen)
    assert not navigator.selection.size


def test_arrow_keys_go_through_the_sites_or_the_chosen_ones(navigator, sites):
    press(navigator.figure, "right")
    assert navigator.site == 1
    for _ in range(2):
        press(navigator.figure, "left")
    assert navigator.site == len(sites) - 1
    navigator.select([4, 9, 30])
    for expected in (4, 9, 30, 4):
        press(navigator.figure, "right")
        assert navigator.site == expected
    press(navigator.figure, "left")
    assert navigator.site == 30
    navigator.show(12)
    press(navigator.figure, "left")
    assert navigator.site == 9


def test_the_mouse_does_nothing_while_the_toolbar_zooms(navigator):
    canvas = navigator.figure.canvas
    canvas.widgetlock(navigator)  # what pan and zoom do
    click(navigator.map_ax, (5, 1))
    canvas.widgetlock.release(navigator)
    assert navigator.site == 0


def test_map_and_scatter_are_linked_both_ways(explorer, sites):
    points = points_of(sites)
    click(explorer.map_ax, points[20])
    expected = sites["latent_0"][20], np.rad2deg(sites["angle"][20])
    np.testing.assert_allclose(ring(explorer.scatter_ax), expected)
    at = sites["latent_0"][99], np.rad2deg(sites["angle"][99])
    click(explorer.scatter_ax, at)
    assert explorer.site == 99
    np.testing.assert_allclose(ring(explorer.map_ax), points[99])
    # What is drawn around in the scatter is chosen on the map as well.
    low, high = np.array(explorer.scatter_ax.get_xlim()) * 0.99
    draw(explorer.scatter_ax, box((low, 100), (high, 170)))
    chosen = np.rad2deg(sites["angle"])
    np.testing.assert_array_equal(
        explorer.selection, np.flatnonzero((chosen > 100) & (chosen < 170))
    )
    (filled,) = (c for c in explorer.map_ax.collections if c.get_gid() == "sites")
    assert (filled.get_facecolor()[:, 3] == 1).sum() == explorer.selection.size


def test_the_explorer_shows_all_about_the_site(explorer, sites):
    explorer.show(31)
    assert (explorer.sub_image_ax.images[-1].get_array() == 31).all()
    assert (explorer.model_ax.images[-1].get_array() == 32).all()
    assert len(explorer.sub_image_ax.images) == 1
    row = dict(text.get_text().split(maxsplit=1) for text in rows_of(explorer))
    assert len(row) == len(rows_of(explorer)) and row["x"].endswith(" px")
    assert row["angle"] == f"{np.rad2deg(sites['angle'][31]):.4g}".replace("-", "−") + "°"
    assert row["variant"].split()[0] == f"{sites['variant'][31]}"
    heights = explorer.posterior_ax.lines[0].get_ydata()
    assert len(heights) == 90 and heights.argmax() == 45
    assert "±" in explorer.posterior_ax.get_title()


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dpi", [50, 72, 100, 101, 150, 220])
def test_a_name_stands_beside_its_own_value(sites, image, dpi, flat):
    """Rows hold name and value in one text, stay apart, and stay inside the figure."""
    for k in range(20):
        sites[f"column_{k}"] = np.full(len(sites), 100.0 + k)
    sites[f"a_very_{'long_' * 6}name"] = np.zeros(len(sites))
    image = image[:40] if flat else image
    if flat:
        sites = sites.take(sites["y"] < 39)
    with plt.rc_context({"figure.dpi": dpi, "font.size": 17, "lines.linewidth": 3}):
        explorer = Explorer(sites, "latent_0", "x", "angle", details, image=image)
        explorer.show(4)
        explorer.figure.canvas.draw()
    rows = rows_of(explorer)
    for text in rows[:-1]:
        name, value = text.get_text().split(maxsplit=1)
        assert len(name) < 26
        if name.startswith("column_"):
            assert float(value) == sites[name][4]
    assert rows[-1].get_text().startswith("... ") and len(rows) == 16
    boxes = [text.get_window_extent() for text in rows]
    assert all(upper.y0 >= lower.y1 for upper, lower in zip(boxes, boxes[1:], strict=False))
    assert boxes[-1].y0 >= 0 and max(box.x1 for box in boxes) <= explorer.figure.bbox.width


def test_the_row_follows_a_table_that_changes(explorer, sites):
    sites.remove("variant")
    sites["late"] = np.full(len(sites), 7.0)
    explorer.show(3)
    row = dict(text.get_text().split(maxsplit=1) for text in rows_of(explorer))
    assert "variant" not in row and row["late"] == "7"


def test_what_moves_is_drawn_once_in_a_file(explorer, tmp_path, monkeypatch):
    drawn = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, r: (drawn.append(text.get_gid()), draw(text, r)))
    explorer.figure.savefig(tmp_path / "shown.png")
    assert drawn.count("caption") == 1


def test_scatter_and_map_have_the_same_colours(explorer, sites):
    (cloud,) = (c for c in explorer.scatter_ax.collections if c.get_gid() == "sites")
    (filled,) = (c for c in explorer.map_ax.collections if c.get_gid() == "sites")
    both = np.isfinite(sites["angle"])
    colors = filled.to_rgba(filled.get_array())
    np.testing.assert_allclose(cloud.get_facecolor(), colors[both])
    assert explorer.scatter_ax.get_ylabel() == "Angle (°)"


def test_going_to_a_site_draws_what_a_full_drawing_would(explorer):
    canvas = explorer.figure.canvas
    canvas.draw()
    explorer.show(31)
    quick = np.array(canvas.buffer_rgba())
    canvas.draw()
    full = np.array(canvas.buffer_rgba())
    assert (quick == full).all()
    explorer.show(32)
    assert (np.array(canvas.buffer_rgba()) != full).any()


def test_a_saved_figure_holds_the_site(explorer, tmp_path):
    explorer.figure.canvas.draw()
    explorer.show(31)
    explorer.figure.savefig(tmp_path / "shown.png", dpi=explorer.figure.dpi)
    saved = (plt.imread(tmp_path / "shown.png") * 255).round().astype(int)
    shown = np.array(explorer.figure.canvas.buffer_rgba()).astype(int)
    assert np.abs(saved - shown)[..., :3].max() <= 1


def test_what_cannot_be_shown_is_said_in_its_place(sites):
    def without_model(site):
        return details(site) | {"model": "no model at hand", "posterior": "no angles"}

    explorer = Explorer(sites, "latent_0", "x", "angle", without_model)
    assert [t.get_text() for t in explorer.model_ax.texts] == ["no model at hand"]
    assert [t.get_text() for t in explorer.posterior_ax.texts] == ["no angles"]
    explorer.show(5)
    assert len(explorer.model_ax.texts) == 1


def test_others_follow_and_everything_is_let_go_on_closing(explorer):
    seen, closed = [], []
    explorer.on_site(seen.append)
    explorer.on_close(lambda: closed.append(True))
    press(explorer.figure, "right")
    assert seen == [1]
    canvas = explorer.figure.canvas
    canvas.callbacks.process("close_event", CloseEvent("close_event", canvas))
    press(explorer.figure, "right")
    click(explorer.map_ax, (5, 1))
    assert seen == [1] and closed == [True] and explorer.site == 1
    explorer.close()
    assert closed == [True] and not plt.get_fignums()


def test_an_explorer_that_nobody_keeps_still_answers(sites):
    figure = SiteNavigator(sites).figure
    gc.collect()
    press(figure, "right")
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert any(text.startswith("site 1 ") for text in texts)


def test_sites_are_chosen_by_mask_and_number_too(navigator, sites):
    navigator.select(sites["x"] > 200)
    np.testing.assert_array_equal(navigator.select_sites(), np.flatnonzero(sites["x"] > 200))
    assert repr(navigator).endswith("chosen>")
    with pytest.raises(IndexError, match="there are"):
        navigator.show(len(sites))


def test_a_missing_column_is_said_before_a_window_opens(sites):
    with pytest.raises(KeyError, match=r"latent_7'; the last of its kind is 'latent_"):
        Explorer(sites, "latent_7", "x", "angle", details)
    assert not plt.get_fignums()
