# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to find columns: maxima of the image, a trained network, or one of them by a rule."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import shown
from .maxima import Maxima, away_from_gaps, band_pass_at, find_maxima, nearest_distance
from .search_image import Picture

if TYPE_CHECKING:
    from .network.column_network import ColumnNetwork

_logger = logging.getLogger(__name__)

METHODS = ("maxima", "network", "auto")
_UNCLEAR = 8.0  # standard deviations of the noise
_SHARE = 0.1  # of the maxima, that are lower
_TOO_FEW_PIXELS = 5.0  # between maxima: texture, as of an amorphous layer


def checked_method(method: Any) -> Any:
    """
    Refuse unknown ways to find columns, before any work.

    Parameters
    ----------
    method : {"maxima", "network", "auto"} or ColumnNetwork

    Returns
    -------
    "maxima", "auto" or ColumnNetwork

    Raises
    ------
    ValueError, TypeError
        If it is none of them.
    """
    if isinstance(method, str):
        if method not in METHODS:
            known = ", ".join(map(repr, METHODS))
            raise ValueError(f"method={method!r} is unknown: use {known}, or a ColumnNetwork.")
        return shipped_network() if method == "network" else method
    if not hasattr(method, "detect"):
        raise TypeError(
            f"method={shown(method)}: use {', '.join(map(repr, METHODS))}, or a "
            "hs_rvae.columns.ColumnNetwork."
        )
    return method


def shipped_network() -> ColumnNetwork:
    """The network of the package."""
    from .network.column_network import ColumnNetwork

    return ColumnNetwork()


def needs_network(maxima: Maxima) -> bool:
    """
    The rule of "auto": True where a network finds the columns of an image better than maxima do.

    It does where a tenth of the maxima are lower than eight standard deviations of the noise:
    others are then lower than the limit of four. It does where maxima are less than 5 px apart as
    well, as those of the texture of an amorphous layer are.

    Parameters
    ----------
    maxima : Maxima

    Returns
    -------
    bool
    """
    if len(maxima.positions) < 3 or maxima.distance < _TOO_FEW_PIXELS:
        return True
    clarity = float(np.quantile(maxima.heights / np.maximum(maxima.noise, 1e-12), _SHARE))
    _logger.info("A tenth of the maxima are lower than %.1f times the noise.", clarity)
    return clarity < _UNCLEAR


def network_maxima(
    picture: Picture,
    network: ColumnNetwork,
    candidates: list[np.ndarray],
    dark: bool | None,
    separation: float | None,
    show_progressbar: bool | None,
) -> Maxima:
    """
    Columns that a network finds, as the maxima that the search for a lattice begins with.

    Parameters
    ----------
    picture : Picture
    network : ColumnNetwork
    candidates : list of numpy.ndarray
        Lattices that the image may have.
    dark, separation, show_progressbar
        As in :func:`find_columns`.

    Returns
    -------
    Maxima
        With probabilities; ``faint`` are those below the limit of the network.

    Raises
    ------
    ValueError
        If the image shows no columns at any pixel size.
    """
    found = network.detect(picture, dark, separation, show_progressbar=show_progressbar)
    rows, columns = picture.values.shape
    x, y = np.clip(np.round(found.positions).astype(int), 0, (columns - 1, rows - 1)).T
    if picture.valid is not None:
        usable = away_from_gaps(picture.valid, 0.15 * found.spacing)[y, x]
        found, x, y = found.take(usable), x[usable], y[usable]
    probable = found.probability >= network.probability
    if probable.sum() < 3:
        raise ValueError(
            f"The network is sure of {probable.sum()} columns: pass dark=, use method='maxima', or "
            f"a ColumnNetwork with a lower probability than {network.probability:g}."
        )
    labels = None
    if network.classes:
        labels = np.array(network.classes)[found.classes[probable].argmax(axis=1)]
    width, heights, noise = band_pass_at(picture, x, y, found.spacing, found.dark)
    positions = found.positions * picture.stretch
    return Maxima(
        positions[probable], heights[probable], positions[~probable], candidates[0],
        nearest_distance(positions[probable], found.spacing * 1.3), width, found.dark,
        noise[probable], probability=found.probability[probable], labels=labels,
    )  # fmt: skip


def lattice_maxima(
    picture: Picture,
    method: Any,
    cell: Any,
    dark: bool | None,
    threshold: float,
    separation: float | None,
    show_progressbar: bool | None,
) -> Maxima:
    """
    Columns of an image by a method, and the smallest cell with one kind at every place.

    Parameters
    ----------
    picture : Picture
    method
        As :func:`checked_method` returns it.
    cell, dark, threshold, separation, show_progressbar
        As in :func:`find_sublattices`.

    Returns
    -------
    Maxima

    Raises
    ------
    ValueError
        As :func:`find_maxima`.
    """

    def finder(picture: Picture, candidates: list[np.ndarray]) -> Maxima:
        network = shipped_network() if isinstance(method, str) else method
        return network_maxima(picture, network, candidates, dark, separation, show_progressbar)

    return _by_method(
        method,
        lambda: find_maxima(picture, cell, dark, threshold, separation),
        lambda: find_maxima(picture, cell, dark, threshold, separation, finder),
    )


def all_maxima(
    picture: Picture,
    method: Any,
    dark: bool | None,
    separation: float | None,
    show_progressbar: bool | None,
    classical: Callable[[], Maxima],
) -> Maxima:
    """
    All columns of an image by a method, whatever their lattice.

    Parameters
    ----------
    picture, method, dark, separation, show_progressbar
        As in :func:`lattice_maxima`.
    classical : callable
        Gives the maxima of the image.

    Returns
    -------
    Maxima

    Raises
    ------
    ValueError
        If the image shows no columns.
    """

    def by_network() -> Maxima:
        network = shipped_network() if isinstance(method, str) else method
        return network_maxima(picture, network, [np.eye(2)], dark, separation, show_progressbar)

    return _by_method(method, classical, by_network)


def _by_method(
    method: Any, classical: Callable[[], Maxima], by_network: Callable[[], Maxima]
) -> Maxima:
    """Columns by one way or the other; "auto" keeps the maxima where the network fails."""
    if not isinstance(method, str):
        return by_network()
    if method == "maxima":
        return classical()
    maxima, refusal = None, None
    try:
        maxima = classical()
    except ValueError as error:
        refusal = error
    if maxima is not None and not needs_network(maxima):
        return maxima
    try:
        return by_network()
    except ValueError as error:
        if maxima is None:
            raise refusal from None  # type: ignore[misc]
        _logger.info("The network finds no columns, so maxima are taken: %s", error)
        return maxima
