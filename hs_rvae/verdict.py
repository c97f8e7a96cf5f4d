# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict of a model on an image: variants, a continuous turn or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

#: Kinds of verdict, and the sentence of each.
KINDS = {
    "variants": "The distortion has distinct directions: variants.",
    "continuous": "The distortion turns continuously: it has no variants.",
    "one direction": "The distortion has one direction everywhere.",
    "turning motif": "The whole motif turns, as in grains and twins.",
    "nothing": "No distortion stands out from the noise.",
}
#: Fewer sites are too few for a trustworthy verdict.
FEW_SITES = 150
#: Name of a piece of evidence in words.
EVIDENCE = {
    "predicted": "share of the displacement that other cells predict",
    "gain": "likelihood of a circle over a normal distribution (nat per site)",
    "wells": "likelihood of wells over no wells, held-out sites (nat per site)",
    "asymmetry": "asymmetry of the mean sub-image beyond a displacement",
    "zero": "evidence for a zero off the symmetric position (nat per site)",
    "largest": "root mean square displacement (cells)",
    "smallest": "root mean square displacement that other cells predict (cells)",
    "poled": "mean displacement (in standard deviations of a site)",
    "coherence": "share of the lattice that the sites have in common",
    "angular_order": "share of the angle that other cells predict",
    "strain": "likelihood that strain adds (nat per site)",
    "n_pairs": "pairs of sites compared",
}


@dataclass(frozen=True)
class Verdict:
    """Verdict on the distortion of an image, with its evidence.

    Attributes
    ----------
    kind : str
        "variants": distinct directions. "continuous": directions that turn from site to site
        without distinct ones. "one direction": the same everywhere. "turning motif": the whole
        sub-image turns (grains, twins). "nothing": nothing stands out from the noise.
    rotation : str
        Model that was used, "distortion" or "motif".
    order_parameters : tuple of str
        What the verdict is about: "displacement".
    evidence : dict of str to float
        Numbers that it rests on.
    thresholds : dict of str to float
        Thresholds of those numbers, under the same names.
    notes : tuple of str
        Cautions: few sites, no positions of other sites.
    tested : bool
        Whether other cells were available to test the angles.
    multiple : int
        n if other cells predict n times the angle, but not smaller multiples: angles then have a
        meaning up to turns of 360/n degrees.
    grouped : bool
        False if directions are not equally frequent, but groups of them were looked for and do not
        stand apart.

    Examples
    --------
    >>> verdict = Verdict("continuous", "distortion", evidence={"predicted": 0.7})
    >>> print(verdict)
    The distortion turns continuously: it has no variants. (displacement)
      share of the displacement that other cells predict: 0.7
    """

    kind: str
    rotation: str
    order_parameters: tuple[str, ...] = ("displacement",)
    evidence: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tested: bool = True
    multiple: int = 1
    grouped: bool = True

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if not self.tested:
            return "Angles were fitted, but no other cells were available to test them."
        if self.kind == "variants" and not self.grouped:
            return "Some directions are more frequent than others, but no variants stand apart."
        return KINDS[self.kind]

    @property
    def found(self) -> bool:
        """True if something stands out."""
        return self.kind != "nothing"

    @property
    def title(self) -> str:
        """Meaning of the angles, as the title of a figure."""
        if not self.found:
            return "No distortion stands out from the noise"
        if self.rotation == "distortion":
            return "Direction of the distortion"
        return "Turn of the motif" if self.tested else "Turn of the motif, not tested"

    def __str__(self) -> str:
        about = f" ({', '.join(self.order_parameters)})" if self.order_parameters else ""
        lines = [self.sentence + about]
        order = {name: place for place, name in enumerate(EVIDENCE)}  # files keep none
        for name in sorted(self.evidence, key=lambda name: order.get(name, len(order))):
            value = self.evidence[name]
            limit = f" (threshold {self.thresholds[name]:g})" if name in self.thresholds else ""
            lines.append(f"  {EVIDENCE.get(name, name)}: {value:.3g}{limit}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, for metadata and files."""
        parts = asdict(self)
        for name in ("order_parameters", "notes"):
            parts[name] = list(parts[name])
        for name in ("evidence", "thresholds"):
            parts[name] = {k: float(v) for k, v in parts[name].items()}
        return parts

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Self:
        """Rebuild the verdict that :meth:`as_dict` describes."""
        parts = dict(parts)
        for name in ("order_parameters", "notes"):
            parts[name] = tuple(str(text) for text in parts.get(name, ()))
        for name in ("evidence", "thresholds"):
            parts[name] = {k: float(v) for k, v in parts.get(name, {}).items()}
        for name, kind in (("tested", bool), ("multiple", int), ("grouped", bool)):
            if name in parts:  # a file brings back numbers of NumPy
                parts[name] = kind(parts[name])
        return cls(**parts)
