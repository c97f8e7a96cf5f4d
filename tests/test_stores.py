# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that dask arrays read, and stores that are replaced behind their back."""

import os
import shutil

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae.stores import files_read_by, guarded

pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).random((20, 30, 30))


def saved(pixels, path):
    hs.signals.Signal2D(pixels).save(path, overwrite=True)
    return hs.load(path, lazy=True).data


@pytest.mark.parametrize("name", ["a.zspy", "a.hspy"])
def test_the_files_behind_an_array_are_found_after_any_step(tmp_path, pixels, name):
    path = tmp_path / name
    array = saved(pixels, path)
    for one in (array, guarded(array)[::-1] * 2, da.concatenate([da.ones((1, 30, 30)), array])):
        assert files_read_by(one) == {os.path.realpath(path)}
    assert files_read_by(da.ones(3)) == files_read_by(pixels) == set()


def test_an_open_hdf5_file_needs_no_guard(tmp_path, pixels):
    array = saved(pixels, tmp_path / "a.hspy")
    assert guarded(array) is array
    assert guarded(da.ones(3)).name == da.ones(3).name


@pytest.mark.parametrize("change", ["other pixels", "the same pixels", "removed", "moved"])
def test_a_store_that_is_replaced_is_not_read_any_more(tmp_path, pixels, change):
    path = tmp_path / "a.zspy"
    array = guarded(saved(pixels, path))
    part = array[::2, 3:] + 1
    np.testing.assert_array_equal(part.compute(), pixels[::2, 3:] + 1)
    if change == "removed":
        shutil.rmtree(path)
    elif change == "moved":
        path.rename(tmp_path / "b.zspy")
    else:
        saved(pixels * (1 + (change == "other pixels")), path)
    for one in (array, part):
        with pytest.raises(OSError, match=r"a.zspy' has been replaced or removed.*load it again"):
            one.compute()
    if "pixels" in change:
        assert guarded(hs.load(path, lazy=True).data).compute().shape == pixels.shape


def test_the_guard_survives_optimisation_and_pickling(tmp_path, pixels):
    import cloudpickle

    path = tmp_path / "a.zspy"
    array = guarded(saved(pixels, path))
    kept = [dask.optimize(array)[0], cloudpickle.loads(cloudpickle.dumps(array))]
    saved(pixels, path)
    for one in kept:
        with pytest.raises(OSError, match="has been replaced"):
            one.compute()
