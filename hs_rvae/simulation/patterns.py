# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diffraction patterns of a simulated film as a phase object: 4D-STEM data."""

from __future__ import annotations

from typing import Any

import numpy as np

from hs_rvae.checks import checked, finite_number, whole_number
from hs_rvae.positions import as_positions

from .films import simulate_perovskite
from .truth import SimulatedTruth

_CELL_LENGTH = 4.0  # of the cell, in angstroms
_BATCH = 512  # patterns at a time


def wavelength(voltage: float) -> float:
    """
    Wavelength of electrons in angstroms.

    Parameters
    ----------
    voltage : float
        In kilovolts.

    Examples
    --------
    >>> round(wavelength(300), 5)
    0.01969
    """
    volts = 1e3 * voltage
    return float(12.2643 / np.sqrt(volts * (1 + 0.978476e-6 * volts)))


@checked(but=("electrons", "rotation", "step", "detector", "shape"))
def simulate_4dstem(
    shape: tuple[int, int] = (400, 400),
    *,
    step: int = 2,
    positions: Any = None,
    electrons: float = 4000.0,
    convergence: float = 15.0,
    voltage: float = 300.0,
    peak_phase: float = 1.4,
    detector: int = 64,
    rotation: float = 0.0,
    random_state: int | None = None,
    **film: Any,
) -> tuple[Any, SimulatedTruth]:
    """
    Simulate 4D-STEM data of a perovskite film.

    The film is a phase object: its columns shift the phase of the probe, and nothing spreads in
    it. That shows how patterns depend on the place of the probe between the columns, qualitatively.
    A crystal of more than a few nanometres scatters several times.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the film in pixels; a cell is 4 angstroms long.
    step : int
        Step of the scan in pixels of the film.
    positions : array-like of shape (n, 2), optional
        Pixels ``(x, y)`` of the film at which patterns are made, in place of a scan.
    electrons : float
        Mean number of electrons in a pattern; infinite for none but the expectation.
    convergence : float
        Semi-angle of the probe in mrad.
    voltage : float
        Voltage of the microscope, in kilovolts.
    peak_phase : float
        Phase shift on the strongest column, in radians.
    detector : int
        Side of the square detector, in pixels.
    rotation : float
        Direction of the scan's +x on the detector, in degrees from its +x towards its +y: patterns
        are turned by it.
    random_state : int, optional
        Seed.
    **film
        Settings of :func:`simulate_perovskite`.

    Returns
    -------
    patterns : hyperspy.api.signals.Signal2D
        ``(x, y | kx, ky)``, or ``(site | kx, ky)`` for `positions`; uint16 counts, float32 without
        noise; the axes in nm and mrad. ``metadata.Acquisition_instrument.TEM`` has the voltage, the
        convergence angle and the rotation.
    truth : SimulatedTruth
        Its positions are in pixels of the film: divide by `step` for those of the scan.

    Raises
    ------
    ValueError
        If a number is not what it should be, or a position lies outside the film.
    FileNotFoundError
        If the positions are a path without a file.

    Examples
    --------
    >>> import hs_rvae
    >>> patterns, truth = hs_rvae.simulation.simulate_4dstem(
    ...     (80, 80), step=8, cell=26, detector=32, random_state=0
    ... )
    >>> patterns.data.shape
    (10, 10, 32, 32)
    """
    step = whole_number(step, "step")
    detector = whole_number(detector, "detector", 16)
    values = {"convergence": convergence, "voltage": voltage, "peak_phase": peak_phase}
    for name, value in values.items():
        if not (finite_number(value, 0) and value > 0):
            raise ValueError(f"{name}={value!r}: give a positive number.")
    if not (isinstance(electrons, int | float) and electrons > 0):
        raise ValueError(f"electrons={electrons!r}: give a positive number, or infinity.")
    if not finite_number(rotation):
        raise ValueError(f"rotation={rotation!r}: give a number of degrees.")
    image, truth = simulate_perovskite(
        shape, dose=np.inf, scan_jitter=0.0, random_state=random_state, **film
    )
    phase = image.data - image.data.min()
    phase *= peak_phase / phase.max()
    length = _CELL_LENGTH / truth.cell  # angstroms in a pixel
    places = _places(shape, step, positions)
    data = _patterns(phase, places, length, convergence, voltage, detector, rotation)
    if np.isfinite(electrons):
        rng = np.random.default_rng(random_state)
        data = rng.poisson(data * electrons).astype(np.uint16)
    if positions is None:
        data = data.reshape(*(len(range(0, n, step)) for n in shape), detector, detector)
    return _as_signal(data, length, step, convergence, voltage, rotation), truth


