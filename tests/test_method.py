"""Methods are found by name, path or entry point; every mistake on the way is one sentence."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import harness.method
from harness.errors import HarnessError, MethodError, UnknownName
from harness.method import (
    METHODS_FOLDER,
    Method,
    convert,
    load_method,
    method_class,
    method_name,
    method_names,
    option_fields,
    resolved_options,
    source_files,
)
from harness.types import Prediction

GOOD = '''\
"""Constant: every pixel is as anomalous as the next."""

from dataclasses import dataclass

import numpy as np

from harness.method import Method
from harness.types import Prediction


@dataclass
class Constant(Method):
    value: float = 0.5
    names: tuple[str, ...] = ()

    def predict(self, image):
        return Prediction(np.full(image.shape[:2], self.value, np.float32))
'''

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a method file and gives its path."""

    def written(text: str, name: str = "constant.py") -> str:
        (tmp_path / name).write_text(text, "utf-8")
        return str(tmp_path / name)

    return written


def sentence(call: Callable[[], object], kind: type[HarnessError] = MethodError) -> str:
    with pytest.raises(kind) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    return text


# Names


def test_names_are_the_files_of_the_folder_without_the_shared_ones() -> None:
    names = method_names()
    assert names == sorted(names)
    assert "msp" in names
    assert not any(name.startswith("_") for name in names)


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    text = sentence(lambda: load_method("maxlogit"), UnknownName)
    assert text == "no method is called 'maxlogit'. Did you mean 'max_logit'?"


def test_a_shared_part_is_no_method() -> None:
    sentence(lambda: method_class("_posthoc"), UnknownName)


@pytest.mark.parametrize("name", ["", "../harness/types", "networks"])
def test_a_name_that_is_no_file_of_the_folder_is_unknown(name: str) -> None:
    sentence(lambda: method_class(name), UnknownName)


def test_a_path_is_called_after_its_file() -> None:
    assert method_name("some/where/constant.py") == "constant"
    assert method_name("msp") == "msp"


# Files from elsewhere


def test_a_file_from_elsewhere_is_a_method(write: Write) -> None:
    score = load_method(write(GOOD), value="0.25").predict(np.zeros((2, 3, 3), np.uint8)).score
    assert np.array_equal(score, np.full((2, 3), 0.25, np.float32))


def test_a_file_is_imported_once(write: Write) -> None:
    path = write(GOOD)
    assert method_class(path) is method_class(path)


def test_two_files_of_one_name_are_two_methods(write: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "constant.py"
    other.write_text(GOOD.replace("0.5", "0.75"), "utf-8")
    assert option_fields(method_class(write(GOOD)))["value"] == 0.5
    assert option_fields(method_class(str(other)))["value"] == 0.75


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere.py")
    assert sentence(lambda: load_method(path)).startswith(f"{path}: no such file")


def test_a_syntax_error_is_told_with_its_line(write: Write) -> None:
    path = write(GOOD.replace("def predict(self, image):", "def predict(self, image:"))
    text = sentence(lambda: load_method(path))
    assert text.startswith(f"{path}, line 16: ")
    assert text.endswith("the method cannot be imported.")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("raise ValueError('as it happens')", "ValueError: as it happens"),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("from harness.types import Nothing", "cannot import name 'Nothing'"),
    ],
)
def test_an_error_on_import_is_told(line: str, told: str, write: Write) -> None:
    path = write(f"{GOOD}\n\n{line}\n")
    text = sentence(lambda: load_method(path))
    assert path in text
    assert told in text


def test_a_file_that_failed_can_be_mended_and_loaded(write: Write) -> None:
    sentence(lambda: load_method(write("def broken(:\n")))
    assert load_method(write(GOOD)) is not None


def test_a_file_without_a_method_is_refused(write: Write) -> None:
    path = write("from harness.method import Method\n")  # imported, but not defined there
    assert sentence(lambda: load_method(path)) == (
        f"{path}: one subclass of Method was expected, found none."
    )


