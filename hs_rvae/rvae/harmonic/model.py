# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harmonic rVAE: angles by ``pose``, content by ``content``, in polar Fourier space."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...progress import progress_bar
from ...threads import one_thread
from ...verdict import Verdict
from .. import pose
from ..batches import (
    Images,
    Numbers,
    map_blocks,
    n_blocks,
    return_freed_memory,
    spread_sample,
)
from ..choose_grid import choose_grid, intensity_scale
from ..coefficients import Coefficients, harmonics_of, read_usable
from ..device import available_device
from ..geometry import HarmonicGrid, align, images_on, to_complex, to_real
from ..joint_grid import JointGrid
from ..pose import N_MODES, AnglePosterior, OrderFilter
from ..results import AngleDistribution, RVAEResult, angle_bins, middles
from ..storage import from_common, parts_of, state_of
from ..torch_state import in_default_torch_state
from .angle_search import fit_angles, scatter_of_posterior
from .content import ContentNetwork, fit_content
from .distortion import Distortion, Reading
from .encoder_input import (
    EncoderInput,
    fit_input,
    n_components,
    regressors,
    without_direction,
)
from .joint_scales import choose_joint_scales
from .orders import Orders
from .rotation import SitePlaces, choose_rotation
from .shifts import N_ROUNDS, MiddleColumn, RecentredSites, ShiftModel, recentred_harmonics

if TYPE_CHECKING:
    from ...progress import Progress
    from ..estimator import RVAE
    from ..training import TrainingSettings

_logger = logging.getLogger(__name__)


