# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure

from hs_rvae.signals.learning import LearningMethods
from hs_rvae.signals.meaning import MeaningMethods

class FigureMethods(MeaningMethods, LearningMethods):
    def plot_site_map(
        self,
        column: str,
        *,
        image=None,
        frame: int | None = None,
        kind: str | None = None,
        cmap: str | Colormap | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        marker_size: float | None = None,
        scale_bar: bool | str | None = None,
        colorbar: bool = True,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def save_movie(
        self,
        path,
        column,
        *,
        image=None,
        show_progressbar=None,
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
    ): ...
    def plot_polar_map(
        self,
        angle: str = "angle",
        amplitude: str | None = "auto",
        *,
        image=None,
        sign: int = 1,
        signed: bool | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        cmap: str | Colormap | None = None,
        arrows: bool = False,
        wheel: bool = True,
        marker_size: float | None = None,
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_method_comparison(
        self,
        methods: Mapping[str, tuple[str, str]] | Sequence[str],
        color: str | Mapping[str, str] = "cluster",
        *,
        image=None,
        maps: bool = True,
        contours: bool = True,
        cmap: str | Colormap | None = None,
        font_size: float | None = None,
        figure: Figure | SubFigure | None = None,
    ): ...
    def plot_angle_histogram(
        self,
        column: str = "angle",
        *,
        bins: int = 72,
        polar: bool = False,
        fold: int = 1,
        variants: int | Sequence[float] | None = None,
        cmap: str | Colormap | None = None,
        color: str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
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
        equal: bool = False,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_polar_scatter(
        self,
        x: str,
        y: str,
        angle: str = "angle",
        amplitude: str | None = "latent_0",
        *,
        sign: int = 1,
        signed: bool | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        cmap: str | Colormap | None = None,
        wheel: bool = True,
        marker_size: float | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_latent_space(
        self,
        color="angle",
        axes=(0, 1),
        *,
        contours: bool = True,
        kind: str | None = None,
        cmap: str | Colormap | None = None,
        limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (1, 99),
        marker_size: float | None = None,
        alpha: float | None = None,
        colorbar: bool = True,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_rvae_manifold(
        self,
        shape=(10, 10),
        limits=(-2.0, 2.0),
        axes=(0, 1),
        *,
        normalise: str = "common",
        intensity_limits: Sequence[float] | None = None,
        percentiles: Sequence[float] = (0.5, 99.5),
        cmap: str | Colormap = "gray",
        gap: float = 0.06,
        colorbar: bool = True,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_rvae_history(
        self, *, title: str | None = None, font_size: float | None = None, ax: Any = None
    ): ...
    def plot_rvae_diagnostics(
        self,
        diagnostics=None,
        *,
        n_shuffles=30,
        max_sites=1000,
        random_state=None,
        cmap: str | Colormap | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_cluster_means(
        self,
        column="cluster",
        *,
        n_columns: int | None = None,
        cmap: str | Colormap = "gray",
        intensity_limits: Sequence[float] | None = None,
        colorbar: bool = True,
        title: str | None = None,
        font_size: float | None = None,
        figure: Figure | SubFigure | None = None,
    ): ...
    def plot_cluster_metric(
        self, *, title: str | None = None, font_size: float | None = None, ax: Axes | None = None
    ): ...
    def plot_image(
        self,
        *,
        image=None,
        region: Any = None,
        boxes: Iterable[Any] = (),
        percentiles: Sequence[float] = (0.5, 99.5),
        cmap: str | Colormap = "gray",
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot_sub_image(
        self,
        site,
        *,
        limits: Sequence[float] | None = None,
        disk: bool = False,
        cmap: str | Colormap = "gray",
        scale_bar: bool | str | None = None,
        title: str | None = None,
        font_size: float | None = None,
        ax: Axes | None = None,
    ): ...
    def plot(self, navigator="auto", *args, color=None, image=None, **kwargs): ...
    def _plot_upright(self, *args, **kwargs): ...
    def explore(self, x="latent_0", y="latent_1", color="angle", *, image=None): ...
    def _sites_to_explore(self): ...
    def _details_of(self, site): ...
    def _registered_manifold(self, shape, limits): ...
    def _image_to_plot(self, image): ...
    def _image_of_sites(self): ...
    def _intensity_label(self): ...
    def _extent_of_windows(self): ...
