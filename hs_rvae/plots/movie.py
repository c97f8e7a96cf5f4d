# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Site maps of the frames of a series as a movie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import finite_number, shown
from ..files import complete_file
from ..progress import progress_bar
from . import layout, panels
from .site_map import plot_site_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

    from ..sites import SiteTable

# Programs that write each format, by Matplotlib's names.
_WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


@independent
def save_movie(
    path: str | os.PathLike[str],
    sites: SiteTable,
    column: str,
    *,
    frames: Iterable[int] | None = None,
    fps: float = 5,
    dpi: float = 150,
    image: Any = None,
    frame_labels: Sequence[str] | None = None,
    kind: str | None = None,
    cmap: str | Colormap | None = None,
    limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (1, 99),
    marker_size: float | None = None,
    scale_bar: bool | str | None = None,
    colorbar: bool = True,
    title: str | None = None,
    font_size: float | None = None,
    show_progressbar: bool | None = False,
) -> Path:
    """Save the site maps of the frames, all with the same colours.

    Parameters
    ----------
    path : str or pathlib.Path
        Ending in ``.gif``, or in ``.mp4`` where ffmpeg is installed.
    sites : SiteTable
        With a column ``frame``.
    column : str
    frames : iterable of int, optional
        If None, all that have sites.
    fps : float
        Frames per second.
    dpi : float
        Dots per inch of a figure 85 mm wide.
    image : array of shape (n_frames, ny, nx), optional
        NumPy or dask; one frame at a time is in memory.
    frame_labels : list of str, optional
    kind, cmap, limits, percentiles, marker_size, scale_bar, colorbar, title, font_size
        As in :func:`hs_rvae.plots.plot_site_map`.
    show_progressbar : bool, optional
        If None, HyperSpy's preference decides.

    Returns
    -------
    pathlib.Path
        The file, complete: a movie that fails or is interrupted leaves nothing behind.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If the ending or a frame is unknown.
    RuntimeError
        If there is no ffmpeg for an MP4.

    Examples
    --------
    >>> from hs_rvae.plots import save_movie
    >>> save_movie("switching.gif", stack.sites, "variant")  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt
    from matplotlib import animation

    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"path={str(path)!r} must end in one of {', '.join(_WRITERS)}")
    if not animation.writers.is_available(writer):
        raise RuntimeError(
            f"{path.suffix} needs the program {writer}, which is not found: install it, or save a "
            ".gif"
        )
    _check_letters(font_size, dpi)
    numbers = np.unique(sites["frame"])
    frames = numbers.tolist() if frames is None else list(frames)
    if not frames or not all(finite_number(each) and each in numbers for each in frames):
        raise ValueError(
            f"frames={shown(frames)}: there are sites in frames {numbers[0]} to {numbers[-1]}"
        )
    ax: Any = plot_site_map(
        sites,
        column,
        image=image,
        frame=int(frames[0]),
        frame_labels=frame_labels,
        kind=kind,
        cmap=cmap,
        limits=limits,
        percentiles=percentiles,
        marker_size=marker_size,
        scale_bar=scale_bar,
        colorbar=colorbar,
        title=title,
        font_size=font_size,
    )
    if hasattr(ax, "frame_slider"):
        ax.frame_slider.ax.remove()
        layout.fit_figure(ax, layout.column_width(ax.title.get_fontsize()))
    bar = progress_bar("Movie", show_progressbar, total=len(frames))
    size = np.array(ax.figure.get_size_inches()) * dpi
    ax.figure.set_size_inches(2 * np.ceil(size / 2) / dpi)  # MP4 needs even numbers of pixels
    make_recorder: Any = animation.writers[writer]
    recorder = make_recorder(fps=fps)
    try:
        with bar, complete_file(path, "The movie") as draft:
            try:
                recorder.setup(ax.figure, draft, dpi=dpi)
                for number in frames:
                    ax.show_frame(int(number))
                    recorder.grab_frame()
                    bar.update()
            except BaseException:
                with suppress(Exception):  # ends the other program; what it writes is not wanted
                    recorder.finish()
                raise
            recorder.finish()
    finally:
        plt.close(ax.figure)
    return path


def _check_letters(font_size: float | None, dpi: float) -> None:
    """Refuse a resolution where letters of the ticks are smaller than a pixel."""
    if (panels.font_size_for(font_size, None) - 1) * dpi / 72 < 1:
        raise ValueError(f"dpi={dpi}: the letters would be smaller than a pixel; give a larger one")
