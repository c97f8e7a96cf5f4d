from .angle_histogram import plot_angle_histogram
from .color import angle_colors, class_colors, polar_colors
from .comparison import plot_comparison
from .diagnostics import plot_diagnostics
from .explorer import Explorer
from .history import plot_history
from .image import plot_image, plot_sub_image, plot_sublattices
from .manifold import plot_manifold
from .navigator import SiteNavigator
from .polar import plot_color_wheel, plot_polar_map
from .polar_scatter import plot_polar_scatter
from .site_map import plot_site_map

__all__ = [
    "Explorer",
    "SiteNavigator",
    "angle_colors",
    "class_colors",
    "plot_angle_histogram",
    "plot_color_wheel",
    "plot_comparison",
    "plot_diagnostics",
    "plot_history",
    "plot_image",
    "plot_manifold",
    "plot_polar_map",
    "plot_polar_scatter",
    "plot_site_map",
    "plot_sub_image",
    "plot_sublattices",
    "polar_colors",
]
