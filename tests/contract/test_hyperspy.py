# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HyperSpy's own tests, with our classes in place of its signals.

``hyperspy_stand_in`` says how. All together they take about ten minutes of one processor; among
those of learning are 288 combinations of clustering options.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import hyperspy
import pytest

import hs_rvae

FOLDER = Path(hyperspy.__file__).parent / "tests"
#: Files of HyperSpy by what they test, and the number of tests that run at least.
GROUPS = {
    "learning": (
        [f"learn/test_{name}.py" for name in (
            "bss", "cluster", "decomposition", "export", "lazy_decomposition", "learning_results",
        )],
        600,
    ),
    "signals": (["signals"], 1300),
    "io": (["test_io.py", "utils/test_stack.py"], 85),
    "plotting": (
        [f"drawing/test_{name}.py" for name in (
            "figure", "markers", "plot_lazy", "plot_mva", "plot_roi_widgets", "plot_signal",
            "plot_signal2d", "plot_signal_tools",
        )],
        200,
    ),
}  # fmt: skip

_TEXT = "text of the error"
_NET = "fetches an image from the net"
_CLASS = "asks for the class that HyperSpy's table of signals names, which is still its own"
_MASKED = "masked pixels are NaN"
#: What fails with HyperSpy 2.5.0, and why it should.
EXPECTED = {
    # Nothing is printed unless asked for: the package logs.
    r"TestPrintInfo::test_decomposition": "print_info is False by default",
    # Better than an error.
    r"TestNonFloatTypeError::test_decomposition_error": "integer data are taken",
    r"test_non_float_dtype_raises": "integer data are taken",
    # Where HyperSpy gives a model that is not in the units of the data.
    r"TestLazyDecomposition::test_pca\[True\]": "PCA with Poissonian noise is refused",
    r"test_poissonian_flag_stored_true\[PCA": "PCA with Poissonian noise is refused",
    # PCA of a lazy stack is exact; there is no estimator behind it.
    r"test_return_info_true_pca": "no estimator to return",
    r"test_unfolded4decomposition_false_after_svd": "a private attribute that is not used",
    r"test_bad_nav_mask_shape_raises": _TEXT,
    r"test_algorithm_error|test_svd_solver_invalid": _TEXT,
    # Other conventions.
    r"test_custom_incremental_estimator|test_custom_estimator_return_info": (
        "the estimator of the caller stays as it is: a copy is fitted and returned"
    ),
    r"test_orthomax": "the scale is in the loadings of any stack, and orthomax depends on it",
    r"test_custom_estimator_missing_components_raises": "an earlier check: it has no transform",
    r"test_cluster_source_error": f"{_TEXT}: there are more sources",
    r"test_cluster_decomposition_error": _TEXT,
    r"test_cluster_nav_mask_error": _TEXT,
    r"test_cluster_sig_mask_error": _TEXT,
    r"test_cluster_preprocessing_object_error|test_clustering_object_error": _TEXT,
    r"test_estimate_pre_error|test_preprocess_alg_exception": _TEXT,
    # HyperSpy's own blind source separation: passes in most runs.
    r"TestBSS2D::test_(lazy_)?diff_axes_string_with_mask": (
        "FastICA begins at random: two of its results differ by 2e-5 of 14, 1e-5 is asked for"
    ),
    r"raises_import_error_without_sklearn": "scikit-learn is always there",
    r"TestSubPixelAlign|TestAlignTools": _NET,
    r"test_plot_(multiple_images_list|rgb_image|images_(default|bogus_cmap|cmap_))": _NET,
    r"test_assignment_class|test_base_to_2d|test_setting_signal_dimension\[2\]": _CLASS,
    r"test_(lazy_)?to_signal2D|test_(lazy_)?signal_int_transpose": _CLASS,
    r"TestOutArg::test_masked_array_(mean|sum)": _MASKED,
    r"test_io_overwriting_invalid_parameter": _TEXT,
    r"Test2D::test_(lazy_)?split_error": _TEXT,  # 1e9 is refused as no whole number
    r"test_save_stacklevel_in_deprecation_warning": "the line of the call, for one class more",
    r"test_lazy_docstring_save": "save has a docstring of its own, without the table of formats",
}


@pytest.mark.sweep
@pytest.mark.skipif(not FOLDER.is_dir(), reason="this HyperSpy comes without its tests")
@pytest.mark.parametrize("group", GROUPS)
def test_hyperspys_tests_pass_but_for_those_listed(group, tmp_path):
    files, at_least = GROUPS[group]
    paths = [str(Path(__file__).parent), str(Path(hs_rvae.__file__).parents[1])]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "hyperspy_stand_in", "-rfE"),
            *("-p", "no:cacheprovider", "--tb=no", f"--rootdir={tmp_path}"),
            *(str(FOLDER / file) for file in files),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "agg"},
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)
    unexpected = [name for name in failed if not any(re.search(k, name) for k in EXPECTED)]
    assert unexpected == [], result.stdout[-2000:]
    n_run = len(failed) + int(re.search(r"(\d+) passed", result.stdout)[1])
    assert n_run >= at_least
