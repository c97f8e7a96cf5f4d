# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutation testing: small changes of a module, each of which its tests should notice.

python tests/mutants/mutants.py positions windows [--mutants 100] [--seed 0] [--to results.jsonl]
python tests/mutants/mutants.py positions --again results.jsonl

A mutant is a module with one operator, comparison, condition, number or statement changed. It is
made in memory, in a process of its own, which runs the tests of the module up to the first that
fails. A mutant that all tests pass has survived. Texts, annotations, messages and lines of the log
are left alone.

All processes but a few are forks of one that has collected the tests. Tests that reach the changed
lines come first. A mutant outside of functions is loaded anew, with all that imports it.
"""

from __future__ import annotations

import argparse
import ast
import collections
import copy
import functools
import gc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Collection, Iterable, Iterator
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
            "tests/plots/test_signal_markers.py",
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
        ("tests/test_mixture.py", "tests/test_variants.py", "tests/properties/test_angles.py",
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
_COMPILED = ("kernel.py", "tail.py")  # by numba, which keeps what it has compiled
_PATIENCE = 5.0  # times the seconds that a test takes without a change
_GRACE, _COMPILING = 10.0, 60.0  # seconds more, and more yet where numba compiles


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


def name_of(file: str) -> str:
    """Name of the module in a file of the package."""
    return file.removesuffix(".py").replace("/", ".")


def functions(code: types.CodeType) -> Iterator[types.CodeType]:
    """Codes of the functions of a module and its classes, not those inside of functions."""
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            if one.co_flags & inspect.CO_NEWLOCALS:
                yield one
            else:  # the body of a class
                yield from functions(one)


def changed_function(path: Path, tree: ast.Module) -> types.CodeType | None:
    """New code of the one function in which a mutant differs; None if it differs elsewhere."""
    was, now = (
        list(functions(compile(source, str(path), "exec", dont_inherit=True)))
        for source in (path.read_text(encoding="utf-8"), tree)
    )
    pairs = [(old, new) for old, new in zip(was, now, strict=True) if old != new]
    if len(pairs) != 1 or pairs[0][0].co_freevars != pairs[0][1].co_freevars:
        return None
    if pairs[0][0].co_name in ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"):
        return None  # run while the module is loaded
    return pairs[0][1]


def held(paths: Collection[str]) -> list[Any]:
    """Functions of some files that anything holds, and all functions that numba compiles."""
    from numba.core.dispatcher import Dispatcher

    return [
        one
        for one in gc.get_objects()
        if issubclass(type(one), Dispatcher)  # the type of one: some objects warn when looked at
        or (type(one) is types.FunctionType and one.__code__.co_filename in paths)
    ]


def exchange(code: types.CodeType, every: list[Any]) -> None:
    """Give a function that is held a new code; what numba has kept of it is not used."""
    from numba.core.caching import NullCache

    place = (code.co_filename, code.co_qualname, code.co_firstlineno)
    for one in every:
        if isinstance(one, types.FunctionType):
            own = one.__code__
            if (own.co_filename, own.co_qualname, own.co_firstlineno) == place:
                one.__code__ = code
    compiled = [one for one in every if not isinstance(one, types.FunctionType)]
    names, seen = {code.co_name}, set[str]()
    while names:  # the function and all that call it, by their names
        seen |= names
        for one in compiled:
            if one.py_func.__name__ in names:
                one._cache = NullCache()
        callers = (one for one in compiled if names & set(one.py_func.__code__.co_names))
        names = {one.py_func.__name__ for one in callers} - seen


def lines_of(path: Path, line: int) -> range:
    """Lines of the statement, or of its head, that a line belongs to."""
    holders = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    inner = max(holders, key=lambda node: node.lineno)
    body = getattr(inner, "body", None)
    end = body[0].lineno - 1 if isinstance(body, list) else inner.end_lineno or line
    return range(inner.lineno, max(end, line) + 1)


class Baseline:
    """What the tests of a part do without a change: seconds of each, and lines that they reach."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.setup: dict[str, float] = {}  # of a file, whose tests share it
        self.reached: dict[str, dict[int, list[str]]] = {}
        self.kills: collections.Counter[str] = collections.Counter()

    def write(self, path: Path) -> None:
        """Write a file."""
        parts = {"seconds": self.seconds, "setup": self.setup, "reached": self.reached}
        path.write_text(json.dumps(parts), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a file."""
        self = cls()
        self.__dict__.update(json.loads(path.read_text(encoding="utf-8")))
        return self

    def order(self, names: Iterable[str]) -> list[str]:
        """
        Those that noticed most first, then quick ones.

        Of quick ones, those of a file are together: they share what they set up, which counts.
        """
        names = set(names)
        best = [name for name, _ in self.kills.most_common() if name in names][:_BEST]
        best.sort(key=lambda name: self.seconds[name] / self.kills[name])
        steps = (0.3, 2.0, 8.0)

        def place(name: str) -> tuple[int, str, float]:
            seconds, file = self.seconds[name], name.split("::")[0]
            return sum(seconds + self.setup.get(file, 0) > step for step in steps), file, seconds

        return [*best, *sorted(names - set(best), key=place)]

    def that_reach(self, file: str, lines: Iterable[int]) -> set[str]:
        """Tests that reach one of these lines of a file."""
        reached = self.reached.get(str(ROOT / file), {})
        return {name for line in lines for name in reached.get(str(line), [])}  # type: ignore


def measure(session: Any, files: tuple[str, ...]) -> Baseline:
    """Run all tests, each under a name of its own for the counter of lines."""
    import coverage

    counter = coverage.Coverage(
        data_file=None, config_file=False, include=[str(ROOT / file) for file in files]
    )
    counter.start()
    baseline = Baseline()

    class Names:
        @staticmethod
        def pytest_runtest_setup(item: Any) -> None:
            counter.switch_context(f"setup {item.nodeid}")

        @staticmethod
        def pytest_runtest_call(item: Any) -> None:
            counter.switch_context(item.nodeid)

        @staticmethod
        def pytest_runtest_logreport(report: Any) -> None:
            seconds = baseline.seconds.get(report.nodeid, 0.0)
            baseline.seconds[report.nodeid] = seconds + report.duration
            if report.when == "setup":
                file = report.nodeid.split("::")[0]
                baseline.setup[file] = max(baseline.setup.get(file, 0.0), report.duration)

    session.config.pluginmanager.register(Names)
    run_items(session.items)
    counter.stop()
    shared = {item.nodeid: set(item.fixturenames) - _ALONE for item in session.items}
    for path in (data := counter.get_data()).measured_files():
        for line, contexts in data.contexts_by_lineno(path).items():
            found = {one for one in contexts if one in shared}
            for one in contexts:  # what a test sets up, others may share
                own = one.removeprefix("setup ")
                if own != one:
                    found |= {name for name, fixtures in shared.items() if fixtures & shared[own]}
            baseline.reached.setdefault(path, {})[line] = sorted(found)
    return baseline


#: Fixtures that are made anew for each test.
_ALONE = {"tmp_path", "tmp_path_factory", "monkeypatch", "request", "caplog", "coarse_reports"}


_FAILED: Any = object()


def run_items(items: list[Any], limits: Callable[[str], float] | None = None) -> bool:
    """Run tests up to the first that fails, each in so many seconds of CPU; True if none does."""
    for i, item in enumerate(items):
        following = items[i + 1] if i + 1 < len(items) else None
        if limits is not None:  # its signal ends the process
            signal.setitimer(signal.ITIMER_PROF, limits(item.nodeid))
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            item.stash[_FAILED] = True
            return False
    return True


class _Session:
    """Plugin of pytest: where the tests would be run, they are run for each mutant, in a fork."""

    def __init__(self, part: str, chosen: list[Mutant], folder: Path) -> None:
        self.part, self.chosen, self.folder = part, chosen, folder

    def pytest_collection(self) -> None:
        """Let a property that fails be enough: no smaller example is looked for."""
        from hypothesis import Phase, settings

        settings.register_profile("mutants", settings.default, phases=[Phase.generate])
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: Any) -> bool:
        """Measure, then judge each mutant."""
        files = PARTS[self.part][0]
        for file in files:
            importlib.import_module(name_of(file))
        if session.testsfailed or in_fork(lambda: self._measure(session), _HOUR)[0] != "survived":
            raise RuntimeError(f"{self.part}: the tests fail without a change.")
        baseline = Baseline.read(self.folder / "baseline")
        items = {item.nodeid: item for item in session.items}
        self.held = held({str(ROOT / file) for file in files})
        gc.collect()
        gc.freeze()  # forks share what they do not touch
        for mutant in self.chosen:
            code = changed_function(ROOT / mutant.file, mutant.tree())
            if code is not None:
                ordered = [items[name] for name in mutant.tests(baseline)]
                run = functools.partial(self._judge, code, ordered, mutant.limits(baseline))
                (note := self.folder / "last").write_text("", encoding="utf-8")
                ending, seconds = in_fork(run, _HOUR)
                mutant.note(ending, seconds, self.folder)
                if last := note.read_text(encoding="utf-8"):
                    baseline.kills[last] += 1
        return True

    def _measure(self, session: Any) -> bool:
        measure(session, PARTS[self.part][0]).write(self.folder / "baseline")
        return not session.testsfailed

    def _judge(
        self, code: types.CodeType, items: list[Any], limits: Callable[[str], float]
    ) -> bool:
        exchange(code, self.held)
        passed = run_items(items, limits)
        if not passed:
            failed = next(item.nodeid for item in items if item.stash.get(_FAILED, False))
            (self.folder / "last").write_text(failed, encoding="utf-8")
        return passed


class _Alone:
    """Plugin of pytest: one mutant, in a process that has loaded it."""

    def __init__(self, mutant: Mutant, baseline: Baseline) -> None:
        self.names, self.limits = mutant.tests(baseline), mutant.limits(baseline)

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run the tests in their order."""
        items = {item.nodeid: item for item in session.items}
        if not session.testsfailed:
            run_items([items[name] for name in self.names if name in items], self.limits)
        return True


_HOUR = 3600.0
_BEST = 10  # tests
_ENDINGS = {0: "survived", 1: "killed"}


def in_fork(run: Callable[[], bool], limit: float) -> tuple[str, float]:
    """Run something in a fork: "survived", "killed" or "slow", and the seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if not child:
        try:
            signal.setitimer(signal.ITIMER_REAL, limit)
            os._exit(0 if run() else 1)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if os.WIFSIGNALED(status):
        slow = os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM)
        return ("slow" if slow else "killed"), seconds
    if os.WEXITSTATUS(status) not in _ENDINGS:
        raise RuntimeError("The program itself has failed in a fork.")
    return _ENDINGS[os.WEXITSTATUS(status)], seconds


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


def _pytest(tests: tuple[str, ...], folder: Path, plugin: Any, finder: _Finder | None) -> bool:
    """In a fork: run pytest with a plugin, and with a mutant in the place of its module."""
    import pytest

    quiet = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder)
    if finder is not None:
        sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        if finder.path.name in _COMPILED:
            os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    options = ["-x", "-q", "-n", "0", "--tb=no", "-p", "no:cacheprovider"]
    os.chdir(ROOT)
    arguments = [*options, f"--basetemp={folder / 'pytest'}", *tests]
    return int(pytest.main(arguments, plugins=[plugin])) == 0


class Mutant:
    """One mutant of a part, and what became of it."""

    def __init__(self, part: str, file: str, change: str, number: int) -> None:
        self.part, self.file, self.change, self.number = part, file, change, number

    def tree(self) -> ast.Module:
        """Its code."""
        return mutants(ROOT / self.file, self.number)[1]

    def tests(self, baseline: Baseline) -> list[str]:
        """Tests that reach it, then quick ones of all others: they may use what was kept."""
        line = int(self.change.split(":")[0])
        reaching = baseline.that_reach(self.file, lines_of(ROOT / self.file, line))
        others = {name for name, seconds in baseline.seconds.items() if seconds < 1} - reaching
        if not reaching:  # compiled, or run while the module is loaded
            reaching, others = set(baseline.seconds), set()
        return [*baseline.order(reaching), *baseline.order(others)]

    def limits(self, baseline: Baseline) -> Callable[[str], float]:
        """Seconds of CPU for each test."""
        compiled = Path(self.file).name in _COMPILED
        grace = _COMPILING if compiled else _GRACE
        return lambda name: grace + _PATIENCE * baseline.seconds[name]

    def note(self, ending: str, seconds: float, folder: Path) -> None:
        """Add a line to the results."""
        what = {"part": self.part, "file": self.file, "change": self.change, "ending": ending}
        with open(folder / "results", "a", encoding="utf-8") as lines:
            lines.write(json.dumps(what | {"seconds": round(seconds, 1)}) + "\n")


def sample(part: str, count: int, seed: int) -> list[tuple[str, str, int]]:
    """A random sample of the mutants of a part: file, description and number."""
    every = [
        (file, change, number)
        for file in PARTS[part][0]
        for number, change in enumerate(mutants(ROOT / file)[0])
    ]
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[i] for i in order[:count]]


def survivors(part: str, path: Path) -> list[tuple[str, str, int]]:
    """Survivors of earlier results, where the code still has them: as `sample` gives mutants."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    earlier = [one for one in lines if (one["part"], one["ending"]) == (part, "survived")]
    found = []
    for file in PARTS[part][0]:
        every = [change.split(": ", 1) for change in mutants(ROOT / file)[0]]
        for line, text in (one["change"].split(": ", 1) for one in earlier if one["file"] == file):
            same = [n for n, (_, other) in enumerate(every) if other == text]
            if same:  # the nearest line: others may have come before it
                best = min(same, key=lambda n: abs(int(every[n][0]) - int(line)))
                found.append((file, ": ".join(every[best]), best))
    return found


def run(
    part: str, chosen: list[tuple[str, str, int]], to: Path | None = None
) -> list[dict[str, Any]]:
    """Judge mutants.

    Parameters
    ----------
    part : str
        A key of `PARTS`.
    chosen : list of tuple
        File, description and number of each.
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
    judged = [Mutant(part, *one) for one in chosen]
    folder = Path(tempfile.mkdtemp())
    _load_others()
    together = functools.partial(_pytest, tests, folder, _Session(part, judged, folder), None)
    if in_fork(together, 100 * _HOUR)[0] != "survived":
        raise RuntimeError((folder / "output").read_text(encoding="utf-8")[-3000:])
    baseline = Baseline.read(folder / "baseline")
    for mutant in judged:
        tree = mutant.tree()
        if changed_function(ROOT / mutant.file, tree) is None:
            finder = _Finder(name_of(mutant.file), ROOT / mutant.file, tree)
            plugin = _Alone(mutant, baseline)
            alone = functools.partial(_pytest, tests, folder, plugin, finder)
            mutant.note(*in_fork(alone, _HOUR), folder)
    (folder / "results").touch()  # of none
    text = (folder / "results").read_text(encoding="utf-8")
    if to is not None:
        with open(to, "a", encoding="utf-8") as lines:
            lines.write(text)
    shutil.rmtree(folder)
    return [json.loads(line) for line in text.splitlines()]


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
    parser.add_argument("--to", type=Path, help="file to which the results are added")
    parser.add_argument("--again", type=Path, help="results, whose survivors are judged again")
    options = parser.parse_args()
    for part in options.parts:
        began = time.monotonic()
        if options.again is None:
            chosen = sample(part, options.mutants, options.seed)
        else:
            chosen = survivors(part, options.again)
        results = run(part, chosen, options.to)
        print(f"{part} ({time.monotonic() - began:.0f} s): {table(results)}", flush=True)


if __name__ == "__main__":
    main()
