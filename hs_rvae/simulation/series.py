# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A series of images of one film with a domain that switches."""

from __future__ import annotations

from typing import Any

import hyperspy.api as hs
import numpy as np
import pandas as pd

from hs_rvae.checks import checked, whole_number

from . import imaging as _imaging
from .film_settings import OWN_WORDS, FilmSettings, check_names, check_shape
from .films import simulate_perovskite
from .lattices import turn_matrix
from .truth import SimulatedTruth

# Drawn in single images alone, or variants that a turn does not lead to one another.
_NOT_IN_A_SERIES = (
    "tilt",
    "mistilt",
    "vacuum",
    "dark",
    "aberration",
    "aberration_shift",
    "directions",
    "oxygen",
    "octahedral_tilt",
    "tilt_variation",
    "antiphase_tilts",
)


@checked(but=("n_frames", *OWN_WORDS))
def simulate_series(
    shape: tuple[int, int] = (512, 512),
    n_frames: int = 8,
    *,
    drift: tuple[float, float] = (0.6, -0.4),
    switching: float = 0.3,
    turn: float = 180.0,
    dose: float = 150.0,
    scan_jitter: float = 0.1,
    frame_time: float = 1.0,
    random_state: int | np.random.Generator | None = None,
    **settings: Any,
) -> tuple[Any, list[SimulatedTruth]]:
    """Simulate a film that is imaged again and again while one domain switches.

    In a disk that grows from frame to frame all displacements are turned by `turn`. The film and
    its columns stay the same; the specimen drifts, and each frame has noise of its own.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of a frame.
    n_frames : int
    drift : tuple of float
        Drift of the specimen from frame to frame, (x, y) in px.
    switching : float
        Share of the image that has switched in the last frame; none has in the first.
    turn : float
        In degrees; a multiple of 360 / ``n_variants``.
    dose : float
        Counts per pixel at the peak of an A column, in every frame.
    scan_jitter : float
        Root mean square of the horizontal offset of each scan row, in px.
    frame_time : float
        Seconds from frame to frame.
    random_state : int or numpy.random.Generator, optional
        Seed of everything random.
    **settings
        Settings of the film, as in :func:`simulate_perovskite`, except for ``tilt``, ``mistilt``,
        ``vacuum``, ``dark``, ``aberration``, ``aberration_shift``, ``directions`` and those of the
        octahedra, which a series does not have.

    Returns
    -------
    series : hyperspy.api.signals.Signal2D
        ``(time | x, y)``, calibrated, in counts.
    truths : list of SimulatedTruth
        One per frame. The column ``site`` is the number of the column of the film.

    Raises
    ------
    ValueError
        If `n_frames` is not a whole number of 1 or more, or as :func:`simulate_perovskite`.
    TypeError
        If a setting has another name.

    Examples
    --------
    >>> import hs_rvae
    >>> series, truths = hs_rvae.simulation.simulate_series((128, 128), 2, random_state=0)
    >>> series
    <Signal2D, title: Simulated series, dimensions: (2|128, 128)>
    >>> len(truths)
    2
    """
    n_frames = whole_number(n_frames, "n_frames")
    shape = check_shape(shape)
    check_names(settings, "simulate_series()", without=_NOT_IN_A_SERIES)
    rng = np.random.default_rng(random_state)
    film = FilmSettings(**settings, dose=dose, scan_jitter=scan_jitter)
    cell, total = film.cell, np.array(drift, float) * (n_frames - 1)
    # The film reaches beyond all frames, so that columns at their borders have their neighbours.
    before = 3 * cell + np.maximum(total, 0)
    after = 3 * cell + np.maximum(-total, 0)
    size = np.array(shape[::-1]) + np.ceil(before + after)
    first, truth = simulate_perovskite(
        tuple(size[::-1].astype(int)),
        dose=np.inf,
        tilt=0.0,
        scan_jitter=0.0,
        random_state=rng,
        **settings,
    )
    sigma = film.column_width * cell
    centre = before + np.array(shape[::-1]) / 2
    frames, truths = np.empty((n_frames, *shape), np.float32), []
    for k in range(n_frames):
        radius = np.sqrt(switching * np.prod(shape) / np.pi * k / max(n_frames - 1, 1))
        a, b = truth.a_sites.copy(), _switched(truth, centre, radius, turn, film)
        for table in (a, b):
            table[["x", "y"]] += np.array(drift) * k - before
            table.insert(0, "site", np.arange(len(table)))
        xy = np.vstack([a[["x", "y"]], b[["x", "y"]]])
        image = _imaging.sum_of_columns(
            shape, xy, np.concatenate([a.amplitude, b.amplitude]), sigma, np.zeros(len(xy)),
            np.zeros(len(xy)), scan_jitter, rng,
        )  # fmt: skip
        image += _imaging.background(shape, 0, sigma)
        frames[k] = rng.poisson(image * dose) if np.isfinite(dose) else image
        last = np.array(shape[::-1]) - 1
        inside = [((t[["x", "y"]] >= 0) & (t[["x", "y"]] <= last)).all(axis=1) for t in (a, b)]
        a, b = (t[keep].reset_index(drop=True) for t, keep in zip((a, b), inside, strict=True))
        edge = np.column_stack([b[["x", "y"]], last - b[["x", "y"]]])
        b["edge_distance"] = edge.min(axis=1) / cell
        truths.append(SimulatedTruth(a, b, truth.n_variants, cell))
    series = hs.signals.Signal2D(frames)
    series.metadata.General.title = "Simulated series"
    series.metadata.Signal.quantity = first.metadata.Signal.quantity
    for axis, of_film in zip(
        series.axes_manager.signal_axes, first.axes_manager.signal_axes, strict=True
    ):
        axis.name, axis.units, axis.scale = of_film.name, of_film.units, of_film.scale
    time = series.axes_manager.navigation_axes[0]
    time.name, time.units, time.scale = "time", "s", frame_time
    return series, truths


def _switched(
    truth: SimulatedTruth, centre: np.ndarray, radius: float, turn: float, film: FilmSettings
) -> pd.DataFrame:
    """The B sites of a film when those within `radius` have been turned."""
    b = truth.b_sites.copy()
    old = b[["displacement_x", "displacement_y"]].to_numpy()
    at_rest = b[["x", "y"]].to_numpy() - old
    wall = (np.linalg.norm(at_rest - centre, axis=1) - radius) / truth.cell
    if radius == 0:
        return b
    new = old @ turn_matrix(turn)
    share = 0.5 * (1 + np.tanh(wall / film.wall_width))[:, None]
    moved = share * old + (1 - share) * new
    b[["x", "y"]] += moved - old
    b[["displacement_x", "displacement_y"]] = moved
    b["order"] = np.linalg.norm(moved, axis=1) / film.shift
    inside = (wall < 0) & (b.variant >= 0)
    step = round(turn / (360 / truth.n_variants))
    b.loc[inside, "variant"] = (b.loc[inside, "variant"] + step) % truth.n_variants
    turned = b.loc[inside, "angle"] + np.radians(turn)
    b.loc[inside, "angle"] = np.angle(np.exp(1j * turned))
    b["wall_distance"] = np.minimum(b.wall_distance, np.abs(wall))
    return b
