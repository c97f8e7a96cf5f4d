# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of angles and latents: a common zero, variants, diagnostics, a report."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from hyperspy.signals import Signal1D

from hs_rvae import diagnostics as _diagnostics
from hs_rvae import variants as _variants
from hs_rvae.cautions import collected_warnings, without_repeats
from hs_rvae.checks import checked
from hs_rvae.diagnostics import quantities as _quantities
from hs_rvae.exceptions import TooFewSites
from hs_rvae.files import check_place
from hs_rvae.signals import angle_zero as _zero
from hs_rvae.signals import other_orders as _orders
from hs_rvae.signals.angle_options import check_n_variants, check_options, check_reference
from hs_rvae.signals.channels import check_one_detector
from hs_rvae.signals.domain_notes import domains_of
from hs_rvae.signals.origins import RVAE_NODE
from hs_rvae.signals.recording import noted_warnings, recorded
from hs_rvae.signals.rvae import RVAEMethods
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units
from hs_rvae.sites.columns import MINIMUM_ORDER

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal
    from hs_rvae.sites import SiteTable
    from hs_rvae.variants import AngleGroups

_logger = logging.getLogger(__name__)

_MINIMUM_RESULTANT = 0.5
_MINIMUM_CLEAR = 20  # sites outside walls; fewer do not show the groups
_VARIANT_COLUMNS = ("variant", "variant_residual")
# Parts of the groups of angles, as the metadata call them.
_VARIANT_PARTS = {
    "centres": "variant_directions",
    "precision": "variant_directions_std",
    "widths": "variant_widths",
}
_OF_DISTORTION = ("angle", "order_amplitude", "angle_pixels")  # nothing without a distortion
_WALL_STEPS = 3  # groups that are walls are left out; what remains of them may look like others
_CLEAR_ORDER = 0.8  # the same, of sites that are not in a wall


