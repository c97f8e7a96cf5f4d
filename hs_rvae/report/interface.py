# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages in the words of the interface in use: options of Python as those of the command line."""

from __future__ import annotations

import re
from functools import partial

# Options of Python, and what they are called on the command line.
_OPTIONS = {
    "cell": "--cell",
    "n_sublattices": "--sublattices",
    "sublattice": "--sublattice",
    "window_size": "--window",
    "output_dimension": "--latent",
    "n_init": "--starts",
    "rotation": "--rotation",
    "n_clusters": "--clusters",
    "random_state": "--seed",
    "structure": "--structure",
    "positions": "--positions",
    "lattice": "--positions",
}
_VALUE = r"(\([^()]*\)|\[[^\[\]]*\]|'[^']*'|\"[^\"]*\"|[^\s,;:()]*[^\s,;:().])"
# Whole phrases first: they hold options.
_PHRASES = (
    (r"(?:hs_rvae\.)?find_columns\([^()]*\)", "--no-lattice"),
    (r"method=['\"](maxima|network|auto)['\"]", r"--method \1"),
    (
        r", or a (?:hs_rvae\.columns\.)?ColumnNetwork(\([^()]*\)| with a lower probability[^.]*)?",
        "",
    ),
    (r"crop the image with image\.isig\[[^\]]*\]", "leave them out with --region X0 Y0 X1 Y1"),
    (r"Crop the image with image\.isig\[[^\]]*\]", "Leave them out with --region X0 Y0 X1 Y1"),
    (r"crop to (the crystal|them)", r"crop to \1 with --region"),
    (r"Crop to (the crystal|them)", r"Crop to \1 with --region"),
    (r"(?:Set|If both scales are in|Convert) [^.]*image\.axes_manager.*", "Give --scale 0.015nm."),
    (r"hs_rvae\.plots\.plot_columns\([^()]*\)", "the first figure of the report"),
    (r"stack\.rvae\(n_init=(\d+)\)", r"--starts \1"),
    (r"(n_init=\d+) in stack\.rvae\(\)", r"\1"),
    (r" \(stack\.rvae_verdict\); n_variants=\d+ divides the directions into \w+", ""),
    (r" \(stack\.rvae_verdict\)", ""),
    (r"An int counts pixels, a float units of the axis", "--window SIZE chooses another"),
    (r"by select_sites\(\) or in sublattice=", "with --sublattice"),
    (
        r"plot_polar_map\('displacement'\) and plot_rvae_manifold\(\)",
        "the figures of displacement and manifold in the report",
    ),
    (r"; a number, as in stack\.register_angle\(0\.0\), gives them a zero", ""),
    (r"Raise max_clusters, or choose n_clusters", "Choose --clusters"),
    (r"Pass order='rc', or swap", "Swap"),
    (r",? or a lower threshold than \d[\d.e-]*\d", ""),
    (r"\bdark=True\b", "--dark"),
    (r"\bdark=False\b", "--bright"),
    (r"\bdark=", "--dark or --bright"),
    (r"\bzone_axis=\((-?\d+), (-?\d+), (-?\d+)\)", r"--zone-axis \1 \2 \3"),
    (r"\bzone_axis=", "--zone-axis"),
)


def as_command_line(text: str) -> str:
    """
    A message that names options of Python, for users of the command line.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> as_command_line("The lattice is unsure: pass cell= or dark=True.")
    'The lattice is unsure: pass --cell or --dark.'
    >>> as_command_line("n_sublattices=2, but window_size=48 is too small.")
    '--sublattices 2, but --window 48 is too small.'
    """
    for pattern, words in _PHRASES:
        text = re.sub(pattern, words, text)
    for name, option in _OPTIONS.items():
        text = re.sub(rf"(?<![\w.-]){name}={_VALUE}", partial(_with_value, option), text)
        text = re.sub(rf"(?<![\w.-]){name}=", option, text)
    return text


def _with_value(option: str, found: re.Match[str]) -> str:
    """An option of the command line with the value of one of Python."""
    value = found[1].strip("'\"")
    return f"{option} {value}"
