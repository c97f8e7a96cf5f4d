# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
from hs_rvae.signals.learning import LearningMethods
from hs_rvae.signals.meaning import MeaningMethods

class FigureMethods(MeaningMethods, LearningMethods):
    def plot_site_map(
        self,
        column,
        *,
        image=None,
        frame=None,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        scale_bar=None,
        colorbar=True,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def save_movie(
        self,
        path,
        column,
        *,
        image=None,
        show_progressbar=None,
        frames=None,
        fps=5,
        dpi=150,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        scale_bar=None,
        colorbar=True,
        font_size=None,
    ): ...
    def plot_polar_map(
        self,
        angle="angle",
        amplitude="auto",
        *,
        image=None,
        sign=1,
        signed=None,
        limits=None,
        percentiles=(1, 99),
        cmap=None,
        arrows=False,
        wheel=True,
        marker_size=None,
        scale_bar=None,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_method_comparison(
        self,
        methods,
        color="cluster",
        *,
        image=None,
        maps=True,
        contours=True,
        cmap=None,
        font_size=None,
        figure=None,
    ): ...
    def plot_angle_histogram(
        self,
        column="angle",
        *,
        bins=72,
        polar=False,
        fold=1,
        variants=None,
        cmap=None,
        color=None,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_scatter(
        self,
        x,
        y,
        color=None,
        *,
        contours=True,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        alpha=None,
        colorbar=True,
        equal=False,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_polar_scatter(
        self,
        x,
        y,
        angle="angle",
        amplitude="latent_0",
        *,
        sign=1,
        signed=None,
        limits=None,
        percentiles=(1, 99),
        cmap=None,
        wheel=True,
        marker_size=None,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_latent_space(
        self,
        color="angle",
        axes=(0, 1),
        *,
        contours=True,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        alpha=None,
        colorbar=True,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_rvae_manifold(
        self,
        shape=(10, 10),
        limits=(-2.0, 2.0),
        axes=(0, 1),
        *,
        normalise="common",
        intensity_limits=None,
        percentiles=(0.5, 99.5),
        cmap="gray",
        gap=0.06,
        colorbar=True,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_rvae_history(self, *, title=None, font_size=None, ax=None): ...
    def plot_rvae_diagnostics(
        self,
        diagnostics=None,
        *,
        n_shuffles=30,
        max_sites=1000,
        random_state=None,
        cmap=None,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_cluster_means(
        self,
        column="cluster",
        *,
        n_columns=None,
        cmap="gray",
        intensity_limits=None,
        colorbar=True,
        title=None,
        font_size=None,
        figure=None,
    ): ...
    def plot_cluster_metric(self, *, title=None, font_size=None, ax=None): ...
    def plot_image(
        self,
        *,
        image=None,
        region=None,
        boxes=(),
        percentiles=(0.5, 99.5),
        cmap="gray",
        scale_bar=None,
        title=None,
        font_size=None,
        ax=None,
    ): ...
    def plot_sub_image(
        self,
        site,
        *,
        limits=None,
        disk=False,
        cmap="gray",
        scale_bar=None,
        title=None,
        font_size=None,
        ax=None,
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
