# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that several tests share; the core of the suite; tables of the sweeps."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import hs_rvae

# A plugin of other tests: it puts classes of the package in the place of HyperSpy's.
collect_ignore = ["contract/hyperspy_stand_in.py"]

# The core: whole files, except for the tests named beside them, which take a second or more.
CORE = {
    "columns/test_autocorrelation.py": "",
    "columns/test_sublattices.py": "test_both_sublattices_are_found_and_named "
    "test_without_noise_tails_are_not_taken_for_columns "
    "test_alternating_shifts_do_not_confuse_the_lattice "
    "test_multislice_columns_are_where_they_were_put test_crystals_of_all_kinds_are_found "
    "test_the_type_of_the_pixels_does_not_matter test_vacancies_stay_empty_without_noise "
    "test_atomap_is_imported_only_when_it_is_needed test_the_whole_superlattice_is_found "
    "test_specks_and_saturated_peaks_do_no_harm test_offset_and_scale_of_the_pixels_do_not_matter "
    "test_columns_fitted_with_the_shape_held_have_a_mean "
    "test_every_column_of_a_multislice_image_is_found_in_its_sublattice "
    "test_no_columns_are_found_in_a_data_bar_and_all_others_are",
    "columns/test_translations.py": "",
    "columns/test_peaks.py": "",
    "learning/test_clusters.py": "",
    "learning/test_decomposition.py": "test_results_survive_saving "
    "test_what_hyperspy_does_with_lazy_stacks_still_works test_online_algorithms_are_hyperspys "
    "test_the_model_is_what_the_estimator_makes_of_the_data",
    "learning/test_embedding.py": "",
    "plots/test_angle_histogram.py": "",
    "plots/test_color.py": "",
    "plots/test_comparison.py": "",
    "plots/test_diagnostics.py": "",
    "plots/test_panels.py": "",
    "plots/test_history.py": "",
    "plots/test_image.py": "",
    "plots/test_manifold.py": "",
    "plots/test_site_map.py": "",
    "rvae/test_charges.py": "",
    "rvae/test_geometry.py": "",
    "rvae/test_model.py": "test_intensity_units_do_not_matter test_lazy_images_give_the_same_model "
    "test_the_progress_bar_is_shown_on_request_only test_leaving_out_many_sites_is_said_aloud "
    "test_without_rotation_all_angles_are_zero test_odd_sites_stay_alone "
    "test_another_seed_changes_the_weights_but_not_the_variants",
    "rvae/test_neighbour_test.py": "",
    "rvae/test_pose.py": "",
    "signals/test_cutting.py": "",
    "signals/test_site_signal.py": "test_a_table_that_does_not_match_is_refused_with_a_warning "
    "test_every_part_of_a_split_has_its_rows test_a_refused_table_breaks_nothing",
    "signals/test_concatenate.py": "test_angles_of_two_window_sizes_in_one_dataframe "
    "test_a_fit_that_the_stacks_share_is_kept test_joined_stacks_are_saved_and_loaded",
    "signals/test_figures.py": "",
    "signals/test_rvae.py": "test_a_lazy_stack_gives_the_same_and_stays_lazy "
    "test_a_new_fit_replaces_the_columns_of_the_old_one test_hyperspys_preference_shows_the_bar "
    "test_apply_on_another_stack_and_from_a_file test_pixels_that_are_not_square_are_warned_of "
    "test_windows_cut_at_whole_pixels_are_centred_by_the_model",
    "signals/test_selection.py": "",
    "signals/test_variants.py": "test_a_crystal_without_displacement_has_no_variants "
    "test_grains_of_a_symmetric_motif_are_variants_up_to_its_turns "
    "test_angles_of_a_distortion_are_directions_of_displacement",
    "test_data.py": "",
    "test_diagnostics.py": "test_smooth_maps_are_not_taken_for_a_trend test_an_angle_has_no_seam "
    "test_a_trend_is_named_and_noise_is_not",
    "test_docs.py": "",
    "simulation/test_imaging.py": "",
    "simulation/test_settings.py": "",
    "test_checks.py": "",
    "test_progress.py": "",
    "test_lazy_windows.py": "",
    "test_neighbours.py": "",
    "test_package.py": "test_only_the_model_needs_torch test_the_wheel_holds_the_whole_package",
    "test_parent_image.py": "",
    "test_positions.py": "",
    "test_prose.py": "",
    "refinement/test_refinement.py": "test_a_sublattice_refined_by_atomap_has_means_too "
    "test_columns_that_must_not_move_stay test_atomap_goes_on_from_a_refined_sublattice",
    "test_repository.py": "",
    "test_simulation.py": "",
    "sites/test_table.py": "",
    "test_tracks.py": "",
    "test_variants.py": "",
    "test_verdict.py": "",
    "test_windows.py": "",
}


