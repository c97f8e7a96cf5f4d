# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from hs_rvae import plots
from hs_rvae.diagnostics import Diagnostics
from hs_rvae.signals.domains import DomainMethods
from hs_rvae.signals.learning import LearningMethods

class FigureMethods(DomainMethods, LearningMethods):
    def plot_site_map(
        self,
        column: str,
        *,
        image: Any = None,
        frame: int | None = None,
        kind: str | None = None,
        cmap: str | Colormap | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        least_order: float | None = 0.5,
        class_labels: Mapping[int, str] | str | None = None,
        marker_size: float | None = None,
        scale_bar: bool | str | None = None,
        colorbar: bool = True,
        label: str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def save_movie(
        self,
        path: str | os.PathLike[str],
        column: str,
        *,
        image: Any = None,
        show_progressbar: bool | None = None,
        frames: Iterable[int] | None = None,
        fps: float = 5,
        dpi: float = 150,
        kind: str | None = None,
        cmap: str | Colormap | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        marker_size: float | None = None,
        scale_bar: bool | str | None = None,
        colorbar: bool = True,
        font_size: float | None = None,
    ) -> Path: ...
    def plot_polar_map(
        self,
        angle: str = "angle",
        amplitude: str | None = "auto",
        *,
        image: Any = None,
        sign: int = 1,
        signed: bool | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        least_order: float | None = 0.5,
        cmap: str | Colormap | None = None,
        arrows: bool = False,
        wheel: bool = True,
        label: str | None = None,
        marker_size: float | None = None,
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_domains(
        self,
        column: str = "domain",
        *,
        image: Any = None,
        numbers: bool = True,
        legend: bool = True,
        colorbar: bool = False,
        marker_size: float | None = None,
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_modes(
        self,
        *,
        image: Any = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        marker_size: float | None = None,
        font_size: float | None = None,
        figure: Any = None,
    ) -> Figure: ...
    def plot_method_comparison(
        self,
        methods: Mapping[str, tuple[str, str]] | Sequence[str],
        color: str | Mapping[str, str] = "cluster",
        *,
        image: Any = None,
        maps: bool = True,
        contours: bool = True,
        cmap: str | Colormap | None = None,
        font_size: float | None = None,
        figure: Any = None,
    ) -> Figure: ...
    def plot_angle_histogram(
        self,
        column: str = "angle",
        *,
        variants: str | int | Sequence[float] | None = "auto",
        bins: int = 72,
        polar: bool = False,
        fold: int = 1,
        least_order: float | None = 0.5,
        cmap: str | Colormap | None = None,
        color: str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_scatter(
        self,
        x: str,
        y: str,
        color: str | None = None,
        *,
        contours: bool = True,
        kind: str | None = None,
        cmap: str | Colormap | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        marker_size: float | None = None,
        alpha: float | None = None,
        colorbar: bool = True,
        label: str | None = None,
        equal: bool = False,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_polar_scatter(
        self,
        x: str = "latent_0",
        y: str = "latent_1",
        angle: str = "angle",
        amplitude: str | None = "latent_0",
        *,
        sign: int = 1,
        signed: bool | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        least_order: float | None = 0.5,
        cmap: str | Colormap | None = None,
        wheel: bool = True,
        label: str | None = None,
        marker_size: float | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_latent_space(
        self,
        color: str | None = "angle",
        axes: tuple[int | str, int | str] = (0, 1),
        *,
        contours: bool = True,
        kind: str | None = None,
        cmap: str | Colormap | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        marker_size: float | None = None,
        alpha: float | None = None,
        colorbar: bool = True,
        label: str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_rvae_manifold(
        self,
        shape: tuple[int, int] = (5, 5),
        limits: tuple[float, float] = (-2.0, 2.0),
        axes: tuple[int, int] = (0, 1),
        *,
        n_angles: int = 8,
        normalise: str = "common",
        intensity_limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (0.5, 99.5),
        cmap: str | Colormap = "gray",
        gap: float = 0.06,
        colorbar: bool = True,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_rvae_history(
        self, *, title: str | None = None, font_size: float | None = None, ax: Any = None
    ) -> Figure: ...
    def plot_rvae_diagnostics(
        self,
        diagnostics: Diagnostics | None = None,
        *,
        n_shuffles: int = 30,
        max_sites: int = 1000,
        random_state: int | np.random.Generator | None = None,
        cmap: str | Colormap | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_cluster_means(
        self,
        column: str = "cluster",
        *,
        n_columns: int | None = None,
        cmap: str | Colormap = "gray",
        intensity_limits: Sequence[float] | None = None,
        colorbar: bool = True,
        title: str | None = None,
        font_size: float | None = None,
        figure: Any = None,
    ) -> Figure: ...
    def plot_cluster_metric(
        self, *, title: str | None = None, font_size: float | None = None, ax: Axes | None = None
    ) -> Axes: ...
    def plot_image(
        self,
        *,
        image: Any = None,
        region: Any = None,
        boxes: Iterable[Any] = (),
        percentiles: Sequence[float] = (0.5, 99.5),
        cmap: str | Colormap = "gray",
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_columns(
        self,
        *,
        image: Any = None,
        region: Any = None,
        marker_size: float | None = None,
        legend: bool = True,
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ) -> Axes: ...
    def plot_sub_image(
        self,
        site: int,
        *,
        limits: Sequence[float] | None = None,
        disk: bool = False,
        cmap: str | Colormap = "gray",
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
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
    def _options_for_angles(
        self, column: str, options: dict[str, Any], *, titled: bool = True
    ) -> dict[str, Any]: ...
    def _directions_to_mark(self, column: str, variants: Any) -> Any: ...
    def _distortion_to_plot(self, n_angles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def _registered_manifold(
        self, shape: tuple[int, int], limits: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def _image_to_plot(self, image: Any) -> np.ndarray | None: ...
    def _one_image(self, image: Any) -> Any: ...
    def _intensity_label(self) -> str: ...
    def _extent_of_windows(self) -> tuple[tuple[float, float, float, float], str]: ...
