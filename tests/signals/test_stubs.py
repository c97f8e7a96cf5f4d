# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stubs of methods that take their options: what editors read instead of the decorator.

python tests/signals/test_stubs.py  # writes them anew
"""

import ast
import inspect
from pathlib import Path

import pytest

from hs_rvae.signals import figures, fitting

# Modules, each with the line of its class, if any, and the owner of its methods.
STUBS = {
    figures: ("class FigureMethods(DomainMethods, LearningMethods):\n", figures.FigureMethods),
    fitting: ("", fitting),
}
LICENCE = """# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
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
    "from hs_rvae.signals.meaning import MeaningMethods",
    "from hs_rvae.signals.rvae import RVAEMethods",
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
        each
        if each.name == "self" and each.annotation is each.empty
        else each.replace(annotation=Text(annotated(each.annotation)))
        for each in found.parameters.values()
    ]
    return found.replace(
        parameters=parameters, return_annotation=Text(annotated(found.return_annotation))
    )


def stub(module):
    """Text of a stub: the signatures that the methods have when the package is imported."""
    head, owner = STUBS[module]
    methods = "\n".join(
        f"{'    ' * bool(head)}def {name}{signature(method)}: ..."
        for name, method in vars(owner).items()
        if inspect.isfunction(method) and inspect.unwrap(method).__module__ == module.__name__
    )
    used = names_in(head + methods)
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
    return "\n".join([LICENCE, *lines, "", head]) + methods + "\n"


def path_of(module):
    return Path(module.__file__).with_suffix(".pyi")


@pytest.mark.parametrize("module", STUBS, ids=lambda module: module.__name__)
def test_the_stub_lists_the_signatures_of_all_methods(module):
    written = ast.unparse(ast.parse(path_of(module).read_text(encoding="utf-8")))
    assert written == ast.unparse(ast.parse(stub(module))), f"run {__file__} to write it anew"


if __name__ == "__main__":
    for each in STUBS:
        path_of(each).write_text(stub(each), encoding="utf-8")
