# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which positions get a window, and why the others do not."""

import logging
from collections import Counter

import numpy as np

from hs_rvae import neighbours as _neighbours
from hs_rvae import positions as _positions
from hs_rvae import windows as _windows

_logger = logging.getLogger(__name__)


def usable_sites(frames, positions, window_size, centring):
    """Find the positions of each frame that get a window; count the others in the log."""
    kept, counts, close = [], Counter(), 0
    hidden = list(_nonfinite_pixels(frames))
    if all(mask is not None and mask.all() for mask in hidden):
        raise ValueError("image has no finite pixel: all values are NaN or infinite.")
    for xy, mask in zip(positions, hidden, strict=True):
        usable, reasons = _usable(xy, mask, frames.shape[1:], window_size, centring)
        for reason, sites in reasons.items():
            counts[reason] += int(sites.sum())
        close += int(_neighbours.crowded(xy[usable]).sum())
        kept.append(np.flatnonzero(usable))
    n_kept = sum(map(len, kept))
    _report(counts, sum(map(len, positions)), n_kept, window_size)
    if close:
        _logger.warning(
            "%d of %d sites are closer to another one than a quarter of the nearest-neighbour "
            "distance: a column was probably found twice. Take one of each pair away, or refine "
            "the positions again.",
            close,
            n_kept,
        )
    return kept


def _nonfinite_pixels(frames):
    """Masks of the pixels that are not finite, None for frames without; all are read at once."""
    if frames.dtype.kind in "iub":
        return [None] * len(frames)
    if hasattr(frames, "dask"):
        finite = np.isfinite(frames).all(axis=(1, 2)).compute()
    else:
        finite = [np.isfinite(frame).all() for frame in frames]
    return [
        None if good else _windows.nonfinite_pixels(frame)
        for good, frame in zip(finite, frames, strict=True)
    ]


def _usable(positions, hidden, shape, window_size, centring):
    """Mask of the positions that get a window, and masks of the others by reason."""
    reasons = {}
    usable = np.isfinite(positions).all(axis=1)
    reasons["have a non-finite position"] = ~usable
    repeated = usable & _repeated(positions)
    reasons["repeat another position"] = repeated
    usable &= ~repeated
    outside = ~_positions.inside_image(positions, shape)
    reasons["lie outside the image"] = usable & outside
    usable &= ~outside
    inside = _windows.window_is_inside(positions, window_size, shape, centring)
    reasons["have a window that leaves the image"] = usable & ~inside
    usable &= inside
    if hidden is not None:
        touching = usable.copy()
        touching[usable] = _windows.window_touches(hidden, positions[usable], window_size, centring)
        reasons["have a window with non-finite pixels"] = touching
        usable &= ~touching
    return usable, reasons


def _repeated(positions):
    """Positions that agree with an earlier one to a thousandth of a pixel."""
    _, first = np.unique(np.round(positions, 3), axis=0, return_index=True)
    repeated = np.ones(len(positions), dtype=bool)
    repeated[first] = False
    return repeated


def _report(counts, total, kept, window_size):
    """Say how many sites were dropped and why; loudly if it is most of them."""
    dropped = "; ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    if not kept:
        raise ValueError(
            f"None of the {total} positions gets a window of {window_size} pixels: {dropped}. "
            "Check the positions, or choose a smaller window_size."
        )
    if dropped:
        loud = kept < total / 2 or counts["repeat another position"]
        _logger.log(
            logging.WARNING if loud else logging.INFO,
            "%d of %d sites are kept, %d dropped: %s. The column site_index has the original "
            "indices.",
            kept,
            total,
            total - kept,
            dropped,
        )
    if kept == 1:
        _logger.warning("The stack has a single site: models and maps need more.")
