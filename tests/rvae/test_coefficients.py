# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coefficients computed once: in memory or in a store, in one pass, with nothing left behind."""

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
import torch

from hs_rvae import RVAE
from hs_rvae.rvae import batches
from hs_rvae.rvae.coefficients import Coefficients, memory_budget

pytestmark = pytest.mark.slow  # fits of seconds each

SETTINGS = dict(output_dimension=1, epochs=2, n_init=1, random_state=0)


def same(result, other, tolerance=1e-5):
    for name in ("angle", "latent", "log_likelihood"):
        values, expected = getattr(result, name), getattr(other, name)
        difference = values - expected
        if name == "angle":
            difference = np.angle(np.exp(1j * difference))
        np.testing.assert_allclose(difference, 0, atol=tolerance * np.abs(expected).max())


def test_fit_transform_is_fit_then_transform(film):
    images = film.stack.data
    model = RVAE(**SETTINGS, max_fit_sites=200)
    kept = model.fit_transform(images)
    same(kept, model.transform(images))
    again = RVAE(**SETTINGS, max_fit_sites=200).fit(images)
    same(kept, again.transform(images))


def test_a_store_on_disk_gives_the_same_and_is_removed(film, tmp_path, caplog):
    images = da.from_array(film.stack.data, chunks=(100, -1, -1))
    expected = RVAE(**SETTINGS).fit_transform(images)
    with dask.config.set({"temporary-directory": str(tmp_path)}), caplog.at_level("INFO"):
        stored = RVAE(**SETTINGS, memory_budget=0).fit_transform(images)
    assert "kept in the temporary store" in caplog.text and str(tmp_path) in caplog.text
    same(stored, expected, tolerance=0)
    assert list(tmp_path.iterdir()) == []


def test_coefficients_stay_where_the_model_computes_if_there_is_room(film, monkeypatch):
    """The processor stands in for a graphics card here."""
    from hs_rvae.rvae import coefficients

    images = da.from_array(film.stack.data, chunks=(100, -1, -1))
    expected = RVAE(**SETTINGS, max_fit_sites=200).fit_transform(images)
    places = []
    rows = Coefficients.rows
    monkeypatch.setattr(coefficients, "free_memory", lambda device: 1e9)
    monkeypatch.setattr(
        Coefficients, "rows", lambda s, i: places.append(type(s.array)) or rows(s, i)
    )
    same(RVAE(**SETTINGS, max_fit_sites=200).fit_transform(images), expected, tolerance=0)
    monkeypatch.setattr(coefficients, "free_memory", lambda device: 1e3)
    same(RVAE(**SETTINGS, max_fit_sites=200).fit_transform(images), expected, tolerance=0)
    assert places == [torch.Tensor, np.ndarray]


def test_a_store_is_read_by_rows_and_removed_when_the_fit_fails(tmp_path):
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        with pytest.raises(RuntimeError, match="broken"), Coefficients(0) as coefficients:
            coefficients.allocate(50, 7, chunk=4)
            coefficients.array[:] = np.repeat(np.arange(50)[:, None] * 1j, 7, axis=1)
            rows = np.array([3, 9, 10, 49])
            assert list(tmp_path.iterdir()) and coefficients.array.chunks == (4, 7)
            np.testing.assert_array_equal(coefficients.rows(rows)[:, 2], rows * 1j)
            raise RuntimeError("broken")
    assert list(tmp_path.iterdir()) == []


def test_pixels_are_read_once(film):
    n_read = []

    def read(block):
        n_read.append(len(block))
        return block

    images = da.from_array(film.stack.data, chunks=(100, -1, -1))
    images = images.map_blocks(read, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    RVAE(**SETTINGS, max_fit_sites=150).fit_transform(images)
    n = len(film.stack.data)
    # Once for all, and once at most for the scales, whose sample lies in all of these few blocks.
    assert n <= sum(n_read) <= 2 * n


def test_the_budget_is_a_share_of_the_free_memory_unless_told():
    free = psutil.virtual_memory().available
    assert 0.1 * free < memory_budget() < 0.5 * free
    assert memory_budget("1.5 GB") == 1_500_000_000 and memory_budget(7) == 7
    for wrong in ("much", -1, [2], True):
        with pytest.raises(ValueError, match="memory_budget=.*'2 GB'"):
            memory_budget(wrong)


def test_a_subset_holds_the_same_share_of_every_frame():
    strata = np.repeat([0, 1, 2], [600, 300, 100])
    rows = batches.rows_to_fit(1000, 100, torch.Generator().manual_seed(0), strata)
    assert len(np.unique(rows)) == 100
    np.testing.assert_allclose(np.bincount(strata[rows]), [60, 30, 10], atol=1)
    other = batches.rows_to_fit(1000, 100, torch.Generator().manual_seed(1), strata)
    assert set(rows) != set(other)


def test_blocks_are_read_one_ahead_in_order():
    reading = []

    def read(k):
        reading.append(k)
        return k * k

    seen = []
    for value in batches.prefetch(read, [0, 1, 2, 3]):
        seen.append(value)
    assert seen == [0, 1, 4, 9] and reading == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="bad block"):
        list(batches.prefetch(lambda k: (_ for _ in ()).throw(ValueError("bad block")), [1, 2]))


def test_threads_of_a_pool_leave_the_number_of_torch_threads_as_it_was(film, model):
    before = torch.get_num_threads()
    model.transform(da.from_array(film.stack.data, chunks=(64, -1, -1)))
    assert torch.get_num_threads() == before
