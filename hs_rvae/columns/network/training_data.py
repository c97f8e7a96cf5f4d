# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images with known columns on the working grid, and the crops that a network is trained with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ...checks import finite_number, shown
from ...positions import as_positions, check_positions_fit, is_from_atomai
from .. import peaks as _peaks
from ..search_image import Picture
from .sampling import WORKING_SPACING, normalised, sampled, working_shape
from .unet import CELL

#: Side of a crop, px of the working grid.
CROP = 128
_SCALE = 0.22  # standard deviation of the logarithm of the distance of nearest columns
_SCALES = (0.6, 1.7)  # of the working distance
_FEWEST_IMAGES = 32  # one image is brought on as many grids
_FEWEST_COLUMNS = 10


@dataclass
class TrainingImage:
    """
    An image on the working grid with its columns.

    Attributes
    ----------
    values : numpy.ndarray of float16, shape (rows, columns)
        Normalised.
    positions : numpy.ndarray of float32, shape (n, 2)
        ``(x, y)`` in px of the grid, from the corner of the first one.
    classes : numpy.ndarray of int, shape (n,)
        Number of the class; -1 for none.
    """

    values: np.ndarray
    positions: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(
        cls,
        image: np.ndarray,
        positions: np.ndarray,
        classes: np.ndarray,
        spacing: float,
        stretch: np.ndarray,
        rng: np.random.Generator,
    ) -> TrainingImage:
        """Bring an image with bright columns on a working grid, finer or coarser at random."""
        scale = np.clip(np.exp(_SCALE * rng.standard_normal()), *_SCALES)
        # Large enough for a crop.
        side = min(image.shape * stretch[::-1])
        smallest = (CROP + 2) / side * spacing / WORKING_SPACING
        step = spacing / WORKING_SPACING / max(scale, smallest) / stretch
        rows, columns = working_shape(image.shape, step)
        values = normalised(sampled(image, step, (0, rows), (0, columns)))
        return cls(
            values.astype(np.float16), ((positions + 0.5) / step).astype(np.float32), classes
        )


def prepared(
    examples: Iterable[Any], dark: bool | None, rng: np.random.Generator
) -> tuple[list[TrainingImage], tuple[str, ...]]:
    """
    Bring examples on working grids.

    Parameters
    ----------
    examples, dark
        As in :func:`train_network`.
    rng : numpy.random.Generator

    Returns
    -------
    images : list of TrainingImage
        In a random order.
    classes : tuple of str
        Names of the classes.
    """
    names: dict[str, int] = {}
    few, images = [], []
    for number, example in enumerate(examples):
        if not isinstance(example, tuple | list) or len(example) not in (2, 3):
            raise TypeError(
                f"examples: number {number} is {shown(example)}; give (image, positions) or "
                "(image, positions, spacing)."
            )
        try:
            parts = _parts_of(example, dark, names)
        except (ValueError, TypeError) as error:
            raise type(error)(f"examples: number {number}: {error}") from error
        images.append(TrainingImage.of(*parts, rng))
        if number < _FEWEST_IMAGES:
            few.append(parts)
    if not images:
        raise ValueError("examples is empty: give one image with its positions, or more.")
    missing = max(_FEWEST_IMAGES - len(images), 0)
    images += [TrainingImage.of(*parts, rng) for parts in islice(cycle(few), missing)]
    order = rng.permutation(len(images))
    return [images[k] for k in order], tuple(names)


def _parts_of(
    example: Any, dark: bool | None, names: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    """Image with bright columns, positions, numbers of classes, nearest distance, stretch."""
    image, given, *spacing = example
    groups = {"": given}
    if isinstance(given, Mapping) and not is_from_atomai(given) and not {"x", "y"} <= set(given):
        groups = dict(given)
    found = {name: as_positions(one) for name, one in groups.items()}
    positions = np.vstack(list(found.values()))
    numbers = [-1 if name == "" else names.setdefault(name, len(names)) for name in found]
    classes = np.repeat(numbers, [len(one) for one in found.values()])
    picture = Picture.of(image)
    check_positions_fit(positions, picture.values.shape)
    if spacing and not (finite_number(spacing[0]) and spacing[0] >= 2):
        raise ValueError(f"spacing={shown(spacing[0])}: give a number of pixels, 2 or more.")
    if not spacing and len(positions) < _FEWEST_COLUMNS:
        raise ValueError(
            f"positions: {len(positions)} columns are too few to show their distance: give "
            "(image, positions, spacing)."
        )
    distance = float(spacing[0]) if spacing else _nearest_distance(positions * picture.stretch)
    values = picture.values
    if picture.valid is not None:
        values = _peaks.filled(values, picture.valid, 2 * distance)
    if dark is None:
        passed = _peaks.band_passed(values, 0.16 * distance, picture.stretch)
        dark = _peaks.are_dark(passed)
    return -values if dark else values, positions, classes, distance, picture.stretch


def _nearest_distance(positions: np.ndarray) -> float:
    """Distance of nearest columns: most columns have a neighbour at about this distance."""
    apart = cKDTree(positions).query(positions, k=2)[0][:, 1]
    return float(np.quantile(apart, 0.3))


def batch_of(
    images: list[TrainingImage], numbers: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """
    Cut a crop of each of some images, turned and mirrored at random.

    Parameters
    ----------
    images : list of TrainingImage
    numbers : numpy.ndarray of int, shape (n,)
    rng : numpy.random.Generator

    Returns
    -------
    crops : torch.Tensor, shape (n, 1, 128, 128)
    targets : torch.Tensor, shape (n, 4, 64, 64)
        For each cell: 1 if it holds a column, its offset (x, y) from the middle, its class.
    """
    crops = np.empty((len(numbers), 1, CROP, CROP), np.float32)
    side = CROP // CELL
    targets = np.zeros((len(numbers), 4, side, side), np.float32)
    targets[:, 3] = -1
    for k, number in enumerate(numbers):
        image = images[number]
        row, column = (int(rng.integers(n - CROP + 1)) for n in image.values.shape)
        crop = image.values[row : row + CROP, column : column + CROP]
        xy = image.positions - (column, row)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        if mirror:
            crop, xy = crop[:, ::-1], np.stack([CROP - xy[:, 0], xy[:, 1]], 1)
        for _ in range(turns):
            xy = np.stack([xy[:, 1], CROP - xy[:, 0]], 1)
        crops[k, 0] = np.rot90(crop, turns)
        cells = xy / CELL
        inside = ((cells >= 0) & (cells < side)).all(axis=1)
        cells, classes = cells[inside], image.classes[inside]
        x, y = cells.astype(int).T
        targets[k, 0, y, x] = 1
        targets[k, 1, y, x] = cells[:, 0] - x - 0.5
        targets[k, 2, y, x] = cells[:, 1] - y - 0.5
        targets[k, 3, y, x] = classes
    return torch.from_numpy(crops), torch.from_numpy(targets)
