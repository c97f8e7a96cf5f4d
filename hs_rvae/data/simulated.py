# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that ship with the package, simulated with the physics of electron scattering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hyperspy.signals import Signal2D

from .images import from_hspy

_HERE = Path(__file__).parent


def bfo_multislice() -> tuple[Signal2D, dict[str, np.ndarray]]:
    """Load a simulated HAADF-STEM image of a BiFeO3 film, with its truth.

    Frozen-phonon multislice at 200 kV: four variants turned by 90 degrees, a non-polar part, a
    strip of (La,Sr)MnO3, a thickness ramp, scan jitter and Poisson noise. The truth is known for
    each of the 48 x 48 unit cells.

    Returns
    -------
    image : hyperspy.signals.Signal2D
        Image of shape (960, 960), float32, with axes ``x`` and ``y`` in nm.
    truth : dict of numpy.ndarray
        One entry per cell, in rows from the top left, except where the table gives another shape:

        ========================= ========= =====================================================
        key                       shape     meaning
        ========================= ========= =====================================================
        ``label``                 (2304,)   0 to 3 variant, 4 non-polar, 5 (La,Sr)MnO3
        ``B_shift_angstrom_xy``   (2304, 2) shift of the B column off the centre, x right, y down
        ``cell_centre_xy_warped`` (2304, 2) centre of the cell in the image, ``(x, y)`` in px
        ``A_xy_warped``           (2304, 2) A column at the cell's upper left, likewise
        ``cell_centre_xy``        (2304, 2) centre of the cell before scan jitter
        ``A_xy``                  (2304, 2) A column before scan jitter
        ``label_grid``            (48, 48)  ``label`` as a map
        ``row_shift_px``          (960,)    scan jitter: pixel x of row y shows x + row_shift_px[y]
        ``px_per_cell``           ()        20
        ``px_angstrom``           ()        pixel size in angstrom
        ========================= ========= =====================================================

        The B column itself stands at
        ``cell_centre_xy_warped + B_shift_angstrom_xy / px_angstrom``.

    Notes
    -----
    Columns of the image do not stand exactly where the truth has its atoms: averaged over sites, up
    to 0.25 px off. The user guide explains it under "Where the columns of an image are".

    Each variant was simulated as one cell and tiled. Walls are therefore abrupt and free of strain,
    which is easier than life.

    Examples
    --------
    >>> import numpy as np
    >>> import hs_rvae
    >>> image, truth = hs_rvae.data.bfo_multislice()
    >>> image
    <Signal2D, title: BiFeO3 domain mosaic (simulated HAADF), dimensions: (|960, 960)>

    The direction of the shift, as an angle from +x (right) towards +y (down), is one of four:

    >>> polar = truth["label"] < 4
    >>> dx, dy = truth["B_shift_angstrom_xy"][polar].T
    >>> np.unique(np.degrees(np.arctan2(dy, dx))).tolist()
    [-135.0, -45.0, 45.0, 135.0]
    """
    return _image_and_truth(
        "bfo_multislice/BFO_mosaic_noisy.hspy",
        "BFO_mosaic_truth.npz",
        title="BiFeO3 domain mosaic (simulated HAADF)",
        method="abTEM (frozen-phonon multislice, 200 kV HAADF)",
    )


def bfo_lsmo() -> tuple[Signal2D, dict[str, np.ndarray]]:
    """Load a simulated HAADF-STEM image of a BiFeO3/(La,Sr)MnO3 superlattice, with its truth.

    The kind of the paper's second sample. Each layer of BiFeO3 has lamellae of antiparallel
    displacements along one of the two diagonals; (La,Sr)MnO3 is not polar. Multislice with thermal
    diffuse scattering at 200 kV, aberrations, a thickness wedge, drift, line jitter and 60 counts.

    Returns
    -------
    image : hyperspy.signals.Signal2D
        Image of shape (841, 841), uint16 (counts), with axes ``x`` and ``y`` in nm, 0.0165 nm/px.
    truth : dict of numpy.ndarray
        One entry per column. Columns up to 2 px beyond the border are included.

        ============ ========= ================================================================
        key          shape     meaning
        ============ ========= ================================================================
        ``a_xy``     (1246, 2) A columns in the image, ``(x, y)`` in px, y down
        ``b_xy``     (1244, 2) B columns in the image, likewise
        ``a_ij``     (1246, 2) place of each A column in the lattice, in cells: whole numbers
        ``b_ij``     (1244, 2) place of each B column, in cells: halves
        ``d_xy``     (1244, 2) B column minus the mean of its four A columns, in px
        ``d_angle``  (1244,)   direction of the displacement before the scan moves columns, in
                               radians from +x (right) towards +y (down); NaN outside variants
        ``amp``      (1244,)   length of the displacement, 1 in the bulk
        ``variant``  (1244,)   0 to 3; -1 where there is none
        ``twin``     (1244,)   diagonal of the variant: 0 for variants 0 and 2, 1 for 1 and 3
        ``wall``     (1244,)   distance from the nearest wall or interface, in cells
        ``chem``     (1244,)   share of BiFeO3, 0 to 1
        ``nonpolar`` (1244,)   True where there is no displacement
        ============ ========= ================================================================

    Notes
    -----
    ``d_xy`` includes drift and line jitter, ``d_angle`` and ``amp`` do not. As in
    `bfo_multislice`, columns of the image do not stand exactly where the atoms are.

    Examples
    --------
    >>> import numpy as np
    >>> import hs_rvae
    >>> image, truth = hs_rvae.data.bfo_lsmo()
    >>> image
    <Signal2D, title: BiFeO3/(La,Sr)MnO3 superlattice (simulated HAADF), dimensions: (|841, 841)>
    >>> np.bincount(truth["variant"][truth["variant"] >= 0]).tolist()
    [118, 199, 116, 201]
    """
    return _multislice("bfo_lsmo", "BiFeO3/(La,Sr)MnO3 superlattice (simulated HAADF)")


