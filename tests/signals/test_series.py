# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of a series of images: frames, tracks, maps with a slider, movies."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import animation
from PIL import Image
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae import LazySubImageStack, SubImageStack


@pytest.fixture(scope="module")
def simulated():
    return hs_rvae.simulation.simulate_series(
        (240, 260), 3, cell=20.0, domain_size=6, drift=(1.4, -0.8), random_state=1
    )


@pytest.fixture(scope="module")
def positions(simulated):
    return [truth.b_sites[["x", "y"]].to_numpy() for truth in simulated[1]]


@pytest.fixture
def stack(simulated, positions):
    return SubImageStack.from_positions(simulated[0], positions, window_size=32)


def test_a_series_makes_one_stack_of_the_stacks_of_its_frames(simulated, positions, stack):
    series, _ = simulated
    alone = [
        SubImageStack.from_positions(series.inav[k], positions[k], window_size=32) for k in range(3)
    ]
    np.testing.assert_array_equal(stack.data, np.concatenate([one.data for one in alone]))
    np.testing.assert_array_equal(
        stack.sites["frame"], np.repeat([0, 1, 2], [len(one.sites) for one in alone])
    )
    for name in ("x", "y", "site_index"):
        joined = np.concatenate([one.sites[name] for one in alone])
        np.testing.assert_array_equal(stack.sites[name], joined)
    assert stack.image is series and stack.sites.pixel_units == "nm"


@pytest.mark.parametrize("chunks", [(1, -1, -1), (2, 100, 130)])
def test_a_lazy_series_makes_the_same_in_blocks_of_one_frame(simulated, positions, stack, chunks):
    lazy = simulated[0].as_lazy()
    lazy.data = lazy.data.rechunk(chunks)
    made = SubImageStack.from_positions(lazy, positions, window_size=32)
    assert isinstance(made, LazySubImageStack)
    for name in stack.sites.columns:
        np.testing.assert_array_equal(made.sites[name], stack.sites[name])
    assert len(made.data.chunks[0]) == 3  # no block holds windows of two frames
    np.testing.assert_array_equal(made.data.compute(), stack.data)


def test_a_column_has_one_track_in_all_frames(simulated, stack):
    truths = simulated[1]
    site = np.concatenate([truth.b_sites["site"] for truth in truths])
    start = np.cumsum([0] + [len(truth.b_sites) for truth in truths])
    sites = stack.sites
    site = site[start[sites["frame"]] + sites["site_index"]]
    pairs = np.unique(np.column_stack([site, sites["track"]]), axis=0)
    assert len(pairs) == len(np.unique(site)) == len(np.unique(sites["track"]))
    drift = stack.link_frames()
    np.testing.assert_allclose(drift, np.outer(range(3), (1.4, -0.8)), atol=0.2)


def test_missing_pixels_of_one_frame_cost_sites_of_that_frame_only(simulated, positions, stack):
    series = simulated[0].deepcopy()
    series.data[1, 100:120, 100:120] = np.nan
    for image in (series, series.as_lazy()):
        holed = SubImageStack.from_positions(image, positions, window_size=32)
        count = [np.bincount(one.sites["frame"]) for one in (holed, stack)]
        assert (count[0] < count[1]).tolist() == [False, True, False]
        assert np.isfinite(np.asarray(holed.data)).all()


def test_columns_and_neighbours_come_frame_by_frame(simulated, positions):
    series, truths = simulated
    stack = SubImageStack.from_positions(
        series,
        positions,
        window_size=32,
        neighbours=[truth.a_sites for truth in truths],
        columns=[{"order": truths[0].b_sites["order"]}, {}, {}],
    )
    frame = stack.sites["frame"]
    assert np.isfinite(stack.sites["order"][frame == 0]).all()
    assert np.isnan(stack.sites["order"][frame > 0]).all()
    true = np.concatenate([truth.b_sites["displacement_x"] for truth in truths])
    start = np.cumsum([0] + [len(truth.b_sites) for truth in truths])
    true = true[start[frame] + stack.sites["site_index"]]
    known = np.isfinite(stack.sites["displacement_x"])
    assert known.mean() > 0.9
    assert np.corrcoef(stack.sites["displacement_x"][known], true[known])[0, 1] > 0.95


