# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refined columns follow the image: its shifts, its turns, its units."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hs_rvae import refine_columns

SHAPE = (48, 64)
STARTS = np.array([[16.0, 16.0], [32.0, 15.0], [47.0, 31.0]])
SHIFTS = st.lists(
    st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)), min_size=3, max_size=3
).map(np.array)


def image_of(xy, sigma=2.2, height=100.0):
    rows, columns = np.indices(SHAPE)
    squares = (columns - xy[:, 0, None, None]) ** 2 + (rows - xy[:, 1, None, None]) ** 2
    return 10 + height * np.exp(-squares / (2 * sigma**2)).sum(axis=0)


def refined(image, starts=STARTS):
    table = refine_columns(image, starts, radius=6.0, show_progressbar=False)
    return table[["x", "y"]].to_numpy()


@given(SHIFTS)
def test_columns_are_found_where_they_are(shifts):
    np.testing.assert_allclose(refined(image_of(STARTS + shifts)), STARTS + shifts, atol=5e-3)


@given(SHIFTS, st.floats(1e-3, 1e4), st.floats(-1e3, 1e3))
def test_units_of_the_intensity_do_not_matter(shifts, factor, offset):
    image = image_of(STARTS + shifts)
    np.testing.assert_allclose(refined(factor * (image + offset)), refined(image), atol=1e-3)


@given(SHIFTS)
def test_a_transposed_image_has_transposed_columns(shifts):
    image = image_of(STARTS + shifts)
    turned = refined(np.ascontiguousarray(image.T), STARTS[:, ::-1])
    np.testing.assert_allclose(turned[:, ::-1], refined(image), atol=1e-4)


@given(SHIFTS, st.permutations(range(3)))
def test_the_order_of_the_columns_does_not_matter(shifts, order):
    image, order = image_of(STARTS + shifts), list(order)
    np.testing.assert_allclose(refined(image, STARTS[order]), refined(image)[order], atol=1e-9)
