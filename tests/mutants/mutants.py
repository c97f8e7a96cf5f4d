# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutation testing: small changes of a module, each of which its tests should notice.

python tests/mutants/mutants.py positions windows [--mutants 100] [--seed 0] [--to results.jsonl]

A mutant is a module with one operator, comparison, condition, number or statement changed. It is
made in memory, in a process of its own, which runs the tests of the module up to the first that
fails. A mutant that all tests pass has survived. Texts, annotations, messages and lines of the log
are left alone.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
#: Sources of a part of the package, and the tests that guard it; quick ones first.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "site table": (
        ("hs_rvae/sites/table.py",),
        (
            "tests/sites/test_table.py", "tests/properties/test_site_table.py",
            "tests/signals/test_selection.py", "tests/signals/test_saving.py",
        ),
    ),
    "positions": (
        ("hs_rvae/positions.py", "hs_rvae/position_files.py"),
        ("tests/test_positions.py",),
    ),
    "windows": (
        ("hs_rvae/windows.py", "hs_rvae/lazy_windows.py"),
        (
            "tests/test_windows.py", "tests/properties/test_windows.py",
            "tests/test_lazy_windows.py", "tests/signals/test_cutting.py",
        ),
    ),
    "variants": (
        ("hs_rvae/variants/directions.py", "hs_rvae/variants/groups.py",
         "hs_rvae/variants/mixture.py", "hs_rvae/variants/walls.py"),
        ("tests/test_variants.py", "tests/properties/test_angles.py",
         "tests/signals/test_variants.py"),
    ),
    "geometry": (
        ("hs_rvae/rvae/geometry.py",),
        ("tests/rvae/test_geometry.py", "tests/properties/test_harmonics.py",
         "tests/rvae/test_pose.py", "tests/rvae/test_coefficients.py"),
    ),
    "refinement": (
        ("hs_rvae/refinement/aperture.py", "hs_rvae/refinement/fitting.py",
         "hs_rvae/refinement/fixed_width.py", "hs_rvae/refinement/kernel.py",
         "hs_rvae/refinement/model_sum.py", "hs_rvae/refinement/single_columns.py",
         "hs_rvae/refinement/tail.py", "hs_rvae/refinement/two_sublattices.py"),
        ("tests/refinement", "tests/properties/test_refinement.py"),
    ),
}  # fmt: skip

_SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
_PATIENCE = 10.0  # times the seconds of CPU that the tests take without a change


def changes(node: ast.AST) -> list[ast.AST]:
    """Nodes that can stand in the place of one: it with one thing changed."""
    found: list[ast.AST] = []
    changed = copy.copy(node)
    match node:
        case ast.Compare(ops=[op]) if type(op) in _SWAPPED:
            changed.ops = [_SWAPPED[type(op)]()]
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in _SWAPPED:
            changed.op = _SWAPPED[type(op)]()
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            return [node.operand]
        case ast.If() | ast.While() | ast.IfExp():
            changed.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Constant(value=bool() as value):
            changed.value = not value
        case ast.Constant(value=int() as value):
            changed.value = value + 1
        case ast.Constant(value=float() as value):
            changed.value = value * 2 if value else 1.0
        case ast.Expr(value=ast.Call()) | ast.Raise():
            return [ast.Pass()]
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            changed.value = ast.Constant(None)
        case _:
            return []
    found.append(changed)
    return found


def _left_alone(node: ast.AST) -> bool:
    """Texts, messages and lines of the log."""
    node = node.value if isinstance(node, ast.Expr) else node
    text = ast.unparse(node) if isinstance(node, ast.Call) else ""
    in_log = isinstance(node, ast.Call) and text.startswith(("_logger.", "logging."))
    typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.JoinedStr) or in_log or typing


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield parent, field, index in it, and node, of all nodes that may be changed."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list") or (
            isinstance(node, ast.Raise) and field == "exc"
        ):
            continue
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _left_alone(child):
                yield node, field, i if isinstance(value, list) else None, child
                yield from places(child)


