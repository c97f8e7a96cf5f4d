# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE as an estimator on arrays of sub-images."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from ..exceptions import ModelMismatch
from ..masked_arrays import refuse_masked
from ..parallel import active_client
from .batches import n_blocks, rows_to_fit
from .checks import DEFAULTS, check_images, check_settings
from .coefficients import Coefficients
from .decoding import Decoding
from .device import pick_device
from .harmonic.average import N_ROUNDS as N_SETTLING
from .harmonic.random_starts import N_ANNEAL, N_BLIND
from .harmonic.shifts import N_CENTRING, N_ROUNDS
from .pose import N_POSE
from .state import fit_identity
from .storage import MODELS, Storage
from .torch_state import default_torch_state
from .training import Progress, TrainingSettings, warn_if_stopped


class RVAE(Decoding, Storage, TransformerMixin, BaseEstimator):
    """Rotationally invariant variational autoencoder of sub-images.

    A sub-image is modelled as one motif, decoded from ``output_dimension`` content latents and
    turned by an angle of its own (AIP Advances 12, 105122 (2022)). The harmonic architecture works
    in polar Fourier space, where a rotation is a phase: the posterior of the angle is computed,
    not learned, and the content cannot turn the image. The convolutional architecture is the
    paper's: one network reads angle, shift and latents off the pixels, another draws the turned
    image. It is there to repeat the paper: it takes thousands of times longer, and its angles can
    fail.

    It is a scikit-learn estimator (``clone``, ``get_params``, ``set_params``, cross-validation with
    its own ``score``) on arrays or dask arrays, and needs no HyperSpy.

    Parameters
    ----------
    output_dimension : int or "auto"
        Number of content latents; "auto" adds latents as long as each lowers the loss of held-out
        sub-images by more than 1 nat, up to 8.
    architecture : {"harmonic", "convolutional"}
        Kind of model.
    rotation : bool
        Whether sub-images have angles; without, the model is a plain autoencoder.
    translation : bool
        Whether sub-images have shifts. On windows that are centred on their columns a polar
        displacement is a shift of the other sublattice, so that shift and angle compete: leave it
        False unless positions are off by more than about 0.2 px.
    subtract_average : bool
        Whether angles are those of the deviations of sub-images, brought to one contrast, from
        their average as it goes with the rotational mean (composition, thickness). An undistorted
        lattice, aberrations and scan distortion do not turn with a variant; where they outweigh
        the distortion, all sites come out with one and the same angle without it. Leave it False
        otherwise: the lattice helps to find the angles of weak distortions. The average needs
        sites of more than one variant. Harmonic only, without translation.
    shift_prior : float
        Standard deviation of each component of the shift before the data are seen, in px. The
        paper's was 0.1 of half a window: 2.35 px for windows of 48 px.
    shift_delay : float
        Convolutional only: share of the epochs in which the shift is held at 0, so that the angle
        settles first; 0 releases both at once, as the paper does. The harmonic model always finds
        angles first.
    rotation_prior : float
        Convolutional only: width in radians to which the posteriors of the angle are drawn. Their
        means are free.
    n_init : int
        Random starts of the search for angles; the likeliest is kept. How far they agree is
        logged, and stands in ``history_``.
    n_factors : int
        Directions of the pose-frame covariance (see :mod:`hs_rvae.rvae.pose`).
    epochs, batch_size, learning_rate : int, int, float, or None
        Training of the network. None: harmonic 15 epochs, a batch size that grows with the number
        of sites, 2e-3; convolutional 100, 32, 1e-4 (as the paper).
    max_fit_sites : int
        A random subset of this many sites is fitted when there are more; all are encoded.
        See `strata` of :meth:`fit`.
    q_max : float, optional
        Highest spatial frequency used, in cycles/px; None = from the data, logged.
    memory_budget : int or str, optional
        Bytes, or text such as ``"2 GB"``, for the coefficients that :meth:`fit_transform` keeps (a
        fifth of the bytes of the pixels). Beyond, they go to a temporary zarr store in dask's
        ``temporary-directory``. None = a quarter of the free memory.
    random_state : int, numpy.random.Generator or None
        Seed of everything random. The same seed gives the same result, bit for bit on one CPU.
    device : str or torch.device, optional
        None takes CUDA where there is one.
    show_progressbar : bool or None
        Progress bar with loss and remaining time; None = off. Stacks follow HyperSpy's preference.

    Attributes
    ----------
    history_ : dict of str to numpy.ndarray
        In nats per site: ``pose_log_likelihood`` per iteration of the angle search; ``loss``,
        ``reconstruction``, ``kl`` and ``validation_loss`` (held-out tenth, convolutional 15 %) per
        epoch of the network; ``start_log_likelihood`` of the random starts on the sites they saw,
        and ``start_agreement`` (1 = the same angles as the likeliest start, up to one offset; no
        unit); ``output_dimension_loss`` of held-out sites for 1, 2, ... latents, with "auto".
    n_latents_ : int
        Number of content latents.
    window_size_ : int
        Width of the sub-images fitted, in px.
    n_sites_fit_ : int
        Number of sub-images the model was fitted to.
    pixel_size_, pixel_units_ : float and str, or None
        Size of the pixels fitted, set by the stack that was fitted and saved with the model; None
        if it is not known.
    path_ : pathlib.Path or None
        File that the model was saved to or loaded from last.
    lattice_symmetry_ : int
        n if a turn of 360/n degrees maps the motif without its distortion onto itself, as far as
        the motif tells: 2, 3, 4 or 6; 1 if none does.
    dropped_variance_ : float
        Share of the variance above the noise that the truncation in frequency drops.
    angle_scatter_ : float
        Scatter of angles about their wells, in radians, beyond the width of their posteriors; part
        of ``angle_std``. 0 if the angles lie in no wells.
    fit_id_ : str
        Identity of the fit: a digest of what was fitted, the same after saving and loading. A site
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

    pixel_size_ = None
    pixel_units_ = None

    def __init__(
        self,
        output_dimension=2,
        architecture="harmonic",
        rotation=True,
        translation=False,
        *,
        subtract_average=False,
        shift_prior=0.5,
        shift_delay=0.3,
        rotation_prior=0.1,
        n_init=3,
        n_factors=16,
        epochs=None,
        batch_size=None,
        learning_rate=None,
        max_fit_sites=10_000,
        q_max=None,
        memory_budget=None,
        random_state=None,
        device=None,
        show_progressbar=None,
    ):
        self.output_dimension = output_dimension
        self.architecture = architecture
        self.rotation = rotation
        self.translation = translation
        self.subtract_average = subtract_average
        self.shift_prior = shift_prior
        self.shift_delay = shift_delay
        self.rotation_prior = rotation_prior
        self.n_init = n_init
        self.n_factors = n_factors
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_fit_sites = max_fit_sites
        self.q_max = q_max
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.device = device
        self.show_progressbar = show_progressbar

    def __repr__(self, N_CHAR_MAX=700):  # as scikit-learn calls it
        fitted = f", fitted to {self.n_sites_fit_} sites" if self._is_fitted else ""
        n = self.n_latents_ if fitted else self.output_dimension
        return f"<RVAE {self.architecture}, {n} content latents{fitted}>"

    @property
    def _is_fitted(self):
        return hasattr(self, "_model")

    def __sklearn_is_fitted__(self):
        return self._is_fitted

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, images, offsets=None, *, initial_model=None, strata=None):
        """Fit the model.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w)
            Sub-images centred on their columns. A dask array is read one chunk at a time.
        offsets : numpy.ndarray, shape (n, 2), optional
            Column minus window centre, (x, y) in px, for windows cut at whole pixels.
        initial_model : RVAE, optional
            A fitted model to start from: its motif, angles' zero, intensity scale and frequencies
            are taken over and refined, without a blind search; its content too, where the number
            of latents is the same.
        strata : numpy.ndarray of int, shape (n,), optional
            Number of the image or frame of each sub-image. If only `max_fit_sites` are fitted, each
            image gives the same share of its sites.

        Returns
        -------
        RVAE
            Itself.

        Raises
        ------
        ValueError
            If a setting or the shape of the images is not usable.
        """
        with default_torch_state():
            return self._fit(images, offsets, initial_model, strata)

    def _fit(self, images, offsets, initial_model=None, strata=None, coefficients=None):
        """:meth:`fit`; `coefficients` are filled with those of all sub-images."""
        check_settings(self)
        offsets = check_images(images, offsets)
        refuse_masked(strata=strata)
        initial = None if initial_model is None else self._initial(initial_model, images)
        device = pick_device(self.device)
        seed = int(np.random.default_rng(self.random_state).integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        rows = rows_to_fit(len(images), self.max_fit_sites, generator, strata)
        defaults = DEFAULTS[self.architecture]
        given = {k: getattr(self, k) for k in ("epochs", "batch_size", "learning_rate")}
        given = {k: v for k, v in given.items() if v is not None}
        settings = TrainingSettings(**(defaults | given))
        n_steps = n_blocks(images, rows if coefficients is None else None) + settings.epochs
        if self.architecture == "harmonic":
            n_steps += N_POSE + (N_CENTRING + N_ROUNDS + 1) * bool(self.translation)
            n_steps += N_SETTLING * bool(self.subtract_average)
            n_steps += (self.n_init * N_ANNEAL + N_BLIND) * bool(self.rotation and initial is None)
        data, kept = (images, offsets, rows), {}
        if coefficients is not None:
            kept["coefficients"] = coefficients
        with Progress(n_steps, bool(self.show_progressbar)) as progress:
            self._model = MODELS[self.architecture].fit(
                *data, self, settings, generator, device, progress, initial, **kept
            )
        self._publish()
        self.pixel_size_ = self.pixel_units_ = None  # arrays do not know
        warn_if_stopped(progress)
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
        offsets = check_images(images, offsets)
        self._check_window(images)
        show = self.show_progressbar if show_progressbar is None else show_progressbar
        with default_torch_state():
            return self._model.encode(images, offsets, pick_device(self.device), show)

    def score(self, images, offsets=None):
        """Mean log-likelihood of sub-images that need not have been fitted (held out).

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w)
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

    def angle_posterior(self, images, offsets=None, *, n_angles=360, zero=0.0):
        """Whole posterior of the angles of sub-images.

        Parameters
        ----------
        images : numpy.ndarray or dask.array.Array, shape (n, w, w)
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
                "with rotation=True."
            )
        if isinstance(n_angles, bool) or not isinstance(n_angles, int | np.integer) or n_angles < 2:
            raise ValueError(f"n_angles={n_angles!r}: give a whole number of 2 or more.")
        offsets = check_images(images, offsets)
        self._check_window(images)
        with default_torch_state():
            device = pick_device(self.device)
            return self._model.angle_distribution(
                images, offsets, device, int(n_angles), float(zero)
            )

    def fit_transform(self, images, offsets=None, *, initial_model=None, strata=None):
        """Fit to the sub-images, then :meth:`transform` them, in one pass over the pixels.

        The coefficients of all are kept in between (see `memory_budget`); not so on the workers of
        dask.distributed, and not with shifts, which need the pixels again.

        Parameters
        ----------
        images, offsets, initial_model, strata
            As in :meth:`fit`.

        Returns
        -------
        RVAEResult
        """
        on_workers = hasattr(images, "dask") and active_client() is not None
        if on_workers or self.architecture != "harmonic" or self.translation:
            with default_torch_state():
                self._fit(images, offsets, initial_model, strata)
            return self.transform(images, offsets)
        with default_torch_state(), Coefficients(self.memory_budget) as coefficients:
            self._fit(images, offsets, initial_model, strata, coefficients)
            device = pick_device(self.device)
            return self._model.encode(coefficients.array, None, device, self.show_progressbar)

    def _publish(self):
        """The fitted attributes, named as scikit-learn names them."""
        self.path_ = None
        self.history_ = self._model.history
        self.window_size_ = self._model.grid.window_size
        self.n_sites_fit_ = self._model.n_sites_fit
        self.dropped_variance_ = self._model.dropped_variance
        self.angle_scatter_ = self._model.angle_scatter
        self.n_latents_ = self._model.n_latents
        self.lattice_symmetry_ = self._model.lattice_symmetry
        self.fit_id_ = fit_identity(*self._model.state())

    def _initial(self, model, images):
        """The fitted model inside an RVAE that is to be started from."""
        if not isinstance(model, RVAE) or not model._is_fitted:
            raise TypeError(f"initial_model={model!r}: give a fitted RVAE.")
        model._check_window(images)
        if model.architecture != self.architecture:
            raise ValueError(
                f"initial_model has architecture={model.architecture!r}, this model has "
                f"{self.architecture!r}; give both the same."
            )
        for name in ("rotation", "subtract_average"):
            theirs, own = getattr(model, name), getattr(self, name)
            if bool(theirs) != bool(own):
                raise ValueError(
                    f"initial_model has {name}={theirs}, this model has {name}={own}; give both "
                    "the same."
                )
        return model._model

    def _check_window(self, images):
        if images.shape[1] != self.window_size_:
            raise ModelMismatch(
                f"images have windows of {images.shape[1]} px, the model was fitted to "
                f"{self.window_size_} px; cut windows of that size."
            )

    def _check_fitted(self, verb):
        if not self._is_fitted:
            raise NotFittedError(
                f"{verb}: this RVAE is not fitted yet; call fit() or RVAE.load() first."
            )
