# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``hs-rvae analyse``: images from their files to the reports."""

from __future__ import annotations

import argparse
import sys
import time

from .columns import check_options
from .many import SUMMARY, analyse_many, paths_of
from .one import analyse_image
from .summary import about_columns, outcome


def run_analyse(options: argparse.Namespace) -> None:
    """
    Analyse the image or the images of the command line, and print the result.

    Parameters
    ----------
    options : argparse.Namespace

    Raises
    ------
    OSError, ValueError, TypeError
        If something asked for cannot be done; the message names the option.
    """
    paths = paths_of(options.image)
    if len(paths) > 1 or options.joint:
        table = analyse_many(paths, options, options.joint, options.scheduler, options.workers)
        for row in table[table.error != ""].itertuples():
            print(f"hs-rvae: error: IMAGE {row.file}: {row.error}", file=sys.stderr)
        page = options.output / f"{SUMMARY}.html"
        print(f"{(table.error == '').sum()} of {len(table)} images are analysed. The summary is "
              f"{page.resolve()}.")  # fmt: skip
        return
    options.image = paths[0]
    check_options(options)
    start = time.perf_counter()
    stack, about = analyse_image(options, options.image.stem)
    window, name = stack.data.shape[-1], options.image.name
    print("\n".join(["", *about_columns(stack)]))
    print(f"{name}: {len(stack.sites)} sub-images of {window} px around {about.chosen}.")
    print("\n".join(outcome(stack, about.agreement)))
    print(f"{time.perf_counter() - start:.0f} s. The report is {about.page.resolve()}.")
