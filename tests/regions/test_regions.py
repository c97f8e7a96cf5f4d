# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels belong to a site, where positions lie in a scan, and sums block by block."""

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from hs_rvae.regions import averages, placing, shapes

SQUARE = placing.Scan((40, 50), np.array([1.0, 1.0]), np.zeros(2), "")


def members_of(centres, scan=SQUARE, region="disk", radius=None):
    regions = shapes.regions_of(np.array(centres, float), scan, region, radius)
    lists = [
        {tuple(divmod(int(p), scan.shape[1])) for p in regions.members[k].indices}
        for k in range(len(centres))
    ]
    return regions, lists


def test_a_disk_in_pixels_stands_on_the_nearest_one():
    regions, lists = members_of([(10.4, 20.3)])
    assert lists == [{(20, 10)}]
    _, lists = members_of([(10.4, 20.3), (9.6, 19.7)], radius=1)
    assert lists[0] == {(20, 10), (19, 10), (21, 10), (20, 9), (20, 11)} == lists[1]


def test_a_disk_in_lengths_stands_on_the_site():
    scan = placing.Scan((40, 50), np.array([0.5, 0.25]), np.zeros(2), "nm")
    centre = np.array([20.3, 15.6])
    regions, (pixels,) = members_of([centre], scan, radius=1.0)
    y, x = np.mgrid[:40, :50]
    distance = np.hypot((x - centre[0]) * 0.5, (y - centre[1]) * 0.25)
    assert pixels == {(int(r), int(c)) for r, c in np.argwhere(distance <= 1.0)}
    # Smaller than a pixel: the nearest one.
    assert members_of([centre], scan, radius=0.01)[1] == [{(16, 20)}]


def test_a_ring_has_a_hole():
    _, (ring,) = members_of([(20, 20)], region="ring", radius=(2, 4))
    distances = {np.hypot(r - 20, c - 20) for r, c in ring}
    assert min(distances) > 2 and max(distances) <= 4


def test_a_region_cut_by_the_rim_is_left_out_and_never_wrapped():
    centres = [(2.0, 20.0), (47.5, 20.0), (20.0, 38.0), (20.0, 20.0), (np.nan, 1.0), (-30.0, 5.0)]
    regions, lists = members_of(centres, radius=3)
    assert regions.complete.tolist() == [False, False, False, True, False, False]
    assert [len(each) > 0 for each in lists] == [False, False, False, True, False, False]


def test_cells_share_the_pixels_and_end_beside_a_vacancy():
    x, y = np.meshgrid(np.arange(6.0, 46, 8), np.arange(6.0, 36, 8))
    sites = np.stack([x.ravel(), y.ravel()], axis=1)
    regions, lists = members_of(sites, region="cell")
    assert regions.overlap == 0
    inner = (np.abs(sites - sites.mean(axis=0)) < [15, 11]).all(axis=1)
    sizes = [len(each) for each, inside in zip(lists, inner, strict=True) if inside]
    # Pixels half way between two sites are given to one of them.
    assert np.mean(sizes) == pytest.approx(64, abs=2)
    missing = np.delete(sites, 7, axis=0)
    _, fewer = members_of(missing, region="cell")
    # The neighbours of the vacancy grow to 0.75 distances, not into its middle.
    assert tuple(np.rint(sites[7][::-1]).astype(int)) not in set().union(*fewer)


@pytest.mark.parametrize(
    ("region", "radius", "match"),
    [
        ("square", 3, "region='square': give 'disk', 'cell' or 'ring'"),
        ("disk", 0, "radius=0: give a positive"),
        ("disk", -1.5, "radius=-1.5"),
        ("disk", np.nan, "radius=nan"),
        ("disk", "3", "radius='3'"),
        ("disk", True, "radius=True"),
        ("disk", 30, "radius=30: the region is wider than the scan of 50 x 40 px"),
        ("ring", 3, r"radius=3: a ring needs radius=\(inner, outer\)"),
        ("ring", (4, 2), "a ring needs"),
        ("ring", (1, 2.5), "both whole numbers"),
        ("cell", 3, "radius=3: region='cell' has no radius"),
    ],
)
def test_wrong_regions_are_refused(region, radius, match):
    with pytest.raises(ValueError, match=match):
        members_of([(20, 20), (30, 20)], region=region, radius=radius)


def scan_signal(shape=(40, 50), scale=1.0, offset=0.0, units="nm", channels=3):
    signal = hs.signals.Signal1D(np.zeros((*shape, channels)))
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.offset, axis.units = scale, offset, units
    return signal


def test_positions_go_through_the_calibration():
    grid = placing.ImageGrid((0.02, 0.02), (1.0, 2.0), "nm", (100, 100))
    signal = scan_signal(scale=0.4, offset=11.0, units="Å")
    placed = placing.place(np.array([[10.0, 20.0]]), grid, placing.scan_of(signal))
    # 1.2 nm and 2.4 nm are 12 and 24 angstroms.
    np.testing.assert_allclose(placed, [[(12 - 11) / 0.4, (24 - 11) / 0.4]])


