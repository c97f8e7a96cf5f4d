# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation and strain of a shell of columns from their displacements."""

from __future__ import annotations

import numpy as np


def shell_inverse(offsets: np.ndarray) -> np.ndarray:
    """
    Matrix that turns displacements of a shell of columns into their gradient.

    Parameters
    ----------
    offsets : numpy.ndarray, shape (..., n_columns, 2)
        Places ``(x, y)`` of the columns at rest.

    Returns
    -------
    numpy.ndarray, shape (..., 2, n_columns)
        NaN where the columns stand on one line.
    """
    centred = offsets - offsets.mean(axis=-2, keepdims=True)
    square = np.swapaxes(centred, -1, -2) @ centred
    size = np.trace(square, axis1=-2, axis2=-1)
    flat = np.linalg.det(square) <= 1e-6 * size**2
    square = np.where(flat[..., None, None], np.eye(2), square)
    inverse = np.linalg.solve(square, np.swapaxes(centred, -1, -2))
    return np.where(flat[..., None, None], np.nan, inverse)


def rotation_and_strain(gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Rotation and strain of a homogeneous deformation.

    Parameters
    ----------
    gradient : numpy.ndarray, shape (..., 2, 2)
        Displacement ``gradient @ r`` at the place r.

    Returns
    -------
    rotation : numpy.ndarray, shape (...)
        In radians, positive from +x towards +y.
    strain : numpy.ndarray, shape (..., 3)
        xx, yy and xy of the tensor, after the rotation, along the axes of the image.

    Examples
    --------
    >>> import numpy as np
    >>> rotation, strain = rotation_and_strain(np.array([[0.01, -0.02], [0.02, 0.0]]))
    >>> round(float(rotation), 4), strain.round(4).tolist()
    (0.0199, [0.0102, 0.0002, 0.0001])
    """
    whole = gradient + np.eye(2)
    rotation = np.arctan2(whole[..., 1, 0] - whole[..., 0, 1], whole[..., 0, 0] + whole[..., 1, 1])
    cos, sin = np.cos(rotation), np.sin(rotation)
    back = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    stretch = whole @ back
    return rotation, np.stack(
        [
            stretch[..., 0, 0] - 1,
            stretch[..., 1, 1] - 1,
            (stretch[..., 0, 1] + stretch[..., 1, 0]) / 2,
        ],
        axis=-1,
    )
