"""The layering: every import goes down the table of DESIGN.md, the command line starts light, and nothing unpickles."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import gradus

ROOT = Path(gradus.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

GROUND = {"errors", "settings", "files", "stopping"}
# package -> what it may import of ours, itself aside. Whoever adds a package adds its line here.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "files": {"errors"},
    "launch": {"errors", "stopping"},
    "stopping": set(),
    "reference": set(),
    "nn": GROUND,
    "data": GROUND,
    "boxes": GROUND | {"reference", "nn", "data"},
    "masks": GROUND | {"reference", "nn", "data"},
    "environments": GROUND | {"reference"},
    "models": GROUND | {"nn", "boxes", "masks", "environments"},
    "tasks": GROUND | {"reference", "nn", "data", "boxes", "masks", "environments", "models"},
    "train": GROUND | {"nn", "data", "boxes", "masks", "environments", "models", "tasks"},
    "look": GROUND | {"reference", "nn", "data", "boxes", "masks", "environments", "models", "tasks"},
    "recipes": GROUND | {"nn", "data", "boxes", "masks", "environments", "models", "tasks", "train", "look"},
}
EVERYTHING = set(MAY_IMPORT)
MAY_IMPORT["doctor"] = set(EVERYTHING) - {"launch"}
EVERYTHING = set(MAY_IMPORT)
MAY_IMPORT["lessons"] = set(EVERYTHING)
EVERYTHING = set(MAY_IMPORT)
MAY_IMPORT |= {
    "cli": EVERYTHING,
    "__init__": EVERYTHING,
    "__main__": {"cli"},
}


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path: Path, root: Path = ROOT) -> list[str]:
    """["gradus", "data", "readers", "table"] of gradus/data/readers/table.py; a package's own name for its __init__."""
    parts = ["gradus", *path.relative_to(root).with_suffix("").parts]
    return parts[:-1] if parts[-1] == "__init__" else parts


@cache
def tree_of(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(tree: ast.AST, path: Path, root: Path = ROOT) -> list[tuple[int, str]]:
    """(line, dotted name) of every import anywhere in a file, `from a import b` as "a.b", relative ones resolved."""
    package = module_of(path, root) if path.name == "__init__.py" else module_of(path, root)[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            found += [(node.lineno, ".".join([*base, alias.name])) for alias in node.names]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name in ("import_module", "__import__") and node.args:
                found.append((node.lineno, _start_of_text(node.args[0])))
    return found


def _start_of_text(node: ast.expr) -> str:
    """The constant that an import by name starts with: "gradus.models." of f"gradus.models.{name}"."""
    first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
    return str(first.value) if isinstance(first, ast.Constant) else ""


def breaches(tree: ast.AST, path: Path, root: Path = ROOT) -> list[str]:
    """What a file imports of ours that stands above it, as `file:line imports name`."""
    own = path.relative_to(root).parts[0].removesuffix(".py")
    found = []
    for line, name in imports_of(tree, path, root):
        parts = name.split(".")
        if parts[0] != "gradus" or parts[1:] in ([], ["__version__"]):
            continue
        target = parts[1] if parts[1] in MAY_IMPORT else "__init__"  # `from gradus import load_data`
        if target != own and target not in MAY_IMPORT[own]:
            found.append(f"{path.relative_to(root)}:{line} imports {name}")
    return found


def test_every_package_has_its_place_in_the_table():
    assert {package_of(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    found = breaches(tree_of(path), path)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "code", "breach"),
    [
        ("tasks/x.py", "def f():\n    from gradus.train.settings import TrainSettings", "gradus.train.settings"),
        ("look/x.py", "import gradus.recipes.run", "gradus.recipes.run"),
        ("data/x.py", "from gradus import models", "gradus.models"),
        ("models/x.py", "from ..data import columns", "gradus.data"),
        ("data/__init__.py", "from ..tasks import task", "gradus.tasks"),
        ("reference/x.py", "from gradus.errors import UserError", "gradus.errors"),
        ("train/x.py", "from gradus import load_data", "gradus.load_data"),
        ("nn/x.py", "import importlib\nimportlib.import_module('gradus.look.report')", "gradus.look"),
        ("nn/x.py", "import importlib\nimportlib.import_module(f'gradus.models.{x}')", "gradus.models."),
        ("train/x.py", "if True:\n    try:\n        import gradus.cli\n    except ImportError: pass", "gradus.cli"),
    ],
)
def test_a_breach_is_found_wherever_it_hides(file, code, breach):
    found = breaches(ast.parse(code), ROOT / file)
    assert len(found) == 1 and found[0].startswith(f"{file}:") and breach in found[0]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("recipes/x.py", "import gradus\nfrom gradus import __version__\nfrom gradus.look.report import write_report"),
        ("models/x.py", "from . import mlp\nfrom gradus.nn import ScaledTanh"),
        ("train/x.py", "from gradus.tasks.task import Task\nimport torch"),
    ],
)
def test_what_goes_down_is_no_breach(file, code):
    assert not breaches(ast.parse(code), ROOT / file)


# The one program that reads files of torch.save, for `gradus import`: in a process of its own, and of weights only.
UNPICKLES = ROOT / "models" / "unpickle.py"


def forbidden(tree: ast.AST, path: Path) -> list[str]:
    """Ways to run code that hides in a file: pickle and its kin, torch.load."""
    unpicklers = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    found = [
        f"{path.name}:{line} imports {name}"
        for line, name in imports_of(tree, path)
        if name.split(".")[0] in unpicklers or name in ("torch.load", "torch.serialization.load")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) == ("torch", "load"):
                found.append(f"{path.name}:{node.lineno} uses torch.load")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append(f"{path.name}:{node.value.lineno} sets allow_pickle")
    return found


@pytest.mark.parametrize("path", [path for path in FILES if path != UNPICKLES], ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_unpickles(path):
    assert not forbidden(tree_of(path), path)


def test_the_one_that_does_reads_weights_only_and_is_imported_by_none():
    tree = tree_of(UNPICKLES)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
    assert calls and len(forbidden(tree, UNPICKLES)) == len(calls)
    for call in calls:
        assert any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)
    for path in FILES:
        names = [name for _, name in imports_of(tree_of(path), path)]
        assert not any(name.startswith("gradus.models.unpickle") for name in names), path


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "def f():\n from pickle import loads",
        "torch.load('x')",
        "from torch import load",
        "np.load(f, allow_pickle=True)",
    ],
)
def test_unpickling_is_found(code):
    assert len(forbidden(ast.parse(code), ROOT / "files.py")) == 1


def test_the_command_line_starts_without_the_heavy_libraries():
    heavy = ["torch", "numpy", "sklearn", "matplotlib", "pyarrow", "PIL", "rich", "safetensors", "huggingface_hub"]
    code = f"import sys, gradus.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    assert done.stdout.strip() == "[]"
