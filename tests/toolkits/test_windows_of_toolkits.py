# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explorer and navigator in real windows of Qt and Tk, with their events.

Each toolkit has a process of its own, in which pytest runs ``claims.py``: a toolkit that dies
takes nothing else with it, and the pixel ratio of Qt is that of a process.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# What depends on the resolution of the screen.
PIXELS = "pixels or click_on_the_map or path_drawn"


def claims(environment, backend, which=None, **more):
    """Run the claims; how many hold. None is left out."""
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", *(["-k", which] if which else [])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "claims.py"],
        cwd=HERE,
        env={**environment, "MPLBACKEND": backend, **more},
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "skipped" not in said, said
    return int(re.search(r"(\d+) passed", said)[1])


def need(module, package):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture
def qt():
    need("PySide6", "PySide6")
    tried = subprocess.run(
        [sys.executable, "-c", "import PySide6.QtWidgets"], capture_output=True, text=True
    )
    if tried.returncode:
        pytest.skip(f"Qt cannot be loaded: {tried.stderr.strip().splitlines()[-1]}")
    return {"QT_API": "pyside6", "QT_QPA_PLATFORM": "offscreen"}


@pytest.fixture
def display():
    """An X server of our own, at a number that it finds itself."""
    need("tkinter", "tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            number = said.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_qt(qt, environment):
    assert claims(environment, "qtagg", QT_SCALE_FACTOR="1", **qt) == 14


@pytest.mark.slow
@pytest.mark.parametrize("ratio", ["1.5", "2"])
def test_qt_on_screens_of_high_resolution(qt, environment, ratio):
    assert claims(environment, "qtagg", PIXELS, QT_SCALE_FACTOR=ratio, **qt) == 3


@pytest.mark.slow
def test_tk(display, environment):
    which = "click_on_the_map or scatter or path_drawn or keys or closing"
    assert claims(environment, "tkagg", which, DISPLAY=display) == 5
