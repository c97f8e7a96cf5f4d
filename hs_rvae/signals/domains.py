# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of the labels of a stack and the walls between them, measured when they are asked for."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae import domains as _domains
from hs_rvae.checks import whole_number
from hs_rvae.signals.domain_notes import DomainNotes, notes_of
from hs_rvae.signals.meaning import MeaningMethods
from hs_rvae.signals.recording import recorded
from hs_rvae.sites.table import missing_column

if TYPE_CHECKING:
    import pandas as pd

    from hs_rvae.sites import SiteTable

_logger = logging.getLogger(__name__)

_WITHOUT = ("nothing", "continuous")  # verdicts that leave nothing to divide into domains
_MIXED = 0.05  # more labels that differ within one domain than at first: the column has changed


class DomainMethods(MeaningMethods):
    """Find domains, and measure them and their walls."""

    _tables_of_domains: Any = None

    @recorded
    def find_domains(
        self,
        column: str = "variant",
        min_sites: int = 5,
        *,
        polarity: int | None = None,
        overwrite: bool = False,
    ) -> int:
        """Find the domains: connected sites of one label.

        Writes the column ``domain`` (0 for the largest of an image or frame; -1 = none). Sites are
        connected as neighbours of their lattice. Where labels alternate from cell to cell, as in a
        checkerboard of tilts or in lamellae ++--, a domain is a region of one phase of the pattern,
        and its boundary an antiphase wall. No domain extends over two grains. Sites without a label
        in the wall between two domains belong to the nearer one. :attr:`domains` and :attr:`walls`
        are the tables, :meth:`plot_domains` draws them.

        Parameters
        ----------
        column : str
            Integer column of labels, -1 = none.
        min_sites : int
            Minimum number of sites of a domain. Smaller groups are in none.
        polarity : {1, -1}, optional
            1 if the polarisation of the material points along the displacement of the sites, -1 if
            against it. If None, :attr:`walls` does not state the sign of charges.
        overwrite : bool
            Whether a column ``domain`` that you wrote is replaced.

        Returns
        -------
        int
            Number of domains in all images and frames. 0 if there are none; then the log and
            ``attrs["reason"]`` of both tables give the reason.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If there is no site table, the column holds no labels, an option is not usable, or a
            column of yours would be replaced.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((400, 400), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     image,
        ...     truth.b_sites,
        ...     neighbours=truth.a_sites,
        ...     columns={"variant": truth.b_sites["variant"]},
        ... )
        >>> stack.find_domains() == len(stack.domains)
        True
        """
        sites = self._sites_to_plot()
        label = _labels(sites, column)
        whole_number(min_sites, "min_sites")
        if polarity not in (None, 1, -1):
            raise ValueError(f"polarity={polarity!r}: give 1, -1 or None.")
        sites.check_free(["domain"], "stack.find_domains", "find_domains", overwrite)
        reason, alternates = self._no_domains(column, label), False
        domain, mixed = np.full(len(sites), -1), 0.0
        if not reason:
            measured = self._measured(label)
            domain, alternates = _domains.find_domains(measured, int(min_sites))
            mixed = _mixed(measured, domain)
            if (domain < 0).all():
                reason = f"no {min_sites} lattice neighbours have one {column}"
        if reason:
            _logger.warning("No domains: %s.", reason)
        sites.set_many({"domain": domain}, {"domain": ""}, writer="find_domains")
        notes = DomainNotes(column, int(min_sites), int(polarity or 0), alternates, mixed, reason)
        notes.keep_in(self)
        strata = [sites[name] for name in ("image", "frame") if name in sites]
        keys = np.column_stack([*strata, domain])[domain >= 0]
        return len(np.unique(keys, axis=0))

    @property
    def domains(self) -> pd.DataFrame:
        """
        Domains of the sites, as a :class:`pandas.DataFrame`.

        Columns ``domain`` (in :attr:`sites` too), ``variants`` (labels in it: one, or those that
        alternate), ``n_sites``, ``area``, ``x``, ``y`` (middle, px), ``direction`` and
        ``direction_std`` (mean angle and its standard error, rad; where labels alternate the axis,
        modulo pi), ``neighbours`` (numbers of the domains beyond its walls). Stacks of several
        images or frames have the columns ``image`` or ``frame``, and numbers begin anew in each.
        ``attrs`` has ``units`` and, if the table is empty, the ``reason``. It is measured on the
        sites of this stack: a selection has the parts of domains that are in it.

        Raises
        ------
        RuntimeError
            If :meth:`find_domains` has not been called since the labels changed, or in different
            ways for the stacks that were joined to this one.
        """
        return self._domain_tables()[0].copy()

    @property
    def walls(self) -> pd.DataFrame:
        """
        Walls between the domains, as a :class:`pandas.DataFrame`.

        Columns ``wall``, ``domain_1``, ``domain_2``, ``kind`` ("variants", or "antiphase" between
        two phases of one pattern), ``x``, ``y`` (middle, px), ``length``, ``orientation`` (of the
        line, rad from +x towards +y, modulo pi) and its standard error ``orientation_std``,
        ``angle`` (between the directions of both domains, rad), ``width`` (w of tanh(x / w) across
        the wall, in cells) and ``width_std``, ``narrow`` (the width is below 0.5 cells, which sites
        a cell apart hardly resolve), ``jump`` (component along the normal of the displacement of
        ``domain_2`` less that of ``domain_1``, the normal pointing to ``domain_2``) and
        ``jump_std``, ``charged`` (the jump is more than three standard errors, and a fifth of the
        change of the displacement), ``charge`` (1, -1 or 0; only if ``polarity`` was given) and
        ``segments`` (edges of cells along the wall, (k, 2, 2), px). Width and jump are NaN without
        displacements. ``attrs`` as in :attr:`domains`.

        Raises
        ------
        RuntimeError
            As :attr:`domains`.
        """
        return self._domain_tables()[1].copy()

    def _domain_tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Tables of domains and walls of the sites as they are now."""
        notes, sites = notes_of(self), self.sites
        if notes is None:
            raise RuntimeError("There are no domains; stack.find_domains() finds them.")
        if notes.column not in sites:
            raise RuntimeError(
                f"The column {notes.column!r}, in which the domains were found, is gone: write it "
                "and call stack.find_domains() again."
            )
        known = (zlib.crc32(np.ascontiguousarray(sites.signal.data).data), notes)
        if self._tables_of_domains is not None and self._tables_of_domains[0] == known:
            return self._tables_of_domains[1]
        measured, domain = self._measured(_labels(sites, notes.column)), sites["domain"]
        if not notes.alternates and _mixed(measured, domain) > notes.mixed + _MIXED:
            raise RuntimeError(
                f"The column {notes.column!r} changed since stack.find_domains(): call it again."
            )
        tables = _domains.domain_tables(measured, domain, notes.polarity or None)
        for table in tables:
            if not len(tables[0]):
                table.attrs["reason"] = notes.reason or "no site of this stack is in a domain"
        self._tables_of_domains = (known, tables)
        return tables

    def _no_domains(self, column: str, label: np.ndarray) -> str:
        """Reason that excludes domains; empty if there is none."""
        verdict = self.rvae_verdict
        own = self.sites.writers[column] == "assign_variants"
        if own and verdict is not None and verdict.kind in _WITHOUT:
            sentence = verdict.sentence.rstrip(".")
            return f"{sentence[0].lower()}{sentence[1:]} (stack.rvae_verdict)"
        return "" if (label >= 0).any() else f"no site has a {column}"

    def _measured(self, label: np.ndarray) -> _domains.Measured:
        """Labels and displacements that domains are found in and measured with."""
        sites = self.sites
        strata = {name: sites[name] for name in ("image", "frame") if name in sites}
        grain = sites["grain"] if "grain" in sites else None
        grain = None if grain is None or not (grain >= 0).any() else grain
        in_radians = "angle" in sites and sites.units["angle"] in ("rad", "")
        size = float(np.sqrt(abs(np.prod(sites.pixel_size))))
        width, height = np.abs(sites.pixel_size) / size
        moved, unit = self._displacements(np.array([width, height]))
        return _domains.Measured(
            sites.xy,
            label,
            strata,
            grain,
            sites["angle"] if in_radians else None,
            self._motif_symmetry(),
            moved,
            unit,
            size,
            sites.pixel_units,
            (float(width), float(height)),
        )

    def _displacements(self, aspect: np.ndarray) -> tuple[np.ndarray | None, str]:
        """Displacements (n, 2) in the specimen and their unit: measured, or those of the model."""
        sites = self.sites
        for ending in ("_calibrated", ""):
            names = [f"displacement_{axis}{ending}" for axis in "xy"]
            if all(name in sites for name in names) and np.isfinite(sites[names]).any():
                scale = 1.0 if ending else aspect
                return sites[names] * scale, sites.units[names[0]]
        if "angle" in sites and "order_amplitude" in sites and self._motif_symmetry() == 1:
            length, angle = sites["order_amplitude"], sites["angle"]
            return (length * np.stack([np.cos(angle), np.sin(angle)])).T * aspect, ""
        return None, ""


def _labels(sites: SiteTable, column: str) -> np.ndarray:
    """Labels of a column; refuse one that holds none."""
    if column not in sites:
        raise KeyError(missing_column(sites, column))
    label = sites[column]
    if label.dtype.kind != "i" or column == "domain":
        raise ValueError(f"column={column!r}: give an integer column of labels, -1 = none.")
    return label


def _mixed(measured: _domains.Measured, domain: np.ndarray) -> float:
    """Share of the labels in domains that are not the label of their domain."""
    other, count = 0, 0
    for _, rows in measured.images():
        label, own = measured.label[rows], domain[rows]
        inside = (label >= 0) & (own >= 0)
        if not inside.any():
            continue
        kinds, compact = np.unique(label[inside], return_inverse=True)
        counts = np.zeros((own.max() + 1, len(kinds)), int)
        np.add.at(counts, (own[inside], compact), 1)
        count += int(inside.sum())
        other += int((counts.sum(1) - counts.max(1)).sum())
    return other / max(count, 1)
