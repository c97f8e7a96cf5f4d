# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ferroic images with known variant, angle, displacement, chemistry and noise.

The images are sums of elliptical Gaussian columns with a broad tail, scanned row by row and
counted with Poisson statistics. They are not multislice simulations: they know which displacement,
chemistry and tilt each column was given, which is what a figure of merit needs.
"""

import hyperspy.api as hs
import numpy as np
import pandas as pd

from hs_rvae import imaging as _imaging

from .distortions import FieldMaker, dislocation_field
from .domains import order_parameter
from .lattices import lattice_points, peak_heights
from .truth import SimulatedTruth, compare_angles

__all__ = ["SimulatedTruth", "compare_angles", "simulate_hexagonal", "simulate_perovskite"]


def simulate_perovskite(
    shape=(1200, 1200),
    *,
    cell=26.0,
    rotation=0.0,
    n_variants=4,
    shift=1.8,
    direction=45.0,
    domain_size=12.0,
    wall_width=0.8,
    nonpolar=0.0,
    chemistry=0.35,
    thickness_gradient=0.2,
    tilt=0.06,
    strain=0.005,
    scan_jitter=0.1,
    dose=150.0,
    column_width=0.11,
    disorder=0.05,
    pixel_size=0.015,
    aspect=1.0,
    b_amplitude=0.35,
    one_sublattice=False,
    layers=None,
    vacuum=0.0,
    dark=False,
    dislocation=None,
    random_state=None,
):
    """Simulate an [001] image of a ferroelectric perovskite with known truth.

    Heavy A columns on the corners of a square lattice, light B columns in the cells, displaced in
    one of ``n_variants`` directions per domain.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    cell : float
        Lattice parameter in px.
    rotation : float
        Of the lattice, in degrees, from +x towards +y (clockwise on screen).
    n_variants : int
        2 or 4: domains whose displacements are 180 or 90 degrees apart.
    shift : float
        Length of the B displacement inside a domain, in px.
    direction : float
        Of variant 0 with respect to the lattice, in degrees.
    domain_size : float
        Mean diameter of a domain, in cells.
    wall_width : float
        Half width of a domain wall, in cells: the displacement goes as tanh(distance / width).
    nonpolar : float
        Share of the image (a disk) without displacement.
    chemistry : float
        Relative variation of the B peak height: it runs from 1 - chemistry to 1 + chemistry.
    thickness_gradient : float
        Relative change of all peak heights across the image.
    tilt : float
        Relative elongation of the columns along a direction that turns slowly over the image.
    strain : float
        Root mean square of a smooth lattice strain.
    scan_jitter : float
        Root mean square of the horizontal offset of each scan row, in px.
    dose : float
        Counts per pixel at the peak of an A column; ``numpy.inf`` gives a noise-free image.
    column_width : float
        Gaussian sigma of a column, in cells.
    disorder : float
        Root mean square of the static displacement of each column, in px.
    pixel_size : float
        In nm.
    aspect : float
        Second edge of the cell in units of the first.
    b_amplitude : float
        Peak height of a B column in units of an A column.
    one_sublattice : bool
        A crystal without B columns; the table of B sites is empty.
    layers : sequence of (int, float, float), optional
        A superlattice along the second edge of the cell instead of ``b_amplitude``: thickness in
        cells, peak heights of A and B, repeated. A stays at the corners even where B is brighter.
    vacuum : float
        Share of the image, at its right side, without crystal.
    dark : bool
        Dark columns on a bright background, as in annular bright field.
    dislocation : tuple of float, optional
        Core ``(x, y)`` of an edge dislocation in an isotropic medium, in px; its Burgers vector is
        the first edge of the cell.
    random_state : int or numpy.random.Generator, optional
        Seed of everything random.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : SimulatedTruth
        What each column was given.

    Raises
    ------
    ValueError
        If ``n_variants`` is not 2 or 4, a length is not positive, or ``vacuum`` is not in [0, 1).

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> image
    <Signal2D, title: Simulated perovskite, dimensions: (|256, 256)>
    """
    settings = {k: v for k, v in locals().items() if k != "shape"}
    lattice = np.array([[1.0, 0.0], [0.0, aspect]])
    motif = {"A": [(0.0, 0.0)], "B": [(0.5, 0.5)]}
    if n_variants not in (2, 4):
        raise ValueError(f"n_variants={n_variants}: a square lattice has 2 or 4 variants here.")
    return _simulate("Simulated perovskite", shape, lattice, motif, **settings)


def simulate_hexagonal(shape=(1200, 1200), *, cell=26.0, n_variants=6, direction=0.0, **settings):
    """Simulate an image of a hexagonal ferroic with known truth.

    B columns on a hexagonal lattice, each in a hexagon of six A columns (cell / sqrt(3) away).

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    cell : float
        Lattice parameter in px.
    n_variants : int
        3 or 6: domains whose displacements are 120 or 60 degrees apart.
    direction : float
        Of variant 0 with respect to the lattice, in degrees.
    **settings
        The other parameters of :func:`simulate_perovskite`, with the same defaults but for
        ``column_width``, 0.10.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : SimulatedTruth
        What each column was given.

    Raises
    ------
    ValueError
        If ``n_variants`` is not 3 or 6, or as :func:`simulate_perovskite`.
    TypeError
        If a setting has another name.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_hexagonal(
    ...     (256, 256), n_variants=3, random_state=0
    ... )
    >>> truth.n_variants, set(truth.b_sites.variant) <= {0, 1, 2}
    (3, True)
    """
    if n_variants not in (3, 6):
        raise ValueError(f"n_variants={n_variants}: a hexagonal lattice has 3 or 6 variants here.")
    lattice = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    motif = {"A": [(1 / 3, 1 / 3), (2 / 3, 2 / 3)], "B": [(0.0, 0.0)]}
    check_names(settings)
    settings = {"column_width": 0.10} | settings  # A columns are closer together
    settings |= {"cell": cell, "n_variants": n_variants, "direction": direction}
    settings = simulate_perovskite.__kwdefaults__ | settings
    return _simulate("Simulated hexagonal crystal", shape, lattice, motif, **settings)


def check_names(settings, without=()):
    """Raise TypeError unless all settings are those of :func:`simulate_perovskite`."""
    known = set(simulate_perovskite.__kwdefaults__).difference(without)
    unknown = sorted(set(settings) - known)
    if unknown:
        raise TypeError(f"unknown parameters {unknown}; there are {', '.join(sorted(known))}.")


def _simulate(title, shape, lattice, motif, *, cell, rotation, random_state, **p):
    """Lay out the columns, give each its properties, image them and count electrons."""
    for name, value in {"cell": cell, **p}.items():
        if name in ("dose", "pixel_size", "aspect", "cell") and not value > 0:
            raise ValueError(f"{name}={value}: give a positive number.")
    if not 0 <= p["vacuum"] < 1:
        raise ValueError(f"vacuum={p['vacuum']}: give a share of the image, 0 up to 1.")
    rng = np.random.default_rng(random_state)
    margin = 3 * cell
    size = np.array([shape[1], shape[0]], float)
    field = FieldMaker(rng, size, margin, cell)
    a = lattice_points(lattice, motif["A"], cell, rotation, size, margin, rng)
    b = lattice_points(lattice, motif["B"], cell, rotation, size, margin, rng)
    offset = b["origin"]
    edge = (1 - p["vacuum"]) * size[0] if p["vacuum"] else np.inf
    a, b = (xy[xy[:, 0] < edge] for xy in (a["points"] + offset, b["points"] + offset))
    b = b[:0] if p["one_sublattice"] else b
    a_height, b_height = peak_heights(a, b, size / 2 + offset, cell, rotation, p)

    order = order_parameter(b, size, cell, rotation, rng, p)
    # strain: a smooth displacement u whose gradient has the asked root mean square
    scale = 6.0 * cell
    ux, uy = (field(scale) * p["strain"] * scale for _ in range(2))
    tilt_angle, tilt_size = field(20 * cell) * np.pi, 1 + 0.3 * field(20 * cell)
    chemical = field(5 * cell, uniform=True)

    def finish(xy, displacement, peak):
        moved = xy + np.stack([ux(xy), uy(xy)], 1) + displacement
        moved += p["disorder"] * rng.standard_normal(xy.shape)
        if p["dislocation"] is not None:
            moved += dislocation_field(xy, p["dislocation"], cell, rotation)
        thickness = 1 + p["thickness_gradient"] * (xy[:, 0] / size[0] - 0.5)
        noise = 1 + 0.05 * rng.standard_normal(len(xy))
        return moved, peak * thickness * noise

    composition = chemical(b)
    b_xy, b_peak = finish(b, order["displacement"], b_height)
    b_peak *= 1 + p["chemistry"] * composition
    a_xy, a_peak = finish(a, np.zeros_like(a), a_height)

    xy, peak = np.vstack([a_xy, b_xy]), np.concatenate([a_peak, b_peak])
    sigma = p["column_width"] * cell
    image = _imaging.sum_of_columns(
        shape, xy, peak, sigma, p["tilt"] * tilt_size(xy), tilt_angle(xy), p["scan_jitter"], rng
    )
    image += _imaging.background(shape, p["vacuum"], sigma)
    if p["dark"]:
        image = _imaging.bright_field(image)
    if np.isfinite(p["dose"]):
        image = rng.poisson(image * p["dose"]).astype(np.float32)

    truth = SimulatedTruth(
        _inside(pd.DataFrame({"x": a_xy[:, 0], "y": a_xy[:, 1], "amplitude": a_peak}), shape),
        _inside(
            pd.DataFrame(
                {
                    "x": b_xy[:, 0],
                    "y": b_xy[:, 1],
                    "amplitude": b_peak,
                    "displacement_x": order["displacement"][:, 0],
                    "displacement_y": order["displacement"][:, 1],
                    "variant": order["variant"],
                    "angle": order["angle"],
                    "order": order["order"],
                    "chemistry": composition,
                    "wall_distance": order["wall_distance"],
                    "edge_distance": np.minimum(b_xy, size - 1 - b_xy).min(1) / cell,
                }
            ),
            shape,
        ),
        p["n_variants"],
        float(cell),
    )
    return _as_signal(image, title, p["pixel_size"]), truth


def _inside(table, shape):
    keep = table.x.between(0, shape[1] - 1) & table.y.between(0, shape[0] - 1)
    return table[keep].reset_index(drop=True)


def _as_signal(image, title, pixel_size):
    signal = hs.signals.Signal2D(image)
    signal.metadata.General.title = title
    signal.metadata.Signal.quantity = "Intensity (counts)"
    for axis, name in zip(signal.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.units, axis.scale = name, "nm", pixel_size
    return signal
