# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units: one answer to "is it calibrated?", lengths in picometres, angles."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae.parent_image import calibration
from hs_rvae.report import text
from hs_rvae.sites import units

UNCALIBRATED = ["", "px", "pixel", "pixels", "Pixel", " px ", "<undefined>", None]


@pytest.mark.parametrize("unit", UNCALIBRATED)
def test_pixels_and_no_unit_are_no_calibration(unit):
    assert not units.is_calibrated(unit)
    assert (units.text(unit), units.printed(unit), units.picometres(unit)) == ("", "px", None)


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        ("pm", 1.0),
        ("nm", 1000.0),
        ("Å", 100.0),
        ("A", 100.0),
        ("angstrom", 100.0),
        ("Angstrom", 100.0),
        ("um", 1e6),
        ("µm", 1e6),
        ("μm", 1e6),
        ("nanometer", 1000.0),
        ("m", 1e12),
        ("1/nm", None),
        ("s", None),
        ("cells", None),
        ("not a unit!", None),
    ],
)
def test_lengths_have_picometres(unit, length):
    assert units.is_calibrated(unit)
    assert units.picometres(unit) == length
    assert units.length_scale(unit) == ((1.0, unit) if length is None else (length, "pm"))


def test_lengths_are_compared_where_they_can_be():
    assert units.length_ratio("nm", "Å") == 10.0
    assert units.length_ratio("cells", "cells") == units.length_ratio("px", "pixel") == 1.0
    assert units.length_ratio("nm", "s") is None and units.length_ratio("nm", "px") is None


@pytest.mark.parametrize("unit", ["deg", "°", "degree", "degrees"])
def test_degrees_and_radians_are_angles(unit):
    assert units.is_angle(unit) and units.is_angle("rad") and not units.is_angle("mrad")
    np.testing.assert_allclose(units.radians([90.0], unit), [np.pi / 2])
    np.testing.assert_array_equal(units.degrees([90.0], unit), [90.0])
    assert units.in_radians("") and units.in_radians("radians") and not units.in_radians(unit)


@pytest.mark.parametrize("unit", ["", "px", "pixel", "pixels", None])
def test_everybody_agrees_that_an_axis_is_not_calibrated(unit, tmp_path):
    rng = np.random.default_rng(0)
    image = hs.signals.Signal2D(rng.random((120, 130)))
    if unit is not None:
        for axis in image.axes_manager.signal_axes:
            axis.units = unit
    xy = np.stack(np.meshgrid(np.arange(20.0, 100, 15), np.arange(20.0, 100, 15)), -1)
    xy = xy.reshape(-1, 2)
    stack = hs_rvae.SubImageStack.from_positions(image, xy, 20, neighbours=xy + 7.5)
    assert calibration(image) == ((1.0, 1.0), "")
    assert stack.sites.pixel_units == stack.sites.units["displacement_x_calibrated"] == "px"
    assert stack._pixel_calibration() == (None, None)
    assert not text._is_calibrated(stack.axes_manager.signal_axes[0])
    assert "not calibrated" in dict(text.about_image(stack))["size"]
    assert stack.plot_site_map("x", image=False).get_xlabel() == "x (px)"
    assert "window: 20 px, " in repr(stack)


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1e3), ("Å", 1e2), ("A", 1e2), ("µm", 1e6)])
def test_displacements_are_in_picometres(unit, factor):
    image = hs.signals.Signal2D(np.random.default_rng(0).random((120, 130)))
    for axis in image.axes_manager.signal_axes:
        axis.units, axis.scale = unit, 0.02
    xy = np.stack(np.meshgrid(np.arange(20.0, 100, 15), np.arange(20.0, 100, 15)), -1)
    xy = xy.reshape(-1, 2)
    stack = hs_rvae.SubImageStack.from_positions(image, xy, 20, neighbours=xy + [7.0, 8.0])
    sites = stack.sites
    assert sites.units["displacement_x_calibrated"] == "pm"
    np.testing.assert_allclose(
        sites["displacement_x_calibrated"], sites["displacement_x"] * 0.02 * factor
    )
    assert stack._pixel_calibration() == (0.02, unit)
