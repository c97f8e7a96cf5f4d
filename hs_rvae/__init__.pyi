from . import data, plots, simulation
from .log import set_log_level
from .rvae.model import RVAE
from .signals.joining import stack
from .signals.sub_image_stack import LazySubImageStack, SubImageStack
from .sites import SiteTable

__version__: str

__all__ = [
    "RVAE",
    "LazySubImageStack",
    "SiteTable",
    "SubImageStack",
    "data",
    "plots",
    "set_log_level",
    "simulation",
    "stack",
]
