# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The register of columns: kind, unit, printed name and writer of each column of the site table.

A new column is one row of :data:`COLUMNS`. Figures, clusters, diagnostics, the report and messages
take kind, colours, unit and the call that writes a column from this module. Columns of your own
need no row: by their unit they are angles or not. :func:`register` gives them a kind and a printed
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from hs_rvae.checks import check_methods, checked

from . import units

#: Kinds of columns, and their consequences for figures and clusters.
KINDS = {
    "angle": "a direction, the same after one period: cyclic colours, cosine and sine in clusters",
    "signed": "a number whose sign has a meaning: diverging colours about 0",
    "amplitude": "a size or a spread, without a sign: sequential colours",
    "probability": "from 0 to 1: sequential colours",
    "score": "any other number, whose zero has no meaning: sequential colours",
    "position": "a place in the image: sequential colours",
    "count": "a number that is counted up: sequential colours",
    "label": "a whole number that names a group, -1 = none: a colour for each",
}

#: Minimum ``order_amplitude`` of sites whose ``angle`` has a meaning, 1 being typical.
MINIMUM_ORDER = 0.5

#: The call of each writer. Columns of any other writer than these are the user's own.
WRITERS = {
    "from_positions": "SubImageStack.from_positions(image, xy)",
    "neighbours": "SubImageStack.from_positions(image, xy, neighbours=...)",
    "sublattice": "SubImageStack.from_atom_lattice(hs_rvae.find_sublattices(image), image)",
    "rvae": "stack.rvae() or stack.apply_rvae(path)",
    "assign_variants": "stack.assign_variants()",
    "find_domains": "stack.find_domains()",
    "derotate": "stack.derotate()",
    "decomposition": "stack.decomposition()",
    "embedding": "stack.embedding()",
    "cluster_analysis": "stack.cluster_analysis()",
    "measure_modes": "stack.measure_modes()",
    "link_frames": "stack.link_frames()",
    "stack": "hs_rvae.stack(stacks)",
    "rvae_diagnostics": "stack.rvae_diagnostics()",
}


@check_methods
@dataclass(frozen=True)
class Column:
    """
    One row of the register.

    Attributes
    ----------
    names : str
        Names of columns, separated by spaces; ``#`` stands for a number.
    kind : str
        One of :data:`KINDS`.
    unit : str
        "" is dimensionless; "length" is a calibrated length, in pm or the unit of the image.
    writer : str
        One of :data:`WRITERS`, or "" for the user.
    meaning : str
        One line.
    period : float
        Period of an angle, in radians.
    title : str
        Printed name; None makes one of the name, as in "Order amplitude".
    direction : str
        Column of the angles that labels group, or of the labels that they divide. Figures give a
        group the colour of its direction.
    main : bool
        Whether it is among the columns that readers look at first: in the text of a stack, the
        explorer, the table of a report and, if a model wrote it, the diagnostics.
    """

    names: str
    kind: str
    unit: str
    writer: str
    meaning: str
    period: float = 2 * np.pi
    title: str | None = None
    direction: str = ""
    main: bool = False
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}: take one of {', '.join(map(repr, KINDS))}.")
        pattern = "|".join(re.escape(name).replace(r"\#", r"\d+") for name in self.names.split())
        object.__setattr__(self, "_pattern", re.compile(pattern))

    @checked
    def matches(self, name: str) -> bool:
        """Return True if `name` is one of its names."""
        return self._pattern.fullmatch(name) is not None


