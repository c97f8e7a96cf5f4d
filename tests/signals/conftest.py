# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of known columns, the stack cut from it, and a stack with the columns of a model."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack


def _make_image(shape=(150, 200), spacing=20.0, scale=0.02, title="film", seed=0):
    """A calibrated image with more columns than rows, and the (x, y) of its atomic columns."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(5, shape[1], spacing), np.arange(5, shape[0], spacing))
    xy = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-0.5, 0.5, (x.size, 2))
    # A Gaussian column is an outer product of its profiles along y and x.
    along_x = np.exp(-((np.arange(shape[1])[:, None] - xy[:, 0]) ** 2) / (2 * 2.5**2))
    along_y = np.exp(-((np.arange(shape[0])[:, None] - xy[:, 1]) ** 2) / (2 * 2.5**2))
    data = (0.1 + along_y @ along_x.T).astype(np.float32)
    image = hs.signals.Signal2D(data)
    image.metadata.General.title = title
    for axis, name, offset in zip(image.axes_manager.signal_axes, "xy", (3.0, -1.0), strict=True):
        axis.name, axis.units, axis.scale, axis.offset = name, "nm", scale, offset
    return image, xy


@pytest.fixture
def make_image():
    return _make_image


@pytest.fixture
def image_and_xy(make_image):
    return make_image()


@pytest.fixture
def image(image_and_xy):
    return image_and_xy[0]


@pytest.fixture
def xy(image_and_xy):
    return image_and_xy[1]


@pytest.fixture(params=["eager", "lazy"])
def stack(request, image, xy):
    """54 of 80 sites; those at the border are dropped, so that site_index is not the row."""
    return SubImageStack.from_positions(image, xy, window_size=24, lazy=request.param == "lazy")


@pytest.fixture(scope="session")
def fitted_once(film):
    stack = film.stack.deepcopy()
    stack.rvae(output_dimension=2, random_state=0)
    return stack


@pytest.fixture
def fitted(fitted_once):
    """The small film with the columns of a model; its own for every test."""
    return fitted_once.deepcopy()
