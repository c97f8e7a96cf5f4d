# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m hs_rvae``: the command line."""

import sys

from hs_rvae.cli import main

sys.exit(main())
