# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions of frames linked to tracks."""

import numpy as np
import pytest

from hs_rvae.tracks import link_frames


@pytest.fixture
def lattice():
    y, x = np.mgrid[:12, :15] * 20.0
    return np.column_stack([x.ravel(), y.ravel()]) + 30


def moved(lattice, step, seed=0, n_frames=6, noise=0.7):
    """Frames of a drifting lattice, each in an order of its own, and the order."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(lattice)) for _ in range(n_frames)]
    frames = [
        (lattice + np.array(step) * k + noise * rng.standard_normal(lattice.shape))[order]
        for k, order in enumerate(orders)
    ]
    return frames, orders


@pytest.mark.parametrize("step", [(0, 0), (3.0, -2.0), (8.5, 4.0)])
def test_columns_keep_their_track_while_the_specimen_drifts(lattice, step):
    frames, orders = moved(lattice, step)
    tracks, drift = link_frames(frames)
    name = np.empty(len(lattice), int)
    name[orders[0]] = tracks[0]
    for track, order in zip(tracks, orders, strict=True):
        np.testing.assert_array_equal(track, name[order])
    np.testing.assert_allclose(drift, np.outer(np.arange(6), step), atol=0.5)


def test_a_missing_column_comes_back_to_its_track_and_a_new_one_starts_another(lattice):
    frames, _ = moved(lattice, (2.0, 1.0), noise=0.0, n_frames=4)
    tracks, _ = link_frames([lattice, lattice[1:] + 1, np.vstack([lattice, [[400.0, 5.0]]]) + 2])
    np.testing.assert_array_equal(tracks[0], np.arange(len(lattice)))
    np.testing.assert_array_equal(tracks[1], tracks[0][1:])
    np.testing.assert_array_equal(tracks[2], np.arange(len(lattice) + 1))


def test_a_jump_by_more_than_a_column_needs_to_be_told(lattice):
    jump = np.array([[0.0, 0.0], [20.0, 0.0]])
    frames = [lattice, lattice + jump[1]]
    told, drift = link_frames(frames, drift=jump)
    np.testing.assert_array_equal(told[1], told[0])
    np.testing.assert_array_equal(drift, jump)
    found, _ = link_frames(frames)  # the lattice looks as if it had stood still
    assert (found[1] != found[0]).all()


def test_empty_frames_are_passed_over(lattice):
    tracks, drift = link_frames([np.empty((0, 2)), lattice, np.empty((0, 2)), lattice + 1])
    np.testing.assert_array_equal(tracks[3], tracks[1])
    assert drift.shape == (4, 2) and len(tracks[0]) == 0


def test_bad_options_are_refused(lattice):
    with pytest.raises(ValueError, match=r"max_distance=-1"):
        link_frames([lattice], max_distance=-1)
    with pytest.raises(ValueError, match=r"drift has the shape \(2,\): \(1, 2\)"):
        link_frames([lattice], drift=[1.0, 2.0])
