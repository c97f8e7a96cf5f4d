# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package as a whole: the cost of importing it, the direction of imports, what is shipped."""

import ast
import hashlib
import importlib.metadata
import inspect
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import tomllib
import venv
import zipfile
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
import yaml

import hs_rvae
from hs_rvae.data import real
from hs_rvae.signals.figures import FigureMethods

PACKAGE = Path(hs_rvae.__file__).parent
REPOSITORY = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEADER = (
    "# SPDX-FileCopyrightText: the hs_rvae developers\n"
    "# SPDX-License-Identifier: GPL-3.0-or-later\n"
)

# Along the flow of the work: a step may import the steps above it.
STEPS = [
    "exceptions",
    "wording",
    "masked_arrays",
    "refusals",
    "checks",
    "progress",
    "threads",
    "parallel",
    "options",
    "signatures",
    "cautions",
    "files",
    "model_files",
    "image_files",
    "sites",
    "stores",
    "parent_image",
    "constant_bands",
    "neighbours",
    "position_files",
    "positions",
    "tracks",
    "refinement",
    "columns",
    "windows",
    "lazy_windows",
    "regions",
    "modes",
    "simulation",
    "data",
    "variants",
    "domains",
    "verdict",
    "learning",
]
ALLOWED = {step: set(STEPS[:i]) for i, step in enumerate(STEPS)}
BASE = set(STEPS[: STEPS.index("sites") + 1])
ALLOWED |= {
    "learning": BASE,
    "rvae": {*BASE, "neighbours", "variants", "verdict"},
    "": set(),
    "log": set(),
    "diagnostics": {"checks", "exceptions", "neighbours", "options", "sites", "threads"},
    "plots": {"masked_arrays", "checks", "progress", "files", "sites"},
    "report": {
        "checks",
        "exceptions",
        "wording",
        "cautions",
        "files",
        "sites",
        "variants",
        "verdict",
    },
    "signals": {*STEPS, "diagnostics", "plots", "report"},
    "cli": {*STEPS, "log", "plots", "report", "signals", "package"},
    "__main__": {"cli"},
}
# Inside a function, when somebody asks for it, more may be loaded.
ALLOWED_IN_FUNCTIONS = {"signals": {"rvae"}, "cli": {"rvae"}}
ALLOWED_MODULES = {"signals": {"hs_rvae.rvae.settings"}}  # which load no more

in_a_checkout = pytest.mark.skipif(
    not (REPOSITORY / "pyproject.toml").exists(), reason="needs the source tree"
)


def run_python(code):
    """Run `code` in an interpreter of its own; what it prints, read as JSON."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return json.loads(result.stdout.strip().splitlines()[-1])


def room_of(path):
    """First name below the package: 'rvae' for hs_rvae/rvae/pose.py; '' for hs_rvae/__init__.py."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(source, package):
    """Yield (dotted name, in a function?) of what `source`, a module of `package`, imports."""

    def visit(node, in_function):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, in_function
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] * bool(node.level)
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{prefix}.{alias.name}", in_function
        for child in ast.iter_child_nodes(node):
            yield from visit(child, in_function)

    yield from visit(ast.parse(source), False)


def package_of(path):
    """Dotted name of the package that holds the module at `path`."""
    return ".".join(path.parent.relative_to(REPOSITORY).parts)


def forbidden_imports(source, room, package):
    """What a module of `room` imports from rooms that it must not know."""
    found = []
    for name, in_function in imports(source, package):
        if name != "hs_rvae" and not name.startswith("hs_rvae."):
            continue
        if name == "hs_rvae.__version__":
            continue
        # `import hs_rvae` opens every door at once.
        target = name.split(".")[1] if "." in name else "package"
        if name.rpartition(".")[0] in ALLOWED_MODULES.get(room, ()):
            continue
        allowed = ALLOWED[room] | {room}
        if in_function:
            allowed = allowed | ALLOWED_IN_FUNCTIONS.get(room, set())
        if target not in allowed:
            found.append(name)
    return found


