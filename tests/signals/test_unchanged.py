# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verb that fails at its last step changes neither table, data nor metadata."""

import hashlib

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import SiteTable
from hs_rvae.signals.site_signal import SiteSignal


class Late(Exception):
    """Raised after the work was done."""


@pytest.fixture(scope="module")
def complete():
    """A small stack with the results of every verb."""
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (216, 216), cell=18.0, domain_size=5, random_state=0
    )
    xy, neighbours = (table[["x", "y"]].to_numpy() for table in (truth.b_sites, truth.a_sites))
    stack = hs_rvae.SubImageStack.from_positions(image, xy, window_size=20, neighbours=neighbours)
    stack.rvae(2, n_init=1, epochs=1, q_max=0.15, random_state=0)
    stack.register_angle()
    stack.assign_variants(4)
    stack.decomposition("PCA", output_dimension=2)
    return stack


def state(stack):
    """Everything that a failing verb must leave alone."""

    def digest(thing):
        if hasattr(thing, "axes_manager"):
            parts = [digest(thing.data), digest(thing.metadata.as_dictionary())]
            axes = [
                (a.name, a.scale, a.offset, a.size, str(a.units)) for a in thing.axes_manager._axes
            ]
            return [*parts, axes]
        if isinstance(thing, np.ndarray):
            return thing.shape, hashlib.sha1(np.ascontiguousarray(thing)).hexdigest()
        if isinstance(thing, dict):
            return {key: digest(value) for key, value in thing.items()}
        return repr(thing)

    results = digest(vars(stack.learning_results))
    return digest(stack), results, id(stack._rvae_model), id(stack._image)


VERBS = {
    "rvae": lambda s: s.rvae(1, n_init=1, epochs=1, q_max=0.15, random_state=0),
    "apply_rvae": lambda s: s.apply_rvae(s.rvae_model),
    "register_angle": lambda s: s.register_angle(0.3),
    "assign_variants": lambda s: s.assign_variants(2),
    "find_domains": lambda s: s.find_domains(),
    "measure_modes": lambda s: s.measure_modes(),
    "decomposition": lambda s: s.decomposition("NMF", output_dimension=2),
    "embedding": lambda s: s.embedding("mds", random_state=0),
    "cluster_analysis": lambda s: s.cluster_analysis("rvae", n_clusters=2, random_state=0),
    "rvae_diagnostics": lambda s: s.rvae_diagnostics(n_shuffles=10),
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_error_in_the_last_step_leaves_the_stack_as_it_was(verb, complete, monkeypatch):
    stack = complete.deepcopy()
    before, written = state(stack), SiteTable.set_many

    def set_many(self, *args, **kwargs):
        written(self, *args, **kwargs)
        stack.metadata.set_item("Sub_images.half", "done")
        raise Late

    monkeypatch.setattr(SiteTable, "set_many", set_many)
    with pytest.raises(Late):
        VERBS[verb](stack)
    assert state(stack) == before


def test_an_error_in_the_last_step_of_a_crop_leaves_the_stack_as_it_was(complete, monkeypatch):
    stack = complete.deepcopy()
    before = state(stack)

    def fail(self, *_):
        raise Late

    monkeypatch.setattr(SiteSignal, "_hand_results_to", fail)
    with pytest.raises(Late):
        stack.crop("site", 2, 9)
    assert state(stack) == before
    with pytest.raises(ValueError, match="axis"):
        stack.crop("nowhere", 0, 1)
    assert state(stack) == before


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ((2, -2, 99, None), r"left=99, right=None: nothing is left"),
        ((2, -2, 1, 1e9), r"right=1000000000.0: give a value"),
        ((5, 5, 2, -2), r"top=5, bottom=5: nothing is left"),
    ],
)
def test_a_crop_of_both_axes_is_all_or_nothing(complete, limits, message):
    stack = complete.deepcopy()
    before = state(stack)
    with pytest.raises(ValueError, match=message):
        stack.crop_signal(*limits)
    assert state(stack) == before
    shape = stack.data.shape
    stack.crop_signal(2, -2, 1)
    assert stack.data.shape == (shape[0], shape[1] - 4, shape[2] - 1)


def test_an_interruption_leaves_the_stack_as_it_was(complete, monkeypatch):
    stack = complete.deepcopy()
    before = state(stack)

    def interrupt(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(SiteTable, "set_many", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stack.assign_variants(2)
    assert state(stack) == before


def test_a_table_that_refuses_a_column_is_unchanged(complete):
    table = complete.deepcopy().sites
    before = table.to_csv(), table.units, table.writers
    for values in (np.zeros(3), "x", None, [1j] * len(table)):
        with pytest.raises((ValueError, TypeError)):
            table["mine"] = values
        with pytest.raises((ValueError, TypeError)):
            table.set_many({"good": np.zeros(len(table)), "mine": values})
    assert (table.to_csv(), table.units, table.writers) == before


def test_what_is_loaded_lazily_is_restored_as_well(complete, tmp_path, monkeypatch):
    complete.save(tmp_path / "stack.zspy")
    stack = hs.load(tmp_path / "stack.zspy", lazy=True)
    columns = stack.sites.columns

    def fail(self, *args, **kwargs):
        raise Late

    monkeypatch.setattr(SiteTable, "set_many", fail)
    with pytest.raises(Late):
        stack.assign_variants(2)
    assert stack.sites.columns == columns
