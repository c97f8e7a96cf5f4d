# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release needs: version, address, recipe and settings agree with the package."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import hs_rvae

ROOT = Path(hs_rvae.__file__).parents[1]
RECIPE = ROOT / "docs" / "dev" / "recipe"
CONDA = {"dask": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


@pytest.fixture
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def module_of(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def address():
    return module_of(RECIPE / "set_address.py")


def declared(project):
    """Dependencies by their names on conda-forge, and their ranges."""
    pairs = [
        re.match(r"([\w-]+)(?:\[.*\])?(.*)", each).groups()
        for each in project["project"]["dependencies"]
    ]
    return {CONDA.get(name, name): bounds for name, bounds in pairs}


def test_the_recipe_asks_for_what_the_package_asks_for(project):
    text = (RECIPE / "meta.yaml").read_text(encoding="utf-8")
    run = text.split("  run:\n")[1].split("\ntest:")[0]
    asked = dict(re.findall(r"^    - ([\w-]+) (\S+)$", run, re.MULTILINE))
    assert asked == declared(project)


def test_the_recipe_is_yaml_once_its_names_are_filled_in():
    text = (RECIPE / "meta.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^{%.*%}\n", "", text, flags=re.MULTILINE)
    recipe = yaml.safe_load(re.sub(r"{{.*?}}", "x", text))
    sections = ["package", "source", "build", "requirements", "test", "about", "extra"]
    assert list(recipe) == sections
    assert recipe["build"]["noarch"] == "python" and recipe["about"]["license_file"] == "LICENSE"
    assert len(recipe["source"]["sha256"]) == 64


def test_the_recipe_keeps_the_rules_of_conda_forge():
    """Rules of conda-smithy's linter for a recipe of one pure Python package."""
    text = (RECIPE / "meta.yaml").read_text(encoding="utf-8")
    for line in re.findall(r"^{%.*", text, re.MULTILINE):
        assert re.fullmatch(r"{% set \S+ = \S+ %}", line), line
    for inside in re.findall(r"{{(.*?)}}", text):
        assert inside == f" {inside.strip()} ", inside
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert not re.search(r"#\s*\[", text)  # a package for all systems has no selectors
    filled = re.sub(r"^{%.*%}\n", "", text, flags=re.MULTILINE)
    filled = filled.replace("{{ name }}", "hs_rvae").replace("{{ version }}", "0.2.0")
    filled = filled.replace("{{ python_min }}", "9999")
    recipe = yaml.safe_load(re.sub(r"{{.*?}}", "x", filled))
    assert re.fullmatch(r"[a-z0-9_.-]+", recipe["package"]["name"])
    assert recipe["build"]["number"] == 0 and "pip install" in recipe["build"]["script"]
    assert list(recipe["requirements"]) == ["host", "run"]
    python = {
        "host": recipe["requirements"]["host"],
        "run": recipe["requirements"]["run"],
        "test": recipe["test"]["requires"],
    }
    for section, pin in (
        ("host", "python 9999"),
        ("run", "python >=9999"),
        ("test", "python 9999"),
    ):
        assert pin in python[section], section
    for requirement in (*python["host"], *python["run"], *python["test"]):
        # A name, one space, bounds without one: "numpy >=1.25,<3".
        assert re.fullmatch(r"[a-z0-9_-]+( [0-9<>=!][^ ]*)?", requirement), requirement
    assert any(each.startswith("setuptools") for each in python["host"])  # what pip builds with
    assert recipe["source"]["url"].startswith("https://pypi.org/packages/source/")
    about = recipe["about"]
    assert all(about[key] for key in ("home", "summary", "license", "license_file"))
    assert "license" not in about["license"].lower()
    assert recipe["test"]["imports"] and "pip check" in recipe["test"]["commands"]
    maintainers = recipe["extra"]["recipe-maintainers"]
    assert isinstance(maintainers, list) and maintainers


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("", "", None),
        ("GPL-3.0-or-later", "GNU GPL 3", "invalid value for 'license'"),
        ("numpy >=1.25", "numpy =>1.25", "unable to parse version"),
        ("number: 0", "numbr: 0", "unknown field 'numbr'"),
        ("license_file", "licence_file", "unknown field 'licence_file'"),
    ],
)
def test_rattler_build_accepts_the_recipe_and_refuses_faulty_ones(right, wrong, words, project):
    pytest.importorskip("rattler_build")
    check = module_of(RECIPE / "check_recipe.py")
    text = (RECIPE / "meta.yaml").read_text(encoding="utf-8")
    assert right in text
    if words is not None:
        with pytest.raises(Exception, match=words):
            check.rendered(check.translated(text.replace(right, wrong)))
        return
    recipe = check.rendered(check.translated(text))
    run = recipe["requirements"]["run"]
    assert f"python {project['project']['requires-python']}" in run
    assert len(run) > len(project["project"]["dependencies"])
    assert recipe["build"]["noarch"] == "python" and "hs_rvae-0.2.0" in recipe["source"][0]["url"]


