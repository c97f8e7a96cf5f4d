# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Angles and variants in words and tables: the verdict, its evidence, directions and shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hs_rvae.verdict import EVIDENCE, Verdict
from hs_rvae.wording import count_of

_MANY_UNDEFINED = 0.5
_ORDER = {name: k for k, name in enumerate(EVIDENCE)}  # a saved stack has another


def paragraph(stack: Any) -> str:
    """
    The verdict on the angles of a stack, their meaning and the variants, in one paragraph.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    str
    """
    verdict = stack.rvae_verdict
    if verdict is None:
        sentences = ["There is no verdict on the angles: no model of this stack wrote them."]
    else:
        sentences = [verdict.sentence, *_meaning(stack, verdict)]
    return " ".join([*sentences, *_about_variants(stack, verdict)])


def _meaning(stack: Any, verdict: Verdict) -> list[str]:
    """Sentences on the meaning of the angles."""
    if not verdict.found:
        return ["Angles have no meaning here: the order amplitude of all sites is 0."]
    if verdict.angles_of == "strain":
        return [
            "Angles are axes of the strain, from +x towards +y (down), known up to half a turn."
        ]
    if verdict.angles_of == "tilt":
        return ["A tilt has a sign and no angle: 0 is negative, 1 positive, from +x towards +y."]
    if verdict.rotation == "distortion":
        return ["Angles are directions of the distortion in the image, from +x towards +y (down)."]
    offset = stack.metadata.get_item("Sub_images.rvae.angle_offset", 0.0)
    if offset:
        degrees = f"{np.rad2deg(offset):.1f}".replace("-", "−")
        lines = [f"Angles are turns of the motif, registered: {degrees}° were subtracted."]
    else:
        lines = ["Angles are turns of the motif; their zero is arbitrary, differences are not."]
    if verdict.multiple > 1:
        lines.append(f"They are known up to turns of {360 / verdict.multiple:g}°.")
    return lines


def _about_variants(stack: Any, verdict: Verdict | None) -> list[str]:
    """Sentences on the number of variants and their share of the sites."""
    n = n_variants(stack)
    if not n:
        return []
    variant = stack.sites["variant"]
    filled = len(np.unique(variant[variant >= 0]))
    many = count_of(n, "variant")
    some = "" if filled == n else f" ({filled} of them in these sites)"
    share = f"{(variant >= 0).mean():.1%} of the {len(variant):,} sites"
    if verdict is not None and verdict.kind == "continuous":
        return [f"On request the directions were divided into {many}{some}: {share}."]
    return [f"{many}{some}: {share} {'are in one of them' if n > 1 else 'are in it'}."]


def cautions(stack: Any) -> list[str]:
    """
    Points about angles and variants that need care.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of str
    """
    verdict = stack.rvae_verdict
    notes = [] if verdict is None else list(verdict.notes)
    if verdict is not None and verdict.kind in ("nothing", "continuous"):
        return notes
    if "variant" not in stack.sites:
        return [*notes, "No variants were assigned: stack.assign_variants() does it."]
    undefined = (stack.sites["variant"] < 0).mean()
    if undefined == 1:
        notes.append("No variants: the angles lie in no groups, or no site has a defined angle.")
    elif undefined > _MANY_UNDEFINED:
        notes.append(
            f"{undefined:.0%} of the sites have no variant: they are not distorted, or the noise "
            "is too high to classify them."
        )
    return notes


def n_variants(stack: Any) -> int:
    """Number of variants that sites were assigned to, empty ones included; 0 = no variants."""
    if "variant" not in stack.sites:
        return 0
    variant = stack.sites["variant"]
    given = stack.metadata.get_item("Sub_images.rvae.n_variants", 0)
    given = int(given) if np.isfinite(given) else 0
    return max(given, int(np.nanmax(variant)) + 1) if (variant >= 0).any() else 0


def evidence(stack: Any) -> list[tuple[str, ...]]:
    """
    Evidence of the verdict as rows of a table.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of tuple of str
        Evidence in words, value and threshold; the first row has the names of the columns. Empty
        without a verdict.
    """
    verdict = stack.rvae_verdict
    if verdict is None or not verdict.evidence:
        return []
    rows: list[tuple[str, ...]] = [("evidence", "value", "threshold")]
    names = sorted(verdict.evidence, key=lambda name: _ORDER.get(name, len(_ORDER)))
    for name in names:
        value = verdict.evidence[name]
        limit = f"{verdict.thresholds[name]:.3g}" if name in verdict.thresholds else ""
        shown = f"{value:,.0f}" if name == "n_pairs" else f"{value:.3g}"
        rows.append((EVIDENCE.get(name, name), shown.replace("-", "−"), limit))
    return rows


def variants(stack: Any) -> list[tuple[str, ...]]:
    """
    Variants as rows of a table.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of tuple of str
        Number, direction or turn with its standard error, width, share and number of sites; the
        first row has the names of the columns. Empty without variants.
    """
    if not n_variants(stack):
        return []
    try:
        table = stack.variants
    except ValueError:  # a column of the user's
        return []
    if not len(table):
        return []
    fold = stack._motif_symmetry()
    verdict = stack.rvae_verdict
    name = "turn" if verdict is not None and verdict.rotation == "motif" else "direction"
    modulo = f" (modulo {360 / fold:g}°)" if fold > 1 else ""
    rows: list[tuple[str, ...]] = [("variant", f"{name}{modulo}", "width", "share", "sites")]
    for row in table.itertuples():
        error = np.rad2deg(row.direction_std)
        direction = 180 - (180 - np.rad2deg(row.direction)) % 360
        text = f"{direction:.2f} ± {error:.2f}°" if np.isfinite(error) else f"{direction:.2f}°"
        width = f"{np.rad2deg(row.width):.1f}°"
        rows.append((str(row.Index), text.replace("-", "−"), width, f"{row.share:.1%}",
                     f"{row.n_sites:,}"))  # fmt: skip
    return rows


def as_text(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table as lines of text, the first column to the left and the others to the right.

    Examples
    --------
    >>> as_text([("variant", "sites"), ("0", "12")])
    ['variant  sites', '0           12']
    """
    if not rows:
        return []
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:],
                                                                      strict=True))]).rstrip()
        for row in rows
    ]  # fmt: skip
