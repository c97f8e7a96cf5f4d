# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites as HyperSpy's markers on the user's own signal."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack, find_sublattices
from hs_rvae.simulation import simulate_perovskite, simulate_series


@pytest.fixture(scope="module")
def made():
    image, truth = simulate_perovskite((220, 220), random_state=0)
    b = truth.b_sites
    stack = SubImageStack.from_positions(
        image,
        b,
        window_size=30,
        neighbours=truth.a_sites,
        columns={"variant": b["variant"].to_numpy()},
    )
    return image, stack


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["points", "arrows", "lines"])
@pytest.mark.parametrize("color", [None, "variant", "displacement_x"])
def test_markers_stand_on_the_sites_and_are_saved(made, kind, color, tmp_path):
    image, stack = made
    image = image.deepcopy()
    markers = stack.sites.to_markers(kind, color)
    image.plot()
    image.add_marker(markers, permanent=True)
    points = stack.sites.xy * image.axes_manager.signal_axes[0].scale
    known = np.isfinite(stack.sites["displacement_x"])
    if kind == "points":
        np.testing.assert_allclose(markers.get_current_kwargs()["offsets"], points)
    elif kind == "arrows":
        current = markers.get_current_kwargs()
        step = np.stack([current["U"], current["V"]], axis=1)
        np.testing.assert_allclose(current["offsets"] + step / 2, points[known])
        moved = stack.sites[["displacement_x", "displacement_y"]][known]
        np.testing.assert_allclose(
            np.arctan2(step[:, 1], step[:, 0]), np.arctan2(moved[:, 1], moved[:, 0])
        )
    else:
        segments = markers.get_current_kwargs()["segments"]
        np.testing.assert_allclose(segments.mean(axis=1), points[known])
    image.save(tmp_path / "image.hspy")
    loaded = hs.load(tmp_path / "image.hspy")
    assert len(loaded.metadata.Markers.as_dictionary()) == 1
    loaded.plot()


def test_the_sites_of_a_series_stand_on_their_frames():
    series, _ = simulate_series((200, 200), n_frames=3, random_state=0)
    stack = SubImageStack.from_atom_lattice(
        find_sublattices(series, show_progressbar=False), series, "B", window_size=40
    )
    markers = stack.sites.to_markers()
    series.plot()
    series.add_marker(markers)
    for frame in range(3):
        series.axes_manager.navigation_axes[0].index = frame
        shown = markers.get_current_kwargs()["offsets"]
        inside = stack.sites["frame"] == frame
        np.testing.assert_allclose(
            shown, stack.sites.xy[inside] * series.axes_manager.signal_axes[0].scale
        )


def test_what_cannot_be_marked_is_refused(made):
    _, stack = made
    with pytest.raises(ValueError, match="kind='dots': give 'points'"):
        stack.sites.to_markers("dots")
    with pytest.raises(KeyError, match="latent_0"):
        stack.sites.to_markers(color="latent_0")
    with pytest.raises(ValueError, match="vector='angle': give the names of two columns"):
        stack.sites.to_markers("arrows", vector="angle")
