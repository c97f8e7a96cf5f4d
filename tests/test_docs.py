# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the documentation: their code runs, and what they name is there."""

import importlib.util
import inspect
import os
import pydoc
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hs_rvae
from hs_rvae.signals.figures import FigureMethods

ROOT = Path(hs_rvae.__file__).parents[1]
DOCS = ROOT / "docs"
# A block after the comment ``.. not run`` needs what tests do not have, such as another program.
_BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:(?: {3}.*)?\n)+)", re.MULTILINE)
_FENCED = re.compile(r"```python\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the source tree")


def code_of(page):
    """All blocks of Python of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return _FENCED.findall(text)
    text = re.sub(r"^\.\. not run\n+\.\. code-block::.*\n", "", text, flags=re.MULTILINE)
    return [re.sub(r"^ {3}", "", block, flags=re.MULTILINE) for block in _BLOCK.findall(text)]


PAGES = [
    page
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.rst"))]
    if not {"auto_examples", "generated", "_build"} & set(page.relative_to(ROOT).parts)
    and DOCS.exists()
    and code_of(page)
]


def _crystal(length):
    """A cubic perovskite, as ase has it."""
    from ase import Atoms

    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=places, cell=[length] * 3, pbc=True)


@pytest.fixture(scope="module")
def at_hand(tmp_path_factory):
    """Names and files that a reader of a page has: an image, its columns, a fitted stack."""
    folder = tmp_path_factory.mktemp("reader")
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (400, 400), cell=20.0, random_state=0, domain_size=8
    )
    image.save(folder / "image.hspy")
    lattice = hs_rvae.find_sublattices(image)
    lattice.save(str(folder / "lattice.hdf5"))
    a, b = lattice.sublattice_list
    a_xy, b_xy = (np.column_stack([s.x_position, s.y_position]) for s in (a, b))
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
    stack.rvae(random_state=0)
    stack.assign_variants(4)
    stack.rvae_model.save(folder / "my_model.safetensors")
    series, truths = hs_rvae.simulation.simulate_series((300, 300), 3, cell=20.0, random_state=0)
    series.save(folder / "switching.zspy")
    _crystal(3.0).write(folder / "SrTiO3.cif")  # of the image, whose cell has 0.3 nm
    image.save(folder / "large.zspy")
    names = {
        "hs": hs, "hs_rvae": hs_rvae, "np": np, "image": image, "other_image": image,
        "lattice": lattice, "a": a, "b": b, "a_xy": a_xy, "b_xy": b_xy, "xy": b_xy,
        "positions": b_xy, "other_xy": b_xy, "rc": b_xy[:, ::-1], "b_heights": b_xy[:, 0],
        "coordinates": {0: np.c_[b_xy[:, ::-1], np.ones(len(b_xy))]},  # as from AtomAI
        "images": stack.data, "values": np.zeros(len(stack.sites)), "stack_b": stack,
        "table": b.column_table, "series": series,
        **{f"xy_{k}": truth.b_sites[["x", "y"]] for k, truth in enumerate(truths)},
    }  # fmt: skip
    return folder, names, stack


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(page, at_hand, tmp_path, monkeypatch):
    folder, names, stack = at_hand
    for file in folder.iterdir():
        copy = shutil.copytree if file.is_dir() else shutil.copy
        copy(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    load = hs.load

    def load_image(path, **options):
        """What stands for an image of the reader's, dm4 being a format that nobody writes."""
        return load("image.hspy" if str(path).endswith("image.dm4") else path, **options)

    monkeypatch.setattr(hs, "load", load_image)
    names = dict(names)
    names["stack"], names["stack_a"] = stack.deepcopy(), stack.deepcopy()
    for number, block in enumerate(code_of(page), 1):
        try:
            exec(compile(block, f"{page.name}, block {number}", "exec"), names)
        except Exception as error:
            raise AssertionError(f"{page.name}, block {number}:\n{block}") from error
        plt.close("all")


def test_pages_refer_to_gallery_scripts_that_exist():
    found = 0
    for page in DOCS.rglob("*.rst"):
        if {"auto_examples", "_build", "generated"} & set(page.relative_to(DOCS).parts):
            continue
        text = page.read_text(encoding="utf-8")
        for name in re.findall(
            r"auto_examples/(?:images/sphx_glr_)?(plot_\w+?)(?:_\d{3}\.png|\b)", text
        ):
            found += 1
            assert (DOCS / "examples" / f"{name}.py").exists(), f"{page.name}: {name}"
    assert found


