# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harmonic rVAE: angles by ``pose``, content by ``networks``, in polar Fourier space."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from . import blind, pose
from .batches import map_blocks, n_blocks, spread_rows
from .device import one_thread
from .geometry import HarmonicGrid, align, to_complex, to_real
from .networks import ContentNetwork
from .scales import choose_grid, intensity_scale
from .training import train_content

_logger = logging.getLogger(__name__)

_FEWEST_SITES = 10
_FEW_TO_TRUST = 100
_FEW_SITES = 5000  # below, threads bring nothing
# Sites outside this range of the median power (orders above 0: structure, not level) are left out
# of a fit: empty, or far brighter.
_POWER_RANGE = (1e-4, 30.0)


@dataclass
class RVAEResult:
    """What a model says about n sub-images.

    Attributes
    ----------
    angle, angle_std : numpy.ndarray, shape (n,)
        Rotation in radians, in (-pi, pi], from +x towards +y, and its standard deviation.
    shift : numpy.ndarray, shape (n, 2), or None
        Translation (x, y) in px; None for a model without translation.
    latent, latent_std : numpy.ndarray, shape (n, output_dimension)
        Content latents and their standard deviations.
    log_likelihood : numpy.ndarray, shape (n,)
        Log evidence of the sub-image's harmonics, angle integrated out, in nats.
    order_amplitude : numpy.ndarray, shape (n,)
        Strength of the symmetry-breaking part of the motif along the angle: about 1 for a
        distorted site, 0 for an undistorted one, whose angle has no meaning.
    order_amplitude_std : numpy.ndarray, shape (n,)
        Its standard error.
    """

    angle: np.ndarray
    angle_std: np.ndarray
    shift: np.ndarray | None
    latent: np.ndarray
    latent_std: np.ndarray
    log_likelihood: np.ndarray
    order_amplitude: np.ndarray
    order_amplitude_std: np.ndarray


