# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectrum images of a simulated film, with the expectation of every channel."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from hs_rvae.checks import check_methods, checked, finite_number, whole_number

from . import imaging as _imaging
from .films import simulate_perovskite
from .truth import SimulatedTruth

_LINES_A = ((0.30, 1.0), (0.78, 0.6))  # places on the energy axis, 0 to 1, and shares
_LINES_B = ((0.50, 1.0), (0.58, 0.25))
_LINE_WIDTH = 0.012  # of the energy axis
_CONTINUUM = 0.4  # share of the counts between the columns that are no line


@check_methods
@dataclass
class SpectrumTruth:
    """Expectation of a simulated spectrum image.

    Attributes
    ----------
    film : SimulatedTruth
        The columns.
    maps : numpy.ndarray of shape (3, rows, columns)
        Counts per pixel expected from A columns, B columns and the continuum.
    spectra : numpy.ndarray of shape (3, channels)
        Share of each channel in these.
    """

    film: SimulatedTruth
    maps: np.ndarray
    spectra: np.ndarray

    def expected(self) -> np.ndarray:
        """Counts expected in every pixel and channel: (rows, columns, channels)."""
        return np.tensordot(self.maps, self.spectra, axes=(0, 0))


@checked(but=("counts", "n_channels", "shape"))
def simulate_spectrum_image(
    shape: tuple[int, int] = (200, 200),
    *,
    counts: float = 1.0,
    n_channels: int = 256,
    random_state: int | None = None,
    **film: Any,
) -> tuple[Any, Any, SpectrumTruth]:
    """
    Simulate an X-ray spectrum image of a perovskite film, and the image of the same scan.

    Two elements with two lines each, one on the A and one on the B columns, on a smooth continuum.
    Channelling, absorption and delocalisation are left out: the spectra show how to work with
    regions and their statistics, not what a crystal emits.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the scan.
    counts : float
        Mean number of counts per pixel, over all channels.
    n_channels : int
        Channels of the energy axis, 0.05 keV wide.
    random_state : int, optional
        Seed.
    **film
        Settings of :func:`simulate_perovskite`, whose image is returned.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Annular dark-field image of the scan.
    spectra : hyperspy.api.signals.Signal1D
        ``(x, y | Energy)``, uint16 counts, of the signal type EDS_TEM where exspy is installed.
    truth : SpectrumTruth

    Raises
    ------
    ValueError
        If the counts are not positive, or there are fewer than 16 channels.

    Examples
    --------
    >>> import hs_rvae
    >>> image, spectra, truth = hs_rvae.simulation.simulate_spectrum_image(
    ...     (64, 64), cell=16, n_channels=32, random_state=0
    ... )
    >>> spectra.data.shape, spectra.data.dtype
    ((64, 64, 32), dtype('uint16'))
    """
    import hyperspy.api as hs

    if not (finite_number(counts, 0) and counts > 0):
        raise ValueError(f"counts={counts!r}: give a positive number of counts per pixel.")
    n_channels = whole_number(n_channels, "n_channels", 16)
    image, columns = simulate_perovskite(shape, random_state=random_state, **film)
    rng = np.random.default_rng(random_state)
    width = film.get("column_width", 0.11) * columns.cell
    maps = [_map_of(sites, shape, width) for sites in (columns.a_sites, columns.b_sites)]
    maps.append(np.full(shape, _CONTINUUM * np.mean(maps[0]) + 1e-9))
    intensity = np.stack(maps)
    intensity *= counts / intensity.sum(axis=0).mean()
    truth = SpectrumTruth(columns, intensity, _spectra(n_channels))
    data = np.empty((*shape, n_channels), np.uint16)
    for row in range(shape[0]):
        data[row] = rng.poisson(np.tensordot(intensity[:, row], truth.spectra, axes=(0, 0)))
    signal = hs.signals.Signal1D(data)
    signal.metadata.General.title = "Simulated spectrum image"
    signal.metadata.Signal.quantity = "X-rays (Counts)"
    for axis, of_image in zip(
        signal.axes_manager.navigation_axes, image.axes_manager.signal_axes, strict=True
    ):
        axis.name, axis.units = of_image.name, of_image.units
        axis.scale, axis.offset = of_image.scale, of_image.offset
    energy = signal.axes_manager.signal_axes[0]
    energy.name, energy.units, energy.scale = "Energy", "keV", 0.05
    if find_spec("exspy") is not None:
        signal.set_signal_type("EDS_TEM")
    return image, signal, truth


def _map_of(sites: Any, shape: tuple[int, int], width: float) -> np.ndarray:
    """Density of the columns of one sublattice, each with its height."""
    zero = np.zeros(len(sites))
    return _imaging.sum_of_columns(
        shape,
        sites[["x", "y"]].to_numpy(),
        sites["amplitude"].to_numpy(),
        width,
        zero,
        zero,
        0.0,
        np.random.default_rng(0),
    ).astype(float)


def _spectra(n_channels: int) -> np.ndarray:
    """Spectra of A, B and continuum, each of sum 1."""
    place = (np.arange(n_channels) + 0.5) / n_channels
    width = max(_LINE_WIDTH, 0.7 / n_channels)
    lines = [
        sum(share * np.exp(-((place - at) ** 2) / (2 * width**2)) for at, share in each)
        for each in (_LINES_A, _LINES_B)
    ]
    spectra = np.stack([*lines, np.exp(-2 * place)])
    return np.asarray(spectra / spectra.sum(axis=1, keepdims=True))