def mutants(path: Path, number: int | None = None) -> tuple[list[str], ast.Module]:
    """Describe all mutants of a module, a line for each; make the one of a number, if given."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[str] = []
    for parent, field, i, node in list(places(tree)):
        for changed in changes(node):
            was, now = (ast.unparse(one).splitlines()[0][:60] for one in (node, changed))
            found.append(f"{node.lineno}: {was} -> {now}")
            if len(found) - 1 == number:
                ast.copy_location(changed, node)
                before = getattr(parent, field)
                after = changed if i is None else [*before[:i], changed, *before[i + 1 :]]
                setattr(parent, field, after)
                return found, ast.fix_missing_locations(tree)
    return found, tree


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a tree in the place of the source."""

    tree: ast.Module

    def get_code(self, fullname: str) -> Any:
        """The code of the tree."""
        return compile(self.tree, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds one module, the mutant."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """The specification of the mutant, for its name."""
        if fullname != self.name:
            return None
        loader = _Loader(self.name, str(self.path))
        loader.tree = self.tree
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


def _load_others() -> None:
    """Import what takes long, once for all processes; nothing of the package itself."""
    import hyperspy.api  # noqa: F401
    import hypothesis  # noqa: F401
    import matplotlib
    import pytest  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import sklearn.mixture  # noqa: F401
    import torch  # noqa: F401

    matplotlib.use("agg")
    if any(name == "hs_rvae" or name.startswith("hs_rvae.") for name in sys.modules):
        raise RuntimeError("The package is loaded already: its mutants would not be.")


def _run_tests(tests: tuple[str, ...], finder: _Finder | None, limit: float) -> None:
    """In a process of its own: load the mutant and run the tests; never returns."""
    import pytest

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
    folder = Path(tempfile.mkdtemp())
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder)
    if finder is not None:
        sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        if finder.path.name in ("kernel.py", "tail.py"):  # compiled by numba, and kept
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={folder / 'pytest'}"]
    os.chdir(ROOT)
    os._exit(int(pytest.main([*options, *tests])))


def judge(tests: tuple[str, ...], finder: _Finder | None, limit: float) -> tuple[str, float]:
    """Run the tests once: "survived", "killed" or "slow", and the seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if not child:
        try:
            _run_tests(tests, finder, limit)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if os.WIFSIGNALED(status):
        slow = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return ("slow" if slow else "killed"), seconds
    return ("killed" if os.WEXITSTATUS(status) else "survived"), seconds


def sample(part: str, count: int, seed: int) -> list[tuple[str, str, int]]:
    """A random sample of the mutants of a part: file, description and number."""
    every = [
        (file, change, number)
        for file in PARTS[part][0]
        for number, change in enumerate(mutants(ROOT / file)[0])
    ]
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[i] for i in order[:count]]


def run(part: str, count: int, seed: int, to: Path | None = None) -> list[dict[str, Any]]:
    """Judge a sample of mutants.

    Parameters
    ----------
    part : str
        A key of `PARTS`.
    count, seed : int
        Size of the sample, and its seed.
    to : pathlib.Path, optional
        File to which a line is added for each.

    Returns
    -------
    list of dict
        ``part``, ``file``, ``change``, ``ending`` and ``seconds``.

    Raises
    ------
    RuntimeError
        If the tests fail without a change.
    """
    tests = PARTS[part][1]
    _load_others()
    ending, usual = judge(tests, None, 900)
    if ending != "survived":
        raise RuntimeError(f"{part}: the tests fail without a change.")
    results = []
    for file, change, number in sample(part, count, seed):
        tree = mutants(ROOT / file, number)[1]
        name = file.removesuffix(".py").replace("/", ".")
        ending, seconds = judge(tests, _Finder(name, ROOT / file, tree), 30 + _PATIENCE * usual)
        result = {"part": part, "file": file, "change": change, "ending": ending}
        results.append(result | {"seconds": round(seconds, 1)})
        if to is not None:
            with open(to, "a", encoding="utf-8") as lines:
                lines.write(json.dumps(results[-1]) + "\n")
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Numbers of mutants that were noticed, and a line for each survivor."""
    survivors = [result for result in results if result["ending"] == "survived"]
    noticed = len(results) - len(survivors)
    lines = [f"{noticed} of {len(results)} noticed ({100 * noticed / max(len(results), 1):.0f} %)"]
    return "\n".join([*lines, *(f"{one['file']}:{one['change']}" for one in survivors)])


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    for part in options.parts:
        began = time.monotonic()
        results = run(part, options.mutants, options.seed, options.to)
        print(f"{part} ({time.monotonic() - began:.0f} s): {table(results)}", flush=True)


if __name__ == "__main__":
    main()
