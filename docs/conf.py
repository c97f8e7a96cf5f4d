# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration of the documentation. Build it with ``sphinx-build docs docs/_build/html``.

No network is needed: the addresses of pandas' and other names are kept in ``_inventories``. With
``HS_RVAE_DOCS_INTERSPHINX=1`` in the environment they are looked up online, those of HyperSpy,
Matplotlib and NumPy as well.
"""

import os
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib

sys.path.insert(0, str(Path(__file__).parent))  # gallery_order, groups, rooms
matplotlib.use("agg")

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from groups import groups_of
from hyperspy.defaults_parser import preferences
from hyperspy.signals import Signal2D
from rooms import PACKAGE, map_of

import hs_rvae

project = "hs_rvae"
author = "the hs_rvae developers"
copyright = "the hs_rvae developers"
release = version = hs_rvae.__version__.partition("+")[0]
# Address of the repository, as set_address.py writes it: https://github.com/OWNER/REPOSITORY.
project_table = tomllib.loads(
    Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8")
)
address = project_table["project"]["urls"]["Source"]
owner, repository = urlsplit(address).path.strip("/").split("/")

# The output of an example is what it prints, not bars.
preferences.General.show_progressbar = False


def is_available(load):
    """Whether an image of another project is there, or can be fetched."""
    try:
        load(allow_download=True)
    except (OSError, ValueError):
        return False
    return True


# Without its image the case study shows its lines alone.
left_out = "" if is_available(hs_rvae.data.pto_sro) else "(?!case_study)"

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.towncrier.ext",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_inventories", "examples", "upcoming_changes"]

# Changes since the last release, from docs/upcoming_changes
towncrier_draft_autoversion_mode = "draft"
towncrier_draft_include_empty = False
towncrier_draft_working_directory = Path(__file__).parents[1]
default_role = "autolink"
nitpicky = False

# Reference pages
autosummary_generate = True
# A room shows the names in its __all__, from whichever file.
autosummary_ignore_module_all = False
autosummary_imported_members = True
# The page of the stack lists its methods by subject.
autosummary_context = {"groups": {"hs_rvae.SubImageStack": groups_of(hs_rvae.SubImageStack)}}
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the docstrings
numpydoc_show_class_members = False

# Examples: only scripts whose name begins with plot_ are run.
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": rf"[\\/]plot_{left_out}",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,  # pages that load scripts from the network
    "within_subsection_order": "gallery_order.GalleryOrder",
    "image_srcset": ["2x"],
    "copyfile_regex": r".*\.rst",
    "ignore_repr_types": r"matplotlib",  # what a drawing method returns is not a result
    # A link to each notebook in Binder. The workflow "publish" puts pages and notebooks there.
    "binder": {
        "org": owner,
        "repo": repository,
        "branch": "gh-pages",
        "binderhub_url": "https://mybinder.org",
        "dependencies": "dev/binder/requirements.txt",
        "use_jupyter_lab": True,
    },
    "first_notebook_cell": (
        "%matplotlib inline\n"
        "try:\n    import hs_rvae\nexcept ImportError:  # as in Colab\n    %pip install -q hs_rvae"
    ),
}

# Addresses of names in other libraries. Those that the pages use are kept here, so that links need
# no network when the pages are built.
extensions.append("sphinx.ext.intersphinx")
_KEPT = {
    "dask": "https://docs.dask.org/en/stable",
    "pandas": "https://pandas.pydata.org/docs",
    "python": "https://docs.python.org/3",
    "scikit-learn": "https://scikit-learn.org/stable",
}
intersphinx_mapping = {name: (url, f"_inventories/{name}.inv") for name, url in _KEPT.items()}
if os.environ.get("HS_RVAE_DOCS_INTERSPHINX"):
    intersphinx_mapping = {name: (url, None) for name, url in _KEPT.items()} | {
        "hyperspy": ("https://hyperspy.org/hyperspy-doc/current", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
    }

# Equations as MathML, which browsers draw without a script from the network.
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_title = f"hs_rvae {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "logo": {"text": "hs_rvae"},
    "icon_links": [{"name": "Repository", "url": address, "icon": "fa-brands fa-square-git"}],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "changes": []}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what comes from HyperSpy and scikit-learn: its documentation is theirs."""
    function = getattr(obj, "fget", None) or getattr(obj, "__func__", obj)
    module = getattr(function, "__module__", None) or ""
    if module.startswith(("hyperspy", "sklearn")):
        return True
    if module.startswith("hs_rvae.signals") and hasattr(Signal2D, name) and name != "plot":
        return True
    return None


def no_stars(app, what, name, obj, options, signature, result):
    """Leave out ``(*args, **kwargs)``: stacks are made by methods of the class."""
    return ("", result) if what == "class" and signature == "(*args, **kwargs)" else None


def link_to_colab(app, docname, source):
    """Add a line to an example that opens its notebook in Colab."""
    if docname.startswith("auto_examples/plot_"):
        notebook = f"{owner}/{repository}/blob/gh-pages/notebooks/{docname}.ipynb"
        link = f"`Open in Colab <https://colab.research.google.com/github/{notebook}>`_"
        first = "    .. container:: sphx-glr-download sphx-glr-download-jupyter\n"
        source[0] = source[0].replace(first, f"    .. container:: colab\n\n      {link}\n\n{first}")


def draw_equation(self, node):
    """An equation in the page itself."""
    from latex2mathml.converter import convert

    if isinstance(node, nodes.math_block):
        equation = convert(node.astext(), display="block")
        self.body.append(f'<div class="equation">{equation}</div>')
    else:
        self.body.append(convert(node.astext()))
    raise nodes.SkipNode


class Rooms(Directive):
    """Map of the package; the content are the names of its rooms in their order."""

    has_content = True

    def run(self):
        for path in PACKAGE.rglob("*.py"):  # build the page again when a docstring has changed
            self.state.document.settings.env.note_dependency(str(path))
        node = nodes.container()
        lines = StringList(map_of(name for name in self.content if name), "rooms")
        self.state.nested_parse(lines, self.content_offset, node)
        return node.children


def setup(app):
    app.add_directive("rooms", Rooms)
    app.connect("autodoc-skip-member", skip_inherited)
    app.connect("autodoc-process-signature", no_stars)
    app.connect("source-read", link_to_colab)
    app.add_html_math_renderer("mathml", (draw_equation, None), (draw_equation, None))
