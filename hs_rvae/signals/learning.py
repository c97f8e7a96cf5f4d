# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The learning verbs of a stack besides the rVAE."""

from hs_rvae.signals.clustering import ClusteringMixin
from hs_rvae.signals.decomposition import DecompositionMixin
from hs_rvae.signals.embedding import EmbeddingMixin


class LearningMixin(DecompositionMixin, EmbeddingMixin, ClusteringMixin):
    """Decompose, embed and cluster sub-images."""
