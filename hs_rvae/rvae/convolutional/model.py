# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The convolutional rVAE of the paper: one network, trained by gradient descent on pixels."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...progress import progress_bar
from ...verdict import Verdict
from .. import pose
from ..batches import Images, map_blocks, n_blocks, spread_sample
from ..choose_grid import choose_grid, intensity_scale
from ..coefficients import check_enough
from ..covariance import factor_analysis
from ..device import available_device
from ..excess_scatter import scatter_of_distorted
from ..geometry import HarmonicGrid, align, to_complex, to_real
from ..loss import spatial_divergence
from ..pose import N_MODES, OrderFilter
from ..results import AngleDistribution, RVAEResult, angle_bins, middles
from ..storage import from_common, parts_of, state_of
from ..torch_state import in_default_torch_state
from ..training import train_spatial
from .network import SpatialNetwork, SpatialPosterior, coordinate_shift, image_shift

if TYPE_CHECKING:
    from ...progress import Progress
    from ..estimator import RVAE
    from ..training import TrainingSettings

_logger = logging.getLogger(__name__)

_CHUNK = 64  # sub-images at a time through the network: 75 MB a layer for 48 x 48 px


@dataclass
class ConvolutionalModel:
    """A fitted convolutional rVAE.

    Attributes
    ----------
    network : SpatialNetwork
    maximum : float
        Intensity of the fitted images that becomes 1 for the network.
    level, scale : float
        Medians of the level and contrast of the fitted images.
    grid : HarmonicGrid
        Disk and polar Fourier space in which distorted and undistorted sites are separated.
    pose : PoseModel
        Mean there of the sites turned back by their angles, and the covariance about it.
    order : OrderFilter
    rotation_prior : float
        Standard deviation of the angle prior, in radians.
    shift_prior : float
        Standard deviation of each component of the shift prior, in px.
    history : dict of str to numpy.ndarray
        See :class:`~hs_rvae.RVAE`.
    n_sites_fit : int
    dropped_variance : float
        Share of the variance that the polar Fourier space drops; the network drops nothing.
    angle_scatter : float
        Standard deviation of angles, in radians, in addition to the widths of their posteriors.
    """

    network: SpatialNetwork
    maximum: float
    level: float
    scale: float
    grid: HarmonicGrid
    pose: pose.PoseModel
    order: OrderFilter
    rotation_prior: float
    shift_prior: float
    history: dict[str, np.ndarray] = field(repr=False)
    n_sites_fit: int
    dropped_variance: float
    angle_scatter: float = 0.0

    #: Its encoder gives one angle for each site.
    motif_symmetry = 1

    #: Decoded sub-images fill the window; those of the harmonic model end with the disk.
    whole_windows = True

    @classmethod
    def fit(
        cls,
        images: Images,
        offsets: np.ndarray | None,
        rows: np.ndarray,
        options: RVAE,
        settings: TrainingSettings,
        generator: torch.Generator,
        device: torch.device,
        progress: Progress,
        initial: ConvolutionalModel | None = None,
    ) -> ConvolutionalModel:
        """Fit to the sub-images `rows`; parameters as in :meth:`HarmonicModel.fit`."""
        if options.rotation == "auto":
            _logger.info("rVAE: rotation='auto' is 'motif' in the convolutional architecture.")
        sample = spread_sample(images, rows)
        sample = sample[np.isfinite(sample).all((1, 2))]
        level, scale = intensity_scale(sample)
        grid, dropped = choose_grid((sample - level) / scale, options.q_max)
        pixels, places = _read(images, offsets, rows, progress)
        maximum = float(pixels.max()) if initial is None else initial.maximum
        if not maximum > 0:
            raise ValueError(
                f"images: the largest intensity is {maximum:g}; the convolutional rVAE divides by "
                "it. Add a constant, so that intensities are positive."
            )
        pixels = (pixels / maximum).to(device)
        places = None if places is None else places.to(device)
        network = SpatialNetwork(
            grid.window_size,
            int(options.output_dimension),
            bool(options.rotation),
            options.translation,
            generator,
        )
        if initial is not None:
            _start_from(network, initial.network)
        network.to(device)
        history = train_spatial(
            network,
            pixels,
            places,
            settings,
            generator,
            progress,
            rotation_prior=options.rotation_prior,
            shift_scale=options.shift_prior / network.half_window,
            delay=options.shift_delay,
        )
        network.eval()
        priors = {k: float(getattr(options, k)) for k in ("rotation_prior", "shift_prior")}
        model = cls(
            network, maximum, level, scale, grid, None, None,  # type: ignore[arg-type]
            **priors, history=history, n_sites_fit=len(pixels), dropped_variance=dropped,
        )  # fmt: skip
        model._order_latents(pixels)
        # Sets pose and order.
        model._fit_order(pixels, places)
        return model

    @property
    def lattice_symmetry(self) -> int:
        """Symmetry of the motif without its distortion."""
        return self.order.symmetry

    @property
    def rotation(self) -> str | None:
        """Part that turns: "motif", or None without angles."""
        return "motif" if self.network.rotation else None

    @property
    def verdict(self) -> Verdict | None:
        """Verdict on the angles; nothing tests them in this architecture."""
        if not self.network.rotation:
            return None
        note = "The angles of the convolutional architecture are not tested."
        return Verdict("turning motif", "motif", (), notes=(note,), tested=False)

    @property
    def n_latents(self) -> int:
        """Number of content latents."""
        return self.network.n_latents

    @torch.no_grad()
    def encode(
        self,
        images: Images,
        offsets: np.ndarray | None,
        device: torch.device,
        show_progressbar: bool | None,
    ) -> RVAEResult:
        """Infer angles, shifts and latents."""
        self._to(device)
        bar = progress_bar("rVAE encoding", bool(show_progressbar), total=n_blocks(images))

        @torch.no_grad()  # also in the threads of dask
        def encode(block: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
            where, parts = available_device(device), []
            self._to(where)
            for start in range(0, len(block), _CHUNK):
                part = slice(start, start + _CHUNK)
                x = torch.as_tensor(block[part] / np.float32(self.maximum), device=where)
                place = None if offset is None else torch.as_tensor(offset[part], device=where)
                parts.append(self._encode(x, place))
            return torch.cat(parts).cpu().numpy()

        k, moved = self.n_latents, self.network.translation
        with bar:
            table = map_blocks(
                encode,
                images,
                offsets,
                width=8 + 2 * k,
                tick=bar.update,
                name="rvae-encode",
                device=device,
                threads_inside=True,
            )
        table[~np.isfinite(table).all(1)] = np.nan
        angle, angle_std, likelihood, order = (c.copy() for c in table[:, :4].T)
        return RVAEResult(
            angle=angle,
            angle_std=angle_std,
            angle_weight=np.where(np.isfinite(angle), np.float32(1), np.nan),
            shift=table[:, 4:6].copy() if moved else None,
            shift_std=table[:, 6:8].copy() if moved else None,
            latent=table[:, 8 : 8 + k].copy(),
            latent_std=table[:, 8 + k :].copy(),
            log_likelihood=likelihood,
            order_amplitude=order,
            order_amplitude_std=np.where(np.isfinite(order), np.float32(self.order.std), np.nan),
        )

    def _encode(self, x: Tensor, offset: Tensor | None) -> Tensor:
        """Angle, its std, bound, order, shift, its std, latents, their std: (n, 8 + 2 k)."""
        network = self.network
        posterior = network.encode(x)
        angle = pose.wrap(-posterior.angle)
        shift, shift_std = self._image_shift(posterior)
        coordinates = network.coordinates(offset)
        moved = (
            posterior.shift * (self.shift_prior / network.half_window)
            if network.translation
            else None
        )
        decoded = network.decode(coordinates, posterior.angle, moved, posterior.content)
        error = 0.5 * ((decoded - x.flatten(1)) ** 2).sum(1)
        bound = -error - spatial_divergence(posterior, self.rotation_prior)
        bound = bound - 0.5 * x[0].numel() * np.log(2 * np.pi)
        order = self.order.amplitude(self._harmonics(x, offset, shift), angle)
        scatter = torch.full_like(angle, self.angle_scatter if network.rotation else 0.0)
        angle_std = torch.hypot(torch.exp(posterior.angle_log_std), scatter)
        latent, std = network.to_user(posterior.content, torch.exp(posterior.content_log_std))
        columns = torch.stack([angle, angle_std, bound, order], 1)
        return torch.cat([columns, shift, shift_std, latent, std], 1)

    def _image_shift(self, posterior: SpatialPosterior) -> tuple[Tensor, Tensor]:
        """Displacement of the content in px of the image, and its standard deviation, (n, 2)."""
        if not self.network.translation:
            zero = torch.zeros((len(posterior.angle), 2), device=posterior.angle.device)
            return zero, zero
        shift = image_shift(posterior.angle, posterior.shift * self.shift_prior)
        # Both axes turn into each other, and the angle moves the shift along its circle.
        variance = torch.exp(2 * posterior.shift_log_std) * self.shift_prior**2
        cos, sin = torch.cos(posterior.angle) ** 2, torch.sin(posterior.angle) ** 2
        along_x = cos * variance[:, 1] + sin * variance[:, 0]
        along_y = cos * variance[:, 0] + sin * variance[:, 1]
        turning = torch.exp(2 * posterior.angle_log_std)[:, None] * shift.flip(1) ** 2
        return shift, (torch.stack([along_x, along_y], 1) + turning).sqrt()

    def _harmonics(self, x: Tensor, offset: Tensor | None, shift: Tensor) -> Tensor:
        """Polar harmonics about the place of the content, of sub-images in units of the network."""
        x = (x * self.maximum - self.level) / self.scale
        if self.network.translation:
            return self.grid.shifted_harmonics(x, shift if offset is None else offset + shift)
        return self.grid.harmonics(x, offset)

    @torch.no_grad()
    def angle_distribution(
        self,
        images: Images,
        offsets: np.ndarray | None,
        device: torch.device,
        n_angles: int,
        zero: float,
    ) -> AngleDistribution:
        """Posterior of the angles in bins, the angle `zero` counted as 0; one wrapped normal."""
        result = self.encode(images, offsets, device, False)
        modes = np.full((len(result.angle), N_MODES), np.nan, np.float32)
        good = np.isfinite(result.angle)
        modes[good] = 0
        weights, widths = modes.copy(), modes.copy()
        angle = pose.wrap(torch.as_tensor(result.angle[good]) - zero)
        std = torch.as_tensor(result.angle_std[good])
        modes[good, 0], weights[good, 0], widths[good] = angle, 1.0, std[:, None]
        probability = np.full((len(modes), n_angles), np.nan, np.float32)
        probability[good] = angle_bins(
            angle[:, None], torch.ones((len(angle), 1)), std[:, None], n_angles
        )
        return AngleDistribution(middles(n_angles), probability, modes, weights, widths)

    @torch.no_grad()
    def decode(
        self,
        latent: np.ndarray,
        angle: np.ndarray,
        device: torch.device,
        shift: np.ndarray | None = None,
        window_size: int | None = None,
        step: float = 1.0,
    ) -> np.ndarray:
        """Sub-images of float32, (n, w, w), from latents (n, k), angles (n,) and shifts (n, 2).

        The shift is in px of the decoded sub-images. Outside the fitted window the network
        extrapolates.
        """
        self._to(device)
        network = self.network
        size = self.grid.window_size if window_size is None else window_size
        coordinates = network.coordinates(None, size, step)
        internal = network.from_user(torch.as_tensor(latent, device=device))
        phi = -torch.as_tensor(angle, device=device)
        moved = None
        if shift is not None:
            displacement = torch.as_tensor(shift, device=device) * (step / network.half_window)
            moved = coordinate_shift(phi, displacement)
        parts = []
        for rows in torch.arange(len(internal), device=device).split(_CHUNK):
            part = None if moved is None else moved[rows]
            parts.append(network.decode(coordinates, phi[rows], part, internal[rows]))
        images = torch.cat(parts) if parts else torch.zeros((0, size**2))
        return images.reshape(-1, size, size).cpu().numpy() * np.float32(self.maximum)

    @torch.no_grad()
    def _order_latents(self, pixels: Tensor) -> None:
        """Order the latents, from about 256 of the sites."""
        network = self.network
        chosen = pixels[:: max(1, len(pixels) // 256)]
        posteriors = [network.encode(part) for part in chosen.split(_CHUNK)]
        mean = torch.cat([posterior.content for posterior in posteriors])
        zero = torch.zeros(len(mean), device=mean.device)

        def draw(latent: Tensor) -> list[Tensor]:
            parts = latent.split(_CHUNK)
            coordinates = network.coordinates()
            drawn = [network.decode(coordinates, zero[: len(p)], None, p) for p in parts]
            return [torch.cat(drawn)]

        network.order_by_variance(mean, chosen.mean((1, 2)), draw)

    @torch.no_grad()
    def _fit_order(self, pixels: Tensor, offsets: Tensor | None) -> None:
        """Fit the filter for distorted sites to the sites turned back by the network.

        It is the matched filter of the harmonic model. Its template is the mean of the sites in
        the frame of the network, which shows a distortion only if the angles of the network follow
        it. Its covariance is that of the sites about the template.
        """
        device, shape = pixels.device, (self.grid.n_q, self.grid.n_orders)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for rows in torch.arange(len(pixels), device=device).split(_CHUNK):
            offset = None if offsets is None else offsets[rows]
            posterior = self.network.encode(pixels[rows])
            angle = pose.wrap(-posterior.angle)
            harmonics = self._harmonics(pixels[rows], offset, self._image_shift(posterior)[0])
            parts.append((align(harmonics, angle), angle, torch.exp(posterior.angle_log_std)))
        aligned, angle, width = (torch.cat(part) for part in zip(*parts, strict=True))
        flat = to_real(aligned).double()
        template = to_complex(flat.mean(0, keepdim=True).float(), shape)[0]
        smallest = 1e-5 * float((template.abs() ** 2).mean())
        residual = flat - flat.mean(0)
        covariance = residual.T @ residual / len(residual)
        noise, factors = factor_analysis(covariance, shape, 0, smallest)
        self.pose = pose.PoseModel(template, noise, factors, self.network.rotation)
        self.order = pose.fit_order(aligned, self.pose, torch.zeros_like(angle))
        if self.network.rotation:
            amplitude = self.order.amplitude(aligned, torch.zeros_like(angle))
            self.angle_scatter = scatter_of_distorted(angle, width, amplitude, self.order.std)

    @in_default_torch_state
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and a header that JSON can hold, for :meth:`from_state`."""
        network = self.network
        tensors, header = state_of(self, "network", network)
        header["network"] = [network.n_latents, network.rotation, network.translation]
        numbers = (
            "maximum", "level", "scale", "rotation_prior", "shift_prior", "n_sites_fit",
            "dropped_variance", "angle_scatter",
        )  # fmt: skip
        return tensors, header | {name: getattr(self, name) for name in numbers}

    @classmethod
    @in_default_torch_state  # also where a copy or a worker makes the model
    def from_state(cls, tensors: dict[str, Tensor], header: dict[str, Any]) -> ConvolutionalModel:
        """Rebuild the model that :meth:`state` describes."""
        parts, header = parts_of(tensors), dict(header)
        n_latents, rotation, translation = header.pop("network")
        size = header["grid"]["window_size"]
        network = SpatialNetwork(size, n_latents, rotation, translation, torch.Generator())
        network.load_state_dict(parts["network"])
        return cls(network.eval(), **from_common(parts, header, network.rotation), **header)

    def _to(self, device: torch.device) -> None:
        """Move the model to a device."""
        self.network.to(device)
        if self.pose.mean.device.type != device.type:
            self.pose = self.pose.to(device)
            self.order = pose.OrderFilter(self.pose, self.order.scale)


def _read(
    images: Images, offsets: np.ndarray | None, rows: np.ndarray, progress: Progress
) -> tuple[Tensor, Tensor | None]:
    """Finite sub-images of the fit as one tensor (n, w, w), and their offsets or None."""
    w = images.shape[1]

    def flat(block: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
        return block.reshape(len(block), -1)

    def tick() -> None:
        progress.step("rVAE reading")

    pixels = map_blocks(flat, images, None, rows, width=w * w, tick=tick, name="rvae-read")
    good = np.isfinite(pixels[:, 0])
    check_enough(good.sum())
    pixels = torch.as_tensor(pixels if good.all() else pixels[good]).reshape(-1, w, w)
    return pixels, None if offsets is None else torch.as_tensor(offsets[rows][good])


def _start_from(network: SpatialNetwork, fitted: SpatialNetwork) -> None:
    """Copy the weights of a fitted network of the same shape."""
    shapes, fitted_shapes = (
        {name: tensor.shape for name, tensor in each.state_dict().items()}
        for each in (network, fitted)
    )
    if shapes != fitted_shapes:
        raise ValueError(
            "initial_model has another number of latents, or rotation and translation differ; the "
            "convolutional model takes over its weights only from one like it. Leave it out, or "
            "give this model the same settings."
        )
    network.load_state_dict(fitted.state_dict())
