# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which positions get a window, and why the others do not."""

import logging
from collections import Counter
from dataclasses import replace

import dask
import numpy as np

from hs_rvae import neighbours as _neighbours
from hs_rvae import positions as _positions
from hs_rvae import windows as _windows
from hs_rvae.constant_bands import describe, find_bands, may_have_bands

_logger = logging.getLogger(__name__)

_OVER_BANDS = "have a window over a constant band"


def usable_sites(frames, positions, window_size, centring):
    """Find the positions of each frame that get a window; count the others in the log."""
    kept, counts, close, found, nothing = [], Counter(), 0, [], True
    for xy, (hidden, bands) in zip(positions, _hidden_pixels(frames), strict=True):
        nothing &= hidden is not None and bool(hidden.all())
        found.append(bands and replace(bands, mask=None))
        masks = {"have a window with non-finite pixels": hidden, _OVER_BANDS: bands and bands.mask}
        usable, reasons = _usable(xy, masks, frames.shape[1:], window_size, centring)
        for reason, sites in reasons.items():
            counts[reason] += int(sites.sum())
        close += int(_neighbours.crowded(xy[usable]).sum())
        kept.append(np.flatnonzero(usable))
    if nothing:
        raise ValueError("image has no finite pixel: all values are NaN or infinite.")
    if text := describe(found):
        _logger.warning("%s %d windows over them are dropped.", text, counts[_OVER_BANDS])
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


def _hidden_pixels(frames):
    """Of each frame, the mask of pixels that are not finite, and its bands; None for none.

    A lazy frame is read as a whole only if its outline, or a pixel of it, looks strange.
    """
    finite = np.ones(len(frames), bool)
    outlines = frames[:, :1], frames[:, -1:], frames[:, :, :1], frames[:, :, -1:]
    whole = frames.dtype.kind in "iub"
    if hasattr(frames, "dask"):
        lazy = finite if whole else np.isfinite(frames).all(axis=(1, 2))
        finite, *outlines = dask.compute(lazy, *outlines)
    elif not whole:
        finite = [np.isfinite(frame).all() for frame in frames]
    for k, frame in enumerate(frames):
        strange = may_have_bands([lines[k] for lines in outlines])
        yield (
            None if finite[k] else _windows.nonfinite_pixels(frame),
            find_bands(np.asarray(frame)) if strange else None,
        )


def _usable(positions, masks, shape, window_size, centring):
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
    for reason, hidden in masks.items():
        if hidden is not None:
            touching = usable.copy()
            touching[usable] = _windows.window_touches(
                hidden, positions[usable], window_size, centring
            )
            reasons[reason] = touching
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