def pytest_collection_modifyitems(items):
    for item in items:
        folder = Path(__file__).parent
        if item.path.is_relative_to(folder) and not item.get_closest_marker("slow"):
            left_out = CORE.get(item.path.relative_to(folder).as_posix())
            if left_out is not None and getattr(item, "originalname", "") not in left_out.split():
                item.add_marker("core")


def _make_film(seed, *, n_cells=46, window_cells=1.8, position_noise=0.1, **settings):
    """A film, its stack of B sub-images, and the truth of the sites that are in it."""
    settings = {"cell": 20.0, "nonpolar": 0.08, **settings}
    side = round(n_cells * settings["cell"])
    simulate = hs_rvae.simulation.simulate_perovskite
    image, truth = simulate((side, side), random_state=seed, **settings)
    positions = truth.b_sites[["x", "y"]].to_numpy()
    positions = positions + position_noise * np.random.default_rng(seed).standard_normal(
        positions.shape
    )
    window = round(window_cells * settings["cell"])
    stack = hs_rvae.SubImageStack.from_positions(image, positions, window_size=window)
    index = stack.sites["site_index"]
    return SimpleNamespace(
        image=image,
        truth=truth,
        positions=positions,
        stack=stack,
        sites=truth.b_sites.iloc[index].reset_index(drop=True),
        interior=truth.interior()[index],
        true_angle=truth.b_sites["angle"].to_numpy()[index],
    )


def _copy_of(load):
    """A real image of another project, if this machine has a copy; nothing is fetched."""
    try:
        return load()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def dysco3():
    """The real image of DyScO3."""
    return _copy_of(hs_rvae.data.dysco3)


@pytest.fixture
def pto_sro():
    """The real image of a PbTiO3/SrRuO3 superlattice."""
    return _copy_of(hs_rvae.data.pto_sro)


@pytest.fixture(scope="session")
def make_film():
    """A function that simulates a film and cuts its B sub-images."""
    return _make_film


@pytest.fixture(scope="session")
def film():
    """A small film; its stack must not be changed."""
    return _make_film(0, n_cells=24, cell=18.0, domain_size=8, nonpolar=0.0)


@pytest.fixture(scope="session")
def model(film):
    """A model of a turning motif fitted to the small film; it must not be changed."""
    return hs_rvae.RVAE(output_dimension=2, rotation="motif", random_state=0).fit(film.stack.data)


@pytest.fixture(scope="session")
def result(film, model):
    """What the model says about the small film."""
    return model.transform(film.stack.data)


@pytest.fixture(autouse=True)
def coarse_reports(monkeypatch):
    """A report that a test writes has coarse figures; a page of a wider scope is the usual one."""
    monkeypatch.setattr("hs_rvae.report.figures._DPI", 50)


class _Sweep:
    """A table of a sweep, on its way into a page of the documentation."""

    def __init__(self, page, script):
        self.page, self.script = page, script
        self._start = time.process_time()

    def write(self, table, seeds, seconds=None):
        """Print the table; if HS_RVAE_SWEEP is set, write it between the marks of the page.

        `seconds` of a processor are those of this process unless others measured the table.
        """
        print(table)
        if not os.environ.get("HS_RVAE_SWEEP"):
            return
        git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        output = subprocess.run(git, cwd=self.page.parent, capture_output=True, check=True).stdout
        minutes = (time.process_time() - self._start if seconds is None else seconds) / 60
        origin = (
            f"Commit {output.decode().strip()}, seeds {seeds[0]} to {seeds[-1]}, {minutes:.0f} "
            f"minutes of one processor; written by ``pytest -m sweep {self.script}``."
        )
        begin, end = f".. begin of {self.script}\n", f".. end of {self.script}\n"
        before, rest = self.page.read_text(encoding="utf-8").split(begin)
        after = rest.split(end)[1]
        self.page.write_text(
            f"{before}{begin}\n{table}\n{origin}\n\n{end}{after}", encoding="utf-8"
        )


@pytest.fixture(scope="module")
def sweep(request):
    """A function of the name of a page: its table, timed from now on."""
    root = Path(__file__).parents[1]
    script = request.path.relative_to(root).as_posix()
    return lambda page: _Sweep(root / "docs" / "user_guide" / f"{page}.rst", script)


@pytest.fixture(scope="session")
def hand_made():
    """The module hand_made.py: crystals made by hand, with their tables and images."""
    spec = importlib.util.spec_from_file_location(
        "hand_made", Path(__file__).with_name("hand_made.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
