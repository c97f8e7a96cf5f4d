# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE as a scikit-learn estimator on arrays of sub-images."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from ..checks import checked, is_whole_number
from ..exceptions import ModelMismatch
from ..files import plain
from ..masked_arrays import filled, refuse_masked
from ..parallel import active_client
from ..progress import Progress
from ..signatures import joined_docstring
from ..wording import count_of
from .batches import Images, n_blocks, rows_to_fit
from .checks import check_detectors, check_images, check_places, check_settings
from .coefficients import Coefficients
from .convolutional.model import ConvolutionalModel
from .device import pick_device
from .harmonic.angle_search import N_ANNEAL, N_REFINE
from .harmonic.model import HarmonicModel
from .harmonic.one_detector import OneDetector
from .harmonic.shifts import N_CENTRING, N_ROUNDS
from .pose import N_POSE
from .results import AngleDistribution, RVAEResult
from .settings import RVAESettings
from .storage import FORMAT, fit_identity, read_model, write_model
from .torch_state import default_torch_state, in_default_torch_state
from .training import TrainingSettings, warn_if_stopped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..verdict import Verdict

#: Kinds of model by architecture.
MODELS: dict[str, Any] = {"harmonic": HarmonicModel, "convolutional": ConvolutionalModel}

_MAX_STEPS = 10_000  # of a manifold
_ENOUGH_SITES, _MANY_SITES = 4_000, 10_000  # of a fit: of one image, and where more are needed