@dataclass
class HarmonicModel:
    """A fitted model.

    Attributes
    ----------
    grid : HarmonicGrid
        Window, frequencies and orders.
    level, scale : float
        Intensity of the fitted images that the model calls 0 and 1.
    pose : PoseModel
        Template and covariance: gives the angles.
    order : OrderFilter
        Tells distorted sites from undistorted ones.
    content : ContentNetwork
        Gives the latents, and whole sub-images from latents.
    history : dict of str to numpy.ndarray
        See :class:`~hs_rvae.RVAE`.
    n_sites_fit : int
    dropped_variance : float
    """

    grid: HarmonicGrid
    level: float
    scale: float
    pose: pose.PoseModel
    order: pose.OrderFilter
    content: ContentNetwork
    history: dict
    n_sites_fit: int
    dropped_variance: float

    @classmethod
    def fit(cls, images, offsets, rows, options, settings, generator, device, progress):
        """Fit to the sub-images `rows`.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w)
        offsets : numpy.ndarray of float32, shape (n, 2), or None
        rows : numpy.ndarray of int
        options : RVAE
            Its output_dimension, rotation, n_init, n_factors and q_max are used.
        settings : TrainingSettings
        generator : torch.Generator
        device : torch.device
        progress : Progress

        Returns
        -------
        HarmonicModel

        Raises
        ------
        ValueError
            If too few sub-images are usable.
        """
        sample = images[spread_rows(rows, 512)]
        sample = np.asarray(sample.compute() if hasattr(sample, "compute") else sample, np.float32)
        level, scale = intensity_scale(sample[np.isfinite(sample).all((1, 2))])
        usable = np.isfinite(sample).all((1, 2)) & (
            np.abs(sample - level).max((1, 2)) < 1e4 * scale
        )
        grid, dropped = choose_grid((sample[usable] - level) / scale, options.q_max)
        if options.output_dimension > grid.n_q:
            raise ValueError(
                f"output_dimension={options.output_dimension}: windows of {grid.window_size} px "
                f"resolve {grid.n_q} content latents at most."
            )
        _logger.info(
            "rVAE scales from the data: %s, disk radius %.1f px; the truncation in frequency drops "
            "%.2g %% of the variance above the noise.",
            grid,
            grid.radius,
            100 * dropped,
        )
        harmonics = _read(images, offsets, rows, grid, level, scale, device, progress)
        with one_thread() if len(harmonics) < _FEW_SITES else nullcontext():
            pose_model, log_likelihood = _fit_pose(harmonics, options, generator, progress)
            angle = pose_model.posterior(harmonics).angle
            order = pose.fit_order(harmonics, pose_model, angle)
        radial, others = _blocks(align(harmonics, angle), grid)
        content = _network(grid, options.output_dimension, generator).to(device)
        history = train_content(content, radial, others, settings, generator, progress)
        _order_latents(content, radial, others)
        history["pose_log_likelihood"] = np.array(log_likelihood)
        n = len(harmonics)
        return cls(grid, level, scale, pose_model, order, content.eval(), history, n, dropped)

    @torch.no_grad()
    def encode(self, images, offsets, device, show_progressbar):
        """Angles and latents; returns an RVAEResult."""
        self._to(device)
        bar = tqdm(
            total=n_blocks(images), disable=not show_progressbar, desc="rVAE encoding", leave=True
        )

        @torch.no_grad()  # also in the threads of dask
        def encode(block, offset):
            x = _harmonics(block, offset, self.grid, self.level, self.scale, device)
            posterior = self.pose.posterior(x)
            mean, log_variance = self.content.encode(x[:, :, 0].real)
            latent, std = self.content.to_user(mean, torch.exp(0.5 * log_variance))
            bar.update()
            order = self.order.amplitude(x, posterior.angle)
            columns = posterior.angle, posterior.std, posterior.log_likelihood, order
            return torch.cat([torch.stack(columns, 1), latent, std], 1).cpu().numpy()

        k = self.content.n_latents
        with bar:
            table = map_blocks(encode, images, offsets, width=4 + 2 * k)
        table[~np.isfinite(table).all(1)] = np.nan  # beyond what numbers of this size can hold
        angle, angle_std, log_likelihood, order = (c.copy() for c in table[:, :4].T)
        return RVAEResult(
            angle=angle,
            angle_std=angle_std,
            shift=None,
            latent=table[:, 4 : 4 + k].copy(),
            latent_std=table[:, 4 + k :].copy(),
            log_likelihood=log_likelihood,
            order_amplitude=order,
            order_amplitude_std=np.where(np.isfinite(order), np.float32(self.order.std), np.nan),
        )

    @torch.no_grad()
    def decode(self, latent, angle, device):
        """Sub-images of float32, (n, w, w), from latents (n, k) and angles (n,)."""
        self._to(device)
        latent = self.content.from_user(torch.as_tensor(latent, device=device))
        harmonics = to_complex(torch.cat(self.content.decode(latent), 1), self._shape)
        harmonics = self.grid.turn(harmonics, torch.as_tensor(angle, device=device))
        return self.grid.images(harmonics).cpu().numpy() * self.scale + self.level

    def state(self):
        """Tensors and a header that JSON holds, for :meth:`from_state`."""
        tensors = {f"history.{k}": torch.as_tensor(v) for k, v in self.history.items()}
        tensors |= {f"content.{k}": v for k, v in self.content.state_dict().items()}
        for name in ("mean", "noise", "factors"):
            tensors[f"pose.{name}"] = torch.view_as_real(getattr(self.pose, name).resolve_conj())
        grid = {k: getattr(self.grid, k) for k in ("window_size", "q_max", "n_q", "max_order")}
        numbers = ("level", "scale", "n_sites_fit", "dropped_variance")
        header = {
            "grid": grid,
            "rotation": bool(self.pose.rotation),
            "n_latents": int(self.content.n_latents),
        }
        header["order_scale"] = self.order.scale
        return tensors, header | {name: getattr(self, name) for name in numbers}

    @classmethod
    def from_state(cls, tensors, header):
        """The model that :meth:`state` describes."""
        parts = {"history": {}, "content": {}, "pose": {}}
        for name, tensor in tensors.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        header = dict(header)
        grid = HarmonicGrid(**header.pop("grid"))
        complexes = {k: torch.view_as_complex(v) for k, v in parts["pose"].items()}
        pose_model = pose.PoseModel(**complexes, rotation=header.pop("rotation"))
        order = pose.OrderFilter(pose_model, header.pop("order_scale"))
        content = _network(grid, header.pop("n_latents"), torch.Generator())
        content.load_state_dict(parts["content"])
        history = {k: v.numpy() for k, v in parts["history"].items()}
        content.eval()
        return cls(grid, pose=pose_model, order=order, content=content, history=history, **header)

    @property
    def _shape(self):
        return self.grid.n_q, self.grid.n_orders

    def _to(self, device):
        """Bring the model to a device."""
        self.content.to(device)
        if self.pose.mean.device.type != device.type:
            self.pose = self.pose.to(device)
            self.order = pose.OrderFilter(self.pose, self.order.scale)