#: All columns that the package writes, the first ones being those looked at first.
COLUMNS = (
    Column("site_index", "count", "", "from_positions",
           "row of the site in the list of positions that was given", main=True),
    Column("x y", "position", "px", "from_positions",
           "position of the column in the image", main=True),
    Column("displacement_x displacement_y", "signed", "px", "neighbours",
           "the site minus the mean of its neighbours: the first shell, or the four nearest",
           main=True),
    Column("angle", "angle", "rad", "rvae",
           "direction of the distortion, or turn of the whole motif", main=True),
    Column("angle_std", "amplitude", "rad", "rvae", "standard deviation of the angle",
           title="Angle, standard deviation", main=True),
    Column("order_amplitude", "amplitude", "", "rvae",
           "strength of the distortion, 1 = typical, 0 = none", main=True),
    Column("variant", "label", "", "assign_variants", "group of its angle, -1 = undefined",
           direction="angle", main=True),
    Column("strain_angle", "angle", "rad", "rvae",
           "longer axis of the strain of the surroundings, in ferroelastic domains",
           period=np.pi, main=True),
    Column("strain_variant", "label", "", "rvae", "ferroelastic domain by the axis of its strain",
           direction="strain_angle", main=True),
    Column("tilt", "signed", "rad", "rvae",
           "rotation of the surroundings that changes its sign from cell to cell, from +x "
           "towards +y", main=True),
    Column("tilt_variant", "label", "", "rvae", "0 = negative tilt, 1 = positive tilt", main=True),
    Column("parity", "label", "", "rvae",
           "mirror image of a variant: 0 and 1 for surroundings turned to the negative and the "
           "positive side", main=True),
    Column("cluster", "label", "", "cluster_analysis",
           "group of similar sites, the largest first, -1 = none", main=True),
    Column("latent_#", "signed", "", "rvae", "content latents", main=True),
    Column("shift_x shift_y", "signed", "px", "rvae",
           "shift of the content, of models with ``translation=True``", main=True),
    Column("frame", "label", "", "from_positions", "image of a series", main=True),
    Column("track", "label", "", "link_frames", "column of the specimen, the same in all frames"),
    Column("image", "label", "", "stack", "number of the image, in a stack that joins several"),
    Column("displacement_x_calibrated displacement_y_calibrated", "signed", "length",
           "neighbours", "the displacement, each axis with its own scale"),
    Column("displacement_std", "amplitude", "px", "neighbours",
           "standard error of the displacement, where the fit of the columns gives one"),
    Column("cell_a cell_b", "amplitude", "px", "neighbours", "sides of the cell of the neighbours"),
    Column("cell_angle", "amplitude", "rad", "neighbours", "angle between these two sides"),
    Column("stretch_xx stretch_xy stretch_yy", "score", "", "neighbours",
           "stretch of the image that is taken out of displacement, cell and angle"),
    Column("angle_weight", "probability", "", "rvae",
           "probability of the mode of the posterior that the angle stands for"),
    Column("angle_pixels", "angle", "rad", "rvae",
           "angle read without measured positions, for comparisons with displacements"),
    Column("strain_angle_std tilt_std", "amplitude", "rad", "rvae",
           "standard deviation of axis and tilt"),
    Column("latent_#_std", "amplitude", "", "rvae", "standard deviations of the latents"),
    Column("shift_x_std shift_y_std", "amplitude", "px", "rvae",
           "standard deviation of the shift"),
    Column("shift_x_calibrated shift_y_calibrated", "signed", "length", "rvae",
           "the shift, each axis with its own scale"),
    Column("order_amplitude_std", "amplitude", "", "rvae", "standard error of the order amplitude"),
    Column("log_likelihood", "score", "nat", "rvae", "how well the model explains the site"),
    Column("lattice_turn", "angle", "rad", "derotate",
           "whole turn of the lattice by which the sub-image was turned back"),
    Column("variant_residual", "signed", "rad", "assign_variants",
           "the angle minus that of the variant"),
    Column("domain", "label", "", "find_domains",
           "connected sites of one variant, the largest first, -1 = none", direction="variant"),
    Column("mode_displacement_x mode_displacement_y", "signed", "px", "measure_modes",
           "the column minus the mean of its surroundings, from the pixels"),
    Column("mode_displacement_x_calibrated mode_displacement_y_calibrated", "signed", "length",
           "measure_modes", "the same, each axis with its own scale"),
    Column("mode_displacement_x_std mode_displacement_y_std", "amplitude", "px", "measure_modes",
           "standard errors of the displacement"),
    Column("mode_rotation", "signed", "deg", "measure_modes",
           "rotation of the surroundings, from +x towards +y, against the reference"),
    Column("mode_rotation_std", "amplitude", "deg", "measure_modes",
           "standard error of the rotation"),
    Column("mode_strain_xx mode_strain_yy mode_strain_xy", "signed", "%", "measure_modes",
           "strain of the surroundings, the tensor's, against the reference"),
    Column("mode_strain_xx_std mode_strain_yy_std mode_strain_xy_std", "amplitude", "%",
           "measure_modes", "standard errors of the strain"),
    Column("mode_residual", "amplitude", "", "measure_modes",
           "variance that the modes leave of the sub-image, 1 = as expected of the noise"),
    Column("cluster_probability", "probability", "", "cluster_analysis",
           "probability of the cluster"),
    Column("pca_# svd_# nmf_#", "signed", "", "decomposition", "loadings of a decomposition"),
    Column("tsne_# mds_# isomap_#", "signed", "", "embedding", "coordinates in an embedding"),
    Column("offset_x offset_y", "signed", "px", "from_positions",
           'column minus centre of the window; 0 except for ``centring="nearest"``'),
    Column("sigma_x sigma_y", "amplitude", "px", "sublattice", "widths of the fitted column"),
    Column("rotation", "angle", "rad", "sublattice",
           "direction of ``sigma_x``, from +x towards -y", period=np.pi),
    Column("amplitude", "amplitude", "", "sublattice",
           "height of the fitted column above the background"),
    Column("amplitude_std", "amplitude", "", "sublattice", "standard error of this height"),
    Column("volume", "amplitude", "", "sublattice", "sum of the fitted peak"),
    Column("disk_mean", "score", "", "sublattice",
           "mean of the image in a disk about the position"),
    Column("background", "score", "", "sublattice", "level of the image around the column"),
    Column("residual", "amplitude", "", "sublattice", "what the fit leaves of the image"),
    Column("x_std y_std", "amplitude", "px", "sublattice", "standard errors of the position"),
    Column("status", "label", "", "sublattice", "how the fit ended, 0 = well"),
    Column("probability", "probability", "", "sublattice",
           "probability of a column there, where a network found it"),
    Column("found shape_held", "label", "", "sublattice",
           "whether it was a maximum, and whether only height and position were fitted"),
    Column("i j", "count", "", "sublattice", "place of the column in the lattice"),
    Column("grain", "label", "", "sublattice", "grain of the column, -1 = none"),
    Column("defect", "label", "", "sublattice",
           "what ``find_defects`` found: 0 = vacancy, 1 = substitution, -1 = nothing"),
    Column("disk_intensity lowest_intensity", "score", "", "rvae_diagnostics",
           "intensity of the column and of its surroundings in the sub-image"),
)  # fmt: skip

