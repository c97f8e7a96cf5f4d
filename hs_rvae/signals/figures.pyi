# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hs_rvae import plots
from hs_rvae.diagnostics import Diagnostics
from hs_rvae.signals.learning import LearningMethods
from hs_rvae.signals.meaning import MeaningMethods

class FigureMethods(MeaningMethods, LearningMethods):
    def plot_site_map(
        self,
        column: Any,
        *,
        image: Any = None,
        frame: Any = None,
        kind: Any = None,
        cmap: Any = None,
        limits: Any = None,
        percentiles: Any = (1, 99),
        marker_size: Any = None,
        scale_bar: Any = None,
        colorbar: Any = True,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def save_movie(
        self,
        path: str | os.PathLike[str],
        column: str,
        *,
        image: Any = None,
        show_progressbar: bool | None = None,
        frames: Any = None,
        fps: Any = 5,
        dpi: Any = 150,
        kind: Any = None,
        cmap: Any = None,
        limits: Any = None,
        percentiles: Any = (1, 99),
        marker_size: Any = None,
        scale_bar: Any = None,
        colorbar: Any = True,
        font_size: Any = None,
    ) -> Path: ...
    def plot_polar_map(
        self,
        angle: Any = "angle",
        amplitude: Any = "auto",
        *,
        image: Any = None,
        sign: Any = 1,
        signed: Any = None,
        limits: Any = None,
        percentiles: Any = (1, 99),
        cmap: Any = None,
        arrows: Any = False,
        wheel: Any = True,
        marker_size: Any = None,
        scale_bar: Any = None,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_method_comparison(
        self,
        methods: Any,
        color: Any = "cluster",
        *,
        image: Any = None,
        maps: Any = True,
        contours: Any = True,
        cmap: Any = None,
        font_size: Any = None,
        figure: Any = None,
    ) -> Figure: ...
    def plot_angle_histogram(
        self,
        column: Any = "angle",
        *,
        bins: Any = 72,
        polar: Any = False,
        fold: Any = 1,
        variants: Any = None,
        cmap: Any = None,
        color: Any = None,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_scatter(
        self,
        x: Any,
        y: Any,
        color: Any = None,
        *,
        contours: Any = True,
        kind: Any = None,
        cmap: Any = None,
        limits: Any = None,
        percentiles: Any = (1, 99),
        marker_size: Any = None,
        alpha: Any = None,
        colorbar: Any = True,
        equal: Any = False,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_polar_scatter(
        self,
        x: Any,
        y: Any,
        angle: Any = "angle",
        amplitude: Any = "latent_0",
        *,
        sign: Any = 1,
        signed: Any = None,
        limits: Any = None,
        percentiles: Any = (1, 99),
        cmap: Any = None,
        wheel: Any = True,
        marker_size: Any = None,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_latent_space(
        self,
        color: str | None = "angle",
        axes: tuple[int | str, int | str] = (0, 1),
        *,
        contours: Any = True,
        kind: Any = None,
        cmap: Any = None,
        limits: Any = None,
        percentiles: Any = (1, 99),
        marker_size: Any = None,
        alpha: Any = None,
        colorbar: Any = True,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_rvae_manifold(
        self,
        shape: tuple[int, int] = (10, 10),
        limits: tuple[float, float] = (-2.0, 2.0),
        axes: tuple[int, int] = (0, 1),
        *,
        normalise: Any = "common",
        intensity_limits: Any = None,
        percentiles: Any = (0.5, 99.5),
        cmap: Any = "gray",
        gap: Any = 0.06,
        colorbar: Any = True,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Figure: ...
    def plot_rvae_history(
        self, *, title: Any = None, font_size: Any = None, ax: Any = None
    ) -> Figure: ...
    def plot_rvae_diagnostics(
        self,
        diagnostics: Diagnostics | None = None,
        *,
        n_shuffles: int = 30,
        max_sites: int = 1000,
        random_state: int | np.random.Generator | None = None,
        cmap: Any = None,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_cluster_means(
        self,
        column: str = "cluster",
        *,
        n_columns: Any = None,
        cmap: Any = "gray",
        intensity_limits: Any = None,
        colorbar: Any = True,
        title: Any = None,
        font_size: Any = None,
        figure: Any = None,
    ) -> Figure: ...
    def plot_cluster_metric(
        self, *, title: Any = None, font_size: Any = None, ax: Any = None
    ) -> Axes: ...
    def plot_image(
        self,
        *,
        image: Any = None,
        region: Any = None,
        boxes: Any = (),
        percentiles: Any = (0.5, 99.5),
        cmap: Any = "gray",
        scale_bar: Any = None,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot_sub_image(
        self,
        site: int,
        *,
        limits: Any = None,
        disk: Any = False,
        cmap: Any = "gray",
        scale_bar: Any = None,
        title: Any = None,
        font_size: Any = None,
        ax: Any = None,
    ) -> Axes: ...
    def plot(
        self,
        navigator: Any = "auto",
        *args: Any,
        color: str | None = None,
        image: Any = None,
        **kwargs: Any,
    ) -> plots.SiteNavigator | None: ...
    def _plot_upright(self, *args: Any, **kwargs: Any) -> None: ...
    def explore(
        self, x: str = "latent_0", y: str = "latent_1", color: str = "angle", *, image: Any = None
    ) -> plots.Explorer: ...
    def _sites_to_explore(self) -> None: ...
    def _details_of(self, site: int) -> dict[str, Any]: ...
    def _registered_manifold(
        self, shape: tuple[int, int], limits: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def _image_to_plot(self, image: Any) -> np.ndarray | None: ...
    def _image_of_sites(self) -> Any: ...
    def _intensity_label(self) -> str: ...
    def _extent_of_windows(self) -> tuple[tuple[float, float, float, float], str]: ...
