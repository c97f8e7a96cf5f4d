# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hs_rvae.plots import angle_colors, plot_angle_histogram
from hs_rvae.sites import SiteTable


def table(angle):
    angle = np.asarray(angle, dtype=float)
    return SiteTable.from_columns(
        {"x": np.zeros(len(angle)), "y": np.zeros(len(angle)), "angle": angle},
        units={"angle": "rad"},
    )


def bars(ax):
    """Centre in degrees to height, of the bars that are not empty."""
    found = {}
    for bar in ax.patches:
        if bar.get_height() > 0:
            found[round(bar.get_x() + bar.get_width() / 2, 6)] = bar.get_height()
    return found


def test_bars_count_the_sites_around_round_angles():
    ax = plot_angle_histogram(table(np.deg2rad([0, 1, -2, 45, 46, -90])))
    assert bars(ax) == {0.0: 3, 45.0: 2, -90.0: 1}
    assert ax.get_xlim() == (-180, 180)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Angle (°)", "sites per 5°")


def test_angles_on_both_sides_of_the_cut_are_in_one_bin():
    ax = plot_angle_histogram(table(np.deg2rad([179, -179, 180])))
    # The bin is drawn at both ends of the axis, half of it visible at either.
    assert bars(ax) == {-180.0: 3, 180.0: 3}


def test_bars_have_the_colours_of_the_map():
    ax = plot_angle_histogram(table([0.5]), bins=36)
    for bar in ax.patches[:36]:
        angle = np.deg2rad(bar.get_x() + 5)
        np.testing.assert_allclose(bar.get_facecolor()[:3], angle_colors(angle))
    one = plot_angle_histogram(table([0.5]), color="black")
    assert {bar.get_facecolor() for bar in one.patches} == {(0, 0, 0, 1)}


def test_undefined_angles_are_left_out_and_counted():
    ax = plot_angle_histogram(table([0.0, np.nan, np.nan]))
    assert bars(ax) == {0.0: 1}
    assert ax.get_xlabel() == "Angle (°), 2 undefined"


def test_folding_joins_what_a_symmetric_motif_cannot_tell_apart():
    ax = plot_angle_histogram(table(np.deg2rad([10, 100, -80, -170, 40])), fold=4, bins=18)
    assert bars(ax) == {10.0: 4, 40.0: 1}
    assert ax.get_xlim() == (-45, 45)


def test_lines_find_the_equally_spaced_variants():
    rng = np.random.default_rng(0)
    angle = np.deg2rad(20 + 90 * rng.integers(0, 4, 400)) + 0.05 * rng.standard_normal(400)
    ax = plot_angle_histogram(table(angle), variants=4)
    found = sorted(line.get_xdata()[0] for line in ax.lines)
    # 400 angles of 3 degrees spread know their centre to 0.15 degrees.
    np.testing.assert_allclose(found, [-160, -70, 20, 110], atol=0.5)
    ax = plot_angle_histogram(table(angle), variants=[0.0, np.pi])
    assert [line.get_xdata()[0] for line in ax.lines] == [0, 180]


def test_the_polar_histogram_turns_like_the_screen():
    ax = plot_angle_histogram(table(np.deg2rad([90] * 9 + [0] * 4)), polar=True)
    centre, right, down = ax.transData.transform([[0, 0], [0, 1], [np.pi / 2, 1]])
    assert right[0] > centre[0] and right[1] == pytest.approx(centre[1])
    assert down[1] < centre[1] and down[0] == pytest.approx(centre[0])
    heights = {round(np.rad2deg(k)): v for k, v in bars(ax).items()}
    # The area of a bar is its count: the radius is the root.
    assert heights == pytest.approx({0: 2.0, 90: 3.0})


def test_the_polar_marks_name_the_angles_where_they_are():
    ax = plot_angle_histogram(table([0.0]), polar=True)
    names = [t.get_text() for t in ax.get_xticklabels()]
    at = [f"{a:g}°" for a in np.rad2deg(ax.get_xticks())]
    assert dict(zip(at, names, strict=True))["90°"] == "90°"
    assert dict(zip(at, names, strict=True))["270°"] == "−90°"


def test_it_needs_axes_of_the_right_projection():
    _, flat = plt.subplots()
    with pytest.raises(TypeError, match="rectilinear projection where a polar"):
        plot_angle_histogram(table([0.0]), polar=True, ax=flat)
    _, polar = plt.subplots(subplot_kw={"projection": "polar"})
    assert plot_angle_histogram(table([0.0]), polar=True, ax=polar) is polar
    with pytest.raises(TypeError, match="polar projection where a rectilinear"):
        plot_angle_histogram(table([0.0]), ax=polar)


@pytest.mark.parametrize("option", [{"bins": 0}, {"fold": 0.5}, {"variants": 0}])
def test_options_that_do_not_fit_are_named(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        plot_angle_histogram(table([0.0]), **option)
    assert not plt.get_fignums()


def test_angles_without_order_are_left_out_and_counted():
    sites = table([0.0, 0.0, 1.0, 2.0])
    sites.set("order_amplitude", [1.0, 0.8, 0.1, np.nan])
    ax = plot_angle_histogram(sites)
    assert bars(ax) == {0.0: 2} and ax.get_xlabel() == "Angle (°), 2 undefined"
    assert sum(bars(plot_angle_histogram(sites, least_order=None)).values()) == 4
    sites.set("order_amplitude", np.zeros(4))
    for polar in (False, True):
        ax = plot_angle_histogram(sites, variants=4, polar=polar)
        assert not bars(ax) and "4 undefined" in ax.get_xlabel() and not ax.lines
