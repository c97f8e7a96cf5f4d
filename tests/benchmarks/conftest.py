# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks run one after the other, in the process of pytest: others would disturb the times."""

import pytest

collect_ignore = ["forerunners"]  # scripts for environments of their own


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the number
def pytest_cmdline_main(config):
    config.option.numprocesses = 0