def pto_ac() -> tuple[Signal2D, dict[str, np.ndarray]]:
    """Load a simulated HAADF-STEM image of PbTiO3 with a and c domains, with its truth.

    Four variants, 90 degrees apart. Both cations are displaced, and the Ti column is elongated
    along the polarisation by its oxygen. Physics and instrument are those of `bfo_lsmo`.

    Returns
    -------
    image : hyperspy.signals.Signal2D
        Image of shape (777, 777), uint16 (counts), with axes ``x`` and ``y`` in nm, 0.018 nm/px.
    truth : dict of numpy.ndarray
        Keys of `bfo_lsmo` without ``twin``, for 1219 A and 1203 B columns. Every site has a variant
        and an angle; ``wall`` is the distance from the nearest domain wall, and ``chem`` is NaN,
        because there is one material only.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.data.pto_ac()
    >>> image
    <Signal2D, title: PbTiO3 with a and c domains (simulated HAADF), dimensions: (|777, 777)>
    >>> sorted(set(truth["variant"].tolist()))
    [0, 1, 2, 3]
    """
    return _multislice("pto_ac", "PbTiO3 with a and c domains (simulated HAADF)")


def pto_sto_vortex() -> tuple[Signal2D, dict[str, np.ndarray]]:
    """Load a simulated HAADF-STEM image of PbTiO3/SrTiO3 with vortices, with its truth.

    Pairs of vortices in which the polarisation turns continuously: there are angles, but no
    variants. Physics and instrument are those of `bfo_lsmo`.

    Returns
    -------
    image : hyperspy.signals.Signal2D
        Image of shape (739, 739), uint16 (counts), with axes ``x`` and ``y`` in nm, 0.019 nm/px.
    truth : dict of numpy.ndarray
        Keys of `bfo_lsmo` without ``twin``, for 1275 A and 1270 B columns. ``variant`` is 0 at
        polar sites and -1 elsewhere, ``wall`` is 99 everywhere, ``chem`` is the share of PbTiO3,
        and ``d_angle`` has a meaning where ``variant`` is 0.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.data.pto_sto_vortex()
    >>> image
    <Signal2D, title: PbTiO3/SrTiO3 vortices (simulated HAADF), dimensions: (|739, 739)>
    >>> int((truth["variant"] == 0).sum())
    917
    """
    return _multislice("pto_sto_vortex", "PbTiO3/SrTiO3 vortices (simulated HAADF)")


def sto_null() -> tuple[Signal2D, dict[str, np.ndarray]]:
    """Load a simulated HAADF-STEM image of cubic SrTiO3, with its truth.

    A control: nothing is displaced, so no angle and no variant should be found. Physics and
    instrument are those of `bfo_lsmo`.

    Returns
    -------
    image : hyperspy.signals.Signal2D
        Image of shape (612, 612), uint16 (counts), with axes ``x`` and ``y`` in nm, 0.0175 nm/px.
    truth : dict of numpy.ndarray
        Keys of `bfo_lsmo` without ``twin``, for 760 A and 753 B columns. ``amp`` is 0, ``nonpolar``
        is True, ``variant`` is -1, ``wall`` is 99 and ``d_angle`` and ``chem`` are NaN everywhere.
        ``d_xy`` shows drift and line jitter alone.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.data.sto_null()
    >>> image
    <Signal2D, title: SrTiO3, undistorted (simulated HAADF), dimensions: (|612, 612)>
    >>> bool(truth["nonpolar"].all())
    True
    """
    return _multislice("sto_null", "SrTiO3, undistorted (simulated HAADF)")


def _multislice(name: str, title: str) -> tuple[Signal2D, dict[str, np.ndarray]]:
    """Image and truth of the folder multislice."""
    return _image_and_truth(
        f"multislice/{name}.hspy",
        f"{name}_truth.npz",
        title=title,
        method="multislice, thermal diffuse scattering (200 kV HAADF)",
    )


def _image_and_truth(
    path: str, truth_name: str, *, title: str, method: str
) -> tuple[Signal2D, dict[str, np.ndarray]]:
    file = _HERE / path
    image = from_hspy(
        file,
        title=title,
        original_filename=file.name,
        notes=f"Simulated for hs_rvae: {method}. Licence: GPL-3.0-or-later.",
        beam_energy=200.0,
    )
    with np.load(file.with_name(truth_name)) as truth:
        return image, dict(truth)
