from .angle_histogram import plot_angle_histogram
from .clusters import plot_cluster_means, plot_cluster_metric
from .color import angle_colors, class_colors, polar_colors
from .columns import plot_columns, plot_sublattices
from .comparison import plot_comparison
from .defects import plot_defects
from .diagnostics import plot_diagnostics
from .domains import plot_domains
from .history import plot_history
from .image import plot_image, plot_sub_image
from .interactive.explorer import Explorer
from .interactive.navigator import SiteNavigator
from .manifold import plot_distortion, plot_manifold
from .method_comparison import plot_method_comparison
from .modes import plot_modes
from .movie import save_movie
from .polar import plot_color_wheel, plot_polar_map
from .polar_scatter import plot_polar_scatter
from .scatter import plot_scatter
from .site_map import plot_site_map

__all__ = [
    "Explorer",
    "SiteNavigator",
    "angle_colors",
    "class_colors",
    "plot_angle_histogram",
    "plot_cluster_means",
    "plot_cluster_metric",
    "plot_color_wheel",
    "plot_columns",
    "plot_comparison",
    "plot_defects",
    "plot_diagnostics",
    "plot_distortion",
    "plot_domains",
    "plot_history",
    "plot_image",
    "plot_manifold",
    "plot_method_comparison",
    "plot_modes",
    "plot_polar_map",
    "plot_polar_scatter",
    "plot_scatter",
    "plot_site_map",
    "plot_sub_image",
    "plot_sublattices",
    "polar_colors",
    "save_movie",
]
