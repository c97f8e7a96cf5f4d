# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images: windows around column positions, cut from an image with numpy or dask.

The centre ``(w - 1) / 2`` of a window of w pixels coincides with the column, for odd and even w.
Between pixels the image is a cubic B-spline. Its coefficients are computed once for the image;
the sub-pixel shift is the same for all pixels of a window, so that a window is two passes of four
weights (rows, then columns) over its coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from hs_rvae.checks import is_number, is_whole_number
from hs_rvae.neighbours import nearest_neighbour_distance
from hs_rvae.options import MINIMUM_WINDOW
from hs_rvae.threads import side_by_side

#: Window size in nearest-neighbour distances of the sublattice when none is given.
DEFAULT_NEIGHBOUR_DISTANCES = 1.85

# Spline coefficients reach one pixel before and two pixels after a window; the image is mirrored.
_MARGIN = 2
_POLE = np.sqrt(3.0) - 2  # of the filter of a cubic B-spline
#: Pixels beyond which another does not change a coefficient: there the pole to the power of the
#: distance is below double precision.
REACH = 32
_FEW = 4  # how much smaller the surroundings of all windows are than an image that is not prepared
_ROWS, _COLUMNS = 512, 1024  # filtered at a time, ...
_COLUMN_PIXELS = 2**22  # ... columns of more than 4096 pixels in smaller numbers
# Windows worked on at a time: 51 x 51 coefficients each for w = 48 stay in the cache.
_WINDOWS_AT_ONCE = 48
_GROUP = 12  # lines of a window made by one product: of more, most factors would be zero
# Bytes of windows in one dask task.
_BLOCK_BYTES = 2**24
# Positions that miss the edge by rounding still have their window inside the image.
_ROUNDING = 1e-6


def resolve_window_size(
    window_size: Any, positions: Any, scale: float | tuple[float, float]
) -> int:
    """
    Window size in pixels.

    Parameters
    ----------
    window_size : int, float or None
        int (also numpy integers): pixels. float: units of the image's axes, rounded to pixels.
        If None, 1.85 nearest-neighbour distances of the positions.
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels; only used if `window_size` is None.
    scale : float or tuple of float
        Size of a pixel in units of the axes; of two sizes the geometric mean is used.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If `window_size` is not a number.
    ValueError
        If the window is smaller than 8 pixels.

    Examples
    --------
    >>> resolve_window_size(48, None, 0.02), resolve_window_size(0.8, None, 0.02)
    (48, 40)
    """
    if window_size is None:
        pixels: float = DEFAULT_NEIGHBOUR_DISTANCES * nearest_neighbour_distance(positions)
        source = "1.85 nearest-neighbour distances"
    elif not is_number(window_size):
        raise TypeError(
            f"window_size={window_size!r} must be an int (pixels), a float (units of the axis) "
            "or None."
        )
    elif is_whole_number(window_size, -np.inf):
        pixels = int(window_size)
        source = f"window_size={int(window_size)} (pixels)"
    else:
        pixel = float(np.sqrt(np.prod(np.abs(np.broadcast_to(scale, 2)))))
        pixels = float(window_size) / pixel
        source = f"window_size={float(window_size):g} (axis units, {pixel:g} per pixel)"
    if not np.isfinite(pixels):
        raise ValueError(
            f"{source} is not a window size: give an int (pixels), a float (units of the axis) or "
            "None."
        )
    pixels = int(np.rint(pixels))
    if pixels < MINIMUM_WINDOW:
        raise ValueError(
            f"{source} makes a window of {pixels} pixels; the smallest is {MINIMUM_WINDOW}. "
            "An int counts pixels, a float units of the axis."
        )
    return pixels


def check_window_fits(window_size: int, image_shape: tuple[int, ...]) -> None:
    """Refuse a window larger than the image ``(rows, columns)``."""
    rows, columns = image_shape
    if window_size > min(rows, columns):
        raise ValueError(
            f"A window of {window_size} pixels is larger than the image ({columns} columns, "
            f"{rows} rows): choose a smaller window_size."
        )


