"""The house as it is drawn: who imports whom, where heavy packages live, what files are called."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("harness", "methods", "submissions", "leaderboard")

# Patterns over module names: the modules on the left may import those on the right. A trailing *
# stands for anything: `harness.data*` is the package and what lies in it. The first fit counts.
VALUES = "harness.types harness.errors"
COUNTING = f"harness.data* harness.metrics* harness.score_files {VALUES}"
ARROWS = {
    "harness.cli harness.commands*": "*",  # inside a command only: see `problems`
    "harness.progress": "",
    "harness.__main__": "harness.cli",
    "harness.run harness.fit harness.record harness.rescore harness.partial"
    " harness.meta": "harness.method harness.meta_report"
    " harness.evaluate harness.conditions harness.partial harness.store harness.provenance"
    " harness.pictures harness.record harness.run harness.fit"
    f" {COUNTING}",
    "harness.compare": f"harness.store {COUNTING}",
    "harness.conditions": f"harness.evaluate {COUNTING}",
    "harness.describe": "harness.method harness.data* harness.metrics* harness.store"
    f" harness.provenance {VALUES}",
    "harness.evaluate": f"harness.parallel {COUNTING}",
    "harness.meta_report": f"harness.store harness.provenance harness.score_files {VALUES}",
    "harness.types harness.errors harness": "",
    "harness.data*": f"harness.data* harness.parallel {VALUES}",
    "harness.metrics*": f"harness.metrics* {VALUES}",
    "harness.store": f"harness.score_files {VALUES}",
    "harness.score_files": f"harness.score_hdf5 harness.score_images {VALUES}",
    "harness.*": VALUES,
    "methods*": f"methods._* methods.networks* harness.method {VALUES}",
    "submissions*": "submissions* harness.evaluate harness.conditions harness.record harness.store"
    f" harness.provenance {COUNTING}",
    "leaderboard*": "leaderboard* submissions* harness.store harness.compare harness.conditions"
    f" harness.meta_report {COUNTING}",
}

HUB = "harness.data.hub submissions.hub leaderboard.results methods._weights methods.networks*"
HOMES = {
    "torch torchvision transformers": "methods*",
    "ray": "harness.parallel",
    "streamlit altair": "leaderboard.app leaderboard.pages* leaderboard.asgi",
    "jinja2": "leaderboard.site",
    "starlette uvicorn": "submissions.server leaderboard.asgi",
    "limits": "submissions.gate",
    "requests": "submissions.client harness.data.download",
    "huggingface_hub datasets": HUB,
}
FORBIDDEN_NAMES = "util utils helper helpers core base manager managers common"


@dataclass(frozen=True)
class Imported:
    """One import: where it stands, what it names, and whether a function holds it."""

    line: int
    module: str  # as written, or the nearest module of this repository
    inside_function: bool


def fits(module: str, patterns: str) -> bool:
    """Whether `module` is one of `patterns`, which are separated by spaces."""
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), module) is not None
        for pattern in patterns.split()
    )


def module_of(path: str) -> str:
    """The name of the module in the file `path`, relative to the repository."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(tree: ast.AST, modules: frozenset[str], inside: bool = False) -> Iterator[Imported]:
    """Every absolute import below `tree`; `from a import b` names a.b where that is a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Imported(node.lineno, alias.name, inside)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Imported(node.lineno, whole if whole in modules else node.module, inside)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports(node, modules, inside or function)


def problems(sources: Mapping[str, str]) -> list[str]:
    """What is wrong in `sources` (path to text), one sentence each; in order of the paths."""
    modules = frozenset(map(module_of, sources))
    found = []
    graph: dict[str, set[str]] = {}
    for path in sorted(sources):
        module, tree = module_of(path), ast.parse(sources[path], path)
        stem = path.split("/")[-2 if path.endswith("__init__.py") else -1].removesuffix(".py")
        if stem.strip("_") in FORBIDDEN_NAMES.split():
            found.append(f"{path}: '{stem}' says nothing; call the file what the field calls it")
        first = tree.body[0] if tree.body else None
        if ast.get_docstring(tree) is None or first is None or first.lineno != 1:
            found.append(f"{path}:1: line 1 is not a docstring that says what the module is for")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                found.append(f"{path}:{node.lineno}: a relative import")
        if module.split(".")[0] not in ROOMS:
            continue
        allowed = next(right for left, right in ARROWS.items() if fits(module, left))
        for each in imports(tree, modules):
            package = each.module.split(".")[0]
            where = f"{path}:{each.line}: {module} imports {each.module}"
            for packages, homes in HOMES.items():
                if package in packages.split() and not fits(module, homes):
                    found.append(f"{where}, which lives in {homes} only")
            if package not in ROOMS:
                continue
            graph.setdefault(module, set()).add(each.module)
            if not fits(each.module, allowed):
                found.append(f"{where}; allowed: {allowed or 'nothing of ours'}")
            if fits(module, "harness.cli harness.commands*") and not (
                each.inside_function
                or fits(each.module, f"{VALUES} harness.progress harness.commands*")
            ):
                found.append(f"{where} outside of a command")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"a cycle of imports: {' -> '.join(error.args[1])}")
    return found


def sources_of(*folders: str) -> dict[str, str]:
    return {
        path.relative_to(REPOSITORY).as_posix(): path.read_text("utf-8")
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
    }


def test_every_import_is_an_arrow_of_the_drawing() -> None:
    assert problems(sources_of(*ROOMS, "tests", "benchmarks")) == []


GOOD = {
    "harness/__init__.py": '"""Measure."""',
    "harness/cli.py": '"""Commands."""\ndef run():\n    from harness import run\n',
    "harness/data/__init__.py": '"""Frames."""\nfrom harness.data import catalog\n',
    "harness/data/catalog.py": '"""Table."""\nfrom harness.types import Frame\n',
    "harness/errors.py": '"""Errors."""',
    "harness/run.py": '"""A run."""\nfrom harness.data.catalog import DATASETS\n',
    "harness/types.py": '"""Values."""\nimport numpy as np\n',
    "methods/__init__.py": '"""Score."""',
    "methods/_posthoc.py": '"""Shared."""\nimport torch\nfrom harness.method import Method\n',
    "methods/msp.py": '"""MSP."""\nfrom methods._posthoc import PostHoc\n',
}


def test_a_house_as_drawn_has_no_problems() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("harness/store.py", "import torch", "torch, which lives in methods* only"),
        ("harness/store.py", "def f():\n    import torch.nn", "torch.nn, which lives in"),
        ("harness/store.py", "from jinja2 import Template", "which lives in leaderboard.site"),
        ("harness/store.py", "import ray", "which lives in harness.parallel only"),
        ("harness/store.py", "import datasets", "datasets, which lives in harness.data.hub"),
        ("harness/store.py", "from harness.run import run", "harness.store imports harness.run;"),
        ("harness/store.py", "from harness import run", "harness.store imports harness.run;"),
        ("harness/store.py", "import methods.msp", "harness.store imports methods.msp;"),
        ("harness/types.py", "import harness.errors", "allowed: nothing of ours"),
        ("harness/cli.py", "from harness import run", "outside of a command"),
        ("harness/commands/a.py", "from harness import run", "outside of a command"),
        ("harness/metrics/pixel.py", "import harness.data", "imports harness.data;"),
        ("methods/energy.py", "from methods.msp import Msp", "methods.energy imports methods.msp;"),
        ("methods/energy.py", "from harness.metrics import METRICS", "imports harness.metrics;"),
        ("submissions/card.py", "import methods.msp", "submissions.card imports methods.msp;"),
        ("submissions/card.py", "import leaderboard.table", "imports leaderboard.table;"),
        ("leaderboard/table.py", "import harness.run", "leaderboard.table imports harness.run;"),
        ("leaderboard/table.py", "import streamlit as st", "streamlit, which lives in"),
        ("harness/store.py", "from . import run", "a relative import"),
        ("harness/data/utils.py", "", "'utils' says nothing"),
        ("methods/_base.py", "", "'_base' says nothing"),
        ("harness/core/__init__.py", "", "'core' says nothing"),
    ],
)
def test_a_wrong_line_is_found(path: str, text: str, said: str) -> None:
    found = problems({**GOOD, path: f'"""A room."""\n{text}\n'})
    assert len(found) == 1, found
    assert path in found[0]
    assert said in found[0]


def test_a_cycle_is_found() -> None:
    planted = {
        "harness/data/folder.py": '"""Layouts."""\nimport harness.data.labels\n',
        "harness/data/labels.py": '"""Values."""\ndef f():\n    import harness.data.folder\n',
    }
    (said,) = problems({**GOOD, **planted})
    assert said.startswith("a cycle of imports: harness.data.")


@pytest.mark.parametrize("text", ["", "import numpy\n", '\n"""Too late."""\n', "# A comment.\n"])
def test_a_module_that_does_not_open_with_its_purpose_is_found(text: str) -> None:
    (said,) = problems({**GOOD, "harness/store.py": text})
    assert said.startswith("harness/store.py:1: line 1 is not a docstring")


def test_all_but_methods_is_imported_without_torch() -> None:
    base = ("jinja2", "requests", "huggingface_hub datasets")
    blocked = [name for names in HOMES if names not in base for name in names.split()]
    homes = " ".join(home for names, home in HOMES.items() if names not in base)
    names = [module_of(path) for path in sources_of("harness", "submissions", "leaderboard")]
    names = [name for name in names if not fits(name, homes) and name != "harness.__main__"]
    code = f"""
import importlib
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: (
    None if name.split(".")[0] in {blocked!r} else find(name, *where)
)
for name in {names!r}:
    importlib.import_module(name)
try:
    importlib.import_module("methods.msp")
except ModuleNotFoundError as error:
    assert error.name == "torch", error
else:
    raise AssertionError("torch was not blocked")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_naming_the_methods_imports_none_of_them() -> None:
    code = (
        "import sys; from harness.method import method_names\n"
        "assert method_names(); assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