class RVAE(  # type: ignore[call-arg]
    RVAESettings, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Rotationally invariant variational autoencoder of sub-images.

    Sub-images (n, n_detectors, w, w) of several detectors of one scan are fitted together: a site
    has one angle, and each detector its own static part, template and noise.

    A sub-image is modelled as a motif, decoded from ``output_dimension`` content latents, and an
    angle of its own. Either a distortion turns by this angle while the lattice stays, or the whole
    motif turns, as in AIP Advances 12, 105122 (2022). The harmonic architecture works in polar
    Fourier space, where a rotation is a phase: the posterior of the angle is computed, not
    learned, and the content cannot turn the image. The convolutional architecture is that of
    the paper: one network infers angle, shift and latents from the pixels, another draws the
    turned image. It serves to repeat the paper: it takes thousands of times longer, and its angles
    can fail.

    It is a scikit-learn estimator (``clone``, ``get_params``, ``set_params``, cross-validation with
    its own ``score``) on arrays or dask arrays, and needs no HyperSpy.

    Attributes
    ----------
    history_ : dict of str to numpy.ndarray
        In nats per site: ``pose_log_likelihood`` per iteration of the angle search; ``loss``,
        ``reconstruction``, ``kl`` and ``validation_loss`` (held-out tenth, convolutional 15 %) per
        epoch of the network; ``start_log_likelihood`` of the random starts on the sites they were
        given, and ``start_agreement`` (1 = the same angles as the most likely start, up to one
        offset; no unit); ``output_dimension_loss`` of held-out sites for 1, 2, ... latents, with
        "auto".
    n_latents_ : int
        Number of content latents.
    latent_scree_ : numpy.ndarray
        Variance of the leading components of the content that other cells predict, from the largest
        on, in parts of their sum; without positions, that of the rotational mean. Empty for the
        convolutional architecture.
    n_latents_recommended_ : int or None
        Number of latents that the bend of this scree recommends, two or more. None without a
        scree.
    window_size_ : int
        Width of the sub-images fitted, in px.
    n_sites_fit_ : int
        Number of sites the model was fitted to.
    n_detectors_ : int
        Number of sub-images of each site.
    pixel_size_, pixel_units_ : float and str, or None
        Size of the pixels fitted, set by the stack that was fitted and saved with the model; None
        if it is not known.
    path_ : pathlib.Path or None
        File that the model was saved to or loaded from last.
    rotation_ : str or False
        Part that turns in the fitted model: "distortion", "motif", or False without angles.
    verdict_ : hs_rvae.verdict.Verdict or None
        What the evidence allows to state about the angles; None without angles.
    lattice_symmetry_ : int
        n if a turn of 360/n degrees maps the motif without its distortion onto itself, as far as
        the motif shows: 2, 3, 4 or 6; 1 if none does.
    motif_symmetry_ : int
        n if the angles of most sites are known up to turns of 360/n degrees only, because the motif
        is the same after such a turn; 1 for a distortion.
    dropped_variance_ : float
        Share of the variance above the noise that the truncation in frequency drops.
    angle_scatter_ : float
        Scatter of angles about their wells, in radians, beyond the width of their posteriors; part
        of ``angle_std``. 0 if the angles lie in no wells.
    angle_std_factor_ : float
        Errors of the angles of a distortion, in parts of the widths of their posteriors; part of
        ``angle_std``. 1 for a turning motif.
    fit_id_ : str
        Identity of the fit: a digest of its result, the same after saving and loading. A site
        table keeps that of the model that wrote it.

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

    pixel_size_: float | None = None
    pixel_units_: str | None = None
    path_: Path | None
    _model: Any  # a HarmonicModel or a ConvolutionalModel

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # as scikit-learn calls it
        fitted = f", fitted to {self.n_sites_fit_} sites" if self._is_fitted else ""
        n = self.n_latents_ if fitted else self.output_dimension
        return f"<RVAE {self.architecture}, {n} content latents{fitted}>"

    @property
    def _is_fitted(self) -> bool:
        return hasattr(self, "_model")

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.input_tags.allow_nan = True
        return tags

    @checked
    def fit(
        self,
        images: Images,
        offsets: np.ndarray | None = None,
        *,
        positions: ArrayLike | None = None,
        displacements: ArrayLike | None = None,
        initial_model: RVAE | None = None,
        strata: np.ndarray | None = None,
        diffraction: bool = False,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w) or (n, n_detectors, w, w)
            Sub-images centred on their columns. A dask array is read one chunk at a time.
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px, for windows cut at whole pixels.
        positions : array-like, shape (n, 2), optional
            Positions (x, y) of the columns in their image, in px; NaN where unknown. Sites that lie
            a few cells apart test the angles.
        displacements : array-like, shape (n, 2), optional
            Displacements (x, y) in px of the columns from the middle of their neighbours, as
            measured from positions; NaN where unknown. Where an aberration makes the sub-images
            asymmetric, they give the zero of the distortion.
        initial_model : RVAE, optional
            A fitted model to start from: its motif, zero of the angles, intensity scale and
            frequencies are taken over and refined, without a blind search; its content too, where
            the number of latents is the same.
        strata : numpy.ndarray of int, shape (n,), optional
            Number of the image or frame of each sub-image. Only sites of one image are compared.
            If only `max_fit_sites` are fitted, each image contributes the same share of its sites.
        diffraction : bool
            Whether the sub-images are diffraction patterns about the centre of the bright disk.
            Their change by a displacement is then learnt from all of them, rather than taken from
            the mean sub-image, and `displacements` are not used.

        Returns
        -------
        RVAE
            The fitted model itself.

        Raises
        ------
        ValueError
            If a setting or the shape of the images is not usable.
        """
        with default_torch_state():
            return self._fit(
                images, offsets, positions, displacements, initial_model, strata, diffraction
            )

    def _fit(
        self,
        images: Images,
        offsets: np.ndarray | None,
        positions: ArrayLike | None = None,
        displacements: ArrayLike | None = None,
        initial_model: RVAE | None = None,
        strata: np.ndarray | None = None,
        diffraction: bool = False,
        coefficients: Coefficients | None = None,
    ) -> Self:
        """Do the work of :meth:`fit`; `coefficients` are filled with those of all sub-images."""
        check_settings(self)
        offsets = check_images(images, offsets)
        check_detectors(self, images)
        refuse_masked(strata=strata, positions=positions, displacements=displacements)
        places = check_places(self, len(images), positions, displacements, strata, diffraction)
        initial = None if initial_model is None else self._initial(initial_model, images)
        device = pick_device(self.device)
        seed = int(np.random.default_rng(self.random_state).integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        where = None if places is None else places.positions
        rows = rows_to_fit(len(images), self._most_sites(strata), generator, strata, where)
        settings = TrainingSettings.of(self)
        n_steps = n_blocks(images, rows if coefficients is None else None) + settings.epochs
        if self.architecture == "harmonic":
            n_steps += N_POSE + (N_CENTRING + N_ROUNDS + 1) * bool(self.translation)
            searches = self.rotation == "motif" or (self.rotation and places is None)
            n_steps += (self.n_init * N_ANNEAL + N_REFINE) * bool(searches and initial is None)
        harmonic_only: dict[str, Any] = {}
        if self.architecture == "harmonic":
            harmonic_only = {"coefficients": coefficients, "places": places}
        with Progress(n_steps, bool(self.show_progressbar), "rVAE") as progress:
            self._model = MODELS[self.architecture].fit(
                images,
                offsets,
                rows,
                self,
                settings,
                generator,
                device,
                progress,
                initial,
                **harmonic_only,
            )
        self._publish()
        self.pixel_size_ = self.pixel_units_ = None  # arrays have no units
        warn_if_stopped(progress)
        return self

    @checked
    def transform(
        self,
        images: Images,
        offsets: np.ndarray | None = None,
        *,
        show_progressbar: bool | None = None,
    ) -> RVAEResult:
        """Infer angles and latents of sub-images under the fitted model.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w) or (n, n_detectors, w, w)
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px.
        show_progressbar : bool or None
            If None, the setting of the model.

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
        offsets = check_images(images, offsets)
        self._check_window(images)
        show = self.show_progressbar if show_progressbar is None else show_progressbar
        with default_torch_state():
            return self._model.encode(images, offsets, pick_device(self.device), show)

    def _most_sites(self, strata: np.ndarray | None) -> int:
        """Number of sites that are enough for a fit."""
        if self.max_fit_sites is not None:
            return self.max_fit_sites
        several = strata is not None and len(np.unique(strata)) > 1
        return _MANY_SITES if several or self.architecture != "harmonic" else _ENOUGH_SITES

    @checked
    def fit_transform(
        self,
        images: Images,
        offsets: np.ndarray | None = None,
        *,
        positions: ArrayLike | None = None,
        displacements: ArrayLike | None = None,
        initial_model: RVAE | None = None,
        strata: np.ndarray | None = None,
        diffraction: bool = False,
    ) -> RVAEResult:
        """Fit to the sub-images, then :meth:`transform` them, in one pass over the pixels.

        The coefficients of all sub-images are kept in between (see `memory_budget`). On the
        workers of dask.distributed, and with shifts, the pixels are read again instead.

        Parameters
        ----------
        images, offsets, positions, displacements, initial_model, strata, diffraction
            As in :meth:`fit`.

        Returns
        -------
        RVAEResult
        """
        on_workers = hasattr(images, "dask") and active_client() is not None
        if on_workers or self.architecture != "harmonic" or self.translation:
            with default_torch_state():
                self._fit(
                    images, offsets, positions, displacements, initial_model, strata, diffraction
                )
            return self.transform(images, offsets)
        with default_torch_state(), Coefficients(self.memory_budget) as coefficients:
            self._fit(
                images, offsets, positions, displacements, initial_model, strata, diffraction,
                coefficients,
            )  # fmt: skip
            device = pick_device(self.device)
            return self._model.encode(coefficients.array, None, device, self.show_progressbar)

    @checked
    def score(self, images: Images, offsets: np.ndarray | None = None) -> float:
        """Mean log-likelihood of sub-images that need not have been fitted (held out).

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w) or (n, n_detectors, w, w)
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px.

        Returns
        -------
        float
            In nats per sub-image, angle integrated out; those with non-finite pixels do not count.
            Models can be compared if they have one architecture and were fitted to the same images
            at the same scales (`q_max`), such as models with more or fewer `n_factors`.

        Raises
        ------
        ValueError
            If the window size differs from the fitted one.
        """
        result = self.transform(images, offsets, show_progressbar=False)
        return float(np.nanmean(result.log_likelihood))

    @checked
    def angle_posterior(
        self,
        images: Images,
        offsets: np.ndarray | None = None,
        *,
        n_angles: int = 360,
        zero: float = 0.0,
    ) -> AngleDistribution:
        """Whole posterior of the angles of sub-images.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w) or (n, n_detectors, w, w)
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px.
        n_angles : int
            Number of bins of the circle.
        zero : float
            Angle of the model, in radians, to be counted as 0.

        Returns
        -------
        AngleDistribution
            Named fields ``angles``, ``probability``, ``modes``, ``weights`` and ``widths``; NaN
            for sub-images with non-finite pixels. Widths contain ``angle_scatter_``.

        Raises
        ------
        ValueError
            If the model has no angles, or `n_angles` or the window size is not usable.
        """
        self._check_fitted("angle_posterior")
        if not self.rotation:
            raise ValueError(
                "rotation=False: the model has no angles, so they have no posterior; fit one "
                "with rotation='auto'."
            )
        if not is_whole_number(n_angles, 2):
            raise ValueError(f"n_angles={n_angles!r}: give a whole number of 2 or more.")
        offsets = check_images(images, offsets)
        self._check_window(images)
        with default_torch_state():
            device = pick_device(self.device)
            return self._model.angle_distribution(
                images, offsets, device, int(n_angles), float(zero)
            )

    @checked
    def inverse_transform(
        self,
        latent: ArrayLike,
        angle: ArrayLike | None = None,
        shift: ArrayLike | None = None,
        *,
        order: ArrayLike | None = None,
        window_size: int | None = None,
        pixel_step: float = 1.0,
    ) -> np.ndarray:
        """Decode latents into sub-images, turned and moved.

        Parameters
        ----------
        latent : numpy.ndarray, shape (n, output_dimension)
        angle : float or numpy.ndarray, shape (n,), optional
            Angle in radians. If None, 0: the common frame. If None and a
            distortion turns, the static part alone.
        shift : array-like, shape (2,) or (n, 2), optional
            Displacement (x, y) of the turned content and its disk in px, as a phase in Fourier
            space: exact except for what leaves the window. If None, 0.
        order : float or numpy.ndarray, shape (n,), optional
            Order amplitude: the strength of the distortion, 1 as in a typical distorted site, 0 for
            the static part alone. If None, 1. It has no effect where the whole motif turns.
        window_size : int, optional
            Width of the sub-images in px. If None, that of the fitted ones.
        pixel_step : float
            Size of their pixels, in px of the fitted images. The model is evaluated on them, not
            interpolated.

        Returns
        -------
        numpy.ndarray of float32, shape (n, w, w) or (n, n_detectors, w, w)
            In the units of the fitted images; outside the disk of the model the mean level.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If latent, angle, shift or order has the wrong shape.

        Examples
        --------
        >>> model.inverse_transform([[0.5, -1.0]], angle=np.pi / 2, shift=(0.3, -0.2))
        ... # doctest: +SKIP
        """
        self._check_fitted("inverse_transform")
        latent = np.atleast_2d(np.asarray(filled(latent), np.float32))
        if latent.ndim != 2:
            raise ValueError(f"latent has the shape {latent.shape}: give (n, {self.n_latents_}).")
        if latent.shape[1] != self.n_latents_:
            raise ValueError(
                f"latent has {latent.shape[1]} columns; the model has {self.n_latents_} latents: "
                "give one for each."
            )
        distorted = self.rotation_ == "distortion"
        static = angle is None and distorted
        angle = _one_for_each(angle, 0.0, "angle", len(latent))
        strength = _one_for_each(order, 1.0, "order", len(latent))
        more = {"order": strength} if distorted and order is not None else {}
        if shift is not None:
            shift = np.asarray(filled(shift), np.float32)
            if shift.shape not in ((2,), (len(latent), 2)):
                raise ValueError(
                    f"shift has shape {shift.shape}; (2,) or ({len(latent)}, 2) is expected."
                )
            shift = np.broadcast_to(shift, (len(latent), 2)).copy()
        step = float(pixel_step)
        with default_torch_state():
            device = pick_device(self.device)
            turned = None if static else angle
            return self._model.decode(latent, turned, device, shift, window_size, step, **more)

    @checked
    def manifold(
        self,
        shape: tuple[int, int] = (10, 10),
        limits: tuple[float, float] = (-2.0, 2.0),
        axes: tuple[int, ...] = (0, 1),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decode a grid of two content latents, the others at 0 (paper, Fig. 1e).

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
        images : numpy.ndarray of float32, shape (ny, nx, w, w) or (ny, nx, n_detectors, w, w)
        values_y, values_x : numpy.ndarray, shapes (ny,), (nx,)
            Latent values of rows and columns.
        """
        self._check_fitted("manifold")
        if min(shape) < 1 or shape[0] * shape[1] > _MAX_STEPS:
            raise ValueError(
                f"shape={shape}: give two numbers of steps, at most {_MAX_STEPS:,} in all."
            )
        if len(axes) < min(self.n_latents_, 2):
            raise ValueError(f"axes={axes}: give the numbers of two latents.")
        one = self.n_latents_ == 1
        n_y, n_x = (1, shape[1]) if one else shape
        bad = [a for a in axes[: 1 if one else 2] if not 0 <= a < self.n_latents_]
        if bad:
            raise ValueError(f"axes={axes}: the model has latents 0 to {self.n_latents_ - 1}.")
        values_x = np.linspace(*limits, n_x)
        values_y = np.zeros(1) if one else np.linspace(*limits, n_y)
        latent = np.zeros((n_y, n_x, self.n_latents_), np.float32)
        latent[..., axes[0]] = values_x
        if not one:
            latent[..., axes[1]] = values_y[:, None]
        images = self.inverse_transform(latent.reshape(-1, self.n_latents_))
        return images.reshape(n_y, n_x, *images.shape[1:]), values_y, values_x

    @in_default_torch_state
    @checked
    def save(self, path: str | Path) -> Path:
        """Write the fitted model as safetensors, with its settings in the header.

        Parameters
        ----------
        path : str or pathlib.Path
            Usually ending in ``.safetensors``.

        Returns
        -------
        pathlib.Path
            The file, complete: a failed write leaves nothing behind.

        Raises
        ------
        OSError
            If the file cannot be written; the message has its name.
        """
        self._check_fitted("save")
        tensors, header = self._model.state()
        settings = self.get_params(deep=False)
        if not isinstance(plain(settings["random_state"]), int | None):
            settings["random_state"] = None
        settings["device"] = settings["show_progressbar"] = settings["memory_budget"] = None
        header = {"format": FORMAT, "settings": settings, "model": header}
        header |= {"pixel_size": self.pixel_size_, "pixel_units": self.pixel_units_}
        path = write_model(path, tensors, header)
        self.path_ = path.absolute()
        return path

    @classmethod
    @in_default_torch_state
    @checked
    def load(cls, path: str | Path, device: str | torch.device | None = None) -> Self:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
        device : str or torch.device, optional
            Device to use it on. If None, CUDA where it is available.

        Returns
        -------
        RVAE
            Gives the same results as the saved one.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file does not contain a model in this format.
        """
        tensors, header = read_model(path, FORMAT)
        try:
            model = cls(**header["settings"])
            kind = MODELS[model.architecture]
            model._model = kind.from_state(tensors, header["model"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"path={str(path)!r} does not hold what this version of hs_rvae reads ({error}); "
                "it was written by another version, or is damaged."
            ) from error
        model.device = device
        model._publish()
        model.path_ = Path(path).absolute()
        model.pixel_size_, model.pixel_units_ = header.get("pixel_size"), header.get("pixel_units")
        return model

    @checked
    def of_detector(self, detector: int) -> RVAE:
        """Part of a model of several detectors that decodes the sub-images of one.

        Parameters
        ----------
        detector : int
            Number of the detector.

        Returns
        -------
        RVAE
            With the attributes of this model. It decodes, but does not encode.

        Raises
        ------
        ValueError
            If there is no such detector.
        """
        self._check_fitted("of_detector")
        if not is_whole_number(detector, 0) or detector >= self.n_detectors_:
            raise ValueError(f"detector={detector!r}: there are 0 to {self.n_detectors_ - 1}.")
        if self.n_detectors_ == 1:
            return self
        part = copy.copy(self)
        part._model = OneDetector(self._model, int(detector))
        return part

    def _publish(self) -> None:
        """Set the fitted attributes, named as scikit-learn names them."""
        self.path_ = None
        self.history_: dict[str, np.ndarray] = self._model.history
        self.window_size_: int = self._model.grid.window_size
        self.n_detectors_: int = self._model.grid.n_detectors
        self.n_sites_fit_: int = self._model.n_sites_fit
        self.dropped_variance_: float = self._model.dropped_variance
        self.angle_scatter_: float = self._model.angle_scatter
        self.angle_std_factor_: float = getattr(self._model, "angle_std_factor", 1.0)
        self.n_latents_: int = self._model.n_latents
        given = getattr(self._model, "encoder_input", None)
        self.latent_scree_: np.ndarray = np.empty(0) if given is None else given.scree
        self.n_latents_recommended_: int | None = None if given is None else given.n_latents
        self.lattice_symmetry_: int = self._model.lattice_symmetry
        self.motif_symmetry_: int = self._model.motif_symmetry
        self.rotation_: str | bool = self._model.rotation or False
        self.verdict_: Verdict | None = self._model.verdict
        self.fit_id_ = fit_identity(*self._model.state())

    def _initial(self, model: RVAE, images: Images) -> HarmonicModel | ConvolutionalModel:
        """Fitted model inside the RVAE that a fit starts from."""
        if not isinstance(model, RVAE) or not model._is_fitted:
            raise TypeError(f"initial_model={model!r}: give a fitted RVAE.")
        model._check_window(images)
        if model.architecture != self.architecture:
            raise ValueError(
                f"initial_model has architecture={model.architecture!r}, this model has "
                f"{self.architecture!r}; give both the same."
            )
        before, now = model.rotation_, self.rotation
        if now != before and not (now == "auto" and before):
            raise ValueError(
                f"initial_model has rotation={before!r}, this model has rotation={now!r}; give "
                "both the same."
            )
        return model._model

    def _check_window(self, images: Images) -> None:
        n_detectors = images.shape[1] if len(images.shape) == 4 else 1
        if n_detectors != self.n_detectors_:
            raise ModelMismatch(
                f"images are those of {count_of(n_detectors, 'detector')}, the model was fitted to "
                f"{self.n_detectors_}: give (n, n_detectors, w, w) with the same detectors."
            )
        if images.shape[-1] != self.window_size_:
            raise ModelMismatch(
                f"images have windows of {images.shape[-1]} px, the model was fitted to "
                f"{self.window_size_} px; cut windows of that size."
            )

    def _check_fitted(self, verb: str) -> None:
        if not self._is_fitted:
            raise NotFittedError(
                f"{verb}: this RVAE is not fitted yet; call fit() or RVAE.load() first."
            )


RVAE.__doc__ = joined_docstring(RVAESettings, RVAE, list(inspect.signature(RVAE).parameters))


def _one_for_each(values: ArrayLike | None, default: float, name: str, n: int) -> np.ndarray:
    """Numbers (n,) of float32, from one number or one for each sub-image."""
    numbers = np.asarray(default if values is None else filled(values), np.float32)
    if numbers.shape not in ((), (n,)):
        raise ValueError(
            f"{name} has shape {numbers.shape}; a number or ({n},) is expected, one for each row "
            "of latent."
        )
    return np.broadcast_to(numbers, n).copy()
