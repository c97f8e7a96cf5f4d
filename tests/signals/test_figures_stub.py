# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stub of the figures: what editors and type checkers read instead of the decorator.

python tests/signals/test_figures_stub.py  # writes it anew
"""

import ast
import inspect
from pathlib import Path

from hs_rvae.signals import figures

STUB = Path(figures.__file__).with_suffix(".pyi")
LICENCE = """# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
CLASS = "class FigureMethods(DomainMethods, LearningMethods):\n"
# Imports that annotations may need, in the order of ruff; "" separates groups.
IMPORTS = [
    "import os",
    "from collections.abc import Callable",
    "from collections.abc import Iterable",
    "from collections.abc import Mapping",
    "from collections.abc import Sequence",
    "from pathlib import Path",
    "from typing import Any",
    "from typing import Literal",
    "",
    "import numpy as np",
    "import pandas as pd",
    "from matplotlib.axes import Axes",
    "from matplotlib.colors import Colormap",
    "from matplotlib.figure import Figure",
    "from numpy.typing import ArrayLike",
    "from numpy.typing import NDArray",
    "",
    "from hs_rvae import plots",
    "from hs_rvae.diagnostics import Diagnostics",
    "from hs_rvae.signals.domains import DomainMethods",
    "from hs_rvae.signals.learning import LearningMethods",
    "from hs_rvae.sites import SiteTable",
]
KNOWN = {line.split()[-1] for line in IMPORTS if line}
BUILTIN = {"str", "int", "float", "bool", "tuple", "list", "dict", "object", "None"}


def names_in(annotation):
    """Names that an annotation needs."""
    return {node.id for node in ast.walk(ast.parse(annotation)) if isinstance(node, ast.Name)}


def annotated(annotation):
    """Text of an annotation; Any where there is none, or one with a name that is not imported."""
    if annotation is inspect.Signature.empty:
        return "Any"
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return text if names_in(text) <= KNOWN | BUILTIN else "Any"


class Text:
    """An annotation that is written without quotes."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def signature(method):
    """Signature with an annotation of every parameter, as text."""
    found = inspect.signature(method)
    parameters = [
        each if each.name == "self" else each.replace(annotation=Text(annotated(each.annotation)))
        for each in found.parameters.values()
    ]
    return found.replace(
        parameters=parameters, return_annotation=Text(annotated(found.return_annotation))
    )


def stub():
    """Text of the stub: the signatures that the methods have when the package is imported."""
    methods = "\n".join(
        f"    def {name}{signature(method)}: ..."
        for name, method in vars(figures.FigureMethods).items()
        if inspect.isfunction(method)
    )
    used = names_in(CLASS + methods)
    lines, modules = [], {}
    for line in IMPORTS:
        if line and line.split()[-1] not in used:
            continue
        module, _, name = line.partition(" import ")
        if module in modules:  # one line for each module
            lines[modules[module]] += f", {name}"
        else:
            modules |= {module: len(lines)} if name else {}
            lines.append(line)
    return "\n".join([LICENCE, *lines, "", CLASS]) + methods + "\n"


def test_the_stub_lists_the_signatures_of_all_methods():
    written = ast.unparse(ast.parse(STUB.read_text(encoding="utf-8")))
    assert written == ast.unparse(ast.parse(stub())), f"run {__file__} to write it anew"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