def test_rebinning_moves_pixels_by_half_of_one():
    fine = scan_signal(scale=0.1)
    coarse = fine.rebin(scale=(2, 2, 1))
    grid = placing.ImageGrid((0.1, 0.1), (0.0, 0.0), "nm", (40, 50))
    placed = placing.place(np.array([[10.5, 4.5]]), grid, placing.scan_of(coarse))
    np.testing.assert_allclose(placed, [[5.0, 2.0]])


@pytest.mark.parametrize(
    ("signal", "error", "match"),
    [
        (scan_signal(units="s"), ValueError, "axes in s, .* axes in nm: they are not lengths"),
        (scan_signal(units=""), ValueError, "scan of 50 x 40 px .px., .* is 100 x 100 px"),
        (scan_signal(offset=500.0), ValueError, "none of the 1 sites"),
        (hs.signals.Signal1D(np.zeros((4, 5))), ValueError, "are not the x and y of a scan"),
        (hs.signals.Signal1D(np.zeros((2, 4, 5, 6))), ValueError, "are not the x and y of a scan"),
        (scan_signal() * 1j, TypeError, "complex"),
        ([scan_signal()], TypeError, "signal is a list of 1"),
        (np.zeros((4, 5)), TypeError, "signal is a ndarray"),
    ],
)
def test_signals_that_cannot_be_placed_are_refused(signal, error, match):
    grid = placing.ImageGrid((0.02, 0.02), (0.0, 0.0), "nm", (100, 100))
    with pytest.raises(error, match=match):
        placing.place(np.array([[10.0, 20.0]]), grid, placing.scan_of(signal))


def test_without_calibration_the_size_decides(caplog):
    grid = placing.ImageGrid((0.02, 0.02), (0.0, 0.0), "nm", (40, 50))
    with caplog.at_level("INFO", logger="hs_rvae"):
        placed = placing.place(
            np.array([[10.0, 20.0]]), grid, placing.scan_of(scan_signal(units=""))
        )
    np.testing.assert_array_equal(placed, [[10.0, 20.0]])
    assert "pixel for pixel" in caplog.text


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    data = rng.poisson(1.0, (40, 50, 6, 5)).astype(np.uint16)
    centres = np.stack([rng.uniform(4, 45, 60), rng.uniform(4, 35, 60)], axis=1)
    regions = shapes.regions_of(centres, SQUARE, "disk", 3)
    values = regions.members @ data.reshape(2000, -1).astype(float)
    return data, regions.members, values


@pytest.mark.parametrize("chunks", [None, (13, 20, 4, 5), (40, 50, 1, 1), (1, 50, 6, 5)])
def test_sums_are_those_of_all_pixels_at_once(counts, chunks):
    data, members, values = counts
    given = data if chunks is None else da.from_array(data, chunks=chunks)
    sums = averages.site_means(given, members, "sum", show_progressbar=False)
    np.testing.assert_array_equal(sums, values)
    means = averages.site_means(given, members, "mean", show_progressbar=False)
    np.testing.assert_allclose(means, values / members.sum(axis=1), rtol=1e-6)
    if chunks is not None:
        lazy = averages.lazy_site_means(given, members, "sum")
        np.testing.assert_array_equal(np.asarray(lazy).reshape(len(values), -1), values)


def test_each_block_is_read_once_and_those_without_sites_never():
    reads = []

    def read(block, block_info):
        reads.append(block_info[0]["chunk-location"])
        return block

    data = da.zeros((40, 50, 4), chunks=(10, 10, 4)).map_blocks(read, dtype=float)
    regions = shapes.regions_of(np.array([[10.0, 10.0], [12.0, 30.0]]), SQUARE, "disk", 3)
    reads.clear()
    averages.site_means(data, regions.members, "mean", show_progressbar=False)
    assert len(reads) == len(set(reads)) == 7 and (0, 4, 0) not in reads
    reads.clear()
    dask.compute(averages.lazy_site_means(data, regions.members, "mean"))
    assert len(reads) == len(set(reads)) == 7 and (0, 4, 0) not in reads


def test_groups_have_the_mean_and_its_variance(counts):
    data, members, values = counts
    label = np.arange(60) % 3
    label[0] = 3
    groups = csr_matrix((np.ones(60), (label, np.arange(60))), shape=(4, 60))
    found = averages.group_means(data, members, groups, show_progressbar=False)
    each = values / np.asarray(members.sum(axis=1))
    for k in range(3):
        some = each[label == k]
        np.testing.assert_allclose(found.means[k], some.mean(axis=0))
        scatter = some.var(axis=0, ddof=1) / len(some)
        poisson = (some / 29).sum(axis=0) / len(some) ** 2
        np.testing.assert_allclose(found.variance[k], np.maximum(scatter, poisson))
    # One site has no scatter.
    assert np.isnan(found.variance[3]).all() and np.isfinite(found.means[3]).all()
    lazy = averages.group_means(
        da.from_array(data, chunks=(9, 9, 2, 5)), members, groups, show_progressbar=False
    )
    np.testing.assert_allclose(lazy.means, found.means)
    np.testing.assert_allclose(lazy.variance, found.variance)
    real = averages.group_means(data * 0.37, members, groups, show_progressbar=False)
    scatter = each[label == 1].var(axis=0, ddof=1) / 20 * 0.37**2
    np.testing.assert_allclose(real.variance[1], scatter)