# Columns without a row in the register: these are sizes, in any unit.
_SPREAD = re.compile(r"(.+_)?(std|sigma|error|err|fwhm|uncertainty|rms|width)")
_DIFFERENCE = re.compile(r"(.+_)?(residual|residuals)")
# Methods whose printed name is not the stem of their columns.
_METHODS = {"pca": "PCA", "svd": "SVD", "nmf": "NMF", "tsne": "t-SNE", "mds": "MDS"}
_registered: dict[str, Column] = {}  # registered by users, by names


@checked
def register(
    names: str,
    kind: str,
    *,
    unit: str = "",
    meaning: str = "",
    period: float = 2 * np.pi,
    title: str | None = None,
) -> None:
    """
    Describe columns of your own, for figures, clusters and the explorer.

    It holds until Python ends. A column need not be registered: one in rad or deg is an angle, and
    one whose name ends in ``_std`` is a size. For any other, its values decide on the colours.

    Parameters
    ----------
    names : str
        Names of columns, separated by spaces; ``#`` stands for a number.
    kind : str
        One of the keys of :data:`KINDS`.
    unit : str
        Unit of a column that is set without one, as in ``stack.sites["tilt"] = values``.
    meaning : str
        One line.
    period : float
        Period of an angle, in radians: pi for an axis, which is the same after half a turn.
    title : str, optional
        Printed name; by default the name with spaces.

    Raises
    ------
    ValueError
        If the kind is unknown, or one of the names is a column of the package.

    Examples
    --------
    >>> register("easy_axis", "angle", unit="rad", period=np.pi, title="Easy axis")
    >>> label("easy_axis", "rad")
    'Easy axis (°)'
    """
    column = Column(str(names), kind, unit, "", meaning, float(period), title)
    if not column.names.strip():
        raise ValueError(f"names={names!r}: give the name of a column.")
    for name in column.names.split():
        if any(row.matches(name.replace("#", "0")) for row in COLUMNS):
            raise ValueError(f"names={names!r}: {name} is a column of the package; take another.")
    turns = 2 * np.pi / column.period if column.period > 0 else 0
    if round(turns) < 1 or not np.isclose(turns, round(turns)):
        raise ValueError(f"period={period!r}: give 2 pi by a whole number, such as pi for an axis.")
    _registered[column.names] = column


@checked
def find(name: str) -> Column | None:
    """The row of the register for a column, or None if there is none."""
    registered = next((row for row in reversed(_registered.values()) if row.matches(name)), None)
    return registered or _of_package(name)


