# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved is what is loaded, whatever columns and units are called; or it is refused."""

import tempfile
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import hs_rvae
from hs_rvae import SiteTable

NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        ["a,b", 'a"b', "a#b", "a/b", "a.b", " a ", "é☃", "\udce4", "a\0b", "nan", "site", "=1+1"]
    ),
)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=64)
COLUMNS = st.dictionaries(
    NAMES, st.lists(NUMBERS, min_size=2, max_size=2) | st.lists(st.integers(-9, 9), min_size=2,
    max_size=2), max_size=3,
)  # fmt: skip


def stack_of(columns):
    """A stack with these columns, and those that were refused."""
    stack = hs_rvae.SubImageStack.from_positions(
        np.ones((40, 40)), [[12.0, 20.0], [25.0, 18.0]], window_size=8
    )
    refused = []
    for name, values in columns.items():
        before = stack.sites.columns
        try:
            stack.sites.set(name, values)
        except ValueError as error:
            assert "name" in str(error) and stack.sites.columns == before
            refused.append(name)
    return stack, refused


@given(COLUMNS, st.sampled_from([".hspy", ".zspy"]))
def test_a_stack_keeps_all_columns(columns, ending):
    stack, _ = stack_of(columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"stack{ending}"
        stack.save(path)
        loaded = hs.load(path)
        assert loaded.sites.columns == stack.sites.columns
        assert loaded.sites.units == stack.sites.units
        for name in stack.sites.columns:
            np.testing.assert_array_equal(loaded.sites[name], stack.sites[name])
            assert loaded.sites[name].dtype == stack.sites[name].dtype


@given(COLUMNS)
def test_a_table_of_text_keeps_all_columns(columns):
    table = stack_of(columns)[0].sites
    with tempfile.TemporaryDirectory() as folder:
        path = table.save(Path(folder) / "sites.csv")
        read = pd.read_csv(path, index_col=0)
        units = pd.read_csv(Path(folder) / "sites.units.csv", keep_default_na=False)
    assert list(read.columns) == list(table.columns) and list(units["column"]) == list(
        table.columns
    )
    for name in table.columns:
        np.testing.assert_array_equal(read[name].to_numpy(float), table[name].astype(float))


@given(COLUMNS)
def test_a_frame_and_back_is_the_same_table(columns):
    table = stack_of(columns)[0].sites
    frame = table.to_dataframe()
    again = SiteTable.from_columns({name: frame[name].to_numpy() for name in frame})
    assert again.columns == table.columns
    for name in table.columns:
        np.testing.assert_array_equal(again[name], table[name])
