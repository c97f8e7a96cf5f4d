# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masked arrays as input: masked values become NaN, or are refused.

``numpy.asarray`` drops a mask silently and returns the values under it.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def is_masked(values: Any) -> bool:
    """
    Return True for a masked array of NumPy, or a dask array of them.

    Examples
    --------
    >>> is_masked(np.ma.masked_less([1, 2], 2)), is_masked(np.array([1, 2]))
    (True, False)
    """
    return isinstance(getattr(values, "_meta", values), np.ma.MaskedArray)


def filled(values: Any) -> Any:
    """
    Masked values as NaN.

    Parameters
    ----------
    values : array-like

    Returns
    -------
    array-like
        A plain array of NumPy or dask for a masked array, anything else as it is. Integers become
        floats where a value is masked; of dask arrays, always.

    Examples
    --------
    >>> filled(np.ma.masked_less([1, 2], 2))
    array([nan,  2.])
    >>> filled([1, 2])
    [1, 2]
    """
    if not is_masked(values):
        return values
    dtype = values.dtype
    if dtype.kind in "biu":
        dtype = np.result_type(dtype, np.float32)
    if hasattr(values, "dask"):
        return values.astype(dtype).map_blocks(np.ma.filled, np.nan, dtype=dtype)
    return values.astype(dtype).filled(np.nan) if np.ma.is_masked(values) else values.data


def refuse_masked(**arguments: Any) -> None:
    """
    Refuse masked arrays where NaN would not do.

    Parameters
    ----------
    **arguments : array-like or None
        By the name that the message gives.

    Raises
    ------
    ValueError
        If one of them is a masked array; the message names the call that fills it.

    Examples
    --------
    >>> refuse_masked(sites=np.ma.masked_less([1, 2], 2) > 1)
    Traceback (most recent call last):
    ValueError: sites is a masked array, whose mask would be lost: pass sites.filled(False).
    """
    for name, values in arguments.items():
        if not is_masked(values):
            continue
        kind = values.dtype.kind
        filling = {"b": "filled(False)", "f": "filled(np.nan)"}.get(
            kind, "astype(float).filled(np.nan)"
        )
        remedy = f"{name}.{filling}"
        if hasattr(values, "dask"):
            remedy = f"dask.array.ma.filled({name}.astype(float), np.nan)"
        raise ValueError(f"{name} is a masked array, whose mask would be lost: pass {remedy}.")
