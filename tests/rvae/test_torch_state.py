# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models work alike whatever is switched in PyTorch, and leave the switches as they were."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import hs_rvae
from hs_rvae import RVAE
from hs_rvae.rvae.torch_state import default_torch_state


@contextmanager
def switched(setter, value, back, **options):
    setter(value, **options)
    try:
        yield
    finally:
        setter(back)


def bfloat16_products():
    part = torch.backends.mkldnn.matmul
    return switched(lambda value: setattr(part, "fp32_precision", value), "bf16", "none")


SWITCHES = {
    "double by default": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "half by default": lambda: switched(torch.set_default_dtype, torch.float16, torch.float32),
    "gradients off": lambda: switched(torch.set_grad_enabled, False, True),
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "default device": lambda: switched(torch.set_default_device, "meta", None),
    "device context": lambda: torch.device("meta"),
    "deterministic": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "deterministic, warn": lambda: switched(
        torch.use_deterministic_algorithms, True, False, warn_only=True
    ),
    "medium products": lambda: switched(torch.set_float32_matmul_precision, "medium", "highest"),
    "bfloat16 products": bfloat16_products,
    "anomaly detection": lambda: switched(torch.set_anomaly_enabled, True, False),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}
if not hasattr(torch.backends, "fp32_precision"):  # PyTorch before 2.9
    del SWITCHES["bfloat16 products"]
QUICK = {"epochs": 1, "n_init": 1, "n_factors": 0}
KINDS = {
    "harmonic": QUICK,
    "shifts": QUICK | {"translation": True},
    "distortion": QUICK | {"rotation": "distortion"},
    "convolutional": QUICK | {"architecture": "convolutional"},
}


def state():
    """All switches that a model might need, and the state of the global generators."""
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        precision = "set by backend"
    newer = []
    if hasattr(torch.backends, "fp32_precision"):
        parts = torch.backends, torch.backends.mkldnn.matmul, torch.backends.cuda.matmul
        newer = [part.fp32_precision for part in parts]
    return [
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_anomaly_enabled(),
        torch.is_anomaly_check_nan_enabled(),
        torch.is_autocast_enabled("cpu"),
        precision,
        newer,
        torch.get_num_threads(),
        torch.random.default_generator.get_state().tolist(),
        np.random.get_state()[1].tolist(),
    ]


@pytest.fixture(scope="module")
def stack():
    image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    xy = truth.b_sites[["x", "y"]]
    return hs_rvae.SubImageStack.from_positions(image, xy, window_size=24)


@pytest.fixture(scope="module")
def images(stack):
    return stack.data


def through_all_doors(stack, path, options):
    """What each door gives; a model that is fitted, started from another, saved, loaded, copied."""
    images = stack.data
    places = {"positions": stack.sites.xy} if "rotation" in options else {}
    if options.get("architecture") == "convolutional":
        images = images[:24, 4:-4, 4:-4]  # every pixel of the network costs
    model = RVAE(random_state=0, **options)
    found = vars(model.fit_transform(images, **places))
    again = RVAE(random_state=1, **options).fit(images, initial_model=model, **places)
    model.save(path)
    loaded = RVAE.load(path)
    found |= {f"again {k}": v for k, v in vars(again.transform(images)).items()}
    found |= {f"loaded {k}": v for k, v in vars(loaded.transform(images)).items()}
    found |= {
        f"posterior {k}": v for k, v in vars(copy.deepcopy(loaded).angle_posterior(images)).items()
    }
    latent = np.ones((2, loaded.n_latents_))
    found["decoded"] = loaded.inverse_transform(latent, 0.3, (0.5, 0.2), window_size=30)
    found["manifold"] = copy.deepcopy(model).manifold((2, 3))[0]
    found["score"] = np.array(loaded.score(images))
    found["file"] = np.frombuffer(path.read_bytes(), np.uint8)
    for name, columns in list(found.items()):
        if isinstance(columns, dict):  # those of other order parameters
            found |= {f"{name} {column}": values for column, values in found.pop(name).items()}
    return {name: value for name, value in found.items() if value is not None}


# Shifts and the distortion use no other parts of PyTorch, so three switches will do for them.
CASES = [(kind, name) for kind in ("harmonic", "convolutional") for name in SWITCHES]
CASES += [
    (kind, name)
    for kind in ("shifts", "distortion")
    for name in ("double by default", "inference mode", "default device")
]


@pytest.fixture(scope="module")
def expected(stack, tmp_path_factory):
    """What each kind of model gives under PyTorch's defaults."""
    folder = tmp_path_factory.mktemp("models")
    return {
        kind: through_all_doors(stack, folder / kind, options) for kind, options in KINDS.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind, name", CASES)
def test_results_are_the_same_to_the_bit_whatever_is_switched(
    kind, name, expected, stack, tmp_path
):
    with SWITCHES[name]():
        before = state()
        found = through_all_doors(stack, tmp_path / kind, KINDS[kind])
        assert state() == before
    assert found.keys() == expected[kind].keys()
    for part, value in expected[kind].items():
        np.testing.assert_array_equal(found[part], value, err_msg=part)
        assert found[part].dtype == value.dtype


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SWITCHES))
def test_errors_leave_the_switches_as_they_were(name, images, tmp_path):
    model = RVAE(random_state=0, **QUICK).fit(images)
    with SWITCHES[name]():
        before = state()
        with pytest.raises(ValueError, match="usable sub-images; a fit needs 10"):
            RVAE().fit(images[:5])
        with pytest.raises(ValueError, match="device='nowhere' cannot be used"):
            RVAE(device="nowhere").fit(images)
        with pytest.raises(ValueError, match="windows of 20 px, the model was fitted to 24 px"):
            model.transform(images[:, 2:-2, 2:-2])
        with pytest.raises(FileNotFoundError, match="choose a folder that exists"):
            model.save(tmp_path / "none" / "m.st")
        with pytest.raises(FileNotFoundError, match="there is no such file"):
            RVAE.load(tmp_path / "m.st")
        assert state() == before


def test_doors_inside_and_beside_each_other_put_the_switches_back_last():
    with SWITCHES["double by default"]():
        first, second = default_torch_state(), default_torch_state()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32  # the second is still at work
        second.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.slow
def test_a_lazy_stack_is_read_by_threads_whose_results_do_not_depend_on_switches():
    image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    angles = []
    for name in ("gradients on", "double by default", "inference mode"):
        stack = hs_rvae.SubImageStack.from_positions(
            image, truth.b_sites[["x", "y"]], window_size=24, lazy=True
        )
        with SWITCHES.get(name, torch.enable_grad)():
            stack.rvae(random_state=0, show_progressbar=False)
            stack.get_rvae_model(lazy_output=False, show_progressbar=False)
        angles.append(stack.sites["angle"])
    np.testing.assert_array_equal(angles[1], angles[0])
    np.testing.assert_array_equal(angles[2], angles[0])