def test_what_is_not_given_frame_by_frame_is_refused(simulated, positions):
    series = simulated[0]
    with pytest.raises(ValueError, match="positions_xy is a ndarray, and image holds 3 images"):
        SubImageStack.from_positions(series, positions[0])
    with pytest.raises(ValueError, match="neighbours has 2 entries, and image holds 3 images"):
        SubImageStack.from_positions(series, positions, neighbours=positions[:2])
    with pytest.raises(ValueError, match=r"navigation axes \(3, 2\).*one navigation axis"):
        SubImageStack.from_positions(hs.stack([series, series]), positions)
    with pytest.raises(ValueError, match="no column 'frame'"):
        SubImageStack.from_positions(series.inav[0], positions[0], window_size=32).link_frames()


def test_the_table_of_a_series_survives_saving_and_slicing(tmp_path, simulated, stack):
    stack.save(tmp_path / "series.zspy")
    loaded = hs.load(tmp_path / "series.zspy")
    np.testing.assert_array_equal(loaded.sites["track"], stack.sites["track"])
    loaded.image = simulated[0]
    last = loaded.select_sites(loaded.sites["frame"] == 2)
    assert last.plot_site_map("track", kind="sequential").get_title() == "frame 2, time 2 s"


def test_a_map_of_a_series_shows_a_frame_with_a_slider_for_the_others(simulated, stack):
    stack.sites["height"] = np.arange(len(stack.sites), dtype=float)
    frame = stack.sites["frame"]
    ax = stack.plot_site_map("height", frame=1)
    (markers,) = (c for c in ax.collections if c.get_gid() == "sites")
    np.testing.assert_array_equal(markers.get_array(), np.flatnonzero(frame == 1))
    np.testing.assert_array_equal(ax.images[0].get_array(), simulated[0].data[1])
    limits = markers.norm.vmin, markers.norm.vmax
    ax.frame_slider.set_val(2)
    (markers,) = (c for c in ax.collections if c.get_gid() == "sites")
    np.testing.assert_array_equal(markers.get_array(), np.flatnonzero(frame == 2))
    np.testing.assert_array_equal(ax.images[0].get_array(), simulated[0].data[2])
    assert (markers.norm.vmin, markers.norm.vmax) == limits, "one colour scale for all frames"
    assert ax.get_title() == "frame 2, time 2 s"
    with pytest.raises(ValueError, match="frame=7: there are sites in frames 0 to 2"):
        stack.plot_site_map("height", frame=7)
    _, own = plt.subplots()
    assert not hasattr(stack.plot_site_map("height", ax=own), "frame_slider")
    with pytest.raises(ValueError, match="3 frames, which would fall.*select_sites"):
        stack.plot_polar_map("height", amplitude=None)


def test_a_movie_has_one_picture_per_frame(tmp_path, stack):
    stack.sites["label"] = stack.sites["frame"] + 1
    path = stack.save_movie(tmp_path / "labels.gif", "label", dpi=60)
    pictures = []
    with Image.open(path) as movie:
        for k in range(movie.n_frames):
            movie.seek(k)
            pictures.append(np.asarray(movie.convert("RGB"), float))
    assert len(pictures) == 3
    assert all(np.abs(a - b).mean() > 5 for a, b in zip(pictures, pictures[1:], strict=False))
    assert [p.name for p in tmp_path.iterdir()] == ["labels.gif"] and not plt.get_fignums()


def test_a_movie_that_fails_leaves_nothing(tmp_path, stack, monkeypatch):
    for error, kind, text in (
        (KeyboardInterrupt(), KeyboardInterrupt, "no file is left"),
        (OSError(28, "No space left on device"), OSError, "could not be saved.*No space left"),
    ):

        def stop(self, error=error, **options):
            raise error

        monkeypatch.setattr(animation.PillowWriter, "grab_frame", stop)
        with pytest.raises(kind, match=text):
            stack.save_movie(tmp_path / "movie.gif", "track", kind="sequential")
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "movie.part.gif").write_text("mine")
    with pytest.raises(OSError, match="no file is left"):
        stack.save_movie(tmp_path / "movie.gif", "track", kind="sequential")
    assert (tmp_path / "movie.part.gif").read_text() == "mine"
    with pytest.raises(ValueError, match=r"must end in one of .gif, .mp4"):
        stack.save_movie(tmp_path / "movie.avi", "track")
    for frames in ([5], [0.5], iter(["a"]), iter([None]), []):
        with pytest.raises(ValueError, match="frames=.*: there are sites in frames 0 to 2"):
            stack.save_movie(tmp_path / "movie.gif", "track", frames=frames, kind="sequential")
    if not animation.writers.is_available("ffmpeg"):
        with pytest.raises(RuntimeError, match=r"ffmpeg, which is not found: install it, or save"):
            stack.save_movie(tmp_path / "movie.mp4", "track")


