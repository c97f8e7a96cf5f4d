# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that callers expect and handle: all others are faults, and go up to the user."""


class TooFewSites(ValueError):
    """The quantity asked for needs more sites."""


class ModelMismatch(ValueError):
    """The sub-images of a stack, or its site table, do not fit the model."""