class MeaningMethods(RVAEMethods):
    """Register angles, assign variants, and compare them with the instrument."""

    @checked(but=("reference", "least_resultant"))
    @recorded
    def register_angle(
        self,
        reference: str | float = "displacement",
        *,
        least_resultant: float = _MINIMUM_RESULTANT,
        overwrite: bool = False,
    ) -> tuple[float, float]:
        """Give the angles a zero with a meaning, the same offset for all sites.

        Angles of a distortion (``stack.rvae_verdict.rotation``) are directions in the image: this
        method compares them with the displacements and turns nothing, unless `reference` is a
        number. The zero of a turning motif is arbitrary; the paper turned its angles by -100
        degrees by eye. Then the offset comes from the displacement vectors of the sites, from the
        model's own motif, or from a direction. It is kept with the stack.

        Parameters
        ----------
        reference : "displacement", "template" or float
            "displacement": angles become directions of the columns ``displacement_x`` and
            ``displacement_y``, on average over the sites, weighted by length. "template": the same
            from the displacement of the central column in the model's motif, for a stack without
            positions of its neighbours. A number: the most frequent angle is turned to this
            direction, in radians from +x towards +y.
        least_resultant : float
            Minimum resultant length for angles to be registered, 0 to 1; see `resultant`.
        overwrite : bool
            Whether a column ``angle`` that you wrote is turned.

        Returns
        -------
        offset : float
            A named tuple, ``(offset, resultant)``. The angle in radians that was subtracted from
            all angles; 0 if they are not registered.
        resultant : float
            Resultant length, 1 if all agree, 0 at random: of angle minus direction of displacement;
            of the posteriors of the angles ("template"); of the angles about the most frequent one.
            For the angles of a distortion the mean cosine of angle minus direction.
            NaN if the angles are not registered, because there are no displacements, they disagree
            with the angles, or the motif has none. Then nothing changes, and a warning in the log
            names the reason.

        Raises
        ------
        ValueError
            If the reference is unknown, or the column ``angle`` is missing or yours.
        RuntimeError
            "template": if the stack has no model.

        Examples
        --------
        >>> stack.register_angle("displacement")  # doctest: +SKIP
        >>> stack.register_angle(np.pi / 4)  # the most frequent variant points to the lower right
        ... # doctest: +SKIP
        """
        check_reference(reference, least_resultant)
        sites = self._sites_with("angle", "stack.rvae()")
        sites.check_free(["angle"], "stack.register_angle", "rvae", overwrite)
        defined, absolute = self._defined(), self._turns("distortion")
        if self._angles_of() in ("strain", "tilt") and isinstance(reference, str):
            _logger.info("Nothing is displaced: there is no angle to compare with %r.", reference)
            return _zero.Registration(0.0, np.nan)
        reason: str | None
        if not defined.any():
            offset = resultant = np.nan
            reason = "no site has a defined angle; stack.rvae_verdict gives the evidence"
        elif reference == "displacement":
            offset, resultant, reason = _zero.offset_to_displacements(sites, defined)
            if absolute and reason is None:
                offset, resultant = 0.0, resultant * float(np.cos(offset))
            elif absolute:
                _logger.info("The angles are directions in the image; %s.", reason)
                return _zero.Registration(0.0, np.nan)
        elif reference == "template" and absolute:
            offset, reason = 0.0, None
            resultant = float(np.exp(-(sites["angle_std"][defined] ** 2) / 2).mean())
        elif reference == "template":
            offset, reason = self._offset_to_template()
            resultant = float(np.exp(-(sites["angle_std"][defined] ** 2) / 2).mean())
        else:
            angle = sites["angle"][defined]
            most_frequent, reason = _zero.most_frequent_angle(angle), None
            offset = most_frequent - float(reference)
            _, resultant = _variants.common_offset(angle, np.full(len(angle), most_frequent))
        if reason is None and isinstance(reference, str) and resultant < least_resultant:
            reason = (
                f"angles and reference disagree (resultant length {resultant:.2f}, minimum "
                f"{least_resultant}). Check the positions, and look at "
                "plot_polar_map('displacement') and plot_rvae_manifold()"
            )
        if reason is not None:
            _logger.warning(
                "The angles are not registered to %r: %s. They stay as they are; a number, as in "
                "stack.register_angle(0.0), gives them a zero.",
                reference,
                reason,
            )
            return _zero.Registration(0.0, np.nan)
        if offset or not absolute:
            offset = self._turn_angles(offset)
        _logger.info("Angles registered: offset %.4f rad, resultant %.3f.", offset, resultant)
        return _zero.Registration(offset, resultant)

    @checked(but=("n_variants", "motif_symmetry", "origin", "least_order"))
    @recorded
    def assign_variants(
        self,
        n_variants: int | str = "auto",
        motif_symmetry: int | str = "auto",
        *,
        origin: float | None = None,
        least_order: float = MINIMUM_ORDER,
        overwrite: bool = False,
    ) -> int:
        """Assign each site to one of the groups that the angles lie in.

        Writes the columns ``variant`` (0, 1, ...; -1 = undefined) and ``variant_residual`` (angle
        minus the direction of the variant, rad). Variants are numbered by ascending direction from
        -22.5 degrees towards +y, so that those along the axes and the diagonals keep their numbers
        if the angles move a little. :attr:`variants` lists their directions, widths and shares.
        There are no variants where :attr:`rvae_verdict` is "nothing" or "continuous". Where it is
        about a strain or a tilt alone, they are its groups, ``strain_variant`` or
        ``tilt_variant``. A site is
        undefined if its ``order_amplitude`` is below `least_order` (no distortion, so no
        direction), or if its angle is uncertain or lies between the groups.

        Parameters
        ----------
        n_variants : int or "auto"
            "auto": groups of any number and spacing, by evidence (a mixture on the circle against
            a smooth density). A number: equally spaced directions, also of angles that turn
            continuously.
        motif_symmetry : int or "auto"
            n if the sub-image of a variant is the same after a turn of 360/n degrees. Its angle
            is then known up to such turns, and variants lie within 360/n degrees: grains of an
            undistorted square lattice differ by less than 90 degrees. "auto": that of the fitted
            motif, 1 for the angles of a distortion.
        origin : float, optional
            Direction of variant 0 in radians. If None, the directions that fit the angles best.
        least_order : float
            Minimum ``order_amplitude`` of a site with a variant, 1 being typical. It does not count
            where the symmetry of the undistorted motif is that of `motif_symmetry`, so that no
            distortion is needed to know the angle.
        overwrite : bool
            Whether columns of these names that you wrote are replaced.

        Returns
        -------
        int
            Number of variants, 0 if there are none.

        Raises
        ------
        ValueError
            If an option is not usable, there is no column ``angle``, or a column of yours would be
            replaced.
        RuntimeError
            `motif_symmetry` above 1: if the stack has no model.

        Examples
        --------
        >>> stack.assign_variants()  # doctest: +SKIP
        >>> stack.plot_site_map("variant")  # doctest: +SKIP
        """
        sites = self._sites_with("angle", "stack.rvae()")
        check_n_variants(n_variants)
        check_options(motif_symmetry, origin, least_order)
        sites.check_free(_VARIANT_COLUMNS, "stack.assign_variants", "assign_variants", overwrite)
        known = self._motif_symmetry()
        fold = known if motif_symmetry == "auto" else int(motif_symmetry)
        other = self._angles_of()
        if other in ("strain", "tilt") and n_variants == "auto":
            return self._variants_of_order(other, least_order)
        defined = self._defined(least_order)
        turns = _divisors(fold)
        if turns and self._model_of_sites().lattice_symmetry_ in turns:
            defined = np.isfinite(sites["angle"])
        if fold % known:
            groups, reason = (
                None,
                (
                    f"angles of this motif are known up to turns of {360 / known:g} degrees, which "
                    f"motif_symmetry={known} allows for"
                ),
            )
        else:
            groups, reason = self._groups(n_variants, fold, defined, origin, least_order)
        variant, residual = np.full(len(sites), -1), np.full(len(sites), np.nan)
        if groups is not None and groups.n_groups:
            std = self._angle_std_within(fold)
            std = std if len(std) == len(sites) else np.zeros(len(sites))
            found = groups.assign(sites["angle"][defined], std[defined])
            variant[defined], residual[defined] = found[:2]
        if not (variant >= 0).any():
            groups, variant[:] = None, -1
            _logger.warning("No variants: %s. All sites are undefined (-1).", reason)
        return self._write_variants(variant, residual, groups)

    def _write_variants(
        self, variant: np.ndarray, residual: np.ndarray, groups: AngleGroups | None
    ) -> int:
        """Write both columns and keep their groups; domains of earlier ones go. Their number."""
        units = dict(zip(_VARIANT_COLUMNS, ("", "rad"), strict=True))
        values = dict(zip(_VARIANT_COLUMNS, (variant, residual), strict=True))
        gone = domains_of(self, _VARIANT_COLUMNS)
        self.sites.set_many(values, units, writer="assign_variants", remove=gone)
        self._note_variants(groups)
        self._note_grouped(groups is not None)
        return 0 if groups is None else groups.n_groups

    def _variants_of_order(self, name: str, least_order: float) -> int:
        """Variants of a strain or a tilt where nothing is displaced; their number."""
        sites = self.sites
        variant, angle = sites[f"{name}_variant"].astype(int), sites["angle"]
        variant[~distorted(sites, least_order)] = -1
        groups = _orders.groups_of_labels(angle, variant, 2 if name == "strain" else 1)
        residual = np.full(len(sites), np.nan)
        known = variant >= 0
        apart = angle[known] - groups.centres[variant[known]]
        residual[known] = _variants.wrap(groups.fold * apart) / groups.fold
        return self._write_variants(variant, residual, groups)

    def _groups(
        self,
        n_variants: int | str,
        fold: int,
        defined: np.ndarray,
        origin: float | None,
        least_order: float,
    ) -> tuple[AngleGroups | None, str]:
        """Groups of the angles or None, and the reason for none in words."""
        sites, verdict = self.sites, self.rvae_verdict
        reason = (
            "the angles lie in no groups; look at stack.plot_angle_histogram(), and at "
            "stack.plot_polar_map('displacement') for a direction that turns continuously"
        )
        if not defined.any():
            if verdict is not None and not verdict.found:
                reason = f"{_uncapitalised(verdict.sentence)} (stack.rvae_verdict)"
            else:
                reason = "no site has a defined angle, as stack.sites['order_amplitude'] shows"
            return None, reason
        kind = "" if verdict is None else verdict.kind
        if verdict is not None and kind == "continuous" and n_variants == "auto":
            return None, (
                f"{_uncapitalised(verdict.sentence)} (stack.rvae_verdict); n_variants=4 divides "
                "the directions into four"
            )
        # Where two variants meet, the angle may resemble that of a third.
        minimum_clear = min(_CLEAR_ORDER, _CLEAR_ORDER / MINIMUM_ORDER * least_order)
        clear = defined & distorted(sites, max(least_order, minimum_clear))
        if len(_divisors(fold)) or clear.sum() < _MINIMUM_CLEAR:
            clear = defined
        whole = self._angle_std_within(fold)
        std = whole[clear] if len(whole) == len(sites) else None
        number = 1 if kind == "one direction" and n_variants == "auto" else n_variants
        options: dict[str, Any] = {"fold": fold, "n_groups": number, "origin": origin}
        groups = _variants.find_groups(sites["angle"][clear], std, **options)
        for _ in range(_WALL_STEPS if number == "auto" and fold == 1 else 0):
            walls = self._in_walls(groups, clear, std)
            if walls is None:
                break
            clear[np.flatnonzero(clear)[walls]] = False
            std = None if std is None else std[~walls]
            groups = _variants.find_groups(sites["angle"][clear], std, **options)
        return groups, reason

    def _in_walls(
        self, groups: AngleGroups, clear: np.ndarray, std: np.ndarray | None
    ) -> np.ndarray | None:
        """Mask of the clear sites in groups that are walls between domains; None without any."""
        sites = self.sites
        variant = groups.assign(sites["angle"][clear], std)[0]
        rows = np.flatnonzero(clear)
        found = _variants.groups_in_walls(
            sites.xy[rows], variant, groups.centres, self._strata(rows), groups.widths
        )
        if not found:
            return None
        nearest = groups.assign(sites["angle"][clear], least_probability=0.0)[0]
        return np.isin(nearest, found)

    def _note_grouped(self, grouped: bool) -> None:
        """Keep in the verdict that the directions lie in groups, or that they do not."""
        verdict = self.rvae_verdict
        if verdict is not None and verdict.kind == "variants" and verdict.grouped != grouped:
            verdict = replace(verdict, grouped=grouped)
            self.metadata.set_item(f"{RVAE_NODE}.verdict", verdict.as_dict())

    def _note_variants(self, groups: AngleGroups | None) -> None:
        """Keep directions, widths and shares of the variants with the stack."""
        if not self.metadata.has_item(RVAE_NODE):
            return
        node = self.metadata.get_item(RVAE_NODE)
        node.set_item("n_variants", 0 if groups is None else int(groups.n_groups))
        for name, key in _VARIANT_PARTS.items():
            values = [] if groups is None else getattr(groups, name)
            node.set_item(key, [float(value) for value in values])

    @property
    def variants(self) -> pd.DataFrame:
        """Directions of the variants, as a :class:`pandas.DataFrame`.

        Index ``variant``; columns ``direction`` and ``direction_std`` (mean direction and its
        standard error, rad; known far better than the angle of one site), ``width`` (scatter of
        the sites' angles, rad), ``share`` (of the sites with a variant) and ``n_sites``.
        Labels of your own, and angles without a model, are measured alone.

        Raises
        ------
        ValueError
            If :meth:`assign_variants` has not been called, or in different ways for the stacks
            that were joined to this one.
        """
        sites = self.sites
        if sites is None or "variant" not in sites:
            raise ValueError("There are no variants; stack.assign_variants() finds them.")
        variant = np.asarray(sites["variant"], int)
        direction, precision, width = self._directions_of(variant)
        n_sites = np.bincount(variant[variant >= 0], minlength=len(direction))
        table = pd.DataFrame(
            {
                "direction": direction,
                "direction_std": precision,
                "width": width,
                "share": n_sites / max(n_sites.sum(), 1),
                "n_sites": n_sites,
            }
        )
        table.index.name = "variant"
        return table

    def _directions_of(self, variant: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directions of the variants, their standard errors, and their widths (rad)."""
        sites, node = self.sites, self.metadata.get_item(RVAE_NODE)
        noted: list[Any]
        noted = [None if node is None else node.get_item(k) for k in _VARIANT_PARTS.values()]
        own = sites.writers["variant"] != "assign_variants"
        several = "image" in sites and len(np.unique(sites["image"])) > 1
        if not own and all(np.ndim(part) == 1 for part in noted):
            directions, precision, widths = (np.asarray(part, float) for part in noted)
            return directions, precision, widths
        if not own and (several or noted[0] is not None):
            raise ValueError(
                "The stacks joined here had their variants assigned in different ways: "
                "stack.assign_variants() assigns them alike."
            )
        angle = self._sites_with("angle", "stack.rvae()")["angle"]
        return _variants.measured_groups(angle, variant)

    def get_angle_posterior(self, n_angles: int = 360) -> Signal1D:
        """Whole posterior of the angle of every site, as a signal.

        Parameters
        ----------
        n_angles : int
            Number of bins of the circle.

        Returns
        -------
        hyperspy.api.signals.Signal1D
            Navigation axis ``site``, signal axis ``angle`` (rad, in (-pi, pi), registered as the
            column ``angle``): probability per bin, which sums to 1. NaN for sites without an
            angle.

        Raises
        ------
        RuntimeError
            If the stack has no model.
        ValueError
            If the model has no angles or `n_angles` is not usable.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((360, 360), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
        >>> stack.rvae(output_dimension=1, random_state=0)
        >>> stack.get_angle_posterior(n_angles=90)
        <Signal1D, title: Angle posterior, dimensions: (...|90)>
        """
        posterior = self._model_of_sites().angle_posterior(
            *self._as_encoded(), n_angles=n_angles, zero=self._angle_offset
        )
        signal = Signal1D(posterior.probability)
        site, angle = signal.axes_manager[0], signal.axes_manager[1]
        site.name, angle.name, angle.units = "site", "angle", "rad"
        angle.scale, angle.offset = 2 * np.pi / n_angles, float(posterior.angles[0])
        signal.metadata.General.title = "Angle posterior"
        signal.metadata.set_item("Signal.quantity", "Probability")
        return signal

    def rvae_diagnostics(
        self,
        *,
        n_shuffles: int = 30,
        max_sites: int = 1000,
        random_state: int | np.random.Generator | None = None,
    ) -> _diagnostics.Diagnostics:
        """Measure the dependence of the angle and the latents on the instrument, not the material.

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
            angle (see :meth:`assign_variants`) are left out of the row of the angle. There is no
            such row if the verdict (:attr:`rvae_verdict`) is "nothing".
        random_state : int, numpy.random.Generator or None
            Seed of subset and shuffles; the same seed gives the same numbers.

        Returns
        -------
        hs_rvae.diagnostics.Diagnostics
            Print it; ``table`` is a :class:`pandas.DataFrame`, ``summary`` names the findings.

        Raises
        ------
        ValueError
            If the columns of a model are missing, the stack joins several images or detectors or is
            a series of several frames, or an option is out of range.
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
        known = [] if sites is None else _columns.written_by("rvae", _columns.main(sites.columns))
        # In the order of the table, in which the shuffles are drawn.
        names = [name for name in known and sites.columns if name in known]
        names = [name for name in names if not name.endswith("_std")]
        if not names:
            raise ValueError(
                "There is no column 'angle' or 'latent_0'; stack.rvae() or stack.apply_rvae() "
                "writes them."
            )
        _check_one_image(sites)
        check_one_detector(self)
        values = {name: sites[name] for name in names}
        if "angle" in values:
            angle = _units.radians(values["angle"], sites.units["angle"])
            values["angle"] = np.where(self._defined(), angle, np.nan)
        quantities, notes, measured = instrument_quantities(self, sites)
        verdict = self.rvae_verdict
        if verdict is not None and not verdict.found:
            left_out = [name for name in _OF_DISTORTION if values.pop(name, None) is not None]
            if left_out:
                reason = _uncapitalised(verdict.sentence)
                notes.insert(0, f"{' and '.join(left_out)} left out: {reason}.")
        notes[:0] = _too_few_latents(self.metadata.get_item(RVAE_NODE))
        found = _diagnostics.diagnose(
            sites.xy,
            values,
            quantities,
            angles=("angle", "elongation"),
            direction=_zero.direction_of_displacement(sites),
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

    def report(
        self,
        path: str | os.PathLike[str] = "report.html",
        *,
        title: str | None = None,
        command: str | None = None,
        n_shuffles: int = 30,
        random_state: int = 0,
    ) -> Path:
        """Write a self-contained page about the analysis, for any browser.

        It begins with the columns on the image, their numbers and the mean sub-image of each
        variant. It holds the figures, the result and its limits, figures of merit, the findings of
        :meth:`rvae_diagnostics`, settings, versions, a table of all sites, and lines that repeat
        the analysis. The stack is not changed. A figure is left out, with the reason, where its
        columns have no finite value or the stack has no model; the diagnostics, where there are
        fewer than 100 sites. If anything else fails, no page is written. All warnings since the
        search for columns stand among the points to check.

        Parameters
        ----------
        path : str or pathlib.Path
            File to write.
        title : str, optional
            By default that of the image.
        command : str, optional
            A command line to be given as the way to repeat it, beside lines of Python.
        n_shuffles : int
            Number of shuffles in :meth:`rvae_diagnostics`.
        random_state : int
            Seed of the diagnostics, and of the choice of sites whose reconstruction is judged.

        Returns
        -------
        pathlib.Path
            The file that was written.

        Raises
        ------
        ValueError
            If the stack has no angles, joins images or is a series; if an option is out of range.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> stack.report("report.html")  # doctest: +SKIP
        """
        from hs_rvae import report
        from hs_rvae.plots import panels

        sites = self._sites_to_plot()
        if "angle" not in sites:
            raise ValueError(
                "There is no column 'angle' to report on: stack.rvae() or stack.apply_rvae(path) "
                "writes it."
            )
        for name, what in (("image", "joins several images"), ("frame", "is a series")):
            if name in sites and len(np.unique(sites[name])) > 1:
                raise ValueError(
                    f"The stack {what}: report on each {name}, for example on "
                    f"select_sites(stack.sites[{name!r}] == {sites[name][0]})."
                )
        check_one_detector(self)
        check_place(path)  # before minutes of work depend on it
        before = set(sites.columns)
        diagnostics: _diagnostics.Diagnostics | str
        earlier = noted_warnings(self)
        with collected_warnings() as raised:
            try:
                diagnostics = self.rvae_diagnostics(
                    n_shuffles=n_shuffles, random_state=random_state
                )
            except TooFewSites as error:
                diagnostics = str(error)
            finally:
                sites.remove(*(name for name in sites.columns if name not in before))
        with panels.coarse_images(2000):  # px of an image, twice those of a figure
            return report.write_report(
                self,
                path,
                title=title,
                command=command,
                diagnostics=diagnostics,
                random_state=random_state,
                warnings=without_repeats(earlier, raised),
            )

    def _turn_angles(self, offset: float) -> float:
        """Subtract an offset in radians from the angles; variants lose their meaning."""
        offset, sites = float(_variants.wrap(offset)), self.sites
        own = [name for name, writer in sites.writers.items() if writer == "assign_variants"]
        own += domains_of(self, own)
        names = [name for name in ("angle", "angle_pixels") if name in sites]
        angles = {name: _variants.wrap(sites[name] - offset) for name in names}
        sites.set_many(angles, writer=sites.writers["angle"], remove=own)
        total = float(_variants.wrap(self._angle_offset + offset))
        self.metadata.set_item("Sub_images.rvae.angle_offset", total)
        return offset

    @property
    def _angle_offset(self) -> float:
        """Offset that register_angle has subtracted from the model's angles so far, in radians."""
        return float(self.metadata.get_item("Sub_images.rvae.angle_offset", 0.0))

    def _offset_to_template(self) -> tuple[float, str | None]:
        """Offset of the angles to the displacement in the model's motif, reason if none."""
        model = self._model_of_sites()
        motif = model.inverse_transform(np.zeros((1, model.n_latents_)))[0]
        motif = motif.reshape(-1, *motif.shape[-2:])[0]  # of the first detector
        mean, reason = _zero.displacement_in_motif(motif)
        if mean is None:
            return np.nan, reason
        return -(self._angle_offset + float(np.arctan2(*mean))), None

    def _motif_symmetry(self) -> int:
        """Turns of the motif onto itself that its angles cannot distinguish."""
        if self._turns("distortion") and self._angles_of() == "displacement":
            return 1
        return int(self._applied().get("motif_symmetry", 1))

    def _angles_of(self) -> str:
        """Order parameter that the angles belong to; "displacement" without a verdict."""
        verdict = self.rvae_verdict
        return "displacement" if verdict is None else verdict.angles_of

    def _angle_std_within(self, motif_symmetry: int) -> np.ndarray:
        """Standard deviations of the angles, turns of the motif itself not counted."""
        if motif_symmetry == 1:
            std = self.sites["angle_std"] if "angle_std" in self.sites else np.zeros(1)
            return std / self._applied().get("angle_std_factor", 1.0)  # widths of posteriors
        posterior = self._model_of_sites().angle_posterior(*self._as_encoded(), n_angles=2)
        return _variants.folded_std(
            posterior.modes, posterior.weights, posterior.widths, motif_symmetry
        )

    def _with_angle(self) -> np.ndarray:
        """Mask of the sites whose angle has a meaning, with or without a distortion."""
        finite = np.isfinite(self.sites["angle"])
        return finite if self._known_without_distortion() else self._defined()

    def _known_without_distortion(self) -> bool:
        """Return True if the motif needs no distortion for its angle to be known."""
        verdict, turns = self.rvae_verdict, _divisors(self._motif_symmetry())
        found = verdict is not None and verdict.found
        return found and self.metadata.get_item(f"{RVAE_NODE}.lattice_symmetry", 1) in turns

    def _defined(self, least_order: float = MINIMUM_ORDER) -> np.ndarray:
        """Mask of the sites whose angle has a meaning."""
        sites, verdict = self.sites, self.rvae_verdict
        if verdict is not None and not verdict.found:
            return np.zeros(len(sites), bool)
        return np.isfinite(sites["angle"]) & distorted(sites, least_order)

    def _sites_with(self, column: str, verb: str) -> SiteTable:
        sites = self.sites
        if sites is None or column not in sites:
            raise ValueError(f"There is no column {column!r}; {verb} writes it.")
        if column == "angle" and not _units.in_radians(sites.units[column]):
            raise ValueError(
                f"The column 'angle' is in {sites.units[column]!r}: set it in radians, "
                "stack.sites.set('angle', values, 'rad')."
            )
        return sites


def _too_few_latents(node: Any) -> list[str]:
    """A line if more latents are recommended than the model has."""
    known = {} if node is None else node.as_dictionary()
    wanted, given = known.get("recommended_latents"), known.get("output_dimension")
    if not wanted or not given or wanted <= given:
        return []
    return [
        f"{wanted} latents are recommended for the content, the model has {given}: "
        f"rvae(output_dimension={wanted})."
    ]


def _uncapitalised(sentence: str) -> str:
    """Sentence as a part of another one."""
    return sentence[0].lower() + sentence[1:].rstrip(".")


def distorted(sites: SiteTable, least_order: float = MINIMUM_ORDER) -> np.ndarray:
    """Mask of the sites with an order amplitude of `least_order` or more."""
    if "order_amplitude" not in sites:
        return np.ones(len(sites), bool)
    return sites["order_amplitude"] >= least_order


def _divisors(n: int) -> list[int]:
    """Turns that are among those of n, except for the whole turn."""
    return [k for k in range(2, n + 1) if n % k == 0]


def instrument_quantities(
    stack: SiteSignal, sites: SiteTable
) -> tuple[dict[str, np.ndarray], list[str], dict[str, np.ndarray]]:
    """Quantities to compare with, notes on missing ones, and intensities measured for them."""
    xy, image, notes = sites.xy, stack.image, []
    if isinstance(image, list):
        image = image[sites["image"][0]]
    shape = None if image is None else image.data.shape[-2:]
    quantities = {"x": xy[:, 0], "y": xy[:, 1]}
    quantities["edge distance"] = _quantities.edge_distance(xy, shape)
    intensity = next((name for name in ("amplitude", "volume") if name in sites), None)
    background = "background" if "background" in sites else None
    measured = {} if intensity and background else _measure_intensity(stack, sites)
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


def _measure_intensity(stack: SiteSignal, sites: SiteTable) -> dict[str, np.ndarray]:
    """Intensities of column and background in the sub-images, by column."""
    from hs_rvae.rvae.batches import map_blocks

    radius = _quantities.disk_radius(sites.xy)
    images = stack.data if stack.data.ndim == 3 else stack.data[None]
    measured = map_blocks(
        lambda block, offsets: _quantities.column_intensity(block, offsets, radius),
        images,
        sites[["offset_x", "offset_y"]],
        width=2,
        dtype=np.float64,
    )
    return {"disk_intensity": measured[:, 0], "lowest_intensity": measured[:, 1]}


def _check_one_image(sites: SiteTable) -> None:
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
