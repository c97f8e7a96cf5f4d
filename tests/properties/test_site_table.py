# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site table as a state machine: after any sequence of steps each row is that of its site."""

import tempfile
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import hs_rvae

WIDTH = 8
XY = np.array([[x, y] for y in (12.0, 25.0) for x in (12.0, 24.5, 36.0, 47.5)])
NAMES = st.sampled_from(["mine", "other", "a b", "é"])


class Stacks(RuleBasedStateMachine):
    """A stack whose pixels and columns name the site that they belong to, and what it must be."""

    def __init__(self):
        super().__init__()
        # Each window of the ramp has another mean, by which a site is known.
        image = np.arange(38.0)[:, None] * 1000 + np.arange(60.0)
        self.stack = hs_rvae.SubImageStack.from_positions(image, XY, window_size=WIDTH)
        self.sites = np.arange(len(XY))
        self.columns = {}

    def keep(self, rows):
        self.sites = self.sites[rows]
        self.columns = {name: values[rows] for name, values in self.columns.items()}

    @rule(name=NAMES, seed=st.integers(0, 99), whole=st.booleans())
    def add(self, name, seed, whole):
        values = np.random.default_rng(seed).normal(size=len(self.sites))
        values = np.rint(values * 9).astype(int) if whole else values
        self.stack.sites[name] = values
        self.columns[name] = values

    @rule(name=NAMES)
    def remove(self, name):
        if name in self.columns:
            self.stack.sites.remove(name)
            del self.columns[name]
        else:
            with pytest.raises(KeyError, match="name"):
                self.stack.sites.remove(name)

    @rule(bad=st.sampled_from([None, "x", np.ones(99), np.ones((2, 2)), [1j] * 8]), name=NAMES)
    def add_what_does_not_fit(self, bad, name):
        with pytest.raises((ValueError, TypeError)):
            self.stack.sites[name] = bad

    @rule(numbers=st.lists(st.integers(-8, 7), min_size=1, max_size=9))
    def select(self, numbers):
        numbers = [number for number in numbers if -len(self.sites) <= number < len(self.sites)]
        assume(numbers)
        rows = np.array(numbers)
        self.stack = self.stack.select_sites(rows)
        self.keep(rows)

    @rule(seed=st.integers(0, 99))
    def mask(self, seed):
        rows = np.random.default_rng(seed).random(len(self.sites)) < 0.8
        if rows.any():
            self.stack = self.stack.select_sites(rows)
            self.keep(rows)
        else:
            with pytest.raises(ValueError):
                self.stack.select_sites(rows)

    @rule(start=st.integers(0, 7), stop=st.integers(0, 9), step=st.sampled_from([1, 2]))
    def slice(self, start, stop, step):
        rows = np.arange(len(self.sites))[start:stop:step]
        assume(len(rows) and stop <= len(self.sites))
        self.stack = self.stack.inav[start:stop:step]
        self.keep(rows)

    @rule(ending=st.sampled_from([".hspy", ".zspy"]))
    def save_and_load(self, ending):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"stack{ending}"
            self.stack.save(path)
            self.stack = hs.load(path)

    @rule()
    def copy(self):
        self.stack = self.stack.deepcopy()

    @rule()
    def join(self):
        assume(len(self.sites) < 20)
        self.stack = hs_rvae.stack([self.stack, self.stack])
        self.keep(np.tile(np.arange(len(self.sites)), 2))

    @rule(seed=st.integers(0, 99))
    def match(self, seed):
        assume(len(set(self.sites)) == len(self.sites))
        order = np.random.default_rng(seed).permutation(len(self.sites))
        other = self.stack.select_sites(order)
        pairs = self.stack.match_sites(other)
        np.testing.assert_array_equal(self.sites[pairs[0]], self.sites[order][pairs[1]])
        assert len(pairs[0]) == len(self.sites)

    @invariant()
    def each_row_is_that_of_its_site(self):
        table = self.stack.sites
        assert len(table) == len(self.stack.data) == len(self.sites)
        np.testing.assert_array_equal(table["site_index"], self.sites)
        np.testing.assert_array_equal(table.xy, XY[self.sites])
        middle = self.stack.data.mean(axis=(1, 2))
        np.testing.assert_allclose(middle, XY[self.sites] @ [1.0, 1000.0], rtol=1e-4)
        for name, values in self.columns.items():
            np.testing.assert_array_equal(table[name], values)
            assert table[name].dtype.kind == values.dtype.kind


def test_any_sequence_of_steps_keeps_rows_and_sites_together():
    run_state_machine_as_test(Stacks, settings=settings())
