# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stub of the figures: what editors and type checkers read instead of the decorator.

python tests/signals/test_figures_stub.py  # writes it anew
"""

import ast
import inspect
import re
from pathlib import Path

from hs_rvae.signals import figures

STUB = Path(figures.__file__).with_suffix(".pyi")
HEAD = """# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure

from hs_rvae.signals.learning import LearningMethods
from hs_rvae.signals.meaning import MeaningMethods

class FigureMethods(MeaningMethods, LearningMethods):
"""


def stub():
    """Text of the stub: the signatures that the methods have when the package is imported."""
    methods = [
        f"    def {name}{inspect.signature(method)}: ..."
        for name, method in vars(figures.FigureMethods).items()
        if inspect.isfunction(method)
    ]
    # Annotations are texts, as their modules leave them to be evaluated later.
    return HEAD + re.sub(r"(: |-> )'([^']*)'", r"\1\2", "\n".join(methods)) + "\n"


def test_the_stub_lists_the_signatures_of_all_methods():
    written = ast.unparse(ast.parse(STUB.read_text(encoding="utf-8")))
    assert written == ast.unparse(ast.parse(stub())), f"run {__file__} to write it anew"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
