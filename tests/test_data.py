# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images are what their docstrings say."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from hs_rvae import data

SHIPPED = {
    "bfo_multislice": ((960, 960), np.float32, 0.0198),
    "bfo_lsmo": ((841, 841), np.uint16, 0.0165),
    "pto_ac": ((777, 777), np.uint16, 0.018),
    "pto_sto_vortex": ((739, 739), np.uint16, 0.019),
    "sto_null": ((612, 612), np.uint16, 0.0175),
}
WITH_COLUMNS = [name for name in SHIPPED if name != "bfo_multislice"]


def check_image(image, shape, dtype, scale):
    assert type(image).__name__ == "Signal2D"
    assert image.axes_manager.navigation_dimension == 0
    assert image.data.shape == shape
    assert image.data.dtype == dtype
    assert np.ptp(image.data) > 0
    for axis, name, size in zip(image.axes_manager.signal_axes, "xy", shape[::-1], strict=True):
        assert (axis.name, axis.units, axis.size, axis.offset) == (name, "nm", size, 0)
        assert axis.scale == pytest.approx(scale, abs=5e-5)  # half a unit of the last digit stated
    assert image.metadata.General.title
    notes = image.metadata.General.notes
    assert "GPL-3.0" in notes or "MIT" in notes


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_image_is_a_calibrated_signal_that_names_its_source(name):
    image, truth = getattr(data, name)()
    check_image(image, *SHIPPED[name])
    assert "Simulated for hs_rvae" in image.metadata.General.notes
    assert all(isinstance(values, np.ndarray) for values in truth.values())


def test_dysco3_is_a_calibrated_signal_that_names_its_source(dysco3):
    check_image(dysco3, (1024, 1024), np.uint8, 0.008)
    assert "inferred" in dysco3.metadata.General.notes


def test_pto_sro_is_a_calibrated_signal_that_names_its_source(pto_sro):
    check_image(pto_sro, (224, 1312), np.float64, 0.0150)
    assert "inferred" not in pto_sro.metadata.General.notes


@pytest.mark.parametrize("name", [*SHIPPED, "dysco3_positions", "dysco3", "pto_sro"])
def test_loading_neither_warns_nor_logs_a_warning(name, caplog, request):
    if name in {"dysco3", "pto_sro"}:
        request.getfixturevalue(name)  # skips where there is no copy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(data, name)()
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


def test_a_loaded_image_is_the_callers_own():
    first, truth = data.sto_null()
    before = int(first.data[0, 0])
    first.data[0, 0] = before + 1
    truth["a_xy"][:] = 0
    again, truth = data.sto_null()
    assert again.data[0, 0] == before and truth["a_xy"].any()


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_the_docstring_names_every_key_of_the_truth(name):
    _, truth = getattr(data, name)()
    documented = set(re.findall(r"^ +``(\w+)`` +\(", data.bfo_lsmo.__doc__, re.MULTILINE))
    assert set(truth) == documented - ({"twin"} if name != "bfo_lsmo" else set())
    n_a, n_b = len(truth["a_xy"]), len(truth["b_xy"])
    assert f"{n_a} A and {n_b} B" in getattr(data, name).__doc__ or (n_a, n_b) == (1246, 1244)
    for key, values in truth.items():
        assert values.shape[0] == (n_a if key.startswith("a_") else n_b)
        assert values.shape[1:] == ((2,) if key.endswith(("_xy", "_ij")) else ())


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_true_columns_stand_on_bright_spots(name):
    image, truth = getattr(data, name)()
    smooth = gaussian_filter(image.data.astype(float), 1)
    size = image.data.shape[0]
    for key, share in (("a_xy", 75), ("b_xy", 50)):
        xy = truth[key]
        inner = xy[((xy > 5) & (xy < size - 6)).all(axis=1)]
        on, swapped = (map_coordinates(smooth, p, order=1) for p in (inner.T[::-1], inner.T))
        # (x, y) in this order: with x and y swapped the list falls on and between columns.
        assert np.percentile(on, 1) > np.percentile(smooth, share), key
        assert np.percentile(swapped, 5) < np.percentile(smooth, 40), key


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_displacements_of_the_truth_are_those_of_its_columns(name):
    _, truth = getattr(data, name)()
    distance, near = cKDTree(truth["a_xy"]).query(truth["b_xy"], k=4)
    inner = distance.max(axis=1) < 1.3 * np.median(distance)
    measured = truth["b_xy"] - truth["a_xy"][near].mean(axis=1)
    np.testing.assert_allclose(measured[inner], truth["d_xy"][inner], atol=2e-4)
    # The angle is that of the crystal; drift and jitter turn single displacements, not their mean.
    known = inner & np.isfinite(truth["d_angle"]) & (truth["amp"] > 0.5)
    turned = np.arctan2(*truth["d_xy"][known].T[::-1]) - truth["d_angle"][known]
    if known.any():
        assert abs(np.degrees(np.angle(np.exp(1j * turned).mean()))) < 2
    assert known.any() == (name != "sto_null")