def _places(shape: tuple[int, int], step: int, positions: Any) -> np.ndarray:
    """Pixels (n, 2), row and column, of the probe."""
    if positions is None:
        grid = np.meshgrid(*(np.arange(0, n, step) for n in shape), indexing="ij")
        return np.stack([each.ravel() for each in grid], axis=1)
    places = np.rint(as_positions(positions)[:, ::-1])
    if not len(places):
        raise ValueError("positions is empty: give one (x, y) at least, or None for a scan.")
    if not ((places >= 0) & (places < shape)).all():
        raise ValueError(
            f"positions reach from {places.min(axis=0)[::-1]} to {places.max(axis=0)[::-1]}: they "
            f"must lie in the film of {shape[1]} x {shape[0]} px."
        )
    return places.astype(int)


def _patterns(
    phase: np.ndarray,
    places: np.ndarray,
    length: float,
    convergence: float,
    voltage: float,
    detector: int,
    rotation: float,
) -> np.ndarray:
    """Expected patterns (n, detector, detector), each of sum 1."""
    frequency = np.fft.fftfreq(detector, length)  # 1 / angstrom
    ky, kx = np.meshgrid(frequency, frequency, indexing="ij")
    aperture = np.hypot(kx, ky) * wavelength(voltage) * 1e3 <= convergence
    probe = np.fft.fftshift(np.fft.ifft2(aperture)).astype(np.complex64)
    probe /= np.sqrt((np.abs(probe) ** 2).sum())
    half = detector // 2
    padded = np.pad(phase, ((half, detector - half), (half, detector - half)), mode="wrap")
    transmission = np.exp(1j * padded).astype(np.complex64)
    windows = np.lib.stride_tricks.sliding_window_view(transmission, (detector, detector))
    result = np.empty((len(places), detector, detector), np.float32)
    for first in range(0, len(places), _BATCH):
        some = places[first : first + _BATCH]
        waves = np.fft.fft2(windows[some[:, 0], some[:, 1]] * probe)
        pattern = np.fft.fftshift(np.abs(waves) ** 2, axes=(1, 2)).astype(np.float32)
        result[first : first + _BATCH] = pattern / pattern.sum(axis=(1, 2), keepdims=True)
    return _turned(result, rotation) if rotation else result


def _turned(patterns: np.ndarray, rotation: float) -> np.ndarray:
    """Patterns turned about the centre of the detector by an angle in degrees."""
    from scipy.ndimage import affine_transform

    angle = np.deg2rad(rotation)
    # Rows first: a point of the turned pattern comes from one turned back.
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.full(2, patterns.shape[-1] // 2, float)
    for each in patterns:
        each[:] = affine_transform(each, matrix, centre - matrix @ centre, order=1)
    np.maximum(patterns, 0, out=patterns)
    patterns /= patterns.sum(axis=(1, 2), keepdims=True)
    return patterns


def _as_signal(
    data: np.ndarray, length: float, step: int, convergence: float, voltage: float, rotation: float
) -> Any:
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(data)
    signal.metadata.General.title = "Simulated 4D-STEM"
    signal.metadata.Signal.quantity = "Intensity (counts)"
    if data.ndim == 4:
        for axis, name in zip(signal.axes_manager.navigation_axes, "xy", strict=True):
            axis.name, axis.units, axis.scale = name, "nm", length * step / 10
    else:
        signal.axes_manager.navigation_axes[0].name = "site"
    size = data.shape[-1]
    angle = wavelength(voltage) / (length * size) * 1e3
    for axis, name in zip(signal.axes_manager.signal_axes, ("kx", "ky"), strict=True):
        axis.name, axis.units, axis.scale = name, "mrad", angle
        axis.offset = -(size // 2) * angle
    signal.metadata.add_dictionary(
        {
            "Acquisition_instrument": {
                "TEM": {
                    "beam_energy": voltage,
                    "convergence_angle": convergence,
                    "scan_rotation": rotation,
                }
            }
        }
    )
    return signal
