# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites on a turned square lattice with four domains, of which every value is known."""

import numpy as np
import pytest

from hs_rvae.sites import SiteTable

CELL = 20.0  # px
PIXEL = 0.02  # nm
N_UNDEFINED = 3
# Directions of the four domains: right-down, left-down, left-up, right-up on screen.
WELLS = np.deg2rad([45, 135, -135, -45])


@pytest.fixture
def sites():
    """About 200 sites in a 400 x 300 image; the last three have no angle and no latent."""
    rng = np.random.default_rng(0)
    i, j = np.indices((30, 30)).reshape(2, -1) - 15
    c, s = np.cos(0.2) * CELL, np.sin(0.2) * CELL
    x, y = 200 + c * i - s * j, 150 + s * i + c * j
    inside = (x > 30) & (x < 370) & (y > 30) & (y < 270)
    x, y = x[inside], y[inside]
    variant = (y > 150).astype(int) * 2 + (x > 200)
    angle = WELLS[variant] + 0.05 * rng.standard_normal(len(x))
    latent = rng.standard_normal(len(x))
    angle[-N_UNDEFINED:] = latent[-N_UNDEFINED:] = np.nan
    return SiteTable.from_columns(
        {
            "site_index": np.arange(len(x)),
            "x": x,
            "y": y,
            "angle": angle,
            "angle_std": rng.uniform(0.01, 0.1, len(x)),
            "latent_0": latent,
            "displacement_x": 2 * np.cos(WELLS[variant]),
            "displacement_y": 2 * np.sin(WELLS[variant]),
            "variant": np.where(x < 60, -1, variant),
        },
        units={
            "x": "px",
            "y": "px",
            "angle": "rad",
            "angle_std": "rad",
            "displacement_x": "px",
            "displacement_y": "px",
        },
        pixel_size=(PIXEL, PIXEL),
        pixel_units="nm",
        pixel_offset=(1.0, -2.0),
    )


@pytest.fixture
def image():
    """Parent image, (ny, nx) = (300, 400)."""
    return np.random.default_rng(1).random((300, 400))


@pytest.fixture
def artist_by_gid():
    """Look for the one artist of axes that carries a name."""

    def find(ax, gid):
        found = [a for a in ax.get_children() if a.get_gid() == gid]
        assert len(found) == 1, f"{len(found)} artists {gid!r}"
        return found[0]

    return find
