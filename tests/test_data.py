# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped images are what their docstrings say."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from hs_rvae import data

IMAGES = {
    "dysco3": (data.dysco3, (1024, 1024), np.uint8, 0.008),
    "pto_sro": (data.pto_sro, (224, 1312), np.float64, 0.0150),
    "bfo_multislice": (lambda: data.bfo_multislice()[0], (960, 960), np.float32, 0.0198),
}


@pytest.mark.parametrize("load, shape, dtype, scale", IMAGES.values(), ids=IMAGES)
def test_an_image_is_a_calibrated_signal_that_names_its_source(load, shape, dtype, scale):
    image = load()
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


@pytest.mark.parametrize(
    "load", [data.dysco3, data.dysco3_positions, data.pto_sro, data.bfo_multislice]
)
def test_loading_neither_warns_nor_logs_a_warning(load, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load()
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


def test_a_loaded_image_is_the_callers_own():
    first = data.dysco3()
    before = int(first.data[0, 0])
    first.data[0, 0] = before + 1
    assert data.dysco3().data[0, 0] == before


def test_images_say_which_calibration_is_inferred():
    assert "inferred" in data.dysco3().metadata.General.notes
    assert not data.pto_sro().metadata.General.notes.count("inferred")


def test_dysco3_positions_lie_on_bright_columns():
    image = gaussian_filter(data.dysco3().data.astype(float), 2)
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
    assert {folder.name for folder in folders} == {"bfo_multislice", "dysco3", "pto_sro"}
    for folder in folders:
        text = (folder / "README.txt").read_text(encoding="utf-8")
        for path in folder.iterdir():
            if path.name not in {"README.txt", "LICENSE"}:
                assert path.name in text
    assert "MIT License" in (root / "dysco3" / "LICENSE").read_text(encoding="utf-8")
