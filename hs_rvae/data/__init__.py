# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small atomic-resolution images that ship with the package, and what is known about them.

Two are real, one is simulated with the physics of electron scattering. Where they come from and
under which licence is written in a ``README.txt`` beside each file and in the metadata of each
signal (``metadata.General.notes``). Images with adjustable properties are made by
`hs_rvae.simulation`.
"""

from pathlib import Path

import numpy as np
import rsciio.hspy
import rsciio.image
from hyperspy.signals import Signal2D

__all__ = ["bfo_multislice", "dysco3", "dysco3_positions", "pto_sro"]

_HERE = Path(__file__).parent


def dysco3():
    """Load a real HAADF-STEM image of an orthoperovskite with two alternating variants.

    The A columns shift up and down by 3 to 4 px, alternating from one vertical line of columns to
    the next: two variants of the same motif, turned by 180 degrees. `dysco3_positions` gives the
    columns and their shifts.

    Returns
    -------
    hyperspy.signals.Signal2D
        Image of shape (1024, 1024), uint8, with axes ``x`` and ``y`` in nm.

    Notes
    -----
    The material and the calibration are inferred, not recorded: the file is called ``dso_8nm``
    (DyScO3, 8 nm field of view), and one pseudocubic cell, 0.395 nm, measures 49.5 px, hence
    0.008 nm/px. Lengths in nm are good to a few per cent.

    Source: AtomSegNet [1]_, file ``test_img/10_dso_8nm_none_none.png``, unmodified; MIT licence,
    copyright (c) 2019 xinhuolin.

    References
    ----------
    .. [1] R. Lin, R. Zhang, C. Wang, X.-Q. Yang, H. L. Xin, Scientific Reports 11, 5386 (2021),
       https://doi.org/10.1038/s41598-021-84499-w

    Examples
    --------
    >>> import hs_rvae
    >>> image = hs_rvae.data.dysco3()
    >>> image
    <Signal2D, title: DyScO3 (HAADF), dimensions: (|1024, 1024)>
    >>> float(image.axes_manager["x"].scale), image.axes_manager["x"].units
    (0.008, 'nm')
    """
    name = "dso_8nm.png"
    data = rsciio.image.file_reader(_HERE / "dysco3" / name)[0]["data"]
    return _image(
        data,
        scale=0.008,
        title="DyScO3 (HAADF)",
        original_filename=name,
        notes="Real image, AtomSegNet (https://github.com/xinhuolin/AtomSegNet), MIT licence, "
        "copyright (c) 2019 xinhuolin. Material and calibration (0.008 nm/px) are inferred from "
        "the file name and the lattice parameter.",
    )


def dysco3_positions():
    """Load the A columns of `dysco3` and how far each stands off its neighbours.

    Returns
    -------
    positions : numpy.ndarray
        Columns found by fitting Gaussians, shape (256, 2), ``(x, y)`` in pixels, y down.
    shift : numpy.ndarray
        Position minus the mean of the four nearest columns in `positions`, shape (256, 2), in
        pixels. Its y component tells the two variants apart: it is positive for 126 columns,
        negative for 130, and never within 1 px of zero. At the rim, where the four nearest columns
        do not surround a column, and beside the few columns missing from the list (shifts of more
        than 6 px), its length means nothing.

    Examples
    --------
    >>> import hs_rvae
    >>> positions, shift = hs_rvae.data.dysco3_positions()
    >>> positions.shape, shift.shape
    ((256, 2), (256, 2))
    >>> int((shift[:, 1] > 0).sum()), float(abs(shift[:, 1]).min().round(1))
    (126, 1.4)
    """
    with np.load(_HERE / "dysco3" / "A_site_shift_derived.npz") as stored:
        return stored["A_xy"], stored["shift_from_4nn_px"]


def pto_sro():
    """Load a real, calibrated HAADF-STEM image of a PbTiO3/SrRuO3 superlattice.

    Layers of different chemistry, and a polarisation that turns along the strip. There is no truth
    table.

    Returns
    -------
    hyperspy.signals.Signal2D
        Image of shape (224, 1312), float64 (whole numbers), with axes ``x`` and ``y`` in nm,
        0.0150 nm/px as recorded by the microscope. The offsets of the axes, which say where the
        strip was cut from a larger image, are left out.

    Notes
    -----
    Source: TEMUL (https://github.com/PinkShnack/TEMUL), file ``Cropped_PTO-SRO_Aligned.hspy``,
    unmodified; GPL-3.0. Published in [1]_; please cite it when you use the image.

    References
    ----------
    .. [1] M. Hadjimichael et al., "Metal-ferroelectric supercrystals with periodically curved
       metallic layers", Nature Materials 20, 495-502 (2021),
       https://doi.org/10.1038/s41563-020-00864-6

    Examples
    --------
    >>> import hs_rvae
    >>> hs_rvae.data.pto_sro()
    <Signal2D, title: PbTiO3/SrRuO3 superlattice (HAADF), dimensions: (|1312, 224)>
    """
    name = "Cropped_PTO-SRO_Aligned.hspy"
    # Not through HyperSpy's `load`: the file is of an old version, and `load` warns about it.
    stored = rsciio.hspy.file_reader(_HERE / "pto_sro" / name)[0]
    return _image(
        stored["data"],
        scale=float(stored["axes"][-1]["scale"]),
        title="PbTiO3/SrRuO3 superlattice (HAADF)",
        original_filename=name,
        doi="10.1038/s41563-020-00864-6",
        notes="Real image, TEMUL (https://github.com/PinkShnack/TEMUL), GPL-3.0. Published in "
        "M. Hadjimichael et al., Nature Materials 20, 495-502 (2021).",
        beam_energy=300.0,
    )


def bfo_multislice():
    """Load a simulated HAADF-STEM image of a BiFeO3 film, with its truth.

    Frozen-phonon multislice at 200 kV: four variants turned by 90 degrees, a non-polar part, a
    strip of (La,Sr)MnO3, a thickness ramp, scan jitter and Poisson noise. The truth is known for
    each of the 48 x 48 unit cells.

    Returns
    -------
    image : hyperspy.signals.Signal2D
        Image of shape (960, 960), float32, with axes ``x`` and ``y`` in nm.
    truth : dict of numpy.ndarray
        One entry per cell, in rows from the top left, unless the shape says otherwise:

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
    to 0.25 px off. The user guide says why, under "Where the columns of an image are".

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
    name = "BFO_mosaic_noisy.hspy"
    stored = rsciio.hspy.file_reader(_HERE / "bfo_multislice" / name)[0]
    image = _image(
        stored["data"],
        scale=float(stored["axes"][-1]["scale"]),
        title="BiFeO3 domain mosaic (simulated HAADF)",
        original_filename=name,
        notes="Simulated with abTEM (frozen-phonon multislice, 200 kV HAADF) for hs_rvae, "
        "GPL-3.0-or-later.",
        beam_energy=200.0,
    )
    with np.load(_HERE / "bfo_multislice" / "BFO_mosaic_truth.npz") as truth:
        return image, dict(truth)


def _image(data, scale, title, notes, original_filename, doi=None, beam_energy=None):
    """Signal2D with square pixels of `scale` nm and a record of where it comes from."""
    axes = [
        {"name": name, "size": size, "scale": scale, "offset": 0.0, "units": "nm"}
        for name, size in zip("yx", data.shape, strict=True)
    ]
    general = {"title": title, "original_filename": original_filename, "notes": notes}
    if doi is not None:
        general["doi"] = doi
    metadata = {"General": general, "Signal": {"signal_type": "", "quantity": "Intensity"}}
    if beam_energy is not None:
        metadata["Acquisition_instrument"] = {"TEM": {"beam_energy": beam_energy}}
    return Signal2D(np.array(data), axes=axes, metadata=metadata)
