# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of arguments that many functions share."""

import numpy as np
import pytest

from hs_rvae.checks import is_whole_number, whole_number


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(2)])
def test_integers_of_python_and_numpy_are_whole_numbers(value):
    assert is_whole_number(value)
    number = whole_number(value, "n")
    assert number == value and type(number) is int


@pytest.mark.parametrize(
    "value", [0, -1, 2.0, np.float64(2), True, np.bool_(True), "2", None, np.nan]
)
def test_anything_else_is_refused_by_name_and_value(value):
    assert not is_whole_number(value)
    with pytest.raises(ValueError, match="n_passes=.*: give a whole number of 1 or more or 'auto'"):
        whole_number(value, "n_passes", alternative=" or 'auto'")


def test_the_minimum_belongs_to_the_range():
    assert whole_number(0, "n_factors", minimum=0) == 0
    with pytest.raises(ValueError, match="n_factors=-1: give a whole number of 0 or more"):
        whole_number(-1, "n_factors", minimum=0)
