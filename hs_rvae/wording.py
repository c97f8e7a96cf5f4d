# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words in messages."""


def count_of(n: int, noun: str) -> str:
    """
    A number and its noun, in the plural where it is not one.

    Examples
    --------
    >>> count_of(1, "site"), count_of(0, "grain"), count_of(24336, "site")
    ('1 site', '0 grains', '24,336 sites')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