@dataclass
class HarmonicModel:
    """A fitted harmonic rVAE.

    Attributes
    ----------
    grid : HarmonicGrid
        Window, frequencies and orders.
    level, scale : float, or numpy.ndarray of shape (n_detectors,)
        Intensity of the fitted images that becomes 0, and the contrast that becomes 1.
    pose : PoseModel
        Template and covariance, which determine the angles.
    order : OrderFilter
        Distinguishes distorted sites from undistorted ones.
    encoder_input : EncoderInput
        Gives the encoder all orders without the direction of the distortion.
    content : ContentNetwork
        Encodes the latents, and decodes whole sub-images from latents.
    history : dict of str to numpy.ndarray
        See :class:`~hs_rvae.RVAE`.
    n_sites_fit : int
    dropped_variance : float
    angle_scatter : float
        Standard deviation of angles, in radians, in addition to the widths of their posteriors.
    shifts : ShiftModel or None
        Infers the shifts of a model with translation.
    distortion : Distortion or None
        Finds the angles where the distortion turns; None where the whole motif does.
    verdict : Verdict or None
        What the evidence allows to state; None without angles.
    motif_symmetry : int
        Turns of the motif onto itself that leave the angle of a single site open.
    orders : Orders or None
        Order parameters beside the displacement.
    """

    grid: HarmonicGrid
    level: Numbers
    scale: Numbers
    pose: pose.PoseModel
    order: OrderFilter
    encoder_input: EncoderInput
    content: ContentNetwork
    history: dict[str, np.ndarray]
    n_sites_fit: int
    dropped_variance: float
    angle_scatter: float = 0.0
    shifts: ShiftModel | None = None
    distortion: Distortion | None = None
    verdict: Verdict | None = None
    motif_symmetry: int = 1
    orders: Orders | None = None

    #: Decoded sub-images end with the disk.
    whole_windows = False

    @property
    def lattice_symmetry(self) -> int:
        """Symmetry of the motif without its distortion."""
        return self.order.symmetry if self.distortion is None else self.distortion.symmetry

    @property
    def angle_std_factor(self) -> float:
        """Errors of angles, in parts of the widths of their posteriors."""
        return 1.0 if self.distortion is None else self.distortion.widening

    @property
    def rotation(self) -> str | None:
        """Part that turns: "distortion", "motif" or None."""
        if not self.pose.rotation and self.distortion is None:
            return None
        return "motif" if self.distortion is None else "distortion"

    @property
    def n_latents(self) -> int:
        """Number of content latents."""
        return self.content.n_latents

    @classmethod
    @one_thread()
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
        initial: HarmonicModel | None = None,
        coefficients: Coefficients | None = None,
        places: SitePlaces | None = None,
    ) -> HarmonicModel:
        """Fit to the sub-images `rows`.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w) or (n, n_detectors, w, w)
        offsets : numpy.ndarray of float32, shape (n, 2), or None
        rows : numpy.ndarray of int
        options : RVAE
            Its output_dimension, rotation, translation, n_init, n_factors and q_max are used.
        settings : TrainingSettings
        generator : torch.Generator
        device : torch.device
        progress : Progress
        initial : HarmonicModel, optional
            Model to start from: its scales, angles and content.
        coefficients : Coefficients, optional
            Filled with the harmonics of all sub-images, for :meth:`encode`.
        places : SitePlaces, optional
            Positions of all sub-images.

        Returns
        -------
        HarmonicModel

        Raises
        ------
        ValueError
            If too few sub-images are usable.
        """
        grid, level, scale, dropped = _choose_scales(images, rows, options, initial)
        harmonics, used = read_usable(
            images, offsets, rows, grid, level, scale, device, progress, coefficients
        )
        recentred = None
        if options.translation:
            recentred = RecentredSites(
                images, offsets, rows[used], grid, level, scale, device, progress
            )
        places = None if places is None else places.of(rows[used])
        fit = _MotifFit(harmonics, options, generator, progress, initial, recentred)
        motif = fit.run(grid, places)
        n_used, history = len(harmonics), fit.history
        del harmonics, fit  # room for the content
        about = regressors(motif.reading, motif.distortion, n_used)
        known = initial if initial is not None and initial.rotation == motif.rotation else None
        if known is not None and known.encoder_input.slopes.shape[0] == about.shape[1]:
            encoder_input = known.encoder_input.to(device)
        else:
            known = None
            encoder_input = fit_input(motif.common, grid.n_radial, about, motif.distortion, places)
        return_freed_memory()
        content, content_history = fit_content(
            encoder_input(motif.common, about),
            to_real(motif.common),
            options.output_dimension,
            settings,
            generator,
            progress,
            None if known is None else known.content,
        )
        return cls(
            grid,
            level,
            scale,
            motif.pose,
            motif.order,
            encoder_input,
            content,
            content_history | history,
            n_used,
            dropped,
            motif.scatter,
            None if recentred is None else recentred.model,
            motif.distortion,
            motif.verdict,
            motif.symmetry,
            motif.orders,
        )

    @torch.no_grad()
    @one_thread()
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
            self._to(available_device(device))
            where = available_device(device)
            x, posterior, shift, order, reading = self._pose(block, offset, where)
            common = self._common(x, posterior, reading)
            about = regressors(reading, self.distortion, len(x))
            mean, log_variance = self.content.encode(self.encoder_input(common, about))
            latent, std = self.content.to_user(mean, torch.exp(0.5 * log_variance))
            spread = torch.hypot(posterior.std, torch.full_like(posterior.std, self.angle_scatter))
            weight = posterior.weights[:, 0]
            columns = posterior.angle, spread, weight, posterior.log_likelihood
            first = torch.cat([torch.stack(columns, 1), order], 1)
            parts = [first, latent, std, shift]
            if with_pixels:
                assert self.distortion is not None
                angle = self.distortion.angle_from_pixels(x.cpu().numpy())
                parts.append(torch.as_tensor(angle).to(latent)[:, None])
            if self.orders is not None:
                parts.append(torch.as_tensor(self.orders.read(x.cpu().numpy())).to(latent))
            return torch.cat(parts, 1).cpu().numpy()

        k = self.content.n_latents
        with_pixels = self.distortion is not None and self.distortion.pixels_only is not None
        n_more = 0 if self.orders is None else self.orders.n_columns
        return_freed_memory()  # of the fit
        with bar:
            table = map_blocks(
                encode,
                images,
                offsets,
                width=6 + 2 * k + 4 * (self.shifts is not None) + with_pixels + n_more,
                tick=bar.update,
                name="rvae-encode",
                device=device,
            )
        table[~np.isfinite(table).all(1)] = np.nan  # beyond what numbers of this size can hold
        table, more = np.split(table, [table.shape[1] - n_more], axis=1)
        orders = {} if self.orders is None else self.orders.columns(more)
        if self.orders is not None and self.orders.alone:
            table[:, [0, 1, 4, 5]] = self.orders.in_place_of_angle(more)
        angle, angle_std, weight, log_likelihood, order, error = (c.copy() for c in table[:, :6].T)
        return RVAEResult(
            angle=angle,
            angle_std=angle_std,
            angle_weight=weight,
            shift=None if self.shifts is None else table[:, -4:-2].copy(),
            shift_std=None if self.shifts is None else table[:, -2:].copy(),
            latent=table[:, 6 : 6 + k].copy(),
            latent_std=table[:, 6 + k : 6 + 2 * k].copy(),
            log_likelihood=log_likelihood,
            order_amplitude=order,
            order_amplitude_std=error,
            angle_pixels=table[:, -1].copy() if with_pixels else None,
            orders=orders,
            order_scores={} if self.orders is None else self.orders.scores(more),
        )

    def _pose(
        self, block: np.ndarray, offset: np.ndarray | None, device: torch.device
    ) -> tuple[Tensor, AnglePosterior, Tensor, Tensor, Reading | None]:
        """Harmonics of a block, the posterior of their angles, shifts, order amplitudes.

        Returns
        -------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            Harmonics about the place of the content.
        posterior : AnglePosterior
        shift : torch.Tensor, shape (n, 4), or (n, 0) without translation
            Shift and its standard deviation, (x, y) each, in px.
        order : torch.Tensor, shape (n, 2)
            Order amplitude and its standard error.
        reading : Reading or None
            What the distortion reads, if one turns.
        """
        site = block, offset, self.level, self.scale, device
        if self.distortion is not None:
            x = harmonics_of(block, offset, self.grid, self.level, self.scale, device)
            reading = self.distortion.read(x.cpu().numpy())
            posterior = _posterior_of(reading, self.pose.posterior(x), self.distortion)
            if self.orders is not None and self.orders.alone:
                posterior = self._axes(posterior, x)
            order = np.stack([reading.amplitude, reading.amplitude_std], 1)
            none = posterior.std[:, None][:, :0]
            return x, posterior, none, torch.as_tensor(order).to(x.real), reading
        if self.shifts is None:
            x = harmonics_of(block, offset, self.grid, self.level, self.scale, device)
            posterior = self.pose.posterior(x)
            none = posterior.std[:, None][:, :0]
            return x, posterior, none, self._order(x, posterior.angle), None
        shift = self.shifts.start(
            lambda t, middle: recentred_harmonics(middle, t, *site), len(block), device
        )
        x = recentred_harmonics(self.grid, shift, *site)
        posterior = self.pose.posterior(x)
        for _ in range(N_ROUNDS):
            shift, covariance = self.shifts.update(x, posterior.angle, shift, self.pose, self.grid)
            x = recentred_harmonics(self.grid, shift, *site)
            posterior = self.pose.posterior(x)
        likelihood = posterior.log_likelihood + self.shifts.log_evidence(shift, covariance)
        posterior = replace(posterior, log_likelihood=likelihood)
        std = torch.diagonal(covariance, dim1=1, dim2=2).sqrt()
        std = torch.hypot(std, torch.full_like(std, self.shifts.scatter))
        return x, posterior, torch.cat([shift, std], 1), self._order(x, posterior.angle), None

    def _common(
        self, harmonics: Tensor, posterior: AnglePosterior, reading: Reading | None
    ) -> Tensor:
        """Harmonics without their orientation: turned back, or without the distortion."""
        if self.distortion is not None:
            assert reading is not None
            return without_direction(harmonics, reading, self.distortion)
        return align(harmonics, posterior.angle) if self.pose.rotation else harmonics

    def _axes(self, posterior: AnglePosterior, harmonics: Tensor) -> AnglePosterior:
        """Posterior of the axes of a strain, with two modes half a turn apart; others stay."""
        assert self.orders is not None
        if self.orders.names[0] != "strain":
            return posterior
        read = self.orders.read(harmonics.cpu().numpy())
        angle, std = (torch.as_tensor(v).to(posterior.angle) for v in read[:, :2].T)
        modes = torch.stack([angle, pose.wrap(angle + torch.pi)], 1)
        half = torch.full_like(modes, 0.5)
        widths = torch.stack([std, std], 1)
        return replace(posterior, angle=angle, std=std, modes=modes, weights=half, widths=widths)

    def _order(self, harmonics: Tensor, angle: Tensor) -> Tensor:
        """Order amplitude of a turning motif and its standard error, (n, 2)."""
        amplitude = self.order.amplitude(harmonics, angle)
        if self.verdict is not None and not self.verdict.found:
            amplitude = torch.zeros_like(amplitude)
        return torch.stack([amplitude, torch.full_like(amplitude, self.order.std)], 1)

    @torch.no_grad()
    @one_thread()
    def angle_distribution(
        self,
        images: Images,
        offsets: np.ndarray | None,
        device: torch.device,
        n_angles: int,
        zero: float,
    ) -> AngleDistribution:
        """Posterior of the angles in bins, the angle `zero` counted as 0."""
        self._to(device)

        @torch.no_grad()
        def distribution(block: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
            self._to(available_device(device))
            posterior = self._pose(block, offset, available_device(device))[1]
            modes = pose.wrap(posterior.modes - zero)
            widths = torch.hypot(
                posterior.widths, torch.full_like(posterior.widths, self.angle_scatter)
            )
            probability = angle_bins(modes, posterior.weights, widths, n_angles)
            parts = [modes, posterior.weights, widths]
            parts = [torch.nn.functional.pad(p, (0, N_MODES - p.shape[1])) for p in parts]
            return torch.cat([probability, *parts], 1).cpu().numpy()

        width = n_angles + 3 * N_MODES
        table = map_blocks(distribution, images, offsets, width=width, name="rvae-posterior")
        parts = np.split(table, n_angles + N_MODES * np.arange(3), axis=1)
        return AngleDistribution(middles(n_angles), *parts)

    @torch.no_grad()
    @one_thread()
    def decode(
        self,
        latent: np.ndarray,
        angle: np.ndarray | None,
        device: torch.device,
        shift: np.ndarray | None = None,
        window_size: int | None = None,
        step: float = 1.0,
        order: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Sub-images of float32, (n, w, w), from latents (n, k), angles (n,) and shifts (n, 2).

        Without angles a distortion is left out; its strength goes with the order amplitudes (n,).
        A model of several detectors gives (n, n_detectors, w, w).
        """
        self._to(device)
        internal = self.content.from_user(torch.as_tensor(latent, device=device))
        harmonics = to_complex(self.content.decode(internal), self._shape)
        if self.distortion is None:
            harmonics = self.grid.turn(harmonics, torch.as_tensor(angle, device=device))
        elif angle is not None:
            turned = self.distortion.pattern(angle, order)
            harmonics = harmonics + torch.as_tensor(turned, device=device)
        moved = None if shift is None else torch.as_tensor(shift, device=device)
        size = self.grid.window_size if window_size is None else window_size
        if not isinstance(self.grid, JointGrid):
            images = images_on(self.grid, harmonics, size, step, moved)
            return images.cpu().numpy() * self.scale + self.level
        single, numbers = self.grid.single, range(self.grid.n_detectors)
        parts = [harmonics[:, self.grid.block(k)] for k in numbers]
        images = torch.stack([images_on(single, part, size, step, moved) for part in parts], 1)
        scale, level = (of[:, None, None].astype(np.float32) for of in (self.scale, self.level))
        return images.cpu().numpy() * scale + level

    @in_default_torch_state
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and a header that JSON can hold, for :meth:`from_state`."""
        tensors, header = state_of(self, "content", self.content)
        tensors |= {f"input.{name}": part for name, part in self.encoder_input.state().items()}
        numbers = ["level", "scale", "n_sites_fit", "dropped_variance", "angle_scatter"]
        numbers.append("motif_symmetry")
        header["rotation"] = bool(self.pose.rotation)
        header["n_latents"] = int(self.content.n_latents)
        if self.shifts is not None:
            header["shifts"] = [self.shifts.prior, self.shifts.scatter]
            if self.shifts.middle is not None:
                tensors["middle.profile"] = self.shifts.middle.profile
        if self.distortion is not None:
            arrays, header["distortion"] = self.distortion.state()
            tensors |= {f"distortion.{name}": torch.as_tensor(v) for name, v in arrays.items()}
        if self.orders is not None:
            arrays, header["orders"] = self.orders.state()
            tensors |= {f"orders.{name}": torch.as_tensor(v) for name, v in arrays.items()}
        header["verdict"] = None if self.verdict is None else self.verdict.as_dict()
        header |= {name: getattr(self, name) for name in numbers}
        if isinstance(self.grid, JointGrid):
            header |= {name: header[name].tolist() for name in ("level", "scale")}
        return tensors, header

    @classmethod
    @in_default_torch_state  # also where a copy or a worker makes the model
    def from_state(cls, tensors: dict[str, Tensor], header: dict[str, Any]) -> HarmonicModel:
        """Rebuild the model that :meth:`state` describes."""
        parts, header = parts_of(tensors), dict(header)
        common = from_common(parts, header, header.pop("rotation"))
        grid = common["grid"]
        encoder_input = EncoderInput.from_state(parts["input"])
        n_whole, n_latents = len(parts["content"]["whole_mean"]), header.pop("n_latents")
        content = ContentNetwork(encoder_input.n, n_whole, n_latents, generator=torch.Generator())
        content.load_state_dict(parts["content"])
        shifts = None
        if "shifts" in header:
            prior, scatter = header.pop("shifts")
            middle = MiddleColumn.of(grid, **parts["middle"]) if "middle" in parts else None
            shifts = ShiftModel(prior, middle, scatter)
        distortion = None
        if "distortion" in header:
            arrays = {name: tensor.numpy() for name, tensor in parts["distortion"].items()}
            distortion = Distortion.from_state(arrays, header.pop("distortion"))
        orders = None
        if "orders" in header:
            arrays = {name: tensor.numpy() for name, tensor in parts["orders"].items()}
            orders = Orders.from_state(arrays, header.pop("orders"))
        verdict = header.pop("verdict")
        if isinstance(grid, JointGrid):
            header |= {name: np.array(header[name]) for name in ("level", "scale")}
        return cls(
            encoder_input=encoder_input,
            content=content.eval(),
            shifts=shifts,
            distortion=distortion,
            orders=orders,
            verdict=None if verdict is None else Verdict.from_dict(verdict),
            **common,
            **header,
        )

    @property
    def _shape(self) -> tuple[int, int]:
        return self.grid.n_q, self.grid.n_orders

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker needs what a file contains, without the matrices that can be computed again.
        tensors, header = self.state()
        return HarmonicModel.from_state, ({k: v.cpu() for k, v in tensors.items()}, header)

    def _to(self, device: torch.device) -> None:
        """Move the model to a device."""
        self.content.to(device)
        self.encoder_input = self.encoder_input.to(device)
        if self.pose.mean.device.type != device.type:
            self.pose = self.pose.to(device)
            self.order = pose.OrderFilter(self.pose, self.order.scale)


def _choose_scales(
    images: Images, rows: np.ndarray, options: RVAE, initial: HarmonicModel | None
) -> tuple[HarmonicGrid, Numbers, Numbers, float]:
    """Grid, level, scale and dropped variance: those of the initial model, or from the data."""
    sample = spread_sample(images, rows)
    sample = sample[np.isfinite(sample).all(tuple(range(1, sample.ndim)))]
    if initial is not None:
        intensity_scale(sample)  # refuses constant sub-images
        grid, dropped = initial.grid, initial.dropped_variance
        level, scale = initial.level, initial.scale
    elif sample.ndim == 4:
        grid, level, scale, dropped = choose_joint_scales(
            sample, options.q_max, int(options.latent_channel)
        )
    else:
        level, scale = intensity_scale(sample)
        usable = np.abs(sample - level).max((1, 2)) < 1e4 * scale
        grid, dropped = choose_grid((sample[usable] - level) / scale, options.q_max)
    n_latents = options.output_dimension
    maximum = n_components(grid.n_radial)
    if not isinstance(n_latents, str) and n_latents > maximum:
        raise ValueError(
            f"output_dimension={n_latents}: windows of {grid.window_size} px have {maximum} "
            "components at most; give as many latents, or fewer."
        )
    _logger.info(
        "rVAE scales from the data: %s, disk radius %.1f px; the truncation in frequency drops "
        "%.2g %% of the variance above the noise.",
        grid,
        grid.radius,
        100 * dropped,
    )
    return grid, level, scale, dropped


@dataclass
class _Motif:
    """Result of the fit of the angles.

    Attributes
    ----------
    common : torch.Tensor of complex64, shape (n, n_q, M + 1)
        Harmonics of the sites without their orientation: turned back, or without the distortion.
    scatter : float
        Scatter of angles, in radians, in addition to the widths of their posteriors.
    reading : Reading or None
        What the distortion reads of the sites, if one turns.
    """

    pose: pose.PoseModel
    order: OrderFilter
    common: Tensor
    scatter: float
    distortion: Distortion | None
    verdict: Verdict | None
    symmetry: int = 1
    reading: Reading | None = None
    orders: Orders | None = None

    @property
    def rotation(self) -> str | None:
        """Part that turns: "distortion", "motif" or None."""
        if self.distortion is not None:
            return "distortion"
        return "motif" if self.pose.rotation else None


class _MotifFit:
    """Fit of the angles of sites: of their distortion, or of the whole motif."""

    def __init__(
        self,
        harmonics: Tensor,
        options: RVAE,
        generator: torch.Generator,
        progress: Progress,
        initial: HarmonicModel | None,
        recentred: RecentredSites | None,
    ) -> None:
        self.harmonics, self.options, self.generator = harmonics, options, generator
        self.progress, self.initial, self.recentred = progress, initial, recentred
        self.history: dict[str, np.ndarray] = {}
        self._turned: tuple[pose.PoseModel, Tensor, AnglePosterior] | None = None

    def run(self, grid: HarmonicGrid, places: SitePlaces | None) -> _Motif:
        """Choose the part that turns, and fit it."""
        rotation = self._wanted(places)
        if not rotation:
            return self._static(None, None)
        distortion, orders, verdict = choose_rotation(
            self.harmonics,
            grid,
            places,
            rotation,
            lambda: self._turning()[2].angle.cpu().numpy(),
            self.generator,
        )
        if distortion is not None:
            motif = self._static(distortion, verdict)
            axis = orders is not None and orders.alone and orders.names[0] == "strain"
            return replace(motif, orders=orders, symmetry=2 if axis else 1)
        return self._whole(verdict)

    def _wanted(self, places: SitePlaces | None) -> str | None:
        """Rotation asked for, with "auto" resolved where there is no choice."""
        rotation = self.options.rotation
        if not rotation:
            return None
        if rotation != "auto":
            return str(rotation)
        if self.initial is not None and self.initial.rotation is not None:
            return self.initial.rotation
        if places is None or self.options.translation:
            reason = "there are no positions" if places is None else "sub-images have shifts"
            _logger.info("rVAE: rotation='auto' is 'motif', because %s.", reason)
            return "motif"
        return "auto"

    def _turning(self) -> tuple[pose.PoseModel, Tensor, AnglePosterior]:
        """Template that turns, the harmonics it holds for, and their posterior; fitted once."""
        if self._turned is None:
            harmonics = self.harmonics
            if self.recentred is not None:
                prior = float(self.options.shift_prior)
                harmonics = self.recentred.centre(prior, self.initial)
            model = self._fit_angles(harmonics, True)
            posterior = model.posterior(harmonics)
            if self.recentred is not None:
                model, harmonics, posterior = self.recentred.refine(
                    model, harmonics, posterior, self.options.n_factors
                )
            self._turned = model, harmonics, posterior
        return self._turned

    def _fit_angles(self, harmonics: Tensor, rotation: bool) -> pose.PoseModel:
        start = None
        if self.initial is not None and self.initial.pose.rotation == rotation:
            start = self.initial.pose.to(harmonics.device)
        model, history = fit_angles(
            harmonics, self.options, self.generator, self.progress, start, rotation
        )
        self.history |= history
        return model

    def _whole(self, verdict: Verdict) -> _Motif:
        """Motif that turns as a whole."""
        model, harmonics, posterior = self._turning()
        order = pose.fit_order(harmonics, model, posterior.angle)
        amplitude = order.amplitude(harmonics, posterior.angle)
        scatter = scatter_of_posterior(posterior, amplitude, order)
        common = align(harmonics, posterior.angle)
        symmetry = max(pose.motif_symmetry(posterior), verdict.multiple)
        return _Motif(model, order, common, scatter, None, verdict, symmetry)

    def _static(self, distortion: Distortion | None, verdict: Verdict | None) -> _Motif:
        """Motif that stays, with or without a distortion that turns."""
        harmonics = self.harmonics
        if self.recentred is not None:
            harmonics = self.recentred.centre(float(self.options.shift_prior), self.initial)
        model = self._fit_angles(harmonics, False)
        if self.recentred is not None:
            model, harmonics, _ = self.recentred.refine(
                model, harmonics, model.posterior(harmonics), self.options.n_factors
            )
        common, reading = harmonics, None
        if distortion is not None:
            reading = distortion.read(harmonics.cpu().numpy())
            common = without_direction(harmonics, reading, distortion)
        order = OrderFilter(model)
        return _Motif(model, order, common, 0.0, distortion, verdict, reading=reading)


def _posterior_of(
    reading: Reading, static: AnglePosterior, distortion: Distortion
) -> AnglePosterior:
    """Posterior of the angles of a distortion, beside the likelihood of the static motif."""
    where = static.angle
    angle, std = (torch.as_tensor(v).to(where) for v in (reading.angle, reading.angle_std))
    gain = torch.as_tensor(distortion.log_likelihood_gain(reading.displacement)).to(where)
    likelihood = static.log_likelihood + gain
    modes, weights, widths = angle[:, None], torch.ones_like(angle)[:, None], std[:, None]
    if reading.density is not None:
        score = torch.as_tensor(np.log(np.maximum(reading.density, 1e-37))).to(where)
        modes, weights, widths = pose.modes_of(score, angle)
        widths = distortion.widening * widths
    return AnglePosterior(angle, std, modes, weights, widths, likelihood)