def test_a_file_with_two_methods_is_refused(write: Write) -> None:
    path = write(f"{GOOD}\n\nclass Second(Constant):\n    pass\n")
    assert sentence(lambda: load_method(path)).endswith("found Constant, Second.")


def test_a_class_with_an_underscore_is_a_part_and_not_a_second_method(write: Write) -> None:
    path = write(f"{GOOD}\n\nclass _Part(Method):\n    pass\n")
    assert method_class(path).__name__ == "Constant"


@pytest.mark.parametrize("parent", ["Method", "PostHoc"])
def test_a_method_without_dataclass_is_told_so(parent: str, write: Write) -> None:
    path = write(
        "from harness.method import Method\nfrom methods._posthoc import PostHoc\n\n\n"
        f"class Forgotten({parent}):\n    strength: float = 1.0\n"
    )
    assert "write @dataclass above it" in sentence(lambda: load_method(path))


def test_a_file_of_the_folder_that_cannot_be_imported_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"cannot import name 'X' from '{name}'")

    monkeypatch.setattr(harness.method.importlib, "import_module", broken)
    assert sentence(lambda: load_method("msp")) == (
        "methods.msp: ImportError: cannot import name 'X' from 'methods.msp'; "
        "the method cannot be imported."
    )


# Entry points


@dataclass
class Installed(Method):
    strength: int = 1

    def predict(self, image: Any) -> Prediction:
        return Prediction(np.zeros(image.shape[:2], np.float32))


