# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts in words, in dictionaries and back."""

import json

import numpy as np
import pytest

from hs_rvae.verdict import EVIDENCE, KINDS, Verdict

FULL = Verdict(
    "variants",
    "distortion",
    evidence={"predicted": np.float64(0.7), "wells": 0.5, "n_pairs": 1200.0},
    thresholds={"predicted": 0.2, "wells": np.float32(0.25)},
    notes=("60 sites are few: below 150 the verdict is not trustworthy.",),
    multiple=2,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_sentence(kind):
    verdict = Verdict(kind, "distortion")
    assert verdict.sentence == KINDS[kind] and verdict.sentence in str(verdict)
    assert verdict.found == (kind != "nothing")


def test_text_has_evidence_thresholds_and_notes():
    lines = str(FULL).splitlines()
    assert lines[0] == f"{KINDS['variants']} (displacement)"
    assert lines[1] == f"  {EVIDENCE['predicted']}: 0.7 (threshold 0.2)"
    assert lines[2].endswith("0.5 (threshold 0.25)")
    assert lines[3] == "  pairs of sites compared: 1.2e+03"
    assert lines[4] == f"  {FULL.notes[0]}" and len(lines) == 5
    plain = Verdict("nothing", "motif", (), {"a number of mine": 1.0})
    assert str(plain) == f"{KINDS['nothing']}\n  a number of mine: 1"


def test_an_untested_verdict_claims_nothing():
    verdict = Verdict("turning motif", "motif", ("angle",), tested=False)
    assert "no other cells were available" in verdict.sentence
    assert KINDS["turning motif"] not in str(verdict)


def test_a_verdict_survives_a_file():
    parts = json.loads(json.dumps(FULL.as_dict()))
    again = Verdict.from_dict(parts)
    assert again == FULL and str(again) == str(FULL)
    assert isinstance(again.notes, tuple) and isinstance(again.order_parameters, tuple)
    assert all(type(v) is float for v in again.evidence.values())
    assert Verdict.from_dict(Verdict("nothing", "motif").as_dict()) == Verdict("nothing", "motif")


def test_a_verdict_of_metadata_may_lack_what_has_a_default():
    assert Verdict.from_dict({"kind": "continuous", "rotation": "distortion"}).notes == ()
    with pytest.raises(TypeError):
        Verdict.from_dict({"kind": "continuous", "rotation": "distortion", "colour": "red"})


def test_the_verdict_names_other_order_parameters_the_strongest_first():
    both = Verdict("variants", "distortion", ("tilt", "displacement"))
    assert both.sentence.startswith("The surroundings are turned to and fro")
    assert both.sentence.endswith("The distortion has distinct directions: variants.")
    assert both.angles_of == "displacement" and both.title == "Direction of the distortion"
    alone = Verdict("variants", "distortion", ("strain",))
    assert "ferroelastic" in alone.sentence and "directions" not in alone.sentence
    assert alone.angles_of == "strain" and alone.title == "Axis of the strain"
    assert Verdict.from_dict(both.as_dict()) == both