@lru_cache(maxsize=1024)
def _of_package(name: str) -> Column | None:
    return next((row for row in COLUMNS if row.matches(name)), None)


@checked
def kind(name: str, unit: str = "") -> str:
    """
    Kind of a column, one of :data:`KINDS`; "" if only its values can decide.

    Parameters
    ----------
    name : str
    unit : str
        Unit in the site table.

    Examples
    --------
    >>> kind("order_amplitude"), kind("direction", "rad"), kind("direction_std", "rad")
    ('amplitude', 'angle', 'amplitude')
    >>> kind("strain", "%")
    ''
    """
    row = find(name)
    if row is not None:
        # An angle by its name only, in % or px, is something else of the same name.
        return row.kind if row.kind != "angle" or unit == "" or units.is_angle(unit) else ""
    if _SPREAD.fullmatch(name):
        return "amplitude"
    if _DIFFERENCE.fullmatch(name):
        return "signed"
    return "angle" if units.is_angle(unit) else ""


@checked
def period(name: str, unit: str = "") -> float | None:
    """
    Period of a column of angles in radians; None if the column is not an angle.

    Examples
    --------
    >>> period("variant_residual", "rad"), round(period("rotation", "rad"), 2)
    (None, 3.14)
    """
    if kind(name, unit) != "angle":
        return None
    row = find(name)
    return 2 * np.pi if row is None else row.period


@checked
def direction(name: str) -> str:
    """
    Column of the angles or labels that a column of labels groups; "" if there is none.

    Examples
    --------
    >>> direction("variant"), direction("strain_variant"), direction("cluster")
    ('angle', 'strain_angle', '')
    """
    row = find(name)
    return "" if row is None else row.direction


@checked
def unit(name: str, length: str = "pm") -> str:
    """
    Unit of a column as the package writes it; "" is dimensionless.

    Parameters
    ----------
    name : str
    length : str
        Unit of calibrated lengths.

    Examples
    --------
    >>> unit("angle"), unit("shift_x_calibrated"), unit("variant")
    ('rad', 'pm', '')
    """
    row = find(name)
    row_unit = "" if row is None else row.unit
    return length if row_unit == "length" else row_unit


@checked
def registered_unit(name: str) -> str:
    """Unit that the user registered for a column; "" is dimensionless."""
    return next((row.unit for row in reversed(_registered.values()) if row.matches(name)), "")


@checked
def title(name: str) -> str:
    """
    Printed name of a column.

    Examples
    --------
    >>> title("displacement_x_calibrated"), title("latent_0"), title("tsne_1"), title("strain")
    ('Displacement x', 'Latent 0', 't-SNE 1', 'strain')
    """
    row = find(name)
    if row is None or row.title == "":
        return name
    words = name.removesuffix("_calibrated").replace("_", " ")
    method, _, number = words.partition(" ")
    if method in _METHODS:
        return f"{_METHODS[method]} {number}"
    made = words[:1].upper() + words[1:] if len(words) > 1 else words
    return row.title or made.replace(" std", ", standard deviation")


@checked
def label(name: str, unit: str = "") -> str:
    """
    Printed name and unit for an axis or a colour bar; angles are drawn in degrees.

    Examples
    --------
    >>> label("order_amplitude"), label("angle", "rad"), label("displacement_x_calibrated", "pm")
    ('Order amplitude', 'Angle (°)', 'Displacement x (pm)')
    """
    unit = "°" if kind(name, unit) == "angle" or units.is_angle(unit) else unit
    return f"{title(name)} ({unit})" if unit else title(name)


@checked
def call_for(name: str) -> str:
    """
    The call that writes a column, also of a vector such as "displacement"; "" if it is not known.

    Examples
    --------
    >>> call_for("tsne_0"), call_for("strain")
    ('stack.embedding()', '')
    """
    stem = name.removesuffix("_calibrated")
    row = find(name) or find(f"{stem}_x{name[len(stem) :]}")
    return "" if row is None else WRITERS.get(row.writer, "")


@checked
def written_by(writer: str, names: Iterable[str]) -> list[str]:
    """Select the names that belong to a writer by the register."""
    return [name for name in names if (row := _of_package(name)) and row.writer == writer]


@checked
def main(names: Iterable[str]) -> list[str]:
    """Select the names that readers look at first, in the order of the register."""
    rows = [row for row in COLUMNS if row.main]
    return [name for row in rows for name in names if row.matches(name)]