NO_METHOD = 3


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entry points, `installed` and `wrong`, as if a package had brought them."""
    found = importlib.metadata.EntryPoints(
        importlib.metadata.EntryPoint(name, f"{__name__}:{attribute}", "harness.methods")
        for name, attribute in (("installed", "Installed"), ("wrong", "NO_METHOD"))
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", found.select)


@pytest.mark.usefixtures("entry_points")
def test_an_installed_method_is_found_by_its_entry_point() -> None:
    assert "installed" in method_names()
    assert load_method("installed", strength="4") == Installed(4)


@pytest.mark.usefixtures("entry_points")
def test_an_entry_point_that_is_no_method_is_refused() -> None:
    text = sentence(lambda: load_method("wrong"))
    assert text == f"entry point wrong = {__name__}:NO_METHOD is no subclass of Method."


# Options


def test_options_are_the_fields_in_their_order() -> None:
    assert list(option_fields(method_class("energy"))) == [
        "network", "weights", "device", "precision", "compile", "upsample",
        "post_processing", "window", "stride", "scales", "flip", "also_trained_on", "temperature",
    ]  # fmt: skip


def test_resolved_options_have_the_values_that_are_used(write: Write) -> None:
    method = load_method(write(GOOD), names="a, b")
    assert resolved_options(method) == {"value": 0.5, "names": ("a", "b")}


def test_an_unknown_option_is_answered_with_the_nearest(write: Write) -> None:
    path = write(GOOD)
    text = sentence(lambda: load_method(path, valeu="1"), UnknownName)
    assert text == "no option of constant is called 'valeu'. Did you mean 'value'?"


def test_a_value_that_does_not_fit_names_method_option_and_type(write: Write) -> None:
    path = write(GOOD)
    text = sentence(lambda: load_method(path, value="high"))
    assert text == "constant: option value: 'high' is no float."


def test_a_method_that_refuses_its_options_is_one_sentence(write: Write) -> None:
    refusing = GOOD.replace(
        "    def predict",
        "    def __post_init__(self):\n"
        "        raise ValueError('value must be odd')\n\n    def predict",
    )
    path = write(refusing)
    assert sentence(lambda: load_method(path)) == "constant: value must be odd"


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("0.5", float, 0.5),
        ("1e-3", float, 1e-3),
        (1, float, 1.0),
        ("12", int, 12),
        ("x", str, "x"),
        ("a/b", Path, Path("a/b")),
        ("true", bool, True),
        ("No", bool, False),
        ("0", bool, False),
        ("512x1024", tuple[int, ...], (512, 1024)),
        ("1, 2,3", tuple[int, ...], (1, 2, 3)),
        ("0.5,2", tuple[float, float], (0.5, 2.0)),
        ("fox, box", tuple[str, ...], ("fox", "box")),
        ("", tuple[int, ...], ()),
        ("none", int | None, None),
        ("3", int | None, 3),
        ("512x1024", tuple[int, int] | None, (512, 1024)),
        ("score", Literal["logits", "score"], "score"),
        (2.5, float, 2.5),
        ((1, 2), tuple[int, ...], (1, 2)),
        (None, int | None, None),
    ],
)
def test_a_value_becomes_what_the_field_wants(value: Any, hint: Any, expected: Any) -> None:
    found = convert(value, hint, where="m: option o")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "kind"),
    [
        ("1.5", int, "int"),
        ("", float, "float"),
        ("maybe", bool, "bool"),
        ("1,x2,3", tuple[int, int], "tuple[int, int]"),
        ("a,b", tuple[int, ...], "tuple[int, ...]"),
        ("1,2,3", tuple[int, int], "tuple[int, int]"),
        ("three", int | None, "int"),
        (1.5, int, "int"),
        (True, float, "float"),
        (None, float, "float"),
        (3, str, "str"),
    ],
)
def test_a_value_that_does_not_fit_is_one_sentence(value: Any, hint: Any, kind: str) -> None:
    text = sentence(lambda: convert(value, hint, where="m: option o"))
    assert text == f"m: option o: '{value}' is no {kind}."


@pytest.mark.parametrize("value", ["scores", 3])
def test_a_choice_that_does_not_exist_is_answered_with_those_that_do(value: Any) -> None:
    hint = Literal["logits", "score"]
    text = sentence(lambda: convert(value, hint, where="msp: option upsample"), UnknownName)
    assert "score" in text


# The contract's defaults


def test_predictions_are_predict_of_each_image() -> None:
    images = [np.zeros((2, 3, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)]
    assert [p.score.shape for p in Installed().predictions(images)] == [(2, 3), (4, 5)]


def test_a_method_shares_no_forward_pass_unless_it_says_so() -> None:
    assert Installed().forward_key() is None


def test_methods_together_give_a_row_per_image() -> None:
    rows = Method.predictions_together([Installed(), Installed()], [np.zeros((2, 3, 3), np.uint8)])
    assert [len(row) for row in rows] == [2]


def test_a_method_without_predict_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Method has no predict"):
        Method().predict(np.zeros((2, 3, 3), np.uint8))


# Sources


def sources(method: Method) -> set[str]:
    return {path.relative_to(METHODS_FOLDER).as_posix() for path in source_files(method)}


def test_the_sources_of_a_method_follow_its_imports() -> None:
    method = load_method("msp", network="enet")
    shared = {"_posthoc.py", "_network.py", "_weights.py", "_device.py"}
    assert sources(method) >= {"msp.py", "networks/enet.py", *shared}


def test_the_sources_of_a_method_on_its_own_are_its_file() -> None:
    assert sources(load_method("random_score")) == {"random_score.py"}


@pytest.mark.parametrize(
    "line",
    [
        "from methods._network import CLASSES",
        "from methods import _network",
        "import methods._network",
        "import methods._network as network",
    ],
)
def test_an_import_inside_a_function_is_followed_too(line: str, write: Write) -> None:
    path = write(GOOD.replace("        return", f"        {line}\n        return"))
    names = [found.name for found in source_files(load_method(path))]
    assert sorted(names) == ["_array_pickle.py", "_network.py", "_weights.py", "constant.py"]


def test_source_files_come_in_one_order() -> None:
    files = source_files(load_method("msp", network="enet"))
    assert files == sorted(files)


def test_an_option_without_a_default_must_be_given(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom harness.method import Method\n"
        "@dataclass\nclass Own(Method):\n    gain: float\n"
    )
    with pytest.raises(MethodError, match="own: option gain has no default; give --set gain="):
        load_method(str(path))
    assert load_method(str(path), gain="2").gain == 2.0
