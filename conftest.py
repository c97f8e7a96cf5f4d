# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for every test and doctest, of the package and of ``tests/`` alike."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker on each core: one thread each, before NumPy
    for name in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM"):
        os.environ.setdefault(f"{name}_THREADS", "1")

import matplotlib

matplotlib.use("agg")  # before anything opens a window

import hyperspy.api as hs
import pytest


@pytest.fixture(autouse=True)
def quiet_hyperspy(monkeypatch):
    """No progress bars; the user's own preference is left alone."""
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test has drawn."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
