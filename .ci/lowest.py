# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the lowest versions that pyproject.toml declares, as constraints for .ci/run."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lowest() -> list[str]:
    """One ``name==version`` for each dependency of the package and of its tests but torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["tests"]]
    declared += project["optional-dependencies"]["distributed"]
    pins = []
    for requirement in declared:
        bound = re.match(r"([\w.-]+)(\[.*\])?>=([\d.]+)", requirement)
        if bound and bound[1] != "torch":
            pins.append(f"{bound[1]}=={bound[3]}")
    return pins


if __name__ == "__main__":
    constraints = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    torch = [line for line in constraints if line.startswith("torch==")]
    print(*lowest(), *torch, sep="\n")
