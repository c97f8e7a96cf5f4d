# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trained network that finds columns: its file, its settings, its use on one image."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ...checks import check_methods, checked, shown
from ...model_files import read_arrays, write_arrays
from ...progress import explain_interruption, progressbar_wanted
from .. import peaks as _peaks
from ..search_image import Picture
from .inference import Detections, cells_of, detections_of
from .sampling import WORKING_SPACING
from .spacing import find_spacing
from .unet import CHANNELS, UNet, in_channels_last

FORMAT = "hs_rvae column network 1"
#: The weights that come with the package.
WEIGHTS = Path(__file__).with_name("weights.safetensors")
_LISTED = 0.1  # probability of the columns that are listed
_WIDTH = 0.16  # of columns, in distances of nearest ones
_GAP = 20.0  # px around, whose mean stands where nothing was measured


@check_methods
class ColumnNetwork:
    """
    A trained U-Net that finds atomic columns.

    Pass it as ``method=`` to :func:`~hs_rvae.columns.find_columns` or
    :func:`~hs_rvae.columns.find_sublattices`; ``method="network"`` is the one that comes with the
    package. :func:`~hs_rvae.columns.train_network` makes others.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        A file that :meth:`save` wrote. If None, the weights that come with the package.
    probability : float
        Minimum probability of a column, between 0 and 1.
    spacing : float, optional
        Distance of nearest columns in pixels of the image. If None, the image decides.
    device : str or torch.device, optional
        If None, CUDA where it is available; otherwise the CPU.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes of columns that the network has; empty for that of the package.
    history : dict of str to list of float
        ``loss`` of the training and ``validation_loss``, per column, every 100 steps.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not that of a network or is damaged, or an argument is outside its limits.

    Examples
    --------
    >>> import hs_rvae
    >>> network = hs_rvae.columns.ColumnNetwork(probability=0.7, device="cpu")
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((128, 128), random_state=0)
    >>> table = hs_rvae.find_columns(image, method=network)
    """

    @checked
    def __init__(
        self,
        path: str | Path | None = None,
        *,
        probability: float = 0.5,
        spacing: float | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if not 0 < probability < 1:
            raise ValueError(f"probability={shown(probability)}: give a number between 0 and 1.")
        if spacing is not None and not spacing >= 2:
            raise ValueError(f"spacing={shown(spacing)}: give a number of pixels, 2 or more.")
        self.probability = float(probability)
        self.spacing = spacing
        self.device = usable_device(device)
        arrays, header = read_arrays(WEIGHTS if path is None else path, FORMAT)
        self.classes: tuple[str, ...] = tuple(header["classes"])
        self.history: dict[str, list[float]] = header["history"]
        with torch.random.fork_rng(devices=[]):  # weights begin with random numbers
            self.net = UNet(len(self.classes), tuple(header["channels"]))
        state = {
            name: torch.from_numpy(one.astype(np.float32) if one.dtype == np.float16 else one)
            for name, one in arrays.items()
        }
        try:
            self.net.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(
                f"path={str(path)!r} holds other arrays than those of a network."
            ) from error
        self._ready()

    def __repr__(self) -> str:
        count = sum(one.numel() for one in self.net.parameters())
        classes = f", classes: {', '.join(self.classes)}" if self.classes else ""
        return f"<ColumnNetwork, {count:,} parameters{classes}, on {self.device}>"

    @classmethod
    def _of(
        cls, net: UNet, classes: tuple[str, ...], history: dict[str, list[float]], device: Any
    ) -> Self:
        """A network that was trained just now."""
        new = cls.__new__(cls)
        new.probability, new.spacing, new.device = 0.5, None, device
        new.classes, new.history, new.net = classes, history, net
        new._ready()
        return new

    def _ready(self) -> None:
        in_channels_last(self.net.eval().float().to(self.device))

    def save(self, path: str | Path) -> None:
        """
        Save the network in half precision: safetensors with a check sum, no pickle.

        Parameters
        ----------
        path : str or pathlib.Path
            An existing file is replaced.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        arrays = {}
        for name, tensor in self.net.state_dict().items():
            array = tensor.detach().cpu().contiguous().numpy()
            arrays[name] = array.astype(np.float16) if array.dtype == np.float32 else array
        header = {
            "format": FORMAT,
            "classes": list(self.classes),
            "channels": list(CHANNELS),
            "history": self.history,
        }
        write_arrays(path, arrays, header)

    def detect(
        self,
        picture: Picture,
        dark: bool | None = None,
        separation: float | None = None,
        *,
        show_progressbar: bool | None = None,
    ) -> NetworkColumns:
        """
        Find the columns of an image that was checked and loaded; nothing is fitted.

        Parameters
        ----------
        picture : Picture
        dark : bool, optional
            Columns are darker than their surroundings. If None, the image decides.
        separation : float, optional
            The less probable one of two columns closer than this, in pixels, is dropped. If None,
            0.45 of the distance of nearest columns.
        show_progressbar : bool, optional
            If None, HyperSpy's preference.

        Returns
        -------
        NetworkColumns

        Raises
        ------
        ValueError
            If the image shows no columns at any pixel size.
        """
        values = picture.values
        if picture.valid is not None:
            values = _peaks.filled(values, picture.valid, self.spacing or _GAP)
        with explain_interruption(
            "The network was interrupted as it looked for columns: nothing has changed."
        ):
            values, dark, spacing = self._contrast(values, picture, dark)
            step = spacing / WORKING_SPACING / picture.stretch
            found = self._through(values, step, progressbar_wanted(show_progressbar))
        found = found.take(found.probability > _LISTED)
        if separation is not None:
            near = _peaks.highest_within(
                found.positions * picture.stretch, found.probability, separation
            )
            found = found.take(near)
        return NetworkColumns(
            found.positions, found.probability, found.classes, spacing=spacing, dark=dark
        )

    def _contrast(
        self, values: np.ndarray, picture: Picture, dark: bool | None
    ) -> tuple[np.ndarray, bool, float]:
        """The image with bright columns, True if they were dark, and their distance."""
        for negative in (False, True) if dark is None else (dark,):
            spacing = self.spacing
            image = -values if negative else values
            if spacing is None:
                spacing = find_spacing(image, picture.stretch, self._through, picture.enlarged)
            if dark is None and np.isfinite(spacing):
                middle = tuple(slice(max(n // 2 - 700, 0), n // 2 + 700) for n in image.shape)
                width = _WIDTH * spacing
                seen = _peaks.are_dark(_peaks.band_passed(values[middle], width, picture.stretch))
                if seen != negative:
                    continue
            if np.isfinite(spacing):
                return image, negative, float(spacing)
        raise ValueError(
            "The network is sure of no columns in the image, at any pixel size: pass dark=, use "
            "method='maxima', or a ColumnNetwork(spacing=...)."
        )

    def _through(self, image: np.ndarray, step: np.ndarray, show: bool = False) -> Detections:
        """Columns of an image with bright columns, with a working pixel of a size (x, y)."""
        if threading.current_thread() is not threading.main_thread():
            torch.set_num_threads(1)  # of this thread; the others of its pool compute as well
        cells = cells_of(self.net, self.device, image, step, show=show)
        return detections_of(cells, step, image.shape)


@dataclass
class NetworkColumns(Detections):
    """
    All columns of an image that a network lists, probable or not.

    Attributes
    ----------
    positions, probability, classes
        As in `Detections`.
    spacing : float
        Distance of nearest columns, in units in which pixels are square.
    dark : bool
        Columns are darker than their surroundings.
    """

    spacing: float
    dark: bool


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device of a name, or the best one; raise ValueError if it cannot be used."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={str(device)!r} cannot be used here ({error}).") from error
    return chosen
