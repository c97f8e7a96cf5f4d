# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explorer and navigator of a stack, linked with HyperSpy's own figures."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent, MouseEvent

from hs_rvae import LazySubImageStack, SubImageStack

pytestmark = pytest.mark.slow  # fits of seconds each


def click(ax, place):
    where = ax.transData.transform(place)
    for name in ("button_press_event", "button_release_event"):
        event = MouseEvent(name, ax.figure.canvas, *where, button=1)
        ax.figure.canvas.callbacks.process(name, event)


def listeners(stack):
    return len(stack.axes_manager.events.indices_changed.connected)


@pytest.fixture
def fitted(film, model):
    stack = film.stack.deepcopy()
    stack.apply_rvae(model)
    return stack


def test_the_site_navigator_leads_and_follows_the_plot_of_the_sub_images(stack):
    navigator = stack.plot(navigator="sites")
    points = stack.sites.xy * stack.sites.pixel_size + stack.sites.pixel_offset
    click(navigator.map_ax, points[11])
    assert stack.axes_manager.indices == (11,)
    shown = stack._plot.signal_plot.ax.images[0].get_array()
    np.testing.assert_allclose(shown, np.asarray(stack.data[11]))
    stack.axes_manager.indices = (5,)
    assert navigator.site == 5


def test_the_navigator_begins_where_the_stack_is(stack):
    stack.axes_manager.indices = (7,)
    assert stack.plot(navigator="sites").site == 7
    assert stack.explore("x", "y", "x").site == 7


def test_closing_either_figure_disconnects_both(stack):
    before = listeners(stack)
    navigator = stack.plot(navigator="sites")
    navigator.close()
    assert listeners(stack) == before and not plt.get_fignums()
    stack.plot(navigator="sites")
    stack._plot.signal_plot.close()
    assert listeners(stack) == before and not plt.get_fignums()


@pytest.mark.parametrize("navigator", ["sites", "auto"])
def test_closing_the_sub_images_closes_no_other_figure(stack, navigator):
    stack.plot(navigator=navigator)
    explorer = stack.explore("x", "y", "x")
    mine = plt.figure()  # the active one, which HyperSpy would close
    stack._plot.signal_plot.close()
    assert {explorer.figure.number, mine.number} <= set(plt.get_fignums())
    stack.plot(navigator=navigator)
    stack._plot.close()
    assert plt.get_fignums() == [explorer.figure.number, mine.number]


def test_hyperspy_s_keys_work_on_the_map_until_it_is_closed(stack):
    navigator = stack.plot(navigator="sites")
    canvas = navigator.figure.canvas
    for key, site in (("ctrl+right", 1), ("6", 2), ("4", 1), ("ctrl+left", 0), ("ctrl+left", 0)):
        canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, key))
        assert navigator.site == site and stack.axes_manager.indices == (site,)
    navigator.close()
    canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, "6"))
    assert stack.axes_manager.indices == (0,)


def test_other_navigators_are_hyperspy_s(stack):
    assert stack.plot() is None
    assert stack._plot.navigator_plot is not None
    assert stack.plot(None) is None
    with pytest.raises(ValueError, match="color is for the map of sites"):
        stack.plot(color="angle")
    one = stack.inav[3]
    one.plot()
    with pytest.raises(ValueError, match="no navigation axis"):
        one.plot(navigator="sites")
    with pytest.raises(ValueError, match="no site table"):
        SubImageStack(np.zeros((3, 8, 8))).explore()


def test_a_wrong_colour_opens_no_window(stack):
    with pytest.raises(KeyError, match="angle"):
        stack.plot(navigator="sites", color="angle")
    with pytest.raises(KeyError, match=r"latent_0.*stack\.rvae\(\)"):
        stack.explore()
    assert not plt.get_fignums()


def test_chosen_sites_become_a_stack(stack):
    explorer = stack.explore("x", "y", "x")
    roi = hs.roi.RectangularROI(4.0, -0.5, 6.0, 1.0)
    for chosen in (roi, stack.sites["x"] > 100, [3, 1, 4]):
        explorer.select(chosen)
        part = explorer.select_sites()
        expected = stack.select_sites(chosen).sites["site_index"]
        np.testing.assert_array_equal(part.sites["site_index"], np.sort(expected))
        assert isinstance(part, LazySubImageStack) == stack._lazy
    with pytest.raises(ValueError, match="chooses no site"):
        explorer.select(np.zeros(len(stack.sites), bool))


def test_the_explorer_shows_what_the_model_says(fitted):
    explorer = fitted.explore()
    explorer.show(17)
    expected = fitted.get_rvae_model().data[17]
    np.testing.assert_allclose(explorer.model_ax.images[0].get_array(), expected, rtol=1e-5)
    np.testing.assert_allclose(explorer.sub_image_ax.images[0].get_array(), fitted.data[17])
    posterior = fitted.get_angle_posterior(180)
    drawn = explorer.posterior_ax.lines[0]
    np.testing.assert_allclose(drawn.get_ydata(), posterior.data[17], atol=1e-6)
    angle = posterior.axes_manager[1].axis
    np.testing.assert_allclose(drawn.get_xdata(), np.rad2deg(angle), atol=1e-6)
    # The sub-image stands on its calibrated axes, the column at zero.
    width = fitted.axes_manager["x"].size * fitted.axes_manager["x"].scale
    left, right, bottom, top = explorer.sub_image_ax.images[0].get_extent()
    np.testing.assert_allclose(
        [left, right, bottom, top], [-width / 2, width / 2] + [width / 2, -width / 2]
    )


def test_without_a_model_the_explorer_says_how_to_get_it(fitted, tmp_path):
    fitted.save(tmp_path / "stack.zspy")
    loaded = hs.load(tmp_path / "stack.zspy", lazy=True)
    explorer = loaded.explore()
    assert "apply_rvae" in explorer.model_ax.texts[0].get_text()
    explorer.show(9)
    # The normal distribution of the table stands in for the posterior.
    angle, density = explorer.posterior_ax.lines[0].get_data()
    away = np.angle(np.exp(1j * (np.deg2rad(angle[density.argmax()]) - loaded.sites["angle"][9])))
    assert abs(away) < np.pi / 180 + 1e-9


def test_what_the_model_does_not_fit_is_said_and_other_errors_are_raised(fitted, monkeypatch):
    smaller = fitted.isig[:-8, :-8]  # the columns are off the middle
    explorer = smaller.explore()
    assert "off the middle" in explorer.model_ax.texts[0].get_text()
    explorer.close()
    for method in ("_decoder", "get_angle_posterior"):
        with monkeypatch.context() as patch:
            patch.setattr(SubImageStack, method, lambda *args: int("a fault"))
            with pytest.raises(ValueError, match="a fault"):
                fitted.explore()


def test_a_model_without_angles_is_explored(film):
    stack = film.stack.deepcopy()
    stack.rvae(rotation=False, epochs=2, random_state=0)
    explorer = stack.explore(color="latent_0")
    assert "no angles" in explorer.posterior_ax.texts[0].get_text()


def test_nothing_is_changed_by_looking(fitted):
    data, table = fitted.data.copy(), fitted.sites.to_dataframe()
    explorer = fitted.explore("latent_1", "angle", "order_amplitude")
    explorer.show(3)
    explorer.select([1, 2])
    assert np.array_equal(data, fitted.data) and table.equals(fitted.sites.to_dataframe())