def test_every_gallery_script_states_its_data():
    scripts = sorted((DOCS / "examples").glob("plot_*.py"))
    assert len(scripts) > 15
    for path in scripts:
        described = path.read_text(encoding="utf-8").split('"""')[1]
        assert re.search(r"[Ss]imulat|A real image", described), path.name


def test_every_method_of_the_table_of_figures_exists():
    text = (DOCS / "user_guide" / "figures.rst").read_text(encoding="utf-8")
    names = re.findall(r"``stack\.(\w+)\(", text)
    assert len(names) > 5 and all(hasattr(hs_rvae.SubImageStack, name) for name in names)


def test_every_figure_was_drawn_and_judged():
    """Functions that draw one figure, and the methods of a stack that have no such function."""
    functions = {name for name in hs_rvae.plots.__all__ if name.startswith("plot_")}
    methods = {
        name for name, method in vars(hs_rvae.SubImageStack).items()
        if name.startswith("plot_") and method.__module__.startswith("hs_rvae")
    } | {name for name in vars(FigureMethods) if name.startswith("plot_")}  # fmt: skip
    text = (DOCS / "dev" / "figures.rst").read_text(encoding="utf-8")
    judged = set(re.findall(r"``(plot_\w+)", text))
    assert len(functions) > 20 and len(methods) > 15
    assert functions | methods <= judged
    spec = importlib.util.spec_from_file_location("draw", DOCS / "dev" / "draw_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = {name.split()[0] for name in module.DRAWINGS}
    # What a method of a stack draws is what the function of this name draws.
    of_methods = {"plot_manifold", "plot_distortion", "plot_history", "plot_diagnostics"}
    assert functions | methods == drawn | of_methods


def test_every_public_name_is_on_the_reference_page():
    text = (DOCS / "reference" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?: {3}|\.\. class:: )([\w.]+)$", text, re.MULTILINE))
    assert set(hs_rvae.__all__) - {"__version__"} <= listed


def rooms_on_the_map():
    """Names of the rooms in the order of the map."""
    text = (DOCS / "dev" / "house.rst").read_text(encoding="utf-8")
    return re.findall(r"^ {3}(\w+)$", text.partition(".. rooms::")[2], re.MULTILINE)


def test_every_room_is_on_the_map():
    package = Path(hs_rvae.__file__).parent
    rooms = {path.stem for path in package.iterdir()
             if path.suffix == ".py" or (path / "__init__.py").exists()}  # fmt: skip
    assert sorted(rooms_on_the_map()) == sorted(room for room in rooms if not room.startswith("__"))


def test_the_map_has_a_line_for_every_module():
    spec = importlib.util.spec_from_file_location("rooms", DOCS / "rooms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines = module.map_of(rooms_on_the_map())
    package = Path(hs_rvae.__file__).parent
    for path in package.rglob("*.py"):
        if path.stem.startswith("__"):
            continue
        name = ".".join(path.relative_to(package).with_suffix("").parts)
        (line,) = (line for line in lines if re.match(rf" *(\* )?``{re.escape(name)}``", line))
        assert path.parent == package or len(line.partition(": ")[2].split()) > 2, name


def test_the_walk_names_functions_that_exist():
    text = (DOCS / "dev" / "walk.rst").read_text(encoding="utf-8")
    names = re.findall(r"``(\w+(?:\.\w+)+)``", text)
    assert len(names) > 15
    assert [name for name in names if pydoc.locate(f"hs_rvae.{name}") is None] == []


def test_the_guide_has_the_thresholds_of_the_verdict():
    from hs_rvae.rvae.harmonic.distortion import THRESHOLDS

    text = (DOCS / "user_guide" / "model.rst").read_text(encoding="utf-8")
    table = text.partition(".. list-table:: Thresholds")[2].partition("\n\n``THRESHOLDS``")[0]
    listed = re.findall(r"\* - ``(\w+)``\n     - (\S+)\n", table)
    assert {name: float(value) for name, value in listed} == THRESHOLDS


def test_tables_of_sweeps_state_commit_seeds_and_time():
    found = []
    for page in (DOCS / "user_guide").glob("*.rst"):
        text = page.read_text(encoding="utf-8")
        for script in re.findall(r"^\.\. begin of (\S+)$", text, re.MULTILINE):
            table = text.split(f".. begin of {script}\n")[1].split(f".. end of {script}\n")[0]
            origin = table.rpartition("\nCommit ")[2]
            assert re.match(r"[0-9a-f]{7,}, ", origin), page.name
            assert re.search(r"seeds? 0", origin), page.name
            # A table of fewer seeds than the sweep has states that instead of the time.
            assert re.search(r"\d+ minutes|\smeasures six", origin), page.name
            assert (ROOT / script).exists(), page.name
            found.append(script)
    assert len(found) == 10


# The built pages: HS_RVAE_HTML names their folder, docs/_build/html unless given ---------------


class Page(HTMLParser):
    """Anchors of a page, what it links to, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[name] for name in ("id", "name") if attrs.get(name)}
        links = [attrs[name] for name in ("href", "src") if attrs.get(name)]
        self.links += links
        if tag in ("script", "img", "source", "video", "iframe") or (
            tag == "link" and attrs.get("rel") in ("stylesheet", "preload", "icon")
        ):
            self.loaded += links


@pytest.fixture(scope="module")
def built():
    """The pages by their path."""
    folder = Path(os.environ.get("HS_RVAE_HTML", DOCS / "_build" / "html")).resolve()
    if not (folder / "index.html").exists():
        if "HS_RVAE_HTML" in os.environ:
            pytest.fail(f"HS_RVAE_HTML={folder}: there are no pages")
        pytest.skip("the pages are not built")
    # The theme has a page of templates among its scripts.
    return {path: Page(path) for path in folder.rglob("*.html") if "_static" not in path.parts}


@pytest.mark.slow
def test_links_within_the_built_pages_lead_somewhere(built):
    lost, found = [], 0
    for path, page in built.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            found += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.exists() or (
                anchor and target in built and anchor not in built[target].anchors
            ):
                lost.append(f"{path.name}: {link}")
    assert found > 1000 and lost == []


@pytest.mark.slow
def test_the_built_pages_load_nothing_from_the_network(built):
    loaded = {link for page in built.values() for link in page.loaded}
    assert loaded and {link for link in loaded if urlsplit(link).netloc} == set()


@pytest.mark.slow
def test_every_public_method_is_in_the_built_reference(built):
    anchors = {anchor for page in built.values() for anchor in page.anchors}
    missing = []
    for owner in (hs_rvae.SubImageStack, hs_rvae.SiteTable, hs_rvae.RVAE):
        for name, member in inspect.getmembers(owner):
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            ours = str(getattr(function, "__module__", "")).startswith("hs_rvae.")
            inherited = owner is hs_rvae.SubImageStack and hasattr(hs.signals.Signal2D, name)
            if ours and not name.startswith("_") and not inherited:
                if f"hs_rvae.{owner.__name__}.{name}" not in anchors:
                    missing.append(f"{owner.__name__}.{name}")
    assert missing == []


def test_the_citation_names_a_release():
    import tomllib

    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    next_one = project["tool"]["setuptools_scm"]["fallback_version"].removesuffix(".dev0")
    recipe = (DOCS / "dev" / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    assert f'set version = "{citation["version"]}"' in recipe
    # The last release or, where that is being prepared, the next one.
    assert [*map(int, citation["version"].split("."))] <= [*map(int, next_one.split("."))]
    assert citation["cff-version"] == "1.2.0"


def test_the_conda_recipe_asks_for_what_pip_asks_for():
    import tomllib

    import yaml

    recipe = yaml.safe_load((DOCS / "dev" / "environment.yml").read_text(encoding="utf-8"))
    listed = {re.match(r"[\w-]+", line)[0].lower() for line in recipe["dependencies"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    renamed = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0].lower()
        assert renamed.get(name, name) in listed, f"{name} is missing in environment.yml"


def test_the_tests_that_show_promises_are_there():
    text = (DOCS / "user_guide" / "promises.rst").read_text(encoding="utf-8")
    named = re.findall(r"``(tests/[^`]+)``", text)
    assert len(named) > 10
    for each in named:
        file, _, name = each.partition("::")
        code = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {name or 'test_'}" in code, each