def window_is_inside(
    positions: np.ndarray,
    window_size: int,
    image_shape: tuple[int, ...],
    centring: str = "subpixel",
) -> np.ndarray:
    """
    Find the windows that lie inside the image.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels. Non-finite positions are not inside.
    window_size : int
        In pixels.
    image_shape : tuple of int
        ``(rows, columns)``.
    centring : {"subpixel", "nearest"}

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
    """
    check_centring(centring)
    start = positions - (window_size - 1) / 2
    if centring == "nearest":
        start = np.rint(start)
    last = np.array(image_shape[::-1]) - window_size
    with np.errstate(invalid="ignore"):
        inside = (start >= -_ROUNDING) & (start <= last + _ROUNDING)
    return np.asarray(inside.all(axis=1))


def check_centring(centring: str) -> None:
    """Refuse a centring that does not exist."""
    if centring not in ("subpixel", "nearest"):
        raise ValueError(f"centring={centring!r} is unknown: use 'subpixel' or 'nearest'.")


def nonfinite_pixels(image: Any) -> np.ndarray | None:
    """
    Mask of the pixels that are NaN or infinite, or None if there are none.

    Parameters
    ----------
    image : numpy.ndarray or dask.array.Array of shape (rows, columns)
        A dask array is read once, block by block.

    Returns
    -------
    numpy.ndarray of bool, shape (rows, columns), or None
    """
    if image.dtype.kind in "iub":
        return None
    finite = np.isfinite(image)
    if bool(finite.all()):
        return None
    return ~np.asarray(finite)


def window_touches(
    mask: np.ndarray, positions: np.ndarray, window_size: int, centring: str = "subpixel"
) -> np.ndarray:
    """
    Find the windows that contain a masked pixel.

    Parameters
    ----------
    mask : numpy.ndarray of bool, shape (rows, columns)
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, of windows inside the image.
    window_size : int
    centring : {"subpixel", "nearest"}

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
    """
    # Sums over rectangles from a summed-area table: as fast for large windows as for small ones.
    area = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    area[1:, 1:] = mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    first, fraction = _first_pixels(positions, window_size, mask.shape, centring)
    # A window between pixels also uses the pixel after its last one.
    last = first + window_size + (fraction > 0)
    (x0, y0), (x1, y1) = first.T, last.T
    return area[y1, x1] - area[y0, x1] - area[y1, x0] + area[y0, x0] > 0


def window_offsets(
    positions: np.ndarray,
    window_size: int,
    image_shape: tuple[int, ...],
    centring: str = "subpixel",
) -> np.ndarray:
    """
    Column position minus window centre, in pixels, shape (n, 2): zero unless "nearest".

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, of windows inside the image.
    window_size : int
    image_shape : tuple of int
    centring : {"subpixel", "nearest"}

    Returns
    -------
    numpy.ndarray of shape (n, 2)
    """
    if centring == "subpixel":
        return np.zeros(positions.shape)
    first, _ = _first_pixels(positions, window_size, image_shape, centring)
    return positions - first - (window_size - 1) / 2


def cut_windows(
    image: np.ndarray,
    positions: np.ndarray,
    window_size: int,
    centring: str = "subpixel",
    progress: Callable[[range], Iterable[int]] = iter,
) -> np.ndarray:
    """
    Cut windows from an image.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        Real numbers. Windows that touch non-finite pixels are not meaningful.
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels; all windows must lie inside the image.
    window_size : int
        In pixels.
    centring : {"subpixel", "nearest"}
        "subpixel" puts the column exactly on the window's centre ``(w - 1) / 2`` by cubic
        interpolation; "nearest" copies the pixels of the nearest whole-pixel window.
    progress : callable
        Wraps the list of blocks, for example in a progress bar.

    Returns
    -------
    numpy.ndarray of shape (n, w, w), float32

    Raises
    ------
    ValueError
        If a window leaves the image.

    Examples
    --------
    >>> ramp = np.arange(20.0) + np.zeros((16, 1))
    >>> windows = cut_windows(ramp, np.array([[9.25, 8.0]]), window_size=9)
    >>> windows.shape, float(windows[0, 4, 4])
    ((1, 9, 9), 9.25)
    """
    positions = _windows_inside(positions, window_size, image.shape, centring)
    first, fraction = _first_pixels(positions, window_size, image.shape, centring)
    windows = np.empty((len(positions), window_size, window_size), dtype=np.float32)
    around = (window_size + 2 * REACH) ** 2
    if _FEW * len(positions) * around < np.size(image) and nonfinite_pixels(image) is None:
        for k in range(len(positions)):
            own = first[k : k + 1], fraction[k : k + 1]
            windows[k] = _cut_one(image, *own, window_size, centring)
        return windows
    source = _source(image, centring)
    block = windows_per_block(window_size)

    def cut(start: int) -> None:
        some = slice(start, start + block)
        windows[some] = _cut_block(first[some], fraction[some], source, window_size, centring)

    starts = range(0, len(positions), block)
    for _ in zip(progress(starts), side_by_side(cut, starts), strict=True):
        pass
    return windows


