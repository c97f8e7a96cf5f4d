# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns that a detector has cut off."""

import numpy as np
import pytest

import hs_rvae
from hs_rvae.simulation import ProjectedStructure, simulate_crystal

KINDS = ProjectedStructure([(0.4, 0), (0, 0.4)], [(0, 0, 1.0), (0.5, 0.5, 0.92)])


def image_of(level, dark=False):
    image, _ = simulate_crystal(
        (300, 300), KINDS, spacing=18, dose=400, dark=dark, random_state=1, thickness_gradient=0.0
    )
    low, high = np.quantile(image.data, [0.02, 0.999])
    if dark:
        image.data = np.maximum(image.data, high - level * (high - low))
    else:
        image.data = np.minimum(image.data, low + level * (high - low))
    return image


def warnings_of(image, **options):
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False, **options)
    return lattice, [text for text in lattice.crystal.cautions if "saturated" in text]


def test_columns_that_are_cut_off_are_named_with_their_share():
    image = image_of(0.8)
    lattice, (text,) = warnings_of(image)
    limit = image.data.max()
    share = (image.data == limit).mean()
    assert f"{share:.1%} of the pixels have the highest value {limit:g}" in text
    assert f"saturation={limit:g}" in text and "cell=" in text
    # What the fits leave of them is no column.
    assert len(lattice.sublattice_list) <= 2
    assert all(place.occupied > 0.9 for place in lattice.crystal.places)


def test_the_advice_parts_the_kinds():
    image = image_of(0.8)
    edge = 18 * np.sqrt(2)
    lattice, texts = warnings_of(image, cell=edge, saturation=image.data.max())
    assert not texts and len(lattice.sublattice_list) == 2
    one, other = (place.height for place in lattice.crystal.places)
    assert other / one == pytest.approx(0.92, abs=0.02)


@pytest.mark.parametrize("level", [1.5, 1.0])
def test_single_pixels_at_the_limit_are_no_saturation(level):
    assert not warnings_of(image_of(level))[1]


def test_dark_columns_that_are_cut_off_are_named():
    (text,) = warnings_of(image_of(0.8, dark=True))[1]
    assert "lowest value" in text and "saturation=" not in text


@pytest.mark.parametrize("dose", [3.0, 12.0])
def test_few_counts_are_no_saturation(dose):
    for dark in (False, True):
        image, _ = simulate_crystal((300, 300), KINDS, dose=dose, dark=dark, random_state=0)
        assert not warnings_of(image)[1]
