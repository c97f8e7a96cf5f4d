# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real images of other projects, fetched on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rsciio.image
from hyperspy.signals import Signal2D

from ..checks import checked
from .fetching import PublishedFile
from .images import calibrated_image, from_hspy

_DYSCO3 = PublishedFile(
    name="dso_8nm.png",
    function="dysco3",
    licence="MIT licence, copyright (c) 2019 xinhuolin",
    repository="xinhuolin/AtomSegNet",
    commit="744a5ae519d24ade7b77ec612f93f962d27dd01e",
    path="test_img/10_dso_8nm_none_none.png",
    sha256="6524711eacb8b4f0f863abdc76025fd9f0133dffad4622a2dd57c6aa2fd340c7",
)
_PTO_SRO = PublishedFile(
    name="Cropped_PTO-SRO_Aligned.hspy",
    function="pto_sro",
    licence="GPL-3.0",
    repository="PinkShnack/TEMUL",
    commit="a65e917b3ebff7bcd22bff879ab7d28b00b81d1e",
    path="publication_examples/PTO_supercrystal_hadjimichael/data/Cropped_PTO-SRO_Aligned.hspy",
    sha256="434f40eb5ddb57b975760950329dece54d49e17576bc9cd82385412a82d0c931",
)


@checked
def dysco3(allow_download: bool = False) -> Signal2D:
    """Load a real HAADF-STEM image of an orthoperovskite with two alternating variants.

    The A columns shift up and down by 3 to 4 px, alternating from one vertical line of columns to
    the next: two variants of the same motif, turned by 180 degrees. `dysco3_positions` gives the
    columns and their shifts.

    Parameters
    ----------
    allow_download : bool, default False
        Whether the image may be fetched from the repository of its publisher (0.8 MB) if there is
        no copy on this machine. The folder that the environment variable ``HS_RVAE_DATA`` names
        comes first, then the files fetched before. Every copy is compared with a checksum.

    Returns
    -------
    hyperspy.signals.Signal2D
        Image of shape (1024, 1024), uint8, with axes ``x`` and ``y`` in nm.

    Raises
    ------
    FileNotFoundError
        If there is no copy, and `allow_download` is False.
    OSError
        If the image cannot be fetched.
    ValueError
        If a file is not the published one.

    Notes
    -----
    The material and the calibration are inferred, not recorded: the file is called ``dso_8nm``
    (DyScO3, 8 nm field of view), and one pseudocubic cell, 0.395 nm, measures 49.5 px, hence
    0.008 nm/px. Lengths in nm are good to a few per cent.

    Source: AtomSegNet [1]_ (https://github.com/xinhuolin/AtomSegNet), file
    ``test_img/10_dso_8nm_none_none.png`` at commit 744a5ae; MIT licence, copyright (c) 2019
    xinhuolin.

    References
    ----------
    .. [1] R. Lin, R. Zhang, C. Wang, X.-Q. Yang, H. L. Xin, Scientific Reports 11, 5386 (2021),
       https://doi.org/10.1038/s41598-021-84499-w

    Examples
    --------
    >>> import hs_rvae
    >>> image = hs_rvae.data.dysco3(allow_download=True)  # doctest: +SKIP
    >>> image  # doctest: +SKIP
    <Signal2D, title: DyScO3 (HAADF), dimensions: (|1024, 1024)>
    """
    data = rsciio.image.file_reader(_DYSCO3.get(allow_download))[0]["data"]
    return calibrated_image(
        data,
        scale=0.008,
        title="DyScO3 (HAADF)",
        original_filename=_DYSCO3.name,
        notes="Real image, AtomSegNet (https://github.com/xinhuolin/AtomSegNet), MIT licence, "
        "copyright (c) 2019 xinhuolin. Material and calibration (0.008 nm/px) are inferred from "
        "the file name and the lattice parameter.",
    )


def dysco3_positions() -> tuple[np.ndarray, np.ndarray]:
    """Load the A columns of `dysco3` and their distances from the neighbours.

    The positions ship with the package; the image does not.

    Returns
    -------
    positions : numpy.ndarray
        Columns found by fitting Gaussians, shape (256, 2), ``(x, y)`` in pixels, y down.
    shift : numpy.ndarray
        Position minus the mean of the four nearest columns in `positions`, shape (256, 2), in
        pixels. Its y component separates the two variants: it is positive for 126 columns,
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
    with np.load(Path(__file__).parent / "dysco3" / "A_site_shift_derived.npz") as stored:
        return stored["A_xy"], stored["shift_from_4nn_px"]


@checked
def pto_sro(allow_download: bool = False) -> Signal2D:
    """Load a real, calibrated HAADF-STEM image of a PbTiO3/SrRuO3 superlattice.

    Layers of different chemistry, and a polarisation that turns along the strip. There is no truth
    table.

    Parameters
    ----------
    allow_download : bool, default False
        Whether the image may be fetched from the repository of its publisher (0.6 MB), as in
        `dysco3`.

    Returns
    -------
    hyperspy.signals.Signal2D
        Image of shape (224, 1312), float64 (whole numbers), with axes ``x`` and ``y`` in nm,
        0.0150 nm/px as recorded by the microscope. The offsets of the axes, which say where the
        strip was cut from a larger image, are left out.

    Raises
    ------
    FileNotFoundError
        If there is no copy, and `allow_download` is False.
    OSError
        If the image cannot be fetched.
    ValueError
        If a file is not the published one.

    Notes
    -----
    Source: TEMUL (https://github.com/PinkShnack/TEMUL), file ``Cropped_PTO-SRO_Aligned.hspy`` of
    ``publication_examples/PTO_supercrystal_hadjimichael/data`` at commit a65e917; GPL-3.0.
    Published in [1]_; please cite it when you use the image.

    References
    ----------
    .. [1] M. Hadjimichael et al., "Metal-ferroelectric supercrystals with periodically curved
       metallic layers", Nature Materials 20, 495-502 (2021),
       https://doi.org/10.1038/s41563-020-00864-6

    Examples
    --------
    >>> import hs_rvae
    >>> hs_rvae.data.pto_sro(allow_download=True)  # doctest: +SKIP
    <Signal2D, title: PbTiO3/SrRuO3 superlattice (HAADF), dimensions: (|1312, 224)>
    """
    return from_hspy(
        _PTO_SRO.get(allow_download),
        title="PbTiO3/SrRuO3 superlattice (HAADF)",
        original_filename=_PTO_SRO.name,
        doi="10.1038/s41563-020-00864-6",
        notes="Real image, TEMUL (https://github.com/PinkShnack/TEMUL), GPL-3.0. Published in "
        "M. Hadjimichael et al., Nature Materials 20, 495-502 (2021).",
        beam_energy=300.0,
    )
