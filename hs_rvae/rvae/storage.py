# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk: safetensors, settings in the header, no pickle."""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save as to_bytes

from ..files import complete_file, plain
from .convolutional.model import ConvolutionalModel
from .harmonic.model import HarmonicModel
from .torch_state import in_default_torch_state

_FORMAT = "hs_rvae harmonic model 1"
#: Kinds of model by architecture.
MODELS = {"harmonic": HarmonicModel, "convolutional": ConvolutionalModel}


class Storage:
    """Saving and loading of an estimator."""

    @in_default_torch_state
    def save(self, path):
        """Write the fitted model as safetensors, with its settings in the header.

        Parameters
        ----------
        path : str or pathlib.Path
            Usually ending in ``.safetensors``.

        Returns
        -------
        pathlib.Path
            The file, complete: a failed write leaves nothing behind.
        """
        self._check_fitted("save")
        tensors, header = self._model.state()
        settings = self.get_params(deep=False)
        if not isinstance(plain(settings["random_state"]), int | None):
            settings["random_state"] = None
        settings["device"] = settings["show_progressbar"] = settings["memory_budget"] = None
        header = {"format": _FORMAT, "settings": settings, "model": header}
        header |= {"pixel_size": self.pixel_size_, "pixel_units": self.pixel_units_}
        path = write_model(path, tensors, header)
        self.path_ = path.absolute()
        return path

    @classmethod
    @in_default_torch_state
    def load(cls, path, device=None):
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
        device : str or torch.device, optional
            Where to use it; None takes CUDA where there is one.

        Returns
        -------
        RVAE
            Gives the same results as the saved one.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is no model of this format.
        """
        tensors, header = read_model(path, _FORMAT)
        try:
            model = cls(**header["settings"])
            kind = MODELS[model.architecture]
            model._model = kind.from_state(tensors, header["model"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"path={str(path)!r} does not hold what this version of hs_rvae reads ({error}); "
                "it was written by another version, or is damaged."
            ) from error
        model.device = device
        model._publish()
        model.path_ = Path(path).absolute()
        model.pixel_size_, model.pixel_units_ = header.get("pixel_size"), header.get("pixel_units")
        return model


def write_model(path, tensors, header):
    """Write tensors and settings, complete or not at all.

    Parameters
    ----------
    path : str or pathlib.Path
    tensors : dict of str to torch.Tensor
    header : dict
        Anything that JSON holds.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = to_bytes(tensors, metadata={"hs_rvae": json.dumps(plain(header))})
    with complete_file(path, "The model") as draft:
        draft.write_bytes(content)  # safetensors' own files are closed to others
    return Path(path)


def read_model(path, expected_format):
    """Read what :func:`write_model` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
    expected_format : str
        The header's ``format``.

    Returns
    -------
    tensors : dict of str to torch.Tensor
    header : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a model of this format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such file.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("hs_rvae", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # no mapping
    except Exception as error:  # safetensors has no public exception of its own
        raise ValueError(
            f"path={str(path)!r} is not a safetensors file ({error}); give one that save() wrote."
        ) from error
    if header.get("format") != expected_format:
        raise ValueError(
            f"path={str(path)!r} holds {header.get('format', 'no model of hs_rvae')!r}; this "
            f"version reads {expected_format!r}."
        )
    return tensors, header