def test_sublattices_are_found_in_every_frame(simulated):
    series, truths = simulated
    lattices = hs_rvae.find_sublattices(series)
    assert repr(lattices) == "<LatticeSeries, 3 frames, sublattices: A, B>"
    for table, truth in zip(lattices.tables("B"), truths, strict=True):
        inner = truth.b_sites[truth.b_sites.edge_distance > 1][["x", "y"]]
        distance, _ = cKDTree(table[["x", "y"]]).query(inner)
        # Faint columns in a frame of few counts: 0.2 px of noise.
        assert np.median(distance) < 0.25 and distance.max() < 1.0
    assert lattices.tables("A")[2].attrs["cell"] != lattices.tables("A")[0].attrs["cell"]
    assert lattices.tables("A")[2].attrs["tail"] == lattices.tables("A")[0].attrs["tail"]
    one = hs_rvae.find_sublattices(series.inav[0])
    for both in zip(one.sublattice_list, lattices[0].sublattice_list, strict=True):
        np.testing.assert_array_equal(*(each.x_position for each in both))
    np.testing.assert_array_equal(lattices[-1].image, series.data[2])
    stack = SubImageStack.from_atom_lattice(lattices, sublattice="B", window_size=32)
    assert {"frame", "track", "displacement_x", "displacement_std"} <= set(stack.sites.columns)
    chosen = SubImageStack.from_atom_lattice(lattices, window_size=32)
    np.testing.assert_array_equal(chosen.sites.xy, stack.sites.xy)
    with pytest.raises(ValueError, match="sublattice='C': there are 0: 'A', 1: 'B'"):
        SubImageStack.from_atom_lattice(lattices, sublattice="C")


def test_a_frame_without_lattice_is_named(simulated):
    series = simulated[0].deepcopy()
    series.data[2] = np.random.default_rng(0).standard_normal(series.data.shape[1:])
    with pytest.raises(ValueError, match="frame 2: "):
        hs_rvae.find_sublattices(series, fill_holes=False)


@pytest.mark.slow
def test_a_switching_domain_is_followed_through_twenty_frames(tmp_path):
    """20 frames of 1024 x 1024: found, refined, tracked, one model, variants in every frame."""
    series, truths = hs_rvae.simulation.simulate_series((1024, 1024), 20, random_state=0)
    lattices = hs_rvae.find_sublattices(series)
    stack = SubImageStack.from_atom_lattice(lattices, sublattice="B", window_size=48)
    stack.rvae(random_state=0)
    stack.register_angle("displacement")
    stack.assign_variants(4)
    sites = stack.sites
    switched, everywhere = [], []
    for k, truth in enumerate(truths):
        rows = np.flatnonzero(sites["frame"] == k)
        distance, nearest = cKDTree(truth.b_sites[["x", "y"]]).query(sites.xy[rows])
        true = truth.b_sites["variant"].to_numpy()[nearest]
        clear = (distance < 1) & truth.interior()[nearest]
        found = sites["variant"][rows]
        assert adjusted_rand_score(true[clear], found[clear]) >= 0.97
        defined = (distance < 1) & (found >= 0) & (true >= 0)
        assert defined.mean() > 0.75
        off_walls = defined & (truth.b_sites["wall_distance"].to_numpy()[nearest] > 0.5)
        assert off_walls.sum() > 900
        assert adjusted_rand_score(true[off_walls], found[off_walls]) >= 0.97
        # A window at a wall shows two variants.
        everywhere.append(adjusted_rand_score(true[defined], found[defined]))
        switched.append(dict(zip(sites["track"][rows][clear], found[clear], strict=True)))
    assert np.median(everywhere) >= 0.97 and min(everywhere) >= 0.95
    same = set(switched[0]) & set(switched[-1])
    changed = np.mean([switched[0][t] != switched[-1][t] for t in same])
    assert 0.1 < changed < 0.5, "a share of about 0.3 of the columns has switched"
    path = stack.save_movie(tmp_path / "switching.gif", "variant", dpi=80)
    with Image.open(path) as movie:
        assert movie.n_frames == 20