def test_the_environment_asks_for_what_the_package_asks_for(project):
    text = (ROOT / "docs" / "dev" / "environment.yml").read_text(encoding="utf-8")
    listed = yaml.safe_load(text)["dependencies"]
    pairs = [re.match(r"([\w-]+)(.*)", each).groups() for each in listed]
    asked = {{"dask": "dask-core"}.get(name, name): bounds for name, bounds in pairs}
    for name, bounds in declared(project).items():
        assert asked[name].startswith(bounds), name


def test_one_setting_fills_in_the_address(address, tmp_path, monkeypatch):
    for name in address.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(address, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="address='github.com/somebody/hs_rvae': give one like"):
        address.replace("github.com/somebody/hs_rvae")
    before = address.present()
    assert address.replace("https://github.com/somebody/hs_rvae/") == address.FILES
    for name in address.FILES:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert before not in text and "https://github.com/somebody/hs_rvae" in text
    recipe = (tmp_path / "docs/dev/recipe/meta.yaml").read_text(encoding="utf-8")
    assert "- somebody\n" in recipe and "OWNER" not in recipe
    links = re.findall(r"\]\(([^)]*)\)", (tmp_path / "README.md").read_text(encoding="utf-8"))
    assert all(link.startswith("https://") for link in links)  # PyPI shows this page alone
    assert "https://github.com/somebody/hs_rvae/raw/main/docs/_static/overview.png" in links
    assert "https://github.com/somebody/hs_rvae/blob/main/LICENSE" in links


def test_no_other_file_names_the_address(address):
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs git and a clone of the repository")
    found = subprocess.run(
        ["git", "grep", "-l", "-F", address.present()],
        cwd=ROOT, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    about = {"docs/dev/recipe/set_address.py", ".github/workflows/publish.yml"}
    assert set(found) - about == set(address.FILES)


def test_settings_of_zenodo_name_the_paper_and_no_person(project):
    settings = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert settings["creators"] == project["project"]["authors"]
    assert settings["license"] == project["project"]["license"]
    assert any("5.0105406" in each["identifier"] for each in settings["related_identifiers"])


def test_a_release_is_published_without_a_password():
    path = ROOT / ".github" / "workflows" / "publish.yml"
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build" and "secrets" not in path.read_text("utf-8")
    commands = " ".join(step.get("run", "") for step in jobs["build"]["steps"])
    for check in ("twine check --strict", "check-wheel-contents", "pytest -m core"):
        assert check in commands


def test_read_the_docs_builds_the_pages_with_what_they_need():
    settings = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text(encoding="utf-8"))
    assert settings["sphinx"] == {"configuration": "docs/conf.py", "fail_on_warning": True}
    assert settings["python"]["install"][0]["extra_requirements"] == ["docs"]


@pytest.mark.parametrize("clone", ["no .git", "no tags", "a tag"])
def test_the_version_comes_from_tags_or_has_a_fallback(tmp_path, project, clone):
    if clone != "no .git" and not shutil.which("git"):
        pytest.skip("needs git")
    pytest.importorskip("setuptools_scm")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    if clone != "no .git":
        git("init")
        git("add", ".")
        git("commit", "-m", "first")
    if clone == "a tag":
        git("tag", "-a", "v0.3.1", "-m", "a release")
    shown = subprocess.run(
        [sys.executable, "-m", "setuptools_scm"], cwd=tmp_path, capture_output=True, text=True
    )
    expected = project["tool"]["setuptools_scm"]["fallback_version"]
    assert shown.stdout.startswith(
        {"a tag": "0.3.1\n", "no .git": f"{expected}\n"}.get(clone, "0.")
    )
