# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the recipe of conda-forge with rattler-build, which needs no conda.

    python -m pip install py-rattler-build pyyaml
    python docs/dev/recipe/check_recipe.py [recipe.yaml]

rattler-build reads recipes of the newer form. ``meta.yaml`` is translated to it, field by field,
and rendered; the file that is named keeps the translation. conda-forge takes either form.
"""

import re
import sys
import tomllib
from pathlib import Path

import yaml

META = Path(__file__).with_name("meta.yaml")
PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def translated(text):
    """Text of a ``recipe.yaml`` with what a ``meta.yaml`` of one pure Python package says."""
    context = dict(re.findall(r'^{% set (\w+) = "(.*)" %}$', text, re.MULTILINE))
    text = re.sub(r"^{%.*%}\n", "", text, flags=re.MULTILINE).replace("{{", "${{")
    # A value that begins with a bracket needs quotes; a bare version is exact in the older form.
    text = re.sub(r"(: |- )(\$\{\{.*)$", r'\1"\2"', text, flags=re.MULTILINE)
    text = re.sub(r"(- python \$\{\{ python_min \}\})$", r"\1.*", text, flags=re.MULTILINE)
    old = yaml.safe_load(text)
    test, about, build = old.pop("test"), old.pop("about"), old.pop("build")
    entry_points = build.pop("entry_points")
    commands = [each for each in test["commands"] if each != "pip check"]
    names = {"home": "homepage", "dev_url": "repository"}
    new = {
        "schema_version": 1,
        "context": context,
        "package": old.pop("package"),
        "source": old.pop("source"),
        "build": {**build, "python": {"entry_points": entry_points}},
        "requirements": old.pop("requirements"),
        "tests": [
            {"python": {"imports": test["imports"], "pip_check": "pip check" in test["commands"],
                        "python_version": "${{ python_min }}.*"}},
            {"requirements": {"run": test["requires"]}, "script": commands},
        ],
        "about": {names.get(name, name): value for name, value in about.items()},
        "extra": old.pop("extra"),
    }  # fmt: skip
    if old:
        raise ValueError(f"meta.yaml has the sections {sorted(old)}, which are not translated.")
    return yaml.safe_dump(new, sort_keys=False, width=1000, allow_unicode=True)


def rendered(text):
    """Recipe (a mapping) that rattler-build makes of a ``recipe.yaml``; it raises at a fault."""
    import rattler_build

    needs = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["requires-python"]
    lowest = needs.removeprefix(">=")
    variants = rattler_build.VariantConfig.from_yaml(f"python_min: ['{lowest}']\n")
    (made,) = rattler_build.Stage0Recipe.from_yaml(text).render(variants)
    return (made.recipe() if callable(made.recipe) else made.recipe).to_dict()


if __name__ == "__main__":
    recipe = translated(META.read_text(encoding="utf-8"))
    found = rendered(recipe)
    for path in sys.argv[1:]:
        Path(path).write_text(recipe, encoding="utf-8")
    requirements = found["requirements"]
    print(f"{META.name}: {len(requirements['run'])} requirements; rattler-build accepts it")
