# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later

from typing import Any

import numpy as np

from hs_rvae.signals.rvae import RVAEMethods

def rvae(
    self: RVAEMethods,
    output_dimension: int | str = 2,
    architecture: str = "harmonic",
    rotation: str | bool = "auto",
    translation: bool = False,
    *,
    initial_model: Any = None,
    navigation_mask: Any = None,
    channel: int | str | None = None,
    latent_channel: int | str = 0,
    overwrite: bool = False,
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
    memory_budget: int | str | None = None,
    random_state: int | np.random.Generator | None = None,
    device: Any = None,
    show_progressbar: bool | None = None,
) -> None: ...
