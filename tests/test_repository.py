# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository: what lies at its top, and that its own texts agree with what is there."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import hs_rvae

ROOT = Path(hs_rvae.__file__).parents[1]
# The package, its tests, its documentation, and what tools and readers look for at the top.
AT_THE_TOP = {
    *("hs_rvae", "tests", "docs", "pyproject.toml", "README.md"),
    *("LICENSE", "CITATION.cff", "CHANGES.rst", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"),
    "MANIFEST.in",  # tests and documentation in the source distribution
    "conftest.py",  # for the examples in docstrings, too
}

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


def tracked():
    """Paths of all files in the repository, those to be added included."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs git and a clone of the repository")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    output = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in output.split("\0") if name and (ROOT / name).exists()]


def test_only_what_belongs_there_lies_at_the_top():
    top = {name.partition("/")[0] for name in tracked()}
    assert {name for name in top if not name.startswith(".")} == AT_THE_TOP


def test_environments_that_the_pages_make_are_ignored_by_git():
    """Otherwise the tests of a reader who follows them fail."""
    tracked()
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.rst")]
    made = {
        name
        for page in pages
        for name in re.findall(r"-m venv ([\w.-]+)", page.read_text(encoding="utf-8"))
    }
    assert "rvae-env" in made
    for name in made:
        ignored = ["git", "check-ignore", "-q", f"{name}/bin"]
        assert subprocess.run(ignored, cwd=ROOT).returncode == 0, name


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "README.md"])
def test_files_that_a_page_at_the_top_names_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:hs_rvae|docs|tests|\.ci)/[^`\s]*)`", text)
    lost = [name for name in [*links, *paths] if not any(ROOT.glob(name.rstrip("/")))]
    assert lost == []


def jobs(workflow):
    """Jobs of a workflow by name."""
    path = ROOT / ".github" / "workflows" / f"{workflow}.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


def test_tests_run_on_every_python_and_system_that_is_promised():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [c.rpartition(" ")[2] for c in project["classifiers"] if " :: Python :: 3." in c]
    matrix = jobs("tests")["tests"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert matrix["os"] == ["ubuntu-latest", "windows-latest", "macos-latest"]


def test_every_step_of_the_checks_runs_for_a_change():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    steps = set(re.findall(r"^if asked_for (\w+); then", script, re.MULTILINE))
    assert steps == {"style", "tests", "slow", "docs"}
    run = set(jobs("tests")["once"]["strategy"]["matrix"]["step"])
    for job in [*jobs("tests").values(), *jobs("weekly").values()]:
        for step in job["steps"]:
            run |= set(re.findall(r"bash \.ci/run ((?:\w+ ?)+)", step.get("run", "")))
    assert steps <= {step for words in run for step in words.split()}


def test_the_checks_refuse_a_step_that_they_do_not_have():
    if os.name == "nt" or not shutil.which("bash"):
        pytest.skip("needs bash")
    script = ["bash", ".ci/run", "test"]
    result = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert "test: give some of style, tests, slow, docs" in result.stderr


def test_annotations_are_asked_for_but_in_modules_that_exist():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert settings["disallow_untyped_defs"]
    (spared,) = settings["overrides"]
    assert ROOT.joinpath(*spared["module"].split(".")).with_suffix(".py").exists()


def test_the_core_of_the_suite_names_tests_that_exist():
    (listed,) = (
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CORE"
    )
    for name, left_out in listed.items():
        text = (ROOT / "tests" / name).read_text(encoding="utf-8")
        assert [test for test in left_out.split() if f"def {test}(" not in text] == [], name