def test_variants_of_the_truth_are_what_the_docstrings_say():
    truth = data.bfo_lsmo()[1]
    variant, twin = truth["variant"], truth["twin"]
    for k in range(4):
        angle = np.degrees(np.median(truth["d_angle"][variant == k]))
        assert angle == pytest.approx((48, 138, -132, -42)[k], abs=1)
        assert (twin[variant == k] == k % 2).all()
    assert (twin[variant < 0] == -1).all() and np.isnan(truth["d_angle"][variant < 0]).all()
    assert truth["chem"][~truth["nonpolar"]].min() >= 0.1 > truth["chem"][truth["nonpolar"]].max()
    truth = data.pto_ac()[1]
    assert set(truth["variant"]) == {0, 1, 2, 3} and np.isfinite(truth["d_angle"]).all()
    truth = data.pto_sto_vortex()[1]
    turning = truth["d_angle"][truth["variant"] == 0]
    assert np.abs(np.exp(1j * turning).mean()) < 0.5  # all directions
    truth = data.sto_null()[1]
    assert (truth["variant"] == -1).all() and truth["nonpolar"].all() and not truth["amp"].any()


def test_dysco3_positions_lie_on_bright_columns(dysco3):
    image = gaussian_filter(dysco3.data.astype(float), 2)
    positions, _ = data.dysco3_positions()
    on, swapped = (map_coordinates(image, xy, order=1) for xy in (positions.T[::-1], positions.T))
    # (x, y) in this order: with x and y swapped the list falls between columns as often as on them.
    assert np.percentile(on, 1) > np.percentile(image, 75)
    assert np.median(swapped) < np.median(on) - 20


def test_dysco3_shift_is_bimodal_and_alternates_from_line_to_line():
    positions, shift = data.dysco3_positions()
    assert positions.shape == shift.shape == (256, 2)
    up = shift[:, 1] < 0
    assert np.abs(shift[:, 1]).min() > 1  # nothing between the two groups
    assert 0.45 < up.mean() < 0.55
    # Neighbours along y belong to the same group, neighbours along x to the other one.
    pairs = cKDTree(positions).query_pairs(1.15 * 49.5, output_type="ndarray")
    step = np.abs(positions[pairs[:, 1]] - positions[pairs[:, 0]])
    along_y = step[:, 1] > step[:, 0]
    same = up[pairs[:, 0]] == up[pairs[:, 1]]
    assert same[along_y].mean() > 0.97
    assert same[~along_y].mean() < 0.03


def test_bfo_truth_has_four_variants_a_nonpolar_patch_and_a_strip():
    _, truth = data.bfo_multislice()
    label, shift = truth["label"], truth["B_shift_angstrom_xy"]
    assert label.shape == (2304,)
    assert set(np.unique(label)) == {0, 1, 2, 3, 4, 5}
    assert np.bincount(label).min() > 90
    np.testing.assert_array_equal(truth["label_grid"].ravel(), label)
    np.testing.assert_array_equal(shift[label >= 4], 0)
    np.testing.assert_allclose(np.abs(shift[label < 4]), 0.22)
    # One variant is the next one turned by 90 degrees.
    angle = [np.arctan2(*shift[label == variant].mean(0)[::-1]) for variant in range(4)]
    np.testing.assert_allclose(np.degrees(angle), [-135, -45, 45, 135], atol=1e-6)


def test_bfo_truth_agrees_with_the_image():
    """The centre of mass around a nominal B position moves towards the stated shift."""
    image, truth = data.bfo_multislice()
    assert truth["px_angstrom"] == pytest.approx(10 * image.axes_manager["x"].scale)
    smooth = gaussian_filter(image.data.astype(float), 1)
    centre = truth["cell_centre_xy_warped"]
    reach = np.arange(-4, 5)  # the B column without its A neighbours, 14 px away
    inside = np.all((centre > 5) & (centre < 954), axis=1) & (truth["label"] < 5)
    x = np.rint(centre[inside, 0]).astype(int)[:, None, None] + reach[None, None, :]
    y = np.rint(centre[inside, 1]).astype(int)[:, None, None] + reach[None, :, None]
    window = smooth[y, x]
    window -= window.min(axis=(1, 2), keepdims=True)
    weight = window / window.sum(axis=(1, 2), keepdims=True)
    moved = np.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], 1) - centre[inside]
    label = truth["label"][inside]
    for variant in range(5):
        expected = truth["B_shift_angstrom_xy"][truth["label"] == variant][0] / truth["px_angstrom"]
        # The smoothed background pulls the centre of mass back by about 15 % of 1.1 px; scan jitter
        # and noise average out over at least 90 cells.
        np.testing.assert_allclose(moved[label == variant].mean(0), expected, atol=0.3)


def test_every_folder_of_data_says_where_its_files_come_from():
    root = Path(data.__file__).parent
    folders = [path for path in root.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert {folder.name for folder in folders} == {"bfo_multislice", "dysco3", "multislice"}
    for folder in folders:
        text = (folder / "README.txt").read_text(encoding="utf-8")
        for path in folder.iterdir():
            if path.name != "README.txt":
                assert path.name in text
