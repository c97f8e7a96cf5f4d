# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE as an estimator on arrays of sub-images."""

import importlib.metadata
import inspect
import logging
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from . import pose
from .batches import iterate_blocks, n_blocks, spread_rows
from .geometry import HarmonicGrid
from .networks import ContentNetwork
from .scales import choose_grid, intensity_scale
from .storage import read_model, write_model
from .training import Progress, TrainingSettings, pick_device, train_content, warn_if_stopped

_logger = logging.getLogger(__name__)

_FORMAT = "hs_rvae harmonic model 1"
_SMALLEST_WINDOW = 8  # px: below, the disk holds no motif
_FEWEST_SITES = 10


@dataclass
class RVAEResult:
    """What the model says about n sub-images.

    Attributes
    ----------
    angle, angle_std : numpy.ndarray, shape (n,)
        Rotation in radians, in (-pi, pi], from +x towards +y, and its standard deviation.
    shift : numpy.ndarray, shape (n, 2) or None
        Translation (x, y) in px; None for a model without translation.
    latent, latent_std : numpy.ndarray, shape (n, output_dimension)
        Content latents and their standard deviations.
    log_likelihood : numpy.ndarray, shape (n,)
        Log evidence of the sub-image's harmonics, angle integrated out, in nats.
    """

    angle: np.ndarray
    angle_std: np.ndarray
    shift: np.ndarray | None
    latent: np.ndarray
    latent_std: np.ndarray
    log_likelihood: np.ndarray


