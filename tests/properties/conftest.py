# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties that hold for all inputs: few examples every day, many with ``pytest -m slow``."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_ALWAYS = {
    "database": None,  # a test leaves nothing behind
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile(
    "small", max_examples=6, stateful_step_count=8, derandomize=True, **_ALWAYS
)
settings.register_profile("large", max_examples=150, stateful_step_count=25, **_ALWAYS)


def _asked_for(config):
    expression = config.getoption("markexpr")
    return "slow" in expression and "not slow" not in expression


def pytest_configure(config):
    """Choose the number of examples before the tests are imported: each keeps that of then."""
    settings.load_profile("large" if _asked_for(config) else "small")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """With ``-m slow``, the same tests run with many examples."""
    if not _asked_for(config):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
