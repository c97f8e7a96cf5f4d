# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full disks and Ctrl-C: a message, no half of a file, and a stack that can still be used."""

import errno
import os

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import SubImageStack, windows
from hs_rvae.refinement import fitting

FORMATS = ["hspy", "zspy"]


@pytest.fixture
def stack(film):
    return film.stack.inav[:64].deepcopy()


def broken(stack, error):
    """The stack, lazy, with sub-images whose last block cannot be had."""

    def fail(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 3:
            raise error
        return block

    lazy = stack.as_lazy()
    data = da.from_array(stack.data, chunks=(16, -1, -1))
    lazy.data = data.map_blocks(fail, dtype=data.dtype, meta=np.empty((0, 0, 0), np.float32))
    return lazy


ERRORS = [
    (OSError(errno.ENOSPC, "No space left on device"), OSError, "could not be saved.*No space"),
    (KeyboardInterrupt(), KeyboardInterrupt, "was interrupted: .* can be saved again"),
]


@pytest.mark.parametrize("error, kind, text", ERRORS)
@pytest.mark.parametrize("extension", FORMATS)
def test_a_save_that_ends_halfway_leaves_nothing(tmp_path, stack, extension, error, kind, text):
    path = tmp_path / f"stack.{extension}"
    with pytest.raises(kind, match=text) as caught:
        broken(stack, error).save(path)
    assert "no file is left" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    stack.save(path)
    np.testing.assert_array_equal(hs.load(path).data, stack.data)


@pytest.mark.parametrize("error, kind, text", ERRORS)
@pytest.mark.parametrize("extension", FORMATS)
def test_a_save_that_ends_halfway_leaves_the_earlier_file(
    tmp_path, stack, extension, error, kind, text
):
    path = tmp_path / f"stack.{extension}"
    stack.save(path)
    with pytest.raises(kind, match="the file that was there is as it was"):
        broken(stack.inav[:] * 2, error).save(path, overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    np.testing.assert_array_equal(hs.load(path).data, stack.data)


@pytest.mark.parametrize("extension", FORMATS)
def test_a_stack_takes_the_place_of_another_and_knows_its_file(tmp_path, stack, extension):
    path = tmp_path / f"stack.{extension}"
    stack.save(path)
    other = stack.inav[:10]
    other.save(path, overwrite=True)
    assert len(hs.load(path).sites) == 10
    stack.save(path, overwrite=False)  # as HyperSpy: nothing is written
    assert len(hs.load(path).sites) == 10
    assert other.tmp_parameters.filename == "stack"
    other.save(overwrite=True)
    with pytest.warns(FutureWarning, match="The 'extension' parameter is deprecated"):
        stack.save(tmp_path / "named", extension=extension)
    with pytest.raises(ValueError, match="Cannot specify both 'extension' and 'file_format'"):
        stack.save(tmp_path / "named", extension=extension, file_format="HSPY")
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"named.{extension}", path.name]


@pytest.mark.parametrize("extension", FORMATS)
def test_a_lazy_stack_is_written_block_by_block(tmp_path, stack, extension):
    lazy = stack.as_lazy()
    lazy.data = da.from_array(stack.data, chunks=(16, -1, -1))
    lazy.save(tmp_path / f"lazy.{extension}")
    loaded = hs.load(tmp_path / f"lazy.{extension}", lazy=True)
    assert loaded._lazy and lazy._lazy
    np.testing.assert_array_equal(loaded.data.compute(), stack.data)
    np.testing.assert_array_equal(loaded.sites.xy, stack.sites.xy)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, stack, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="could not be saved.*Permission denied.*stack.hspy"):
        stack.save(tmp_path / "stack.hspy")
    assert list(tmp_path.iterdir()) == []


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_ctrl_c_while_windows_are_cut(film, monkeypatch):
    monkeypatch.setattr(windows, "_cut_block", interrupt)
    with pytest.raises(KeyboardInterrupt, match="Cutting .* no stack has been made"):
        SubImageStack.from_positions(film.image, film.positions, window_size=32)


def test_ctrl_c_while_columns_are_refined(film, monkeypatch):
    monkeypatch.setattr(fitting.kernel, "fit_range", interrupt)
    with pytest.raises(KeyboardInterrupt, match="Refining columns .* nothing has been changed"):
        hs_rvae.refine_columns(film.image, film.positions)
    with pytest.raises(KeyboardInterrupt, match="Refining columns .* nothing has been changed"):
        hs_rvae.find_sublattices(film.image)


@pytest.mark.slow
def test_ctrl_c_while_a_lazy_stack_is_read_encoded_or_rebuilt(stack):
    stack.rvae(output_dimension=1, epochs=1, n_init=1, random_state=0)
    model = stack.rvae_model
    stack.assign_variants(4)
    columns = stack.sites.to_dataframe()
    lazy = broken(stack, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="stack.rvae.. was interrupted|rVAE reading was"):
        lazy.rvae(output_dimension=1, epochs=1, n_init=1, random_state=0)
    with pytest.raises(KeyboardInterrupt, match="apply_rvae.* the site table is as it was"):
        lazy.apply_rvae(model)
    for verb in (lazy.get_rvae_residual, lazy.derotate):
        with pytest.raises(KeyboardInterrupt, match="nothing has changed"):
            verb(lazy_output=False)
    assert lazy.sites.to_dataframe().equals(columns)
    assert lazy.rvae_model is model
    usable = lazy.inav[:48]
    usable.apply_rvae(model)
    assert np.isfinite(usable.sites["angle"]).all()
