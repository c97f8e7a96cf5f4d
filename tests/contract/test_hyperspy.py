# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HyperSpy's own tests of decompositions and clusters, with our classes in place of its signals.

``hyperspy_stand_in`` says how. They take about ten minutes; ``-k "not combinations"`` of HyperSpy's
288 combinations of clustering options, which all pass, takes four.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import hyperspy
import pytest

import hs_rvae

FOLDER = Path(hyperspy.__file__).parent / "tests" / "learn"
FILES = ("decomposition", "lazy_decomposition", "cluster", "learning_results", "export")

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
    # Errors with texts of our own.
    r"test_bad_nav_mask_shape_raises": "text of the error",
    r"test_custom_estimator_missing_components_raises": "an earlier check: it has no transform",
    r"test_cluster_source_error": "text of the error: there are more sources",
    r"test_cluster_decomposition_error": "text of the error",
    r"test_cluster_nav_mask_error": "text of the error",
    r"test_cluster_sig_mask_error": "text of the error",
    # scikit-learn is a requirement.
    r"raises_import_error_without_sklearn": "scikit-learn is always there",
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="this HyperSpy comes without its tests")
def test_hyperspys_tests_pass_but_for_those_listed(tmp_path):
    here = Path(__file__).parent
    paths = [str(here), str(Path(hs_rvae.__file__).parents[1])]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "hyperspy_stand_in"),
            *("-p", "no:cacheprovider", "--tb=no", f"--rootdir={tmp_path}"),
            *(str(FOLDER / f"test_{name}.py") for name in FILES),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "agg"},
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)
    unexpected = [name for name in failed if not any(re.search(k, name) for k in EXPECTED)]
    assert unexpected == [], result.stdout[-2000:]
    passed = int(re.search(r"(\d+) passed", result.stdout)[1])
    assert passed > 600