# Cost of importing -----------------------------------------------------------


def test_import_is_light():
    runs = [
        run_python(
            "import json, sys, time\n"
            "import hyperspy.api\n"
            "before = set(sys.modules)\n"
            "start = time.perf_counter()\n"
            "import hs_rvae\n"
            "seconds = time.perf_counter() - start\n"
            "print(json.dumps([seconds, sorted(set(sys.modules) - before)]))"
        )
        for _ in range(3)
    ]
    seconds, modules = min(runs)  # the quickest: other programs only ever add
    assert seconds < 0.3
    assert not {"torch", "sklearn", "atomap", "hs_rvae.data", "hs_rvae.sites"} & set(modules)


def test_import_alone_loads_no_large_library():
    loaded = run_python(
        "import json, sys\n"
        "import hs_rvae\n"
        "large = {'torch', 'sklearn', 'atomap', 'hyperspy'}\n"
        "print(json.dumps(sorted(large & set(sys.modules))))"
    )
    assert loaded == []


def test_only_the_model_needs_torch():
    """Every public name but RVAE comes without torch and atomap."""
    loaded = run_python(
        "import json, sys\n"
        "import hs_rvae\n"
        "names = [getattr(hs_rvae, name) for name in hs_rvae.__all__ if name != 'RVAE']\n"
        "print(json.dumps([m for m in ('torch', 'atomap') if m in sys.modules]))"
    )
    assert loaded == []


def test_computing_loads_no_cluster_where_there_is_none():
    loaded = run_python(
        "import json, sys\n"
        "import dask.array as da\n"
        "from hs_rvae.parallel import without_cluster\n"
        "assert da.ones((4, 4), chunks=2).sum().compute(**without_cluster()) == 16\n"
        "print(json.dumps('distributed' in sys.modules))"
    )
    assert not loaded


# Direction of imports --------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    room = room_of(path)
    assert room in ALLOWED, f"say in this test what the new room {room!r} may import"
    found = forbidden_imports(path.read_text(encoding="utf-8"), room, package_of(path))
    assert found == [], f"{room} must not import these"


@in_a_checkout
def test_the_map_lists_rooms_in_the_order_of_imports():
    page = (REPOSITORY / "docs" / "dev" / "house.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^ {3}(\w+)$", page.partition(".. rooms::")[2], re.MULTILINE)
    assert [room for room in listed if room in STEPS] == STEPS


@pytest.mark.parametrize(
    "room, package, line",
    [
        ("positions", "hs_rvae", "from .windows import cut_windows"),
        ("windows", "hs_rvae", "from hs_rvae import variants"),
        ("rvae", "hs_rvae.rvae", "from ..signals.sub_image_stack import SubImageStack"),
        ("rvae", "hs_rvae.rvae", "def f():\n    from hs_rvae.plots import plot_site_map"),
        ("plots", "hs_rvae.plots", "from .. import simulation"),
        ("signals", "hs_rvae.signals", "from ..rvae.estimator import RVAE"),
        ("signals", "hs_rvae.signals", "class A:\n    import hs_rvae.rvae"),
        ("sites", "hs_rvae.sites", "def f():\n    import hs_rvae"),
    ],
)
def test_an_import_against_the_direction_is_found(room, package, line):
    assert len(forbidden_imports(line, room, package)) == 1


@pytest.mark.parametrize(
    "room, package, line",
    [
        ("windows", "hs_rvae", "from .positions import as_positions"),
        ("rvae", "hs_rvae.rvae", "from . import geometry\nfrom .pose import fit"),
        ("rvae", "hs_rvae.rvae", "from .. import __version__"),
        ("signals", "hs_rvae.signals", "def f():\n    from ..rvae.estimator import RVAE"),
        ("signals", "hs_rvae.signals", "if TYPE_CHECKING:\n    from ..rvae.estimator import RVAE"),
        ("positions", "hs_rvae", "import numpy as np\nimport hs_rvae_other"),
    ],
)
def test_an_import_along_the_direction_passes(room, package, line):
    assert forbidden_imports(line, room, package) == []


