# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of an image and their probabilities: tiles through the network, then its maxima."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from scipy.ndimage import maximum_filter, uniform_filter
from torch import nn

from ...progress import progress_bar
from ..peaks import highest_within
from .sampling import WORKING_SPACING, normalised, sampled, working_shape
from .unet import CELL, MULTIPLE

_TILE = 832  # px of the working grid, without its surroundings
_AROUND = 96  # px of the working grid around a tile
_FAINTEST = 0.02  # probability below which no column is listed
_APART = 0.45  # working distances within which there is one column


@dataclass
class Cells:
    """
    Output of a network for an image.

    Attributes
    ----------
    probability : numpy.ndarray of float32, shape (rows, columns)
        Probability of a column in each cell.
    offset : numpy.ndarray of float32, shape (2, rows, columns)
        Offset of the column from the middle of the cell, (x, y) in cells.
    classes : numpy.ndarray of float32, shape (n_classes, rows, columns)
        Probabilities.
    """

    probability: np.ndarray
    offset: np.ndarray
    classes: np.ndarray


@dataclass
class Detections:
    """
    Columns that a network found.

    Attributes
    ----------
    positions : numpy.ndarray, shape (n, 2)
        ``(x, y)`` in px of the image.
    probability : numpy.ndarray, shape (n,)
    classes : numpy.ndarray, shape (n, n_classes)
        Probabilities.
    """

    positions: np.ndarray
    probability: np.ndarray
    classes: np.ndarray

    def take(self, kept: np.ndarray) -> Self:
        """Some of them: a mask, or numbers."""
        return replace(
            self,
            positions=self.positions[kept],
            probability=self.probability[kept],
            classes=self.classes[kept],
        )


def cells_of(
    net: nn.Module,
    device: torch.device,
    image: np.ndarray,
    step: np.ndarray,
    tile: int = _TILE,
    show: bool = False,
) -> Cells:
    """
    Pass an image through a network, in tiles that overlap.

    Parameters
    ----------
    net : torch.nn.Module
    device : torch.device
    image : numpy.ndarray of float32, shape (rows, columns)
        With bright columns, finite.
    step : numpy.ndarray, shape (2,)
        Size (x, y) of a pixel of the working grid, in pixels of the image.
    tile : int
        Side of a tile in pixels of the working grid, a multiple of 16.
    show : bool
        True for a progress bar.

    Returns
    -------
    Cells
    """
    shape = working_shape(image.shape, step)
    rows, columns = (-(-n // CELL) for n in shape)
    whole: np.ndarray | None = None
    tiles = list(_tiles(shape, tile))
    for row, column in progress_bar("Finding columns", show, tiles):
        start = row - _AROUND, column - _AROUND
        stop = min(row + tile, shape[0]) + _AROUND, min(column + tile, shape[1]) + _AROUND
        ranges = [(max(a, 0), min(b, n)) for a, b, n in zip(start, stop, shape, strict=True)]
        values = normalised(sampled(image, step, *ranges))
        output = _through(net, device, values)
        if whole is None:
            whole = np.empty((len(output), rows, columns), np.float32)
        top, left = (row - ranges[0][0]) // CELL, (column - ranges[1][0]) // CELL
        part = whole[
            :, row // CELL : (row + tile) // CELL, column // CELL : (column + tile) // CELL
        ]
        part[:] = output[:, top : top + part.shape[1], left : left + part.shape[2]]
    assert whole is not None
    return Cells(whole[0], whole[1:3], whole[3:])


def _tiles(shape: tuple[int, int], tile: int) -> Iterator[tuple[int, int]]:
    """First row and column of each tile."""
    for row in range(0, shape[0], tile):
        for column in range(0, shape[1], tile):
            yield row, column


def _through(net: nn.Module, device: torch.device, values: np.ndarray) -> np.ndarray:
    """Output of the network for normalised values, probabilities in place of logits."""
    sides = [-(-n // MULTIPLE) * MULTIPLE for n in values.shape]
    padded = np.zeros((1, 1, *sides), np.float32)
    padded[0, 0, : values.shape[0], : values.shape[1]] = values
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        images = torch.from_numpy(padded).to(device, memory_format=torch.channels_last)
        output = net(images)[0]
        output[0] = output[0].sigmoid()
        output[3:] = output[3:].softmax(0)
        return output.cpu().numpy()


def detections_of(cells: Cells, step: np.ndarray, shape: tuple[int, ...]) -> Detections:
    """
    Columns in the cells: maxima of the probability in three cells by three.

    Their probabilities are the sums over these cells, as far as they are below 1; their positions
    are the means, weighted with the probabilities.

    Parameters
    ----------
    cells : Cells
    step : numpy.ndarray, shape (2,)
        As in :func:`cells_of`.
    shape : tuple of int
        Rows and columns of the image, within which columns lie.

    Returns
    -------
    Detections
        With those that are less probable than not.
    """
    probability = cells.probability
    total = uniform_filter(probability, 3, mode="constant") * 9
    # The middle cell decides between equal sums.
    ranked = total + np.float32(0.05) * probability
    rows, columns = np.nonzero((maximum_filter(ranked, 3) == ranked) & (total > _FAINTEST))
    xy, classes = _means(cells, rows, columns)
    positions = xy * CELL * step - 0.5
    found = np.minimum(total[rows, columns], 1.0).astype(float)
    limits = np.array(shape[::-1]) - 0.5
    inside = ((positions >= -0.5) & (positions <= limits)).all(axis=1)
    # Of two that are equally sure the one with the higher sum stays.
    height = ranked[rows, columns].astype(float)
    kept = np.flatnonzero(inside)
    kept = kept[highest_within(xy[kept], height[kept], _APART * WORKING_SPACING / CELL)]
    return Detections(positions, found, classes).take(kept)


def _means(cells: Cells, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in cells, from the corner of the first one, and probabilities of the classes."""
    size = np.array(cells.probability.shape)
    total = np.zeros(len(rows))
    sums, classes = np.zeros((len(rows), 2)), np.zeros((len(rows), len(cells.classes)))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            y, x = rows + i, columns + j
            inside = (y >= 0) & (x >= 0) & (y < size[0]) & (x < size[1])
            y, x = np.clip(y, 0, size[0] - 1), np.clip(x, 0, size[1] - 1)
            weight = np.where(inside, cells.probability[y, x], 0).astype(float)
            total += weight
            where = np.stack([x, y], 1) + 0.5 + cells.offset[:, y, x].T
            sums += weight[:, None] * where
            classes += weight[:, None] * cells.classes[:, y, x].T
    return sums / total[:, None], classes / total[:, None]
