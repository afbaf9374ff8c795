"""Plain pickles of arrays, as detectron2's model zoo has them: read, and none of their code run."""

import io
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from harness.errors import MethodError

_CODE = re.compile("b1|[fiu][1248]")  # of a dtype: truth values and numbers


def read_arrays(path: Path) -> Any:
    """What the plain pickle at `path` holds, its numpy arrays and numbers as tensors on the CPU.

    Only containers, text, numbers, numpy arrays and torch tensors are made. numpy itself does not
    unpickle anything: a crafted array could make it read or write where nothing is.

    Raises:
        MethodError: the pickle names something else.
        pickle.UnpicklingError, EOFError, ValueError, …: the bytes are no such pickle.
    """
    with path.open("rb") as file:
        return _with_tensors(_Reader(file, path).load())


class _Dtype:
    """In the place of `numpy.dtype`."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def real(self) -> np.dtype[Any]:
        if not _CODE.fullmatch(self.code) or self.order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"no dtype of numbers: {self.order}{self.code}")
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """In the place of a numpy array, and of what makes an empty one that a state then fills."""

    def __init__(self, *_: object) -> None:
        self.state: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, *self.state = state  # the version of the form is always 1

    def tensor(self) -> Tensor:
        shape, dtype, is_fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data  # text: of Python 2
        array = np.frombuffer(data, dtype.real()).reshape(shape, order="F" if is_fortran else "C")
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def _filled(shape: tuple[int, ...], dtype: _Dtype, is_fortran: bool, data: bytes) -> _Array:
    array = _Array()
    array.state = [shape, dtype, is_fortran, data]
    return array


def _scalar(dtype: _Dtype, data: bytes) -> _Array:
    return _filled((), dtype, False, data)


def _from_buffer(data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    return _filled(shape, dtype, order == "F", data)


def _bytes(text: str = "", _: str = "latin1") -> bytes:
    """What protocols before 3 make of bytes: a text's, or none."""
    return text.encode("latin1")


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


# Global name in a pickle -> what is called in its place.
_KNOWN = {
    "__builtin__.bytes": _bytes,
    "_codecs.encode": _bytes,
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": _Dtype,
    "numpy.ndarray": _Array,
    **{
        f"numpy.{core}.{name}": value
        for core in ("core", "_core")  # before numpy 2, and since
        for name, value in (
            ("multiarray._reconstruct", _Array),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
    "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch.storage._load_from_bytes": _storage,
}


class _Reader(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            raise MethodError(
                f"{self.path}: names {f'{module}.{name}'!r}, where only numbers, numpy arrays and "
                "torch tensors were expected; pickled code is never run, so save the state dict "
                "alone, as .safetensors."
            ) from None


def _with_tensors(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _with_tensors(value) for key, value in found.items()}
    return found.tensor() if isinstance(found, _Array) else found