def test_the_model_knows_no_hyperspy():
    for path in (PACKAGE / "rvae").glob("*.py"):
        for name, _ in imports(path.read_text(encoding="utf-8"), package_of(path)):
            assert name.split(".")[0] != "hyperspy", path.name


@in_a_checkout
def test_what_is_imported_is_declared():
    """No module leans on a library that is installed by chance; functions may ask for extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names_in(requirements):
        found = (re.match(r"[\w.-]+", requirement)[0] for requirement in requirements)
        return {name.lower().replace("_", "-") for name in found}

    declared = names_in(project["dependencies"])
    extras = names_in(sum(project["optional-dependencies"].values(), []))
    distributions = importlib.metadata.packages_distributions()
    for path in MODULES:
        for name, in_function in imports(path.read_text(encoding="utf-8"), package_of(path)):
            top = name.split(".")[0]
            if top == "hs_rvae" or top in sys.stdlib_module_names:
                continue
            names = {dist.lower().replace("_", "-") for dist in distributions.get(top, [top])}
            known = declared | extras if in_function else declared
            assert names & known, f"{path.name} imports {top}"


def circles(modules):
    """Sets of modules that import one another, at the top or in functions; from name to source."""
    imported = {}
    for module, (source, package) in modules.items():
        names = set()
        for name, _ in imports(source, package):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            names.add(name)
        imported[module] = names - {"", module}

    def reached(module):
        found, ahead = set(), [module]
        while ahead:
            new = imported[ahead.pop()] - found
            found |= new
            ahead += new
        return found

    after = {module: reached(module) for module in modules}
    return {
        frozenset(other for other in after[module] if module in after[other])
        for module in modules
        if module in after[module]
    }


def modules_of_the_package():
    """Source and package of every module, by its dotted name; the package itself left out."""
    named = {}
    for path in MODULES:
        package = package_of(path)
        name = package if path.name == "__init__.py" else f"{package}.{path.stem}"
        named[name] = (path.read_text(encoding="utf-8"), package)
    del named["hs_rvae"]
    return named


def test_no_modules_import_one_another():
    assert circles(modules_of_the_package()) == set()


def test_a_circle_of_imports_is_found_inside_functions_too():
    modules = {
        "hs_rvae.one": ("from .two import f", "hs_rvae"),
        "hs_rvae.two": ("def f():\n    from hs_rvae import three", "hs_rvae"),
        "hs_rvae.three": ("from .one import g", "hs_rvae"),
        "hs_rvae.four": ("from .one import g\nimport numpy", "hs_rvae"),
    }
    assert circles(modules) == {frozenset({"hs_rvae.one", "hs_rvae.two", "hs_rvae.three"})}
    modules["hs_rvae.three"] = ("if TYPE_CHECKING:\n    from .one import g", "hs_rvae")
    assert circles(modules) == set()


# Public names, registration, metadata ----------------------------------------


def test_every_public_name_resolves():
    assert {"RVAE", "SubImageStack", "LazySubImageStack", "SiteTable"} <= set(hs_rvae.__all__)
    assert {"stack", "data", "plots", "simulation", "set_log_level"} <= set(hs_rvae.__all__)
    for name in hs_rvae.__all__:
        value = getattr(hs_rvae, name)
        assert name == "__version__" or value.__doc__


def test_the_installed_version_is_that_of_the_package():
    assert importlib.metadata.version("hs_rvae") == hs_rvae.__version__


def test_hyperspy_knows_the_extension(capsys):
    (entry,) = importlib.metadata.entry_points(group="hyperspy.extensions", name="hs_rvae")
    assert entry.value == "hs_rvae"
    hs.print_known_signal_types()
    line = next(line for line in capsys.readouterr().out.splitlines() if "sub_image_stack" in line)
    assert "SubImageStack" in line
    assert "hs_rvae" in line


def test_the_extension_file_names_classes_that_exist():
    text = (PACKAGE / "hyperspy_extension.yaml").read_text(encoding="utf-8")
    signals = yaml.safe_load(text)["signals"]
    assert set(signals) == {"SubImageStack", "LazySubImageStack"}
    for name, entry in signals.items():
        assert getattr(hs_rvae, name).__module__ == entry["module"]
        assert getattr(hs_rvae, name)._signal_type == entry["signal_type"]
        assert getattr(hs_rvae, name)._lazy is entry["lazy"]


@pytest.mark.parametrize("signal_type", ["sub_image_stack", "SubImageStack"])
def test_set_signal_type_gives_a_stack(signal_type):
    signal = hs.signals.Signal2D(np.zeros((3, 8, 10), dtype="float32"))
    lazy = signal.as_lazy()
    for each, expected in ((signal, hs_rvae.SubImageStack), (lazy, hs_rvae.LazySubImageStack)):
        each.set_signal_type(signal_type)
        assert type(each) is expected
        assert each.metadata.Signal.signal_type == "sub_image_stack"


def test_the_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="hs-rvae")
    assert callable(entry.load())


def test_set_log_level_reaches_the_loggers_of_the_package():
    logger = logging.getLogger("hs_rvae")
    before, handlers = logger.level, list(logger.handlers)
    try:
        hs_rvae.set_log_level("info")  # as HyperSpy's, in either case
        assert logging.getLogger("hs_rvae.windows").isEnabledFor(logging.INFO)
        assert not logging.getLogger("hs_rvae.windows").isEnabledFor(logging.DEBUG)
        assert logging.getLogger("hs_rvae.windows").hasHandlers()
        with pytest.raises(ValueError, match="level='LOUD' is not a log level; use 'DEBUG'"):
            hs_rvae.set_log_level("LOUD")
        for level in (["INFO"], True, None):
            with pytest.raises(ValueError, match="level=.* is not a log level"):
                hs_rvae.set_log_level(level)
    finally:
        logger.setLevel(before)
        logger.handlers = handlers


# Files -----------------------------------------------------------------------


def test_every_module_carries_the_licence_and_says_what_it_is():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(HEADER), path.name
        assert ast.get_docstring(ast.parse(text)), path.name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_longer_than_800_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 800, "it has two subjects"


def long_functions(source, limit=60):
    """Names of functions whose body has more lines than `limit`; the docstring does not count."""
    found = []

    def visit(node, names):
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = [*names, child.name]
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                body = child.body[ast.get_docstring(child) is not None :]
                if body and child.end_lineno - body[0].lineno + 1 > limit:
                    found.append(".".join(inner))
            visit(child, inner)

    visit(ast.parse(source), [])
    return found


def test_no_function_is_longer_than_60_lines():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}"
        for path in MODULES
        for name in long_functions(path.read_text(encoding="utf-8"))
    }
    assert found == set(), "divide it by what it does"


def test_the_docstring_of_a_function_does_not_count_as_its_length():
    def method(n_lines):
        docstring = ['"""Say it.', "", *["At length."] * 30, '"""']
        lines = ["def f():", *(f"    {line}" for line in [*docstring, *["x = 1"] * n_lines])]
        return "class A:\n" + "\n".join(f"    {line}" for line in lines)

    assert long_functions(method(60)) == []
    assert long_functions(method(61)) == ["A.f"]


def repeated(sources, n_lines=6):
    """Runs of lines that stand in several places; texts, imports and parameters do not count."""
    places = {}
    for name, source in sources.items():
        passed = set()
        for node in ast.walk(ast.parse(source)):
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if text or isinstance(node, ast.Import | ast.ImportFrom):
                passed.update(range(node.lineno, node.end_lineno + 1))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                passed.update(range(node.lineno, node.body[0].lineno))
        lines = [
            (number, line.strip())
            for number, line in enumerate(source.splitlines(), 1)
            if number not in passed and line.strip() and not line.strip().startswith("#")
        ]
        for i in range(len(lines) - n_lines + 1):
            run = tuple(line for _, line in lines[i : i + n_lines])
            places.setdefault(run, []).append(f"{name}:{lines[i][0]}")
    return [where for where in places.values() if len(where) > 1]


def test_no_code_stands_twice():
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in MODULES
    }
    assert repeated(sources) == [], "make it one function"


def test_code_that_stands_twice_is_found():
    body = "".join(f"    x{i} = a + {i}\n" for i in range(6))
    sources = {"one": f"def f(a):\n{body}", "two": f"def g(a, b):\n    'Text.'\n{body}"}
    assert repeated(sources) == [["one:2", "two:3"]]
    assert repeated(sources, 7) == []


@in_a_checkout
def test_tests_and_scripts_carry_the_licence():
    folders = ["tests", "docs/examples"]
    paths = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    for path in [*paths, REPOSITORY / "conftest.py", REPOSITORY / "docs" / "conf.py"]:
        assert path.read_text(encoding="utf-8").startswith(HEADER), path


@in_a_checkout
def test_the_wheel_holds_the_whole_package(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, setuptools\n"
            "sys.argv = ['setup.py', '--quiet', 'egg_info', '--egg-base', sys.argv[1],\n"
            "            'build', '--build-base', sys.argv[1], 'bdist_wheel', '-d', sys.argv[1]]\n"
            "setuptools.setup()",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if name.startswith("hs_rvae/")}
    present = {
        path.relative_to(REPOSITORY).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == present
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "hs_rvae/py.typed" in names  # its annotations count for users' type checkers
    assert wheel.stat().st_size < 8e6


@pytest.mark.slow
@in_a_checkout
def test_the_source_distribution_passes_the_core_of_its_tests(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("setuptools_scm")
    if not (REPOSITORY / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a clone")
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(tmp_path / "clone")]
    subprocess.run(clone, check=True)
    build = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path / "clone", check=True)
    (archive,) = (tmp_path / "clone" / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in ("LICENSE", "conftest.py", "tests/conftest.py", "docs/index.rst", ".ci/run"):
        assert (unpacked / name).is_file(), name
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "core", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=unpacked,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
    )
    assert result.returncode == 0, result.stdout[-4000:]


@in_a_checkout
def test_no_image_of_another_project_is_in_the_repository():
    published = {real._DYSCO3.sha256, real._PTO_SRO.sha256}
    images = {".dm3", ".dm4", ".emd", ".hspy", ".npy", ".png", ".tif"}
    made = {"build", "_build", "auto_examples", "generated", "venv"}  # of the documentation, tests
    found = [
        path.relative_to(REPOSITORY)
        for folder in ("docs", "hs_rvae", "tests")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in images and not made & set(path.relative_to(REPOSITORY).parts)
    ]
    shipped = {path.name for path in found if path.parts[:2] == ("hs_rvae", "data")}
    assert shipped == {
        "BFO_mosaic_noisy.hspy",
        "bfo_lsmo.hspy",
        "pto_ac.hspy",
        "pto_sto_vortex.hspy",
        "sto_null.hspy",
    }
    for path in found:
        assert hashlib.sha256((REPOSITORY / path).read_bytes()).hexdigest() not in published, path


@pytest.mark.slow
@in_a_checkout
@pytest.mark.parametrize("kinds", [([], ["-e"]), (["-e"], [])], ids=["then -e", "-e before"])
def test_one_kind_of_installation_can_follow_the_other(tmp_path, kinds):
    """The first one is used, and leaves no file behind that hides the second."""
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("pip", minversion="22.3")
    source = tmp_path / "hs_rvae"  # as of a clone: hides the package from who works beside it
    shutil.copytree(PACKAGE, source / "hs_rvae", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    (site,) = (tmp_path / "venv").rglob("site-packages")
    libraries = sysconfig.get_path("purelib")  # not installed a second time
    if (Path(libraries) / "hs_rvae").exists():
        pytest.skip("another installation of hs_rvae is in the way")
    (site / "libraries.pth").write_text(libraries)
    names = os.environ.keys() - {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "NUMBA_CACHE_DIR"}
    environment = {name: os.environ[name] for name in names} | {
        "XDG_CACHE_HOME": str(tmp_path / "c")
    }

    def run(interpreter, *words):
        result = subprocess.run(
            [interpreter, *words], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    for kind in kinds:
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps"]
        run(*pip, "--no-build-isolation", *kind, source)
        place = run(
            python,
            "-c",
            "import hyperspy.api as hs, numpy as np, hs_rvae\n"
            "from hs_rvae.refinement.kernel import dot\n"
            "assert dot(np.ones(3), np.ones(3), 3) == 3\n"  # compiled, and kept
            "hs.signals.Signal2D(np.zeros((2, 8, 8))).set_signal_type('sub_image_stack')\n"
            "print(hs_rvae.__file__)",
        )
        assert Path(place.strip()).is_relative_to(source if kind else site)
    if kinds[-1]:
        assert not (site / "hs_rvae").exists()


@in_a_checkout
def test_the_guide_uses_names_that_exist():
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs" / "user_guide").glob("*.rst")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    owners = {
        r"(?<![\w/.])hs_rvae\.([A-Za-z]\w*)": hs_rvae,
        r"(?<![\w.])(?:SubImageStack|stack)\.(\w+)": hs_rvae.SubImageStack(
            np.zeros((2, 8, 8))
        ).as_lazy(),
        r"stack\.sites\.(\w+)": hs_rvae.SiteTable,
        r"hs_rvae\.data\.(\w+)": hs_rvae.data,
        r"hs_rvae\.simulation\.(\w+)": hs_rvae.simulation,
        r"RVAE\.(\w+)": hs_rvae.RVAE,
    }
    for pattern, owner in owners.items():
        names = set(re.findall(pattern, text))
        assert names, f"nothing found for {pattern}"
        assert {name for name in names if name not in dir(owner)} == set()


@in_a_checkout
def test_ruff_has_one_version():
    constraints = (REPOSITORY / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = (repo for repo in hooks["repos"] if "ruff" in repo["repo"])
    assert f"ruff=={hook['rev'].removeprefix('v')}\n" in constraints


@in_a_checkout
def test_news_of_changes_are_of_kinds_that_towncrier_knows():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    kinds = {kind["directory"] for kind in settings["tool"]["towncrier"]["type"]}
    news = sorted((REPOSITORY / "docs" / "upcoming_changes").glob("*.rst"))
    news = [file for file in news if file.name != "README.rst"]
    assert {file.name.split(".")[1] for file in news} <= kinds
    assert all(file.read_text(encoding="utf-8").strip() for file in news)


OURS = [cls for cls in hs_rvae.LazySubImageStack.__mro__ if cls.__module__.startswith("hs_rvae.")]


def test_the_stack_is_joined_from_few_classes():
    assert len(OURS) <= 9


def test_no_two_classes_of_the_stack_have_a_name_in_common():
    owner = {}
    for cls in OURS:
        for name in vars(cls):
            # The constructors of both classes, and dunder names, are meant to be overridden.
            if not name.startswith("__") and name != "_lazy":
                assert owner.setdefault(name, cls) is cls, f"{name}: {owner[name]}, {cls}"


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_a_class_of_the_stack_uses_only_what_its_bases_declare(cls):
    """Every ``self._name``, and every public one, comes from the class or its declared bases."""
    source = textwrap.dedent(inspect.getsource(cls))
    used = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "super()")
    }
    of_instances = vars(hs.signals.Signal2D(np.zeros((2, 8, 8))))
    assert {name for name in used if not hasattr(cls, name)} - set(of_instances) == set()


def test_a_method_that_draws_is_in_one_module():
    assert sum(name.startswith("plot_") for name in vars(FigureMethods)) == 17
    for cls in OURS:
        assert cls is FigureMethods or not [name for name in vars(cls) if name.startswith("plot_")]
