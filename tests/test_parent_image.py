# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One image: the same questions wherever an image comes in."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack, find_sublattices
from hs_rvae.parent_image import calibration, image_data


def test_the_pixels_are_neither_copied_nor_computed():
    array = np.ones((20, 30), np.uint16)
    assert image_data(array) is array
    signal = hs.signals.Signal2D(array)
    assert image_data(signal) is signal.data
    assert isinstance(image_data(signal.as_lazy()), da.Array)


def test_each_axis_has_its_scale_and_both_one_unit():
    signal = hs.signals.Signal2D(np.ones((20, 30)))
    assert calibration(signal) == calibration(signal.data) == ((1.0, 1.0), "")
    for axis, scale in zip(signal.axes_manager.signal_axes, (0.5, 0.25), strict=True):
        axis.scale, axis.units = scale, "nm"
    assert calibration(signal) == ((0.5, 0.25), "nm")


@pytest.mark.parametrize(
    "bad",
    [
        [[1.0, 2.0], [3.0, 4.0]],
        np.ones((3, 64, 64)),
        np.ones((64, 64), complex),
        hs.signals.Signal2D(np.ones((2, 3, 64, 64))),
        hs.signals.Signal1D(np.ones((64, 64))),
    ],
    ids=["list", "3-D", "complex", "several", "spectra"],
)
def test_columns_and_windows_refuse_an_image_with_the_same_words(bad):
    with pytest.raises((TypeError, ValueError)) as of_columns:
        find_sublattices(bad)
    with pytest.raises((TypeError, ValueError)) as of_windows:
        SubImageStack.from_positions(bad, [[30.0, 30.0]], 16)
    assert repr(of_columns.value) == repr(of_windows.value)
    assert str(of_columns.value).startswith("image ")