def _read(images, offsets, rows, grid, level, scale, device, progress):
    """Harmonics of the sites to fit, without those that would spoil the fit."""

    def transform(block, offset):
        progress.step("rVAE reading")
        x = _harmonics(block, offset, grid, level, scale, device)
        return x.reshape(len(x), -1).cpu().numpy()

    width = grid.n_q * grid.n_orders
    flat = map_blocks(transform, images, offsets, rows, width=width, dtype=np.complex64)
    n_seen, flat = len(flat), flat[np.isfinite(flat[:, 0])]
    harmonics = torch.as_tensor(flat, device=device).reshape(-1, grid.n_q, grid.n_orders)
    power = (harmonics[:, :, 1:].abs() ** 2).sum((1, 2))
    low, high = (power.median() * factor for factor in _POWER_RANGE)
    harmonics = harmonics[(power > low) & (power < high)]
    if len(harmonics) < n_seen:
        left_out = n_seen - len(harmonics)
        _logger.log(
            logging.WARNING if left_out > 0.05 * n_seen else logging.INFO,
            "rVAE: %d of %d sites are left out of the fit: not finite, empty or far brighter than "
            "most. Images that are fitted together need the same intensity scale.",
            left_out,
            n_seen,
        )
    if len(harmonics) < _FEWEST_SITES:
        raise ValueError(
            f"images: {len(harmonics)} usable sub-images; a fit needs {_FEWEST_SITES} at least."
        )
    if len(harmonics) < _FEW_TO_TRUST:
        _logger.warning(
            "rVAE: %d sites are few for a model of motif, content and noise; do not trust its "
            "uncertainties.",
            len(harmonics),
        )
    return harmonics


def _fit_pose(harmonics, options, generator, progress):
    """Template, covariance, and the mean log-likelihood per iteration in nats."""
    history = []

    def report(value):
        progress.step("rVAE angles")
        return progress.stopped

    def report_likelihood(value):
        history.append(value)
        progress.step("rVAE angles", log_likelihood=value)
        return progress.stopped

    if options.rotation:
        model = blind.fit_blind(harmonics, generator, n_restarts=options.n_init, report=report)
    else:
        model = blind.without_angles(harmonics)
    if not progress.stopped:
        n_factors = min(options.n_factors, len(harmonics) // 20)
        model = pose.fit_pose(harmonics, model, n_factors=n_factors, report=report_likelihood)
    return model, history


def _harmonics(block, offset, grid, level, scale, device):
    """Harmonics of a block of sub-images on the device."""
    x = torch.as_tensor((block - np.float32(level)) / np.float32(scale), device=device)
    return grid.harmonics(x, None if offset is None else torch.as_tensor(offset, device=device))


def _blocks(harmonics, grid):
    """Order 0 (n, n_q), and the other orders as real numbers (n, 2 n_q M)."""
    return to_real(harmonics).split([grid.n_q, 2 * grid.n_q * grid.max_order], 1)


def _network(grid, n_latents, generator):
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
    # The lowest frequency of order 0 is about the mean intensity in the disk.
    brightness = (radial[:, 0] - radial[:, 0].mean()) @ (mean - mean.mean(0))
    order = torch.tensor(np.argsort(energy, kind="stable")[::-1].copy(), device=mean.device)
    network.order.copy_(order)
    network.sign.copy_(torch.where(brightness >= 0, 1.0, -1.0)[order])
