# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugin for pytest: the stack, and its learning verbs on spectra, in place of HyperSpy's signals.

``SubImageStack`` takes the place of ``Signal2D``. Most of HyperSpy's tests use ``Signal1D``: there
the learning methods stand before it, so that the same code runs.
"""

import hyperspy.api as hs
import hyperspy.extensions
import hyperspy.signals

from hs_rvae.signals.learning import LearningMethods
from hs_rvae.signals.sub_image_stack import SubImageStack


class Signal1D(LearningMethods, hyperspy.signals.Signal1D):
    """A spectrum with the learning verbs of a stack."""

    _signal_dimension = 1
    # Behind the learning methods stands HyperSpy's Signal2D, whose models are not those of spectra.
    create_model = hyperspy.signals.Signal1D.create_model


class LazySignal1D(Signal1D, hyperspy.signals.LazySignal1D):
    """Its lazy counterpart."""


KNOWN = hyperspy.extensions.ALL_EXTENSIONS["signals"]
for one in (Signal1D, LazySignal1D):
    KNOWN[one.__name__]["module"] = __name__
    setattr(hyperspy.signals, one.__name__, one)
hyperspy.signals.Signal2D = SubImageStack
for name in ("Signal1D", "Signal2D"):
    setattr(hs.signals, name, getattr(hyperspy.signals, name))
