# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit of an rVAE to a stack: its options are the settings of the model and those below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hs_rvae.rvae.settings import RVAESettings
from hs_rvae.signals.recording import recorded
from hs_rvae.signatures import takes_options

if TYPE_CHECKING:
    from hs_rvae.signals.rvae import RVAEMethods


@recorded
@takes_options(RVAESettings)
def rvae(
    self: RVAEMethods,
    *,
    initial_model: Any = None,
    navigation_mask: Any = None,
    channel: int | str | None = None,
    latent_channel: int | str = 0,
    overwrite: bool = False,
    **settings: Any,
) -> None:
    """Separate the orientation of each sub-image from its content.

    Fits a rotationally invariant variational autoencoder (AIP Advances 12, 105122 (2022)) and
    writes what it finds into :attr:`sites`: ``angle`` and ``angle_std`` (rad, from +x towards
    +y; a direction in the image where the distortion turns, otherwise up to one offset common
    to all sites), ``angle_weight`` (probability of the mode of the posterior that the angle
    stands for), ``latent_0`` ... with ``latent_0_std`` ... (no unit; ordered by the intensity
    they explain), with translation ``shift_x``, ``shift_y`` and their ``_std`` (px, content
    displaced by +shift; with ``_calibrated`` in pm or the unit of the axes),
    ``order_amplitude`` with ``order_amplitude_std`` (about 1 for distorted sites, 0 for
    undistorted ones, whose angle has no meaning) and ``log_likelihood`` (nat).

    Where the lattice is strained in ferroelastic domains, it adds ``strain_angle`` (rad, an
    axis) and ``strain_variant``; where octahedra tilt to and fro from cell to cell, ``tilt``
    (rad, positive from +x towards +y) and ``tilt_variant``; both with ``_std``. Where mirror
    images of a variant are distinguished, it adds ``parity``. If nothing is displaced,
    ``angle`` is the axis of the strain, and NaN for tilts alone.

    Columns of an earlier fit are replaced, and variants of its angles removed; columns of yours
    are not. The data are not changed. The angles of diffraction patterns
    (:meth:`from_site_signals`) are directions in the scan. A lazy stack is read block by block.
    After Ctrl-C the stack is as it was; where the model was fitted already,
    ``stack.apply_rvae()`` encodes the sites with it.

    Parameters
    ----------
    initial_model : RVAE, str or pathlib.Path, optional
        A fitted model, or its file, to start from: no blind search, and the zero of its angles is
        kept.
    navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
        True = excluded from the fit and left NaN in the table.
    channel : int, str or None
        In a stack of several detectors, the number or name of one to fit alone. If None, all are
        fitted together: a site has one angle, and each detector its own static part, template and
        noise.
    latent_channel : int or str
        Number or name of the detector whose sub-images give the latents where all are fitted
        together.
    random_state : int, numpy.random.Generator or None
        Seed of everything random; the same seed gives the same result. If None, a seed is drawn; it
        is the ``random_state`` of the model, and stands in the report.
    show_progressbar : bool or None
        None follows HyperSpy's preference.
    overwrite : bool
        Whether columns that you wrote under these names are replaced.

    Raises
    ------
    ValueError
        If the stack has no site table, windows are not square, a setting is not usable, there
        is no such channel, or a column of yours would be replaced.
    FileNotFoundError
        If `initial_model` names no file.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((360, 360), random_state=0)
    >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
    >>> stack.rvae(output_dimension=1, random_state=0)
    >>> [name for name in stack.sites.columns if "latent" in name]
    ['latent_0', 'latent_0_std']
    """
    self._fit_rvae(
        settings | {"latent_channel": latent_channel},
        initial_model=initial_model,
        navigation_mask=navigation_mask,
        channel=channel,
        overwrite=overwrite,
    )
