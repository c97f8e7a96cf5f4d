from .angle_histogram import plot_angle_histogram
from .clusters import plot_cluster_means, plot_cluster_metric
from .color import angle_colors, class_colors, polar_colors
from .comparison import plot_comparison
from .diagnostics import plot_diagnostics
from .history import plot_history
from .manifold import plot_manifold
from .polar import plot_color_wheel, plot_polar_map
from .scatter import plot_scatter
from .site_map import plot_site_map

__all__ = [
    "angle_colors",
    "class_colors",
    "plot_angle_histogram",
    "plot_cluster_means",
    "plot_cluster_metric",
    "plot_color_wheel",
    "plot_comparison",
    "plot_diagnostics",
    "plot_history",
    "plot_manifold",
    "plot_polar_map",
    "plot_scatter",
    "plot_site_map",
    "polar_colors",
]
