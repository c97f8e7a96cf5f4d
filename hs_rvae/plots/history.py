# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Course of the fit of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layout, panels
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike

# Okabe and Ito's colours; the validation curve is dashed, so that it also differs in grey.
_CONTENT = {
    "loss": ("loss", "black", "-"),
    "validation_loss": ("validation", "black", "--"),
    "reconstruction": ("reconstruction", "#0072B2", "-"),
    "kl": ("KL", "#D55E00", "-"),
}


@independent
def plot_history(
    history: Mapping[str, ArrayLike],
    *,
    title: str | None = None,
    font_size: float | None = None,
    ax: Any = None,
) -> Figure | SubFigure:
    """Draw the course of the fit of angles and content of a model, in two panels.

    Left: the log-likelihood after each iteration of the angle fit. Right: loss, reconstruction,
    KL divergence and validation loss after each epoch of the content network. All in nat per
    site. A panel without data is left out.

    Parameters
    ----------
    history : mapping of str to array_like
        Any of ``"pose_log_likelihood"`` (one value an iteration), ``"loss"``,
        ``"reconstruction"``, ``"kl"``, ``"validation_loss"`` (one value an epoch).
    title : str, optional
        Title of the figure.
    font_size : float, optional
        Points; by default 8 in a new figure, the size set in Matplotlib in given axes.
    ax : sequence of matplotlib.axes.Axes, optional
        As many Axes as there are panels; by default those of a new figure, 130 mm wide for two.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the history holds none of these, or `ax` has another number of Axes.
    TypeError
        If an element of `ax` is not a rectilinear Axes.

    Examples
    --------
    >>> from hs_rvae.plots import plot_history
    >>> figure = plot_history({"pose_log_likelihood": [-3.0, -1.0], "loss": [5.0, 4.0]})
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['iteration', 'epoch']
    """
    pose = _curve(history, "pose_log_likelihood")
    curves = {name: _curve(history, name) for name in _CONTENT}
    content = {name: values for name, values in curves.items() if values is not None}
    n_panels = (pose is not None) + bool(content)
    if not n_panels:
        raise ValueError(
            f"the history has {sorted(history)} and none of "
            f"{['pose_log_likelihood', *_CONTENT]}: fit a model with stack.rvae() first"
        )
    font_size = panels.font_size_for(font_size, ax)
    axes = _panels(ax, n_panels, layout.column_width(font_size))
    if pose is not None:
        _draw(axes[0], pose, label=None, color="black", linestyle="-")
        axes[0].set_xlabel("iteration", fontsize=font_size)
        axes[0].set_ylabel("log-likelihood (nat per site)", fontsize=font_size)
        axes[0].set_title("angles", fontsize=font_size)
    if content:
        last = axes[-1]
        for name, values in content.items():
            label, color, linestyle = _CONTENT[name]
            _draw(last, values, label=label, color=color, linestyle=linestyle)
        last.set_xlabel("epoch", fontsize=font_size)
        last.set_ylabel("nat per site", fontsize=font_size)
        last.set_title("content", fontsize=font_size)
        low, high = last.get_ylim()
        last.set_ylim(low, high + 0.6 * (high - low))  # room for the legend above the curves
        last.legend(
            fontsize=font_size - 1,
            frameon=False,
            loc="upper right",
            ncols=2,
            handlelength=1.5,
            columnspacing=1.0,
        )
    for panel in axes:
        panel.tick_params(labelsize=font_size - 1)
        panel.locator_params(axis="x", integer=True)
        panel.spines[["top", "right"]].set_visible(False)
    figure = axes[0].figure
    if title is not None:
        figure.suptitle(title, fontsize=font_size)
    return figure


def _curve(history: Mapping[str, ArrayLike], name: str) -> np.ndarray | None:
    """Values of one curve; None when they are missing or none is finite."""
    values = np.asarray(history.get(name, ()), dtype=float).ravel()
    return values if np.isfinite(values).any() else None


def _panels(ax: Any, n: int, width: float) -> list[Axes]:
    if ax is None:
        figure = layout.new_figure(width, 0.55 * n * width)
        return list(figure.subplots(n, 1, squeeze=False)[:, 0])
    axes = list(np.ravel(ax))
    for panel in axes:
        panels.check_axes(panel)
    if len(axes) != n:
        raise ValueError(f"ax has {len(axes)} Axes but there are {n} panels to draw")
    return axes


def _draw(ax: Axes, values: np.ndarray, **style: Any) -> None:
    """Draw a curve over 1, 2, ...; a single value as a dot, because a line would not show it."""
    steps = np.arange(1, len(values) + 1)
    ax.plot(steps, values, linewidth=1.2, marker="o" if len(values) == 1 else None, **style)
