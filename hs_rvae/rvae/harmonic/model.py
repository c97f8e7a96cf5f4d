# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harmonic rVAE: angles by ``pose``, content by ``content``, in polar Fourier space."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from .. import pose
from ..batches import map_blocks, n_blocks, spread_rows
from ..choose_grid import choose_grid, intensity_scale
from ..device import here, one_thread, one_thread_in_a_pool
from ..geometry import HarmonicGrid, align, images_on, to_complex
from ..networks import ContentNetwork
from ..pose import OrderFilter
from ..results import AngleDistribution, RVAEResult, angle_bins, middles
from ..state import from_common, parts_of, state_of
from ..torch_state import in_default_torch_state
from ..training import train_content
from ..usable_sites import harmonics_of, read_usable
from .angle_search import fit_angles, scatter_of_posterior
from .average import AverageSubImage
from .content import (
    choose_content,
    content_blocks,
    content_network,
    order_latents,
)
from .shifted_sites import MovedSites, moved_harmonics
from .shifts import N_ROUNDS, MiddleColumn, ShiftModel

_logger = logging.getLogger(__name__)

_FEW_SITES = 5000  # below, threads bring nothing
_N_MODES = 6  # of an angle posterior


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
    angle_scatter : float
        Standard deviation of angles, in radians, beyond what their posteriors know.
    shifts : ShiftModel or None
        Gives the shifts of a model with translation.
    average : AverageSubImage or None
        What is taken away before angles are sought.
    """

    grid: HarmonicGrid
    level: float
    scale: float
    pose: pose.PoseModel
    order: OrderFilter
    content: ContentNetwork
    history: dict
    n_sites_fit: int
    dropped_variance: float
    angle_scatter: float = 0.0
    shifts: ShiftModel | None = None
    average: AverageSubImage | None = None

    #: Decoded sub-images end with the disk.
    whole_windows = False

    @property
    def lattice_symmetry(self):
        """Symmetry of the motif without its distortion."""
        return self.order.symmetry if self.average is None else self.average.symmetry

    @property
    def n_latents(self):
        """Number of content latents."""
        return self.content.n_latents

    @classmethod
    def fit(
        cls,
        images,
        offsets,
        rows,
        options,
        settings,
        generator,
        device,
        progress,
        initial=None,
        coefficients=None,
    ):
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
        initial : HarmonicModel, optional
            Model to start from: its scales, angles and content.
        coefficients : Coefficients, optional
            Filled with the harmonics of all sub-images, for :meth:`encode`.

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
        if initial is None:
            grid, dropped = choose_grid((sample[usable] - level) / scale, options.q_max)
        else:
            grid, dropped = initial.grid, initial.dropped_variance
            level, scale = initial.level, initial.scale
        automatic = options.output_dimension == "auto"
        if not automatic and options.output_dimension > grid.n_q:
            raise ValueError(
                f"output_dimension={options.output_dimension}: windows of {grid.window_size} px "
                f"resolve {grid.n_q} content latents at most; give fewer, or cut larger windows."
            )
        _logger.info(
            "rVAE scales from the data: %s, disk radius %.1f px; the truncation in frequency drops "
            "%.2g %% of the variance above the noise.",
            grid,
            grid.radius,
            100 * dropped,
        )
        harmonics, used = read_usable(
            images, offsets, rows, grid, level, scale, device, progress, coefficients
        )
        moved = average = None
        if options.subtract_average:
            whole = harmonics
            known = None if initial is None else initial.average
            average = AverageSubImage.fit(whole) if known is None else known.to(device)
            harmonics = average.deviation(whole)
        elif options.translation:
            moved = MovedSites(images, offsets, rows[used], grid, level, scale, device, progress)
            harmonics = moved.centre(float(options.shift_prior), initial)
        with one_thread() if len(harmonics) < _FEW_SITES else nullcontext():
            start = None if initial is None else initial.pose.to(device)
            pose_model, pose_history = fit_angles(harmonics, options, generator, progress, start)
            posterior = pose_model.posterior(harmonics)
            if average is not None:
                average, pose_model, harmonics, posterior = average.settle(
                    whole, pose_model, posterior, options.n_factors, progress
                )
            if moved is not None:
                pose_model, harmonics, posterior = moved.release(
                    pose_model, harmonics, posterior, options.n_factors
                )
            order = pose.fit_order(harmonics, pose_model, posterior.angle)
        radial, others = content_blocks(align(harmonics, posterior.angle), grid)
        if automatic:
            content, history = choose_content(grid, radial, others, settings, generator, progress)
        else:
            content = content_network(grid, options.output_dimension, generator).to(device)
            known = None if initial is None else initial.content
            if known is not None and known.n_latents == content.n_latents:
                content.load_state_dict(known.state_dict())
            else:
                known = None
            history = train_content(
                content, radial, others, settings, generator, progress, from_scratch=known is None
            )
        order_latents(content, radial)
        return cls(
            grid,
            level,
            scale,
            pose_model,
            order,
            content.eval(),
            history | pose_history,
            len(harmonics),
            dropped,
            scatter_of_posterior(posterior, order.amplitude(harmonics, posterior.angle), order),
            None if moved is None else moved.model,
            average,
        )

    @torch.no_grad()
    def encode(self, images, offsets, device, show_progressbar):
        """Angles and latents; returns an RVAEResult."""
        self._to(device)
        hidden = not show_progressbar
        bar = tqdm(total=n_blocks(images), disable=hidden, desc="rVAE encoding", leave=True)

        @torch.no_grad()  # also in the threads of dask
        def encode(block, offset):
            self._to(here(device))
            x, posterior, shift, likelihood = self._pose(block, offset, here(device))
            mean, log_variance = self.content.encode(x[:, :, 0].real)
            latent, std = self.content.to_user(mean, torch.exp(0.5 * log_variance))
            order = self.order.amplitude(x, posterior.angle)
            spread = torch.hypot(posterior.std, torch.full_like(posterior.std, self.angle_scatter))
            weight = posterior.weights[:, 0]
            columns = posterior.angle, spread, weight, likelihood, order
            return torch.cat([torch.stack(columns, 1), latent, std, shift], 1).cpu().numpy()

        k = self.content.n_latents
        with bar:
            table = map_blocks(
                encode,
                images,
                offsets,
                width=5 + 2 * k + 4 * (self.shifts is not None),
                tick=bar.update,
                name="rvae-encode",
                device=device,
            )
        table[~np.isfinite(table).all(1)] = np.nan  # beyond what numbers of this size can hold
        angle, angle_std, weight, log_likelihood, order = (c.copy() for c in table[:, :5].T)
        return RVAEResult(
            angle=angle,
            angle_std=angle_std,
            angle_weight=weight,
            shift=None if self.shifts is None else table[:, -4:-2].copy(),
            shift_std=None if self.shifts is None else table[:, -2:].copy(),
            latent=table[:, 5 : 5 + k].copy(),
            latent_std=table[:, 5 + k : 5 + 2 * k].copy(),
            log_likelihood=log_likelihood,
            order_amplitude=order,
            order_amplitude_std=np.where(np.isfinite(order), np.float32(self.order.std), np.nan),
        )

    def _pose(self, block, offset, device):
        """Harmonics of a block, the posterior of their angles, shifts with their widths, evidence.

        Returns
        -------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            About where the content stands.
        posterior : AnglePosterior
        shift : torch.Tensor, shape (n, 4), or (n, 0) without translation
            Shift and its standard deviation, (x, y) each, in px.
        log_likelihood : torch.Tensor, shape (n,)
        """
        site = block, offset, self.level, self.scale, device
        if self.shifts is None:
            x = harmonics_of(block, offset, self.grid, self.level, self.scale, device)
            if self.average is not None:
                x = self.average.deviation(x)
            posterior = self.pose.posterior(x)
            return x, posterior, posterior.angle[:, None][:, :0], posterior.log_likelihood
        shift = self.shifts.start(
            lambda t, middle: moved_harmonics(middle, t, *site), len(block), device
        )
        x = moved_harmonics(self.grid, shift, *site)
        posterior = self.pose.posterior(x)
        for _ in range(N_ROUNDS):
            shift, covariance = self.shifts.update(x, posterior.angle, shift, self.pose, self.grid)
            x = moved_harmonics(self.grid, shift, *site)
            posterior = self.pose.posterior(x)
        likelihood = posterior.log_likelihood + self.shifts.log_evidence(shift, covariance)
        std = torch.diagonal(covariance, dim1=1, dim2=2).sqrt()
        std = torch.hypot(std, torch.full_like(std, self.shifts.scatter))
        return x, posterior, torch.cat([shift, std], 1), likelihood

    @torch.no_grad()
    def angle_distribution(self, images, offsets, device, n_angles, zero):
        """Posterior of the angles in bins, the angle `zero` counted as 0; an AngleDistribution."""
        self._to(device)

        @torch.no_grad()
        def distribution(block, offset):
            self._to(here(device))
            posterior = self._pose(block, offset, here(device))[1]
            modes = pose.wrap(posterior.modes - zero)
            widths = torch.hypot(
                posterior.widths, torch.full_like(posterior.widths, self.angle_scatter)
            )
            probability = angle_bins(modes, posterior.weights, widths, n_angles)
            parts = [modes, posterior.weights, widths]
            parts = [torch.nn.functional.pad(p, (0, _N_MODES - p.shape[1])) for p in parts]
            return torch.cat([probability, *parts], 1).cpu().numpy()

        width = n_angles + 3 * _N_MODES
        table = map_blocks(distribution, images, offsets, width=width, name="rvae-posterior")
        parts = np.split(table, n_angles + _N_MODES * np.arange(3), axis=1)
        return AngleDistribution(middles(n_angles), *parts)

    @torch.no_grad()
    def decode(self, latent, angle, device, shift=None, window_size=None, step=1.0):
        """Sub-images of float32, (n, w, w), from latents (n, k), angles (n,) and shifts (n, 2)."""
        one_thread_in_a_pool()
        self._to(device)
        latent = self.content.from_user(torch.as_tensor(latent, device=device))
        harmonics = to_complex(torch.cat(self.content.decode(latent), 1), self._shape)
        harmonics = self.grid.turn(harmonics, torch.as_tensor(angle, device=device))
        if self.average is not None:
            harmonics = self.average.restore(harmonics)
        if shift is not None:
            shift = torch.as_tensor(shift, device=device)
        size = self.grid.window_size if window_size is None else window_size
        images = images_on(self.grid, harmonics, size, step, shift)
        return images.cpu().numpy() * self.scale + self.level

    @in_default_torch_state
    def state(self):
        """Tensors and a header that JSON holds, for :meth:`from_state`."""
        tensors, header = state_of(self, "content", self.content)
        numbers = ("level", "scale", "n_sites_fit", "dropped_variance", "angle_scatter")
        header["rotation"] = bool(self.pose.rotation)
        header["n_latents"] = int(self.content.n_latents)
        if self.shifts is not None:
            header["shifts"] = [self.shifts.prior, self.shifts.scatter]
            if self.shifts.middle is not None:
                tensors["middle.profile"] = self.shifts.middle.profile
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state().items()}
        return tensors, header | {name: getattr(self, name) for name in numbers}

    @classmethod
    @in_default_torch_state  # also where a copy or a worker makes the model
    def from_state(cls, tensors, header):
        """The model that :meth:`state` describes."""
        parts, header = parts_of(tensors), dict(header)
        common = from_common(parts, header, header.pop("rotation"))
        grid = common["grid"]
        content = content_network(grid, header.pop("n_latents"), torch.Generator())
        content.load_state_dict(parts["content"])
        shifts = None
        if "shifts" in header:
            prior, scatter = header.pop("shifts")
            middle = MiddleColumn.of(grid, **parts["middle"]) if "middle" in parts else None
            shifts = ShiftModel(prior, middle, scatter)
        average = AverageSubImage.from_state(parts["average"]) if "average" in parts else None
        return cls(content=content.eval(), shifts=shifts, average=average, **common, **header)

    @property
    def _shape(self):
        return self.grid.n_q, self.grid.n_orders

    def __reduce__(self):
        # What is saved is what a worker needs; without the matrices that can be made again.
        tensors, header = self.state()
        return HarmonicModel.from_state, ({k: v.cpu() for k, v in tensors.items()}, header)

    def _to(self, device):
        """Bring the model to a device."""
        self.content.to(device)
        if self.pose.mean.device.type != device.type:
            self.pose = self.pose.to(device)
            self.order = pose.OrderFilter(self.pose, self.order.scale)
            if self.average is not None:
                self.average = self.average.to(device)
