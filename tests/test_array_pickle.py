"""Plain pickles of arrays are read as they were written, and nothing else in them is touched."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_network_weights import one_sentence

from harness.errors import MethodError
from methods._weights import read_weights

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
VALUES = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "float64": np.array([1 / 3, np.nan, np.inf]),
    "float16": np.array([[0.5]], np.float16),
    "int64": np.array([-1, 2**40]),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
    "no axis": np.array(7, np.int64),
    "number": np.float32(0.1),
    "by columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">f4"),
    "every second": np.arange(6, dtype=np.float32)[::2],
}
# As Python 2 wrote an array of 1 and 2.
OF_PYTHON_2 = (
    b"(dS'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nt"
    b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    b"S'\\x00\\x00\\x80?\\x00\\x00\\x00@'\ntbs."
)


def written(folder: Path, found: Any, protocol: int = 4) -> Path:
    path = folder / "weights.pkl"
    path.write_bytes(pickle.dumps(found, protocol))
    return path


class Call:
    """Pickled, it makes who unpickles it call `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> Any:
        return self.made


# What is read


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_come_back_as_they_were_written(protocol: int, tmp_path: Path) -> None:
    path = written(tmp_path, {"model": VALUES, "__author__": "Ada"}, protocol)
    found = read_weights(path)
    assert list(found) == list(VALUES)
    for name, value in VALUES.items():
        expected = torch.from_numpy(np.array(value.astype(value.dtype.newbyteorder("="))))
        torch.testing.assert_close(found[name], expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_come_back_as_they_were_written(protocol: int, tmp_path: Path) -> None:
    base = torch.arange(6.0).view(2, 3)
    state = OrderedDict(a=base, b=base.t(), c=base[1:], d=base.half(), e=torch.nn.Parameter(base))
    found = read_weights(written(tmp_path, state, protocol))
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_arrays_of_numpy_1_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": VALUES["float32"]}, protocol=2)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    assert torch.equal(read_weights(path)["a"], torch.from_numpy(VALUES["float32"]))


def test_arrays_of_python_2_are_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(OF_PYTHON_2)
    assert torch.equal(read_weights(path)["a"], torch.tensor([1.0, 2.0]))


def test_a_file_of_torch_may_have_the_ending_of_a_pickle(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}, "iteration": 90000}, tmp_path / "model_final.pkl")
    assert torch.equal(read_weights(tmp_path / "model_final.pkl")["a"], torch.ones(2))


def test_what_is_read_can_be_written_to(tmp_path: Path) -> None:
    found = read_weights(written(tmp_path, {"a": np.zeros(2, np.float32)}))["a"]
    found[0] = 1.0
    assert found.tolist() == [1.0, 0.0]


# What is refused


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "system"),
        (subprocess.Popen, "Popen"),
        (eval, "eval"),
        (getattr, "getattr"),
        (np.load, "load"),
        (torch.load, "load"),
        (torch.device, "device"),
    ],
)
def test_another_name_is_refused_and_nothing_is_called(
    function: Any, name: str, protocol: int, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    trap = Call(function, f"open({str(witness)!r}, 'w') or touch {witness}")
    path = written(tmp_path, {"model": {"a": VALUES["float32"], "b": trap}}, protocol)
    with pytest.raises(MethodError, match=rf"names '\w+[\w.]*\.{name}', .*never run") as error:
        read_weights(path)
    assert str(path) in one_sentence(error)
    assert not witness.exists()


def test_no_module_is_imported_for_a_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"cantigravity\nfly\n.")
    with pytest.raises(MethodError, match=r"names 'antigravity\.fly'"):
        read_weights(path)
    assert "antigravity" not in sys.modules


def test_a_name_of_several_lines_is_told_in_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"\x80\x04\x8c\x05os\n\x1b[\x8c\x06system\x93.")
    with pytest.raises(MethodError, match="never run") as error:
        read_weights(path)
    assert "\x1b" not in one_sentence(error)


def test_a_trap_inside_a_tensor_is_refused(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    torch.save(Call(Path.touch, witness), tmp_path / "trap", _use_new_zipfile_serialization=False)
    inner = Call(torch.storage._load_from_bytes, (tmp_path / "trap").read_bytes())
    with pytest.raises(MethodError, match="never run"):
        read_weights(written(tmp_path, {"a": inner}))
    assert not witness.exists()


def test_a_trap_inside_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    array = np.array([Call(os.system, f"touch {witness}")], object)
    with pytest.raises(MethodError, match=r"names '\w+\.system'"):
        read_weights(written(tmp_path, {"a": array}))
    assert not witness.exists()


@pytest.mark.parametrize(
    "array",
    [np.array(["road"], object), np.array(["road"]), np.zeros(1, [("x", "f4"), ("y", "f4")])],
    ids=["objects", "text", "fields"],
)
def test_an_array_of_no_numbers_is_refused(array: Any, tmp_path: Path) -> None:
    path = written(tmp_path, {"a": array})
    with pytest.raises(MethodError) as error:
        read_weights(path)
    assert str(path) in one_sentence(error)


def test_an_array_with_too_few_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(OF_PYTHON_2.replace(b"(I2\nt", b"(I2000000\nt"))
    with pytest.raises(MethodError, match=r"weights\.pkl: the weights cannot be read"):
        read_weights(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_pickle_is_named(share: float, tmp_path: Path) -> None:
    path = written(tmp_path, {"model": VALUES})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MethodError) as error:
        read_weights(path)
    assert str(path) in one_sentence(error)


def test_a_pickle_without_a_state_dict_says_what_it_holds(tmp_path: Path) -> None:
    path = written(tmp_path, {"model": {"a": VALUES["float32"], "note": "hello"}})
    with pytest.raises(MethodError, match=r"name to tensor.*found a, note"):
        read_weights(path)
