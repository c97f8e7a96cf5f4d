# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One image: the same questions wherever an image comes in."""

import re

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
import scipy.sparse
import torch

from hs_rvae import SubImageStack, find_columns, find_sublattices
from hs_rvae.parent_image import calibration, image_data
from hs_rvae.simulation import simulate_perovskite


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


def with_units(*units, scales=(0.5, 0.5)):
    signal = hs.signals.Signal2D(np.random.default_rng(0).random((40, 50)))
    for axis, unit, scale in zip(signal.axes_manager.signal_axes, units, scales, strict=True):
        axis.scale, axis.units = scale, unit
    return signal


def cut(image):
    return SubImageStack.from_positions(image, [[20.0, 20.0], [25.0, 18.0]], 16)


@pytest.mark.parametrize(
    "units",
    [
        ("\u00b5m", "\u03bcm"),
        ("\u03bcm", "um"),
        ("\u00c5", "\u212b"),
        ("A", "angstrom"),
        ("px", ""),
        (" nm", "nm"),
    ],
)
def test_one_unit_in_two_spellings_is_one_unit(units):
    scale, unit = calibration(with_units(*units))
    assert scale == (0.5, 0.5) and unit == units[0].strip().replace("px", "")
    x, y = cut(with_units(*units)).axes_manager.signal_axes
    assert x.units == y.units == units[0]


@pytest.mark.parametrize(
    "units, message",
    [
        (("nm", "\u00c5"), "0.5 nm along x, 0.5 \u00c5 along y"),
        (("nm", "A"), "0.5 nm along x, 0.5 A along y"),
        (("A", "nm"), r"y.scale, y.offset, y.units = 5, 0, 'A'"),
        (("nm", ""), r"0.5 nm along x, 0.5 \(none\) along y"),
        (("px", "nm"), r"0.5 \(none\) along x, 0.5 nm along y"),
        (("", "pm"), r"0.5 \(none\) along x"),
    ],
)
def test_the_remedy_for_different_units_works(units, message):
    image = with_units(*units)
    with pytest.raises(ValueError, match=message) as error:
        cut(image)
    remedy = re.search(r"(y = )?image\.axes_manager\.signal_axes\[.*(?=\.)", str(error.value))[0]
    exec(remedy, {"image": image})
    assert len(cut(image).sites) == 2


@pytest.mark.parametrize("scale", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("both", [True, False])
def test_the_remedy_for_a_scale_that_measures_nothing_works(scale, both):
    image = with_units("nm", "nm", scales=(scale if both else 0.5, scale))
    for call in (find_sublattices, cut):
        with pytest.raises(ValueError, match=f"{scale:g}, in which nothing can be") as error:
            call(image)
    exec(str(error.value).partition("to count pixels: ")[2], {"image": image})
    assert calibration(image) == ((1.0, 1.0), "") and len(cut(image).sites) == 2


def test_a_negative_scale_has_windows_of_a_positive_size():
    assert "window: 16 px (8 nm)" in repr(cut(with_units("nm", "nm").isig[::-1, ::-1]))


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


FILM = simulate_perovskite((200, 200), random_state=0)[0]


@pytest.mark.parametrize("given", [FILM.T, hs.signals.Signal2D(FILM.data[None]), FILM.as_lazy()])
def test_columns_are_those_of_the_image_wherever_its_axes_are(given):
    expected = find_columns(FILM, show_progressbar=False)
    found = find_columns(given, show_progressbar=False)
    np.testing.assert_array_equal(found[["x", "y"]], expected[["x", "y"]])


@pytest.mark.parametrize("find", [find_columns, find_sublattices])
def test_several_detectors_are_not_a_series(find):
    detectors = hs.stack([FILM, FILM * 0.5], new_axis_name="detector")
    with pytest.raises(ValueError, match="holds 2 detectors.*image.inav.0.*channels=True"):
        find(detectors, show_progressbar=False)


def test_columns_of_a_series_are_a_table_for_each_frame():
    series = hs.stack([FILM, FILM.isig[::-1, :]], new_axis_name="time")
    first, second = find_columns(series, show_progressbar=False)
    assert len(first) == len(second) == len(find_columns(FILM, show_progressbar=False))
    stack = SubImageStack.from_positions(
        series, [table[["x", "y"]] for table in (first, second)], window_size=24
    )
    assert set(stack.sites["frame"]) == {0, 1}
    series.data[1] = 0.0
    with pytest.raises(ValueError, match="frame 1: image is constant"):
        find_columns(series, show_progressbar=False)


@pytest.mark.parametrize("thing", [torch.ones(4, 4), np, scipy.sparse.eye(4, format="csr"), "x"])
def test_what_only_looks_like_an_array_is_no_image(thing):
    with pytest.raises(TypeError, match="image is a .*: pass a HyperSpy signal"):
        image_data(thing)
