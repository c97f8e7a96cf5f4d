# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import pytest

from hs_rvae.plots.panels import nice_length
from hs_rvae.sites.units import printed


@pytest.mark.parametrize(
    ("longest", "nice"), [(1.0, 1), (1.99, 1), (2.0, 2), (4.9, 2), (5.0, 5), (73, 50), (0.3, 0.2)]
)
def test_lengths_of_scale_bars_are_1_2_or_5_times_a_power_of_ten(longest, nice):
    assert nice_length(longest) == nice


def test_undefined_units_are_pixels():
    assert [printed(u) for u in ("<undefined>", "", "nm", "um")] == ["px", "px", "nm", "µm"]


def test_importing_the_plots_loads_no_slow_library():
    import subprocess
    import sys

    code = (
        "import sys, hs_rvae.plots as p; p.plot_site_map, p.plot_polar_map, p.plot_history;"
        "print([m for m in ('colorcet', 'torch', 'sklearn', 'matplotlib.pyplot') "
        "if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
    assert not plt.get_fignums()
