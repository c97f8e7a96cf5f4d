# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs that ask whether angles and latents follow the instrument."""

import logging

import numpy as np

from hs_rvae import diagnostics as _diagnostics
from hs_rvae.diagnostics import quantities as _quantities
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

_logger = logging.getLogger(__name__)


class DiagnosticsMixin:
    """Compare columns of the model with what the instrument may have printed on them."""

    def rvae_diagnostics(self, *, n_shuffles=30, max_sites=1000, random_state=None):
        """Tell how far the angle and the latents follow the instrument instead of the material.

        Compares ``angle``, ``latent_0`` ..., ``order_amplitude`` and the shifts with the scan axes,
        the distance to the edge of the image, the intensity and the background of the columns,
        their ellipticity and its direction (a tilt), and with each other. Intensity and background
        are the columns ``amplitude`` (or ``volume``) and ``background``; where there are none they
        are measured on the sub-images, block by block, and written as ``disk_intensity`` (mean
        within 0.15 distances between sites) and ``lowest_intensity`` (mean of the darkest tenth),
        unless you have columns of these names.
        The ellipticity, a mean over nine neighbouring sites, needs ``sigma_x``, ``sigma_y`` and
        ``rotation``; without them it is left out. What stands out is also written to the log.

        Parameters
        ----------
        n_shuffles : int
            Shuffled maps on which chance is measured.
        max_sites : int
            Sites that are compared: a random subset if there are more. Sites without a defined
            angle (see :meth:`assign_variants`) are left out of the row of the angle.
        random_state : int, numpy.random.Generator or None
            Seed of subset and shuffles; the same seed gives the same numbers.

        Returns
        -------
        hs_rvae.diagnostics.Diagnostics
            Print it; ``table`` is a :class:`pandas.DataFrame`, ``summary`` says what stands out.

        Raises
        ------
        ValueError
            If the columns of a model are missing, the stack joins several images or is a series of
            several frames, or an option is out of range.
        hs_rvae.exceptions.TooFewSites
            If fewer than 100 sites have finite values; it is a ValueError too.

        Notes
        -----
        Method, meaning and false alarms: :func:`hs_rvae.diagnostics.diagnose` and the user guide.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((400, 400), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
        >>> stack.sites["latent_0"] = stack.sites["x"] ** 2
        >>> print(stack.rvae_diagnostics(random_state=0).summary[0])
        latent_0 follows the scan direction x (0.99; ... by chance): likely an instrument ...
        """
        sites = self.sites
        names = [] if sites is None else _columns.written_by("rvae", _columns.main(sites.columns))
        names = [name for name in names if not name.endswith("_std")]
        if not names:
            raise ValueError(
                "There is no column 'angle' or 'latent_0'; stack.rvae() or stack.apply_rvae() "
                "writes them."
            )
        _check_one_image(sites)
        values = {name: sites[name] for name in names}
        if "angle" in values:
            angle = _units.radians(values["angle"], sites.units["angle"])
            values["angle"] = np.where(self._defined(sites), angle, np.nan)
        quantities, notes, measured = self._instrument_quantities(sites)
        found = _diagnostics.diagnose(
            sites.xy,
            values,
            quantities,
            angles=("angle", "elongation"),
            n_shuffles=n_shuffles,
            max_sites=max_sites,
            random_state=random_state,
        )
        found = _diagnostics.Diagnostics(found.table, (*found.summary, *notes))
        writer, writers = "rvae_diagnostics", sites.writers
        free = {n: v for n, v in measured.items() if writers.get(n, writer) == writer}
        sites.set_many(free, writer=writer)
        for line in found.summary:
            _logger.info(line)
        return found

    def _instrument_quantities(self, sites):
        """Quantities to compare with, notes on missing ones, and intensities measured for them."""
        xy, image, notes = sites.xy, self.image, []
        if isinstance(image, list):
            image = image[sites["image"][0]]
        shape = None if image is None else image.data.shape[-2:]
        quantities = {"x": xy[:, 0], "y": xy[:, 1]}
        quantities["edge distance"] = _quantities.edge_distance(xy, shape)
        intensity = next((name for name in ("amplitude", "volume") if name in sites), None)
        background = "background" if "background" in sites else None
        measured = {} if intensity and background else self._measure_intensity(sites)
        quantities["intensity"] = sites[intensity] if intensity else measured["disk_intensity"]
        quantities["background"] = sites[background] if background else measured["lowest_intensity"]
        if all(name in sites for name in ("sigma_x", "sigma_y", "rotation")):
            shapes = [sites[name] for name in ("sigma_x", "sigma_y", "rotation")]
            shapes[2] = _units.radians(shapes[2], sites.units["rotation"])
            strength, direction = _quantities.ellipse(xy, *shapes)
            quantities["ellipticity"], quantities["elongation"] = strength, direction
        else:
            notes.append(
                "Tilt is left out: there are no columns 'sigma_x', 'sigma_y' and 'rotation'; "
                "SubImageStack.from_atom_lattice() or from_sublattice() writes them."
            )
        return quantities, notes, measured

    def _measure_intensity(self, sites):
        """Intensities of column and background in the sub-images, by column."""
        from hs_rvae.rvae.batches import map_blocks

        radius = _quantities.disk_radius(sites.xy)
        images = self.data if self.data.ndim == 3 else self.data[None]
        measured = map_blocks(
            lambda block, offsets: _quantities.column_intensity(block, offsets, radius),
            images,
            sites[["offset_x", "offset_y"]],
            width=2,
            dtype=np.float64,
        )
        return {"disk_intensity": measured[:, 0], "lowest_intensity": measured[:, 1]}


def _check_one_image(sites):
    """Refuse sites of several images or frames."""
    for name, what in (
        ("image", "joins several images, whose scan axes have nothing in common"),
        ("frame", "is a series, whose frames would fall upon each other"),
    ):
        if name in sites and len(np.unique(sites[name])) > 1:
            raise ValueError(
                f"The stack {what}: choose one, for example "
                f"select_sites(stack.sites[{name!r}] == {sites[name][0]})."
            )
