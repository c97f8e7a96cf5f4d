# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a model, with their documentation; PyTorch is not needed to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class RVAESettings:
    """Settings of an :class:`~hs_rvae.RVAE` and of ``stack.rvae()``.

    Parameters
    ----------
    output_dimension : int or "auto"
        Number of content latents; "auto" adds latents as long as each lowers the loss of held-out
        sites by more than 1 nat, up to 8.
    architecture : {"harmonic", "convolutional"}
        Kind of model; "convolutional" is the paper's network (see :class:`~hs_rvae.RVAE`).
    rotation : {"auto", "distortion", "motif"} or False
        Part of a sub-image that turns. "distortion": the lattice, aberrations and scan distortion
        stay, and the distortion turns; the angle is its direction in the image, after the inverse
        stretch where ``find_sublattices(correct_distortion=...)`` found one. It needs the positions
        of the sites. "motif": the whole sub-image turns, as in the paper; for grains and twins. Its
        zero is arbitrary. "auto": chosen from the data, and the verdict holds the evidence; "motif"
        without positions, with translation, and in the convolutional architecture. False: no
        angles, a plain autoencoder.
    translation : bool
        Whether sub-images have shifts. On windows that are centred on their columns, a polar
        displacement is a shift of the other sublattice, so that shift and angle compete. Leave it
        False unless positions are off by more than about 0.2 px.
    shift_prior : float
        Prior standard deviation of each component of the shift, in px. The paper used 0.1 of half
        a window: 2.35 px for windows of 48 px.
    shift_delay : float
        Convolutional only: share of the epochs in which the shift is held at 0, so that the angle
        settles first; 0 releases both at once, as the paper does. The harmonic model always finds
        angles first.
    rotation_prior : float
        Convolutional only: standard deviation (rad) of the angle prior; only the posterior width
        is penalised.
    n_init : int
        Random starts of the search for the angles of a turning motif; the most likely one is kept.
        Their agreement is logged and stored in ``history_``. A distortion needs none.
    n_factors : int
        Directions in which sites may deviate from the motif: those of the pose-frame covariance
        (see :mod:`hs_rvae.rvae.pose`).
    epochs, batch_size, learning_rate : int, int, float, or None
        Training of the network. If None, the defaults of the architecture. Harmonic: 15 epochs, a
        batch size that grows with the number of sites, 2e-3. Convolutional: 100, 32, 1e-4, as in
        the paper.
    max_fit_sites : int, optional
        Maximum number of sites of a fit; all are encoded. If there are more, some are taken at
        random, in patches of neighbours where positions are known. Each frame of a series, or
        image of a joined stack, gives the same share. If None, 4,000; 10,000 of several images,
        and for the convolutional architecture.
    q_max : float, optional
        Highest spatial frequency used, in cycles/px. If None, it is chosen from the data and
        logged.
    latent_channel : int
        Number of the detector whose sub-images give the latents, where those of several detectors
        are fitted together.
    memory_budget : int or str, optional
        Bytes, or text such as ``"2 GB"``, for the coefficients of all sites between fitting and
        encoding (a fifth of the bytes of the pixels). Beyond, they go to a temporary zarr store in
        dask's ``temporary-directory``. If None, a quarter of the free memory.
    random_state : int, numpy.random.Generator or None
        Seed of everything random. The same seed gives the same result, bit for bit on one CPU.
    device : str or torch.device, optional
        If None, CUDA where it is available.
    show_progressbar : bool or None
        Progress bar with loss and remaining time. If None, no bar. Stacks follow HyperSpy's
        preference.
    """

    def __init__(
        self,
        output_dimension: int | str = 2,
        architecture: str = "harmonic",
        rotation: str | bool = "auto",
        translation: bool = False,
        *,
        shift_prior: float = 0.5,
        shift_delay: float = 0.3,
        rotation_prior: float = 0.1,
        n_init: int = 3,
        n_factors: int = 16,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        max_fit_sites: int | None = None,
        q_max: float | None = None,
        latent_channel: int = 0,
        memory_budget: int | str | None = None,
        random_state: int | np.random.Generator | None = None,
        device: str | torch.device | None = None,
        show_progressbar: bool | None = None,
    ) -> None:
        self.output_dimension = output_dimension
        self.architecture = architecture
        self.rotation = rotation
        self.translation = translation
        self.shift_prior = shift_prior
        self.shift_delay = shift_delay
        self.rotation_prior = rotation_prior
        self.n_init = n_init
        self.n_factors = n_factors
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_fit_sites = max_fit_sites
        self.q_max = q_max
        self.latent_channel = latent_channel
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.device = device
        self.show_progressbar = show_progressbar
