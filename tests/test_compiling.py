# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where compiled code is kept, and that it works where it cannot be kept."""

import ast
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import platformdirs
import pytest
from numba.core.dispatcher import Dispatcher
from numba.np.ufunc.ufuncbuilder import UFuncDispatcher

import hs_rvae
from hs_rvae.refinement import compiling, fitting, kernel

PACKAGE = Path(hs_rvae.__file__).parent


def twice(x):
    return 2 * x


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A function that says where numba's setting and the user's cache are."""

    def settle(setting, cache):
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(setting))
        monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: Path(cache) / name)
        compiling.kept_in.cache_clear()

    yield settle
    compiling.kept_in.cache_clear()


def test_compiled_code_of_the_package_is_kept_outside_of_it():
    kept = kernel.fit_range.stats.cache_path
    assert kept is None or not Path(kept).is_relative_to(PACKAGE)


def test_compiled_code_is_kept_in_the_users_cache(folders, tmp_path):
    folders("", tmp_path)
    function = compiling.compiled()(twice)
    assert numba.config.CACHE_DIR == ""  # other people's functions keep their folder
    assert function(3) == 6
    assert list((tmp_path / "hs_rvae" / "numba").rglob("*twice*.nbi"))


def test_numbas_own_setting_comes_first(folders, tmp_path):
    folders(tmp_path / "mine", tmp_path / "cache")
    assert compiling.compiled()(twice)(3) == 6
    assert numba.config.CACHE_DIR == str(tmp_path / "mine")
    assert list((tmp_path / "mine").rglob("*twice*.nbi"))
    assert not (tmp_path / "cache").exists()


def test_a_setting_that_cannot_be_written_is_passed_over(folders, tmp_path):
    (tmp_path / "file").touch()
    folders(tmp_path / "file" / "mine", tmp_path / "cache")
    assert compiling.compiled()(twice)(3) == 6
    assert list((tmp_path / "cache").rglob("*twice*.nbi"))


@pytest.mark.parametrize("cache", ["file/cache", "~/.cache"])
def test_without_a_folder_nothing_is_kept_and_everything_works(
    folders, tmp_path, monkeypatch, cache
):
    """A home that cannot be written, and no home: then "~" is not a folder's name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    folders("", tmp_path / cache if "file" in cache else cache)
    function = compiling.compiled()(twice)
    assert function(3) == 6 and function.stats.cache_path is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_numba_may_be_told_to_keep_no_code_there(folders, tmp_path, monkeypatch):
    for dispatcher in (Dispatcher, UFuncDispatcher):  # what is changed for others is put back
        monkeypatch.setattr(dispatcher, "enable_caching", dispatcher.enable_caching)
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "IPythonCacheLocator", raising=False)
    folders("", tmp_path)
    assert compiling.compiled()(twice)(3) == 6
    assert numba.config.CACHE_DIR == ""


NOWHERE = """
import numba.core.caching as caching
def not_writable(self):
    raise OSError(30, "Read-only file system")
for name in ("UserProvidedCacheLocator", "InTreeCacheLocator", "UserWideCacheLocator"):
    getattr(caching, name).ensure_cache_path = not_writable
from hs_rvae.refinement import kernel
import atomap.api
assert kernel.fit_range.stats.cache_path is None
"""


@pytest.mark.slow
def test_other_packages_load_where_no_folder_can_be_written():
    done = subprocess.run([sys.executable, "-c", NOWHERE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "set the environment variable NUMBA_CACHE_DIR" in done.stderr


def test_no_other_module_compiles():
    """Code that numba keeps beside a module outlives the package that an installer removes."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert path.name == "compiling.py" or not any(n.startswith("numba") for n in names)


def test_only_a_call_that_compiles_is_announced(folders, tmp_path):
    folders("", tmp_path)
    function = compiling.compiled()(twice)
    assert compiling.must_compile(function)
    function(3)
    assert not compiling.must_compile(function)  # compiled in this process
    assert not compiling.must_compile(compiling.compiled()(twice))  # kept by an earlier one
    folders("", tmp_path / "another")
    assert compiling.must_compile(compiling.compiled()(twice))


def test_code_of_an_earlier_version_of_a_function_does_not_count(folders, tmp_path):
    """Its lines stood elsewhere in the file."""
    folders("", tmp_path)
    compiling.compiled()(twice)(3)
    for path in (tmp_path / "hs_rvae").rglob("*twice*.nbi"):
        line = twice.__code__.co_firstlineno
        path.rename(path.with_name(path.name.replace(f"-{line}.", f"-{line + 1}.")))
    assert compiling.must_compile(compiling.compiled()(twice))


def test_an_inner_function_has_no_entry_from_python_and_runs_as_it_is_written(folders, tmp_path):
    folders("", tmp_path)
    function = compiling.inner()(twice)
    outer = compiling.compiled()(lambda x: function(x) + 1)
    assert function("ab") == "abab"  # nothing is compiled for a text
    assert outer(3) == 7 and len(function.signatures) == 1
    assert not list(tmp_path.rglob("*twice*"))


def test_inner_functions_are_compiled_for_one_kind_of_arguments_each():
    """A constant among the arguments would be another kind, and compiled for again."""
    code = """
import numpy as np
from hs_rvae.refinement import ahead, kernel, model_sum
ahead._compile_second()
ahead._compile_first()
functions = {**vars(kernel), **vars(model_sum)}.values()
several = {f.__name__ for f in functions if len(getattr(f, "signatures", ())) > 1}
assert several <= {"dot"}, several
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_starts_are_of_one_type_however_they_lie_in_memory(monkeypatch):
    """Another type would be compiled for again: a quarter of the time of the first search."""
    seen = []
    monkeypatch.setattr(kernel, "fit_range", lambda *arguments: seen.append(arguments[3].flags))
    image = np.random.default_rng(0).normal(size=(40, 40))
    options = fitting.make_options(6.0, None, None, 5, 1)
    for starts in (np.full((3, 2), 20.0), np.full((2, 3), 20.0).T):
        fitting.Fit.from_starts(starts).run(image, options)
    assert [flags.c_contiguous for flags in seen] == [True, True]
