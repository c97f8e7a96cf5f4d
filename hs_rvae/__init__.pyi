from . import columns, data, diagnostics, plots, simulation, sites
from .cli.many import analyse
from .columns import (
    count_defects,
    find_columns,
    find_defects,
    find_sublattices,
    line_deviation,
)
from .log import set_log_level
from .refinement import refine_columns, refine_sublattice, refine_two_sublattices
from .rvae.estimator import RVAE
from .signals.comparison import compare_rvae
from .signals.concatenate import stack
from .signals.regional import get_sublattice_means
from .signals.sub_image_stack import LazySubImageStack, SubImageStack
from .sites import SiteTable

__version__: str

__all__ = [
    "RVAE",
    "LazySubImageStack",
    "SiteTable",
    "SubImageStack",
    "analyse",
    "columns",
    "compare_rvae",
    "count_defects",
    "data",
    "diagnostics",
    "find_columns",
    "find_defects",
    "find_sublattices",
    "get_sublattice_means",
    "line_deviation",
    "plots",
    "refine_columns",
    "refine_sublattice",
    "refine_two_sublattices",
    "set_log_level",
    "simulation",
    "sites",
    "stack",
]
