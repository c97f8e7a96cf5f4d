# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One page about one analysis: figures, figures of merit, diagnostics in words, a script.

What is needed of a stack are its public methods and its table; the page is one HTML file without
scripts and without anything beside it.
"""

from .page import write_report

__all__ = ["write_report"]