class RVAE:
    """Rotationally invariant variational autoencoder of sub-images.

    A sub-image is modelled as one motif, decoded from ``output_dimension`` content latents and
    turned by an angle of its own (AIP Advances 12, 105122 (2022)). The harmonic architecture works in
    polar Fourier space, where a rotation is a phase: the posterior of the angle is computed, not
    learned, and the content cannot turn the image.

    Parameters
    ----------
    output_dimension : int
        Number of content latents.
    architecture : {"harmonic"}
        Kind of model.
    rotation : bool
        Whether sub-images have angles; without, the model is a plain autoencoder in the image frame.
    translation : bool
        Whether sub-images have shifts. Not available for this architecture yet: windows are centred
        on their columns, and on centred windows a polar displacement is a shift of the other
        sublattice, so that shift and angle compete.
    n_init : int
        Random starts of the search for angles; the likeliest is kept.
    n_factors : int
        Directions of the pose-frame covariance (see :mod:`hs_rvae.rvae.pose`).
    epochs, batch_size, learning_rate
        Training of the content network.
    max_fit_sites : int
        A random subset of this many sites is fitted when there are more; all are encoded.
    q_max : float, optional
        Highest spatial frequency used, in cycles/px; None = from the data, logged.
    random_state : int, numpy.random.Generator or None
        Seed of everything random. The same seed gives the same result, bit for bit on the same CPU.
    device : str or torch.device, optional
        None takes CUDA where there is one.
    show_progressbar : bool or None
        Progress bar with loss and remaining time; None = off (signals follow HyperSpy's preference).

    Attributes
    ----------
    history_ : dict of str to numpy.ndarray
        ``pose_log_likelihood`` per iteration of the angle search; ``loss``, ``reconstruction``, ``kl``,
        ``validation_loss`` per epoch of the content network. In nats per site.
    window_size_ : int
        Width of the sub-images fitted, in px.
    n_sites_fit_ : int
        Number of sub-images the model was fitted to.
    dropped_variance_ : float
        Share of the variance above the noise that the truncation in frequency drops.

    Examples
    --------
    >>> import numpy as np, hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((360, 360), random_state=0)
    >>> positions = truth.b_sites[["x", "y"]]
    >>> stack = hs_rvae.SubImageStack.from_positions(image, positions, window_size=46)
    >>> model = hs_rvae.RVAE(output_dimension=1, random_state=0).fit(stack.data)
    >>> result = model.transform(stack.data)
    >>> result.angle.shape == (len(stack.data),), result.latent.shape[1]
    (True, 1)
    """

    def __init__(
        self,
        output_dimension=2,
        architecture="harmonic",
        rotation=True,
        translation=False,
        *,
        n_init=3,
        n_factors=16,
        epochs=15,
        batch_size=256,
        learning_rate=2e-3,
        max_fit_sites=20_000,
        q_max=None,
        random_state=None,
        device=None,
        show_progressbar=None,
    ):
        self.output_dimension = output_dimension
        self.architecture = architecture
        self.rotation = rotation
        self.translation = translation
        self.n_init = n_init
        self.n_factors = n_factors
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_fit_sites = max_fit_sites
        self.q_max = q_max
        self.random_state = random_state
        self.device = device
        self.show_progressbar = show_progressbar

    def __repr__(self):
        fitted = f", fitted to {self.n_sites_fit_} sites" if self._is_fitted else ""
        return (
            f"<RVAE {self.architecture}, {self.output_dimension} content latents{fitted}>"
        )

    @property
    def _is_fitted(self):
        return hasattr(self, "_pose")

    def fit(self, images, offsets=None):
        """Fit the model.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w)
            Sub-images centred on their columns. A dask array is read one chunk at a time.
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px, for windows cut at whole pixels.

        Returns
        -------
        RVAE
            Itself.

        Raises
        ------
        ValueError
            If a setting or the shape of the images is not usable.
        """
        self._check_settings()
        offsets = self._check_images(images, offsets)
        device = pick_device(self.device)
        seed = int(np.random.default_rng(self.random_state).integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        rows = self._fit_rows(len(images), generator)
        settings = TrainingSettings(self.epochs, self.batch_size, self.learning_rate)
        n_steps = n_blocks(images, rows) + pose.N_POSE + self.epochs
        n_steps += (self.n_init * pose.N_ANNEAL + pose.N_BLIND) * self.rotation
        with Progress(n_steps, bool(self.show_progressbar)) as progress:
            sample = np.concatenate([b for _, b in iterate_blocks(images, spread_rows(rows, 512))])
            sample = sample[np.isfinite(sample).all((1, 2))]
            level, scale = intensity_scale(sample)
            grid, dropped = choose_grid((sample - level) / scale, self.q_max)
            _logger.info(
                "rVAE scales from the data: q_max %.3f /px in %d steps, orders up to %d, disk radius "
                "%.1f px; the truncation drops %.2g %% of the variance above the noise.",
                grid.q_max, grid.n_q, grid.max_order, grid.radius, 100 * dropped,
            )  # fmt: skip
            harmonics = self._read(images, offsets, rows, grid, level, scale, device, progress)
            history, pose_model = self._fit_pose(harmonics, generator, progress)
            stage = "search for angles" if progress.stopped else "training of the content"
            content, losses = self._fit_content(
                harmonics, pose_model, grid, settings, generator, progress
            )
        # Nothing is replaced before everything is there.
        self._grid, self.level_, self.scale_ = grid, level, scale
        self.window_size_, self.dropped_variance_ = grid.window_size, dropped
        self.n_sites_fit_ = len(harmonics)
        self._pose, self._content = pose_model, content
        self.history_ = {**history, **losses}
        warn_if_stopped(progress, stage)
        return self

    def transform(self, images, offsets=None, *, show_progressbar=None):
        """Angles and latents of sub-images under the fitted model.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w)
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px.
        show_progressbar : bool or None
            None = as the model's own setting.

        Returns
        -------
        RVAEResult
            NaN for sub-images with non-finite pixels.

        Raises
        ------
        ValueError
            If the model is not fitted or the window size differs from the fitted one.
        """
        self._check_fitted("transform")
        offsets = self._check_images(images, offsets)
        if images.shape[1] != self.window_size_:
            raise ValueError(
                f"images have windows of {images.shape[1]} px, the model was fitted to "
                f"{self.window_size_} px; cut windows of that size."
            )
        n, k = len(images), self.output_dimension
        columns = {name: np.full(n, np.nan, np.float32) for name in ("angle", "std", "log")}
        latent, latent_std = (np.full((n, k), np.nan, np.float32) for _ in range(2))
        device = pick_device(self.device)
        self._to(device)
        show = self.show_progressbar if show_progressbar is None else show_progressbar
        blocks = tqdm(
            iterate_blocks(images), "rVAE encoding", n_blocks(images), disable=not show, leave=True
        )
        with torch.no_grad():
            for index, block in blocks:
                good = np.isfinite(block).all((1, 2))
                index, block = index[good], block[good]
                if not len(index):
                    continue
                x = self._harmonics(block, offsets, index, device)
                posterior = self._pose.posterior(x)
                mean, log_variance = self._content.encode(x[:, :, 0].real)
                mean, std = self._content.to_user(mean, torch.exp(0.5 * log_variance))
                columns["angle"][index] = posterior.angle.cpu()
                columns["std"][index] = posterior.std.cpu()
                columns["log"][index] = posterior.log_likelihood.cpu()
                latent[index], latent_std[index] = mean.cpu(), std.cpu()
        return RVAEResult(columns["angle"], columns["std"], None, latent, latent_std, columns["log"])

    def fit_transform(self, images, offsets=None):
        """Fit to the sub-images, then :meth:`transform` them."""
        return self.fit(images, offsets).transform(images, offsets)

    def inverse_transform(self, latent, angle=None):
        """Sub-images from latents.

        Parameters
        ----------
        latent : numpy.ndarray, shape (n, output_dimension)
        angle : float or numpy.ndarray, shape (n,), optional
            In radians; None = the common frame (angle 0).

        Returns
        -------
        numpy.ndarray of float32, shape (n, w, w)
            In the units of the fitted images; outside the model's disk the mean level.

        Raises
        ------
        ValueError
            If the model is not fitted or the number of latents is wrong.
        """
        self._check_fitted("inverse_transform")
        latent = np.atleast_2d(np.asarray(latent, np.float32))
        if latent.shape[1] != self.output_dimension:
            raise ValueError(
                f"latent has {latent.shape[1]} columns; the model has {self.output_dimension} latents."
            )
        device = pick_device(self.device)
        self._to(device)
        angle = np.broadcast_to(np.asarray(0.0 if angle is None else angle, np.float32), len(latent))
        images = np.empty((len(latent), self.window_size_, self.window_size_), np.float32)
        with torch.no_grad():
            for start in range(0, len(latent), 2048):
                part = slice(start, start + 2048)
                inner = self._content.from_user(torch.as_tensor(latent[part], device=device))
                radial, others = self._content.decode(inner)
                x = pose.to_complex(torch.cat([radial, others], 1), (self._grid.n_q, self._grid.n_orders))
                x = self._grid.turn(x, torch.as_tensor(angle[part].copy(), device=device))
                images[part] = self._grid.images(x).cpu()
        return images * self.scale_ + self.level_

    def manifold(self, shape=(10, 10), limits=(-2.0, 2.0), axes=(0, 1)):
        """Sub-images on a grid of two content latents, the others at 0 (paper, Fig. 1e).

        Parameters
        ----------
        shape : tuple of int
            Steps along the second and the first of `axes` (rows, columns).
        limits : tuple of float
            Lowest and highest value of both latents.
        axes : tuple of int
            Latents along columns and rows; a model with one latent uses the first only.

        Returns
        -------
        images : numpy.ndarray of float32, shape (ny, nx, w, w)
        values_y, values_x : numpy.ndarray, shapes (ny,), (nx,)
            Latent values of rows and columns.
        """
        self._check_fitted("manifold")
        one = self.output_dimension == 1
        n_y, n_x = (1, shape[1]) if one else shape
        bad = [a for a in axes[: 1 if one else 2] if not 0 <= a < self.output_dimension]
        if bad:
            raise ValueError(
                f"axes={axes}: the model has latents 0 to {self.output_dimension - 1}."
            )
        values_x = np.linspace(*limits, n_x)
        values_y = np.zeros(1) if one else np.linspace(*limits, n_y)
        latent = np.zeros((n_y, n_x, self.output_dimension), np.float32)
        latent[..., axes[0]] = values_x
        if not one:
            latent[..., axes[1]] = values_y[:, None]
        images = self.inverse_transform(latent.reshape(-1, self.output_dimension))
        return images.reshape(n_y, n_x, *images.shape[1:]), values_y, values_x

    def save(self, path):
        """Write the fitted model as safetensors, with its settings in the header.

        Parameters
        ----------
        path : str or pathlib.Path
            Usually ending in ``.safetensors``.

        Returns
        -------
        pathlib.Path
            The file, complete: a failed write leaves nothing behind.
        """
        self._check_fitted("save")
        tensors = {f"history.{k}": torch.as_tensor(v) for k, v in self.history_.items()}
        tensors |= {f"content.{k}": v for k, v in self._content.state_dict().items()}
        for name in ("mean", "noise", "factors"):
            tensors[f"pose.{name}"] = torch.view_as_real(getattr(self._pose, name).resolve_conj())
        settings = {name: getattr(self, name) for name in _settings()}
        if not isinstance(settings["random_state"], int | None):
            settings["random_state"] = None
        settings["device"] = settings["show_progressbar"] = None
        header = {
            "format": _FORMAT,
            "settings": settings,
            "grid": {k: getattr(self._grid, k) for k in ("window_size", "q_max", "n_q", "max_order")},
            "level": self.level_,
            "scale": self.scale_,
            "dropped_variance": self.dropped_variance_,
            "n_sites_fit": self.n_sites_fit_,
        }
        return write_model(path, tensors, header)

    @classmethod
    def load(cls, path, device=None):
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
        device : str or torch.device, optional
            Where to use it; None takes CUDA where there is one.

        Returns
        -------
        RVAE
            Gives the same results as the saved one.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is no model of this format.
        """
        tensors, header = read_model(path, _FORMAT)
        model = cls(**header["settings"])
        model.device = device
        model._grid = HarmonicGrid(**header["grid"])
        model.window_size_ = model._grid.window_size
        model.level_, model.scale_ = header["level"], header["scale"]
        model.dropped_variance_, model.n_sites_fit_ = header["dropped_variance"], header["n_sites_fit"]
        parts = {name: {} for name in ("history", "content", "pose")}
        for name, tensor in tensors.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        complexes = {k: torch.view_as_complex(v) for k, v in parts["pose"].items()}
        model._pose = pose.PoseModel(**complexes, rotation=model.rotation)
        model._content = _content_network(model._grid, model.output_dimension, torch.Generator())
        model._content.load_state_dict(parts["content"])
        model.history_ = {k: v.numpy() for k, v in parts["history"].items()}
        return model

    def _fit_rows(self, n, generator):
        """Ascending indices of the sites to fit."""
        if n <= self.max_fit_sites:
            return np.arange(n)
        _logger.info("rVAE: fitted to %d of %d sites, chosen at random.", self.max_fit_sites, n)
        return np.sort(torch.randperm(n, generator=generator)[: self.max_fit_sites].numpy())

    def _read(self, images, offsets, rows, grid, level, scale, device, progress):
        """Harmonics of the sites to fit, without those that would spoil the fit."""
        harmonics, n_seen = [], 0
        for index, block in iterate_blocks(images, rows):
            good = np.isfinite(block).all((1, 2))
            block, index, n_seen = block[good], index[good], n_seen + len(block)
            harmonics.append(_harmonics(block, offsets, index, grid, level, scale, device))
            progress.step("rVAE reading")
            if progress.stopped:
                break
        harmonics = torch.cat(harmonics)
        power = (harmonics.abs() ** 2).sum((1, 2))
        typical = power.median()
        usable = (power < 30 * typical) & (power > 1e-4 * typical)
        harmonics = harmonics[usable]
        if len(harmonics) < n_seen:
            _logger.info(
                "rVAE: %d of %d sites are left out of the fit (non-finite, empty or far brighter).",
                n_seen - len(harmonics), n_seen,
            )  # fmt: skip
        if len(harmonics) < _FEWEST_SITES:
            raise ValueError(
                f"images: {len(harmonics)} usable sub-images; a fit needs {_FEWEST_SITES} at least."
            )
        return harmonics

    def _fit_pose(self, harmonics, generator, progress):
        """Template, angles and covariance; the history is in nats per site."""
        history = []

        def report(value, keep=False):
            if keep:
                history.append(value)
            progress.step("rVAE angles", log_likelihood=value)
            return progress.stopped

        if self.rotation:
            model = pose.fit_blind(harmonics, generator, n_restarts=self.n_init, report=report)
        else:
            model = pose.without_angles(harmonics)
        n_factors = min(self.n_factors, len(harmonics) // 4)
        if not progress.stopped:
            model = pose.fit_pose(
                harmonics, model, n_factors=n_factors, report=lambda value: report(value, keep=True)
            )
        return {"pose_log_likelihood": np.array(history)}, model

    def _fit_content(self, harmonics, model, grid, settings, generator, progress):
        """Train the content network on the harmonics in the pose frame."""
        angle = model.posterior(harmonics).angle
        radial, others = _to_blocks(pose.align(harmonics, angle), grid)
        network = _content_network(grid, self.output_dimension, generator).to(radial.device)
        history = train_content(network, radial, others, settings, generator, progress)
        _order_latents(network, radial, others)
        return network.eval(), history

    def _harmonics(self, block, offsets, index, device):
        return _harmonics(block, offsets, index, self._grid, self.level_, self.scale_, device)

    def _to(self, device):
        """Bring the model to a device."""
        self._content.to(device)
        if self._pose.mean.device != device:
            parts = (t.to(device) for t in (self._pose.mean, self._pose.noise, self._pose.factors))
            self._pose = pose.PoseModel(*parts, rotation=self.rotation)

    def _check_fitted(self, verb):
        if not self._is_fitted:
            raise RuntimeError(f"{verb}: this RVAE is not fitted yet; call fit() or RVAE.load() first.")

    def _check_settings(self):
        """Errors that name the argument, the value and the remedy."""
        if self.architecture != "harmonic":
            raise ValueError(f"architecture={self.architecture!r}: there is 'harmonic'.")
        if self.translation:
            raise ValueError("translation=True: this version has no shifts; leave it False.")
        for name in ("output_dimension", "n_init", "epochs", "batch_size", "max_fit_sites"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name}={value!r}: give a whole number of 1 or more.")
        if self.q_max is not None and not 0 < self.q_max <= 0.5:
            raise ValueError(f"q_max={self.q_max!r}: give cycles/px between 0 and 0.5, or None.")

    @staticmethod
    def _check_images(images, offsets):
        """Check shape and type of sub-images; returns offsets as an array or None."""
        if not (hasattr(images, "shape") and hasattr(images, "dtype")):
            raise TypeError(f"images is a {type(images).__name__}; give a numpy or dask array.")
        if len(images.shape) != 3 or images.shape[1] != images.shape[2]:
            raise ValueError(f"images has shape {images.shape}; (n, w, w) is expected.")
        if images.dtype.kind not in "fiub":
            raise TypeError(f"images has dtype {images.dtype}; real numbers are expected.")
        n, w = images.shape[:2]
        if w < _SMALLEST_WINDOW:
            raise ValueError(f"images has windows of {w} px; {_SMALLEST_WINDOW} px is the least.")
        if n < 1:
            raise ValueError("images holds no sub-image.")
        if offsets is None:
            return None
        offsets = np.asarray(offsets, np.float32)
        if offsets.shape != (n, 2):
            raise ValueError(f"offsets has shape {offsets.shape}; ({n}, 2) is expected.")
        return offsets if np.any(offsets) else None


def _settings():
    """Names of the constructor's parameters."""
    return [name for name in inspect.signature(RVAE).parameters]


def _harmonics(block, offsets, index, grid, level, scale, device):
    """Harmonics of a block of sub-images on the device."""
    x = torch.as_tensor((block - np.float32(level)) / np.float32(scale), device=device)
    offset = None if offsets is None else torch.as_tensor(offsets[index], device=device)
    return grid.harmonics(x, offset)


def _to_blocks(harmonics, grid):
    """Order 0 (n, n_q), and the other orders as real numbers (n, 2 n_q M)."""
    return pose.to_real(harmonics).split([grid.n_q, 2 * grid.n_q * grid.max_order], 1)


def _content_network(grid, n_latents, generator):
    return ContentNetwork(grid.n_q, 2 * grid.n_q * grid.max_order, n_latents, generator=generator)


@torch.no_grad()
def _order_latents(network, radial, others):
    """Order the latents by the variance they explain, and make each rise with the intensity."""
    mean = network.encode(radial)[0]
    energy = []
    for k in range(network.n_latents):
        alone = torch.zeros_like(mean)
        alone[:, k] = mean[:, k]
        energy.append(sum(float(block.var(0).sum()) for block in network.decode(alone)))
    # The lowest frequency of order 0 is the mean intensity in the disk.
    brightness = (radial[:, 0] - radial[:, 0].mean()) @ (mean - mean.mean(0))
    order = torch.tensor(np.argsort(energy, kind="stable")[::-1].copy(), device=mean.device)
    network.order.copy_(order)
    network.sign.copy_(torch.where(brightness >= 0, 1.0, -1.0)[order])