def _cut_one(
    image: np.ndarray, first: np.ndarray, fraction: np.ndarray, window_size: int, centring: str
) -> np.ndarray:
    """Window (1, w, w) from the pixels around it alone."""
    start = np.maximum(first[0] - _MARGIN - REACH, 0)
    columns, rows = (slice(k, k + window_size + 2 * (_MARGIN + REACH)) for k in start)
    source = _source(image[rows, columns], centring)
    return _cut_block(first - start, fraction, source, window_size, centring)


def windows_per_block(window_size: int) -> int:
    """Count the windows of one dask task, or of one step of the progress bar."""
    return int(np.clip(_BLOCK_BYTES // (4 * window_size**2), 16, 4096))


def _windows_inside(
    positions: np.ndarray, window_size: int, image_shape: tuple[int, ...], centring: str
) -> np.ndarray:
    """Turn positions into float64; refuse windows that leave the image."""
    positions = np.asarray(positions, dtype=np.float64)
    outside = ~window_is_inside(positions, window_size, image_shape, centring)
    if outside.any():
        raise ValueError(
            f"{outside.sum()} of {len(positions)} windows leave the image: leave those "
            "positions out (see window_is_inside)."
        )
    return positions


def _first_pixels(
    positions: np.ndarray, window_size: int, image_shape: tuple[int, ...], centring: str
) -> tuple[np.ndarray, np.ndarray]:
    """First pixel (x, y) of each window, and the offset of the window from it (0 to 1)."""
    start = positions - (window_size - 1) / 2
    if centring == "nearest":
        start = np.rint(start)
    start = np.clip(start, 0, np.array(image_shape[::-1]) - window_size)
    first = np.floor(start)
    return first.astype(np.intp), start - first


def _source(image: Any, centring: str) -> np.ndarray:
    """Prepare the source of the windows: the image, or its padded spline coefficients."""
    if centring == "nearest":
        return np.asarray(image)
    image = np.asarray(image)
    whole = image.dtype.kind in "iub"
    image = image.astype(np.float32, copy=False)
    if not whole:
        image = _filled(image, nonfinite_pixels(image))
    source = np.empty([size + 2 * _MARGIN for size in image.shape], np.float32)
    _spline_coefficients(image, source[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
    for lines in (source[:, _MARGIN:-_MARGIN], source.T):  # mirrored at the outermost ones
        lines[:_MARGIN] = lines[2 * _MARGIN : _MARGIN : -1]
        lines[-_MARGIN:] = lines[-_MARGIN - 2 : -2 * _MARGIN - 2 : -1]
    return source


def _spline_coefficients(image: np.ndarray, out: np.ndarray) -> None:
    """Coefficients of cubic splines, of the shape of the image: lines are independent.

    Filtered at double precision line by line; what is kept is as precise as the windows.
    """
    step = min(_COLUMNS, max(_COLUMN_PIXELS // len(image), 1))

    def down(start: int) -> None:
        some = slice(start, start + step)
        _filter_columns(image[:, some], out[:, some])

    def along(start: int) -> None:
        some = slice(start, start + _ROWS)
        ndimage.spline_filter1d(out[some], 3, 1, output=out[some], mode="mirror")

    for _ in side_by_side(down, range(0, image.shape[1], step)):
        pass
    for _ in side_by_side(along, range(0, len(image), _ROWS)):
        pass


def _filter_columns(image: np.ndarray, out: np.ndarray) -> None:
    """Coefficients of cubic splines along y, a row of all columns at a time.

    The same numbers as those of ``scipy.ndimage.spline_filter1d``, in less than half of the time:
    it goes down each column for itself, which lies all over the memory.
    """
    rows = image.astype(np.float64)
    rows *= 6.0
    mirrored = np.pad(np.arange(len(rows)), (0, REACH), mode="reflect")[:REACH]
    rows[0] = _POLE ** np.arange(REACH) @ rows[mirrored]
    before, part = rows[0], np.empty_like(rows[0])
    for row in rows[1:]:
        np.multiply(before, _POLE, out=part)
        row += part
        before = row
    after = rows[-1]
    after += _POLE * rows[-2]
    after *= _POLE / (_POLE**2 - 1)
    for row in rows[-2::-1]:
        np.subtract(after, row, out=row)
        row *= _POLE
        after = row
    out[:] = rows


def _filled(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Replace masked pixels by their nearest neighbours.

    The spline filter is recursive: a single NaN would spread over the whole image.
    """
    if mask is None or mask.all():
        return image
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    # Only around the masked pixels, with a border of at least one pixel that is finite.
    box = tuple(slice(max(found[0] - 1, 0), found[-1] + 2) for found in (rows, columns))
    part, hidden = image[box], mask[box]
    nearest = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    image = image.copy()
    image[box] = part[tuple(nearest)]
    return image


def _cut_block(
    first: np.ndarray, fraction: np.ndarray, source: np.ndarray, window_size: int, centring: str
) -> np.ndarray:
    """Windows (n, w, w) that start at pixels of a source; the same work in memory and in dask."""
    if centring == "nearest":
        return sliding_window_view(source, (window_size, window_size))[
            first[:, 1], first[:, 0]
        ].astype(np.float32)
    size = window_size + 3
    # The first coefficient that a window needs lies one pixel before it.
    coefficients = sliding_window_view(source, (size, size))
    x, y = (first + _MARGIN - 1).T
    to_columns, to_rows = (_spline_matrices(f) for f in fraction.T)
    windows = np.empty((len(first), window_size, window_size), dtype=np.float32)
    for start in range(0, len(first), _WINDOWS_AT_ONCE):
        some = slice(start, start + _WINDOWS_AT_ONCE)
        rows = _between_rows(coefficients[y[some], x[some]], to_rows[some])
        _between_columns(rows, to_columns[some], windows[some])
    return windows


def _between_rows(coefficients: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Values (n, w, k) between rows of coefficients (n, w + 3, k), by matrices (n, s + 3, s)."""
    n, size, width = coefficients.shape
    matrices = np.ascontiguousarray(matrices.transpose(0, 2, 1))[:, None]
    rows = np.empty((n, size - 3, width), dtype=np.float32)
    for some, step in _groups(size - 3):
        used = coefficients[:, some.start : some.stop + 3]
        groups = sliding_window_view(used, step + 3, axis=1)[:, ::step].swapaxes(2, 3)
        out = rows[:, some].reshape(n, -1, step, width)
        np.matmul(matrices[:, :, :step, : step + 3], groups, out=out)
    return rows


def _between_columns(rows: np.ndarray, matrices: np.ndarray, out: np.ndarray) -> None:
    """Values (n, w, w) between columns of rows (n, w, w + 3), by matrices (n, s + 3, s)."""
    n, size, _ = out.shape
    for some, step in _groups(size):
        used = rows[:, :, some.start : some.stop + 3]
        groups = sliding_window_view(used, step + 3, axis=2)[:, :, ::step].swapaxes(1, 2)
        place = out[:, :, some].reshape(n, size, -1, step).swapaxes(1, 2)
        np.matmul(groups, matrices[:, None, : step + 3, :step], out=place)


def _groups(size: int) -> list[tuple[slice, int]]:
    """Lines of a window in groups of one size, and those that are left; with the size of each."""
    rest = size % _GROUP
    parts = [(slice(0, size - rest), _GROUP), (slice(size - rest, size), rest)]
    return [(some, step) for some, step in parts if some.stop > some.start]


def _spline_matrices(fraction: np.ndarray) -> np.ndarray:
    """Matrices (n, s + 3, s) from coefficients to a group of s values between them."""
    matrices = np.zeros((len(fraction), _GROUP + 3, _GROUP), dtype=np.float32)
    value = np.arange(_GROUP)
    for k, weight in enumerate(_spline_weights(fraction)):
        matrices[:, value + k, value] = weight[:, None]
    return matrices


def _spline_weights(fraction: np.ndarray) -> np.ndarray:
    """Cubic B-spline weights of the pixels before, at, after and two after; shape (4, n)."""
    t = fraction
    weights = [(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3]
    return (np.array(weights) / 6).astype(np.float32)
