"""Shows that the tests catch errors in the reference: plants one at a time in a copy of the package and runs the tests.

    python scripts/mutate_reference.py                             the errors of `MUTATIONS`, one formula each; all must be caught
    python scripts/mutate_reference.py --all --sample 200 --seed 1   a sample of all small changes of the code
    python scripts/mutate_reference.py --all --module losses           all of one module

A small change swaps + and -, or * and /, drops a minus or a transpose, changes a constant, an axis, < and <=, max and min.
Each runs against the tests that import its module, with a time limit. Of the survivors some change nothing that can be seen
(a guard against division by zero, say): they are listed to be read. The first form exits with 1 if an error survives or no
longer finds its place.
"""

from __future__ import annotations

import argparse
import ast
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = Path("gradus/reference")


@dataclass(frozen=True)
class Mutation:
    """One planted error: in `function` (empty: anywhere) of a module, the first `old` becomes `new`.

    tests: file names in tests/reference; none: all that import the module
    """

    module: str
    function: str
    old: str
    new: str
    tests: tuple[str, ...] = ()


MUTATIONS = (
    Mutation("sigmoids", "scaled_tanh_derivative", "* 2 / 3 * (1", "* (1"),  # the inner derivative
    Mutation("vector_activations", "softmax_backward", "(gradient * probabilities).sum", "gradient.sum"),
    Mutation("losses", "smooth", "1 - smoothing", "1 + smoothing"),
    Mutation("losses", "cross_entropy", "-(_wanted", "(_wanted"),
    Mutation("losses", "cross_entropy_backward", ") - wanted", ")"),
    Mutation("penalties", "elastic_penalty", "weights**2", "weights"),  # as the book describes it
    Mutation("penalties", "elastic_penalty_backward", "2 * l2", "l2"),
    Mutation("penalties", "max_norm", "axis=1", "axis=0"),
    Mutation("dense", "dense_backward", "weight.T", "weight"),
    Mutation(
        "convolution",
        "convolution_backward",
        "slopes @ columns.swapaxes(-1, -2)",
        "slopes @ columns[..., ::-1].swapaxes(-1, -2)",
    ),
    Mutation("convolution", "col2im", "+=", "="),
    Mutation("pooling", "average_pool2d_backward", " / cells", ""),
    Mutation("pooling", "subsampling_backward", "gradient * sums", "gradient"),
    Mutation("normalization", "batch_norm_backward", "along - normal", "along + normal"),
    Mutation("normalization", "batch_norm_backward", "(gradient * normal).mean", "gradient.mean"),
    Mutation("lstm", "lstm_backward", "by_cell = by_cell * f", "by_cell = by_cell"),
    Mutation("lstm", "lstm_backward", "(1 - shown**2)", "(1 - shown)"),
    Mutation("gru", "gru_backward", "by_state * kept + by_shown * r", "by_state * kept + by_shown"),
    Mutation("attention", "masked_softmax_backward", "(weights * gradient).sum", "gradient.sum"),
    Mutation("attention", "dot_attention_backward", "return scale * by_scores @ keys", "return by_scores @ keys"),
    Mutation("ctc", "forward_variables", "symbol not in (blank, places[place - 2])", "symbol != blank"),
    Mutation("ctc", "ctc_loss_backward", "-= shares", "+= shares"),
    Mutation("optimizers", "momentum", "- learning_rate * gradient", "+ learning_rate * gradient"),
    Mutation("optimizers", "nesterov", "coefficient * state", "state"),
    Mutation("optimizers", "adam", "(1 - beta2**step)", "(1 - beta2)"),
    Mutation("information", "kullback_leibler", "_weighted(targets", "-_weighted(targets"),
    Mutation("variable", "divide", "-g * a", "g * a"),
    Mutation("variable", "power", "b - 1", "b"),
    Mutation("variable", "matmul", "rows.swapaxes(-1, -2) @", "rows @"),
    Mutation("variable", "take", "np.add.at(gradient, index, g)", "gradient[index] = g"),
    Mutation("variable", "unbroadcast", "sum(axis=repeated", "mean(axis=repeated"),
    Mutation("variable", "backward", "arrived[id(source)] + back if id(source) in arrived else back", "back"),
    Mutation("graph", "cos", "-np.sin", "np.sin"),
    Mutation("graph", "sigmoid", "(1 - value)", "(1 + value)"),
    Mutation("graph", "softmax", "(g * value).sum", "g.sum"),
    Mutation("graph", "mean", "spread(g) * share", "spread(g)"),
    Mutation("graph", "transpose", "np.argsort(order)", "order"),
    Mutation("graph", "convolution2d", "gradient[:, :, *place] =", "gradient[:, :, *place[::-1]] ="),
    Mutation("backpropagation", "backpropagate", "(activations[-1] - targets) * ", ""),  # Plain Talk's missing residual
    Mutation("backpropagation", "backpropagate", "weights[layer + 1].T", "weights[layer + 1]"),
    Mutation("backpropagation", "backpropagate", "activations[:-1]", "activations[1:]"),
)


# ---- planting


def planted(source: str, mutation: Mutation) -> str | None:
    """The source with the error in it; None where its place is not found."""
    start, end = 0, len(source)
    if mutation.function:
        lines = source.splitlines(keepends=True)
        named = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef) and node.name == mutation.function
        ]
        if not named:
            return None
        first = named[0].body[1] if ast.get_docstring(named[0]) and len(named[0].body) > 1 else named[0].body[0]
        start = sum(map(len, lines[: first.lineno - 1]))  # behind the docstring
        end = sum(map(len, lines[: named[0].end_lineno]))
    at = source.find(mutation.old, start, end)
    return None if at < 0 else source[:at] + mutation.new + source[at + len(mutation.old) :]


@dataclass(frozen=True)
class Change:
    """One small change: the number of its place in a module, counted by `Changer`, its line and what it does."""

    module: str
    number: int
    line: int
    says: str


class Changer(ast.NodeTransformer):
    """Walks a module and counts the places that can be changed; changes the one with the wanted number."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted = wanted
        self.found: list[tuple[int, str]] = []  # line, what

    def _is_wanted(self, node: ast.AST, says: str) -> bool:
        self.found.append((node.lineno, says))  # type: ignore[attr-defined]
        return len(self.found) - 1 == self.wanted

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        for part in ("body", "decorator_list"):
            setattr(node, part, [self.visit(child) for child in getattr(node, part)])
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        node.args.kw_defaults = [default and self.visit(default) for default in node.args.kw_defaults]
        return node  # annotations are no code

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None and not (isinstance(node.target, ast.Name) and node.target.id == "CATALOGUE"):
            node.value = self.visit(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        return node if names & {"CATALOGUE", "__all__"} else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node  # messages

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        swaps: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
        other = swaps.get(type(node.op))
        if other and self._is_wanted(node, f"{type(node.op).__name__} to {other.__name__}"):
            node.op = other()
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.USub) and self._is_wanted(node, "minus dropped"):
            return self.generic_visit(node.operand) if not isinstance(node.operand, ast.Constant) else node.operand
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return node  # -1 is one constant
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "T" and self._is_wanted(node, "transpose dropped"):
            return self.visit(node.value)
        return self._swap_name(node, "attr")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._swap_name(node, "id")

    def _swap_name(self, node: ast.AST, field: str) -> ast.AST:
        swaps = {"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum"}
        swaps |= {"argmax": "argmin", "argmin": "argmax", "sin": "cos", "cos": "sin"}
        name = getattr(node, field)
        if name in swaps and self._is_wanted(node, f"{name} to {swaps[name]}"):
            setattr(node, field, swaps[name])
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        named = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if named in ("transpose", "swapaxes", "moveaxis") and self._is_wanted(node, f"{named} dropped"):
            is_numpy = isinstance(node.func.value, ast.Name) and node.func.value.id == "np"  # type: ignore[attr-defined]
            return self.visit(node.args[0] if is_numpy else node.func.value)  # type: ignore[attr-defined]
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        value = node.value
        if node.arg == "axis" and isinstance(value, ast.Constant) and value.value in (0, 1):
            if self._is_wanted(value, f"axis {value.value} to {1 - value.value}"):
                node.value = ast.copy_location(ast.Constant(1 - value.value), value)
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, int | float) and not isinstance(node.value, bool) and abs(node.value) <= 100:
            new = node.value + 1 if isinstance(node.value, int) else node.value * 1.5 + (node.value == 0)
            if self._is_wanted(node, f"{node.value} to {new}"):
                return ast.copy_location(ast.Constant(new), node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        swaps: dict[type, type] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
        other = swaps.get(type(node.ops[0]))
        if other and self._is_wanted(node, f"{type(node.ops[0]).__name__} to {other.__name__}"):
            node.ops[0] = other()
        return self.generic_visit(node)


def changes(module: str, source: str) -> list[Change]:
    """Every small change of a module."""
    changer = Changer()
    changer.visit(ast.parse(source))
    return [Change(module, number, line, says) for number, (line, says) in enumerate(changer.found)]


def changed(source: str, number: int) -> str:
    """The source with one small change."""
    return ast.unparse(ast.fix_missing_locations(Changer(number).visit(ast.parse(source))))


# ---- running


@functools.cache
def imports_of_tests() -> dict[Path, set[str]]:
    """Test file -> the modules of the reference that it imports by `from gradus.reference ... import`."""
    found: dict[Path, set[str]] = {}
    for path in sorted((ROOT / "tests/reference").glob("test_*.py")):
        imported = found.setdefault(path, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "gradus.reference":
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradus.reference."):
                imported.add((node.module or "").removeprefix("gradus.reference."))
    return found


def tests_of(module: str) -> tuple[str, ...]:
    """The test files of a module: the one of its name, and those that import it."""
    found: list[str] = []
    for path, imported in imports_of_tests().items():
        if path.stem == f"test_{module}":
            found.insert(0, path.name)
        elif module in imported or (module == "variable" and "graph" in imported):
            found.append(path.name)
    return tuple(found)


class Copy:
    """A copy of the package and its tests in a folder of its own, where an error can be planted."""

    def __init__(self, folder: Path, time_limit: float) -> None:
        self.folder, self.time_limit = folder, time_limit
        leave_out = shutil.ignore_patterns("__pycache__", ".*")
        for name in ("gradus", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
        shutil.copy(ROOT / "pyproject.toml", folder)
        # no compiled files: Python takes them for fresh when size and second of a changed file are the same
        self.environment = os.environ | {
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        used = self._python("-c", "import gradus; print(gradus.__file__)").stdout.strip()
        if Path(used).resolve().parent != (folder / "gradus").resolve():
            raise SystemExit(f"the tests would run on {used}, not on the copy in {folder}")

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=self.time_limit,
        )

    def run(self, tests: tuple[str, ...]) -> str:
        """ "passed", "failed" (as it should where there is an error) or "time"."""
        files = [f"tests/reference/{name}" for name in tests]
        try:
            done = self._python("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *files)
        except subprocess.TimeoutExpired:
            return "time"
        if done.returncode not in (0, 1, 2):  # 2: the module cannot be imported
            raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return "failed" if done.returncode else "passed"

    def run_with(self, module: str, source: str, tests: tuple[str, ...]) -> str:
        """The same with another source for one module."""
        path = self.folder / REFERENCE / f"{module}.py"
        before = path.read_text(encoding="utf-8")
        path.write_text(source, encoding="utf-8")
        try:
            return self.run(tests)
        finally:
            path.write_text(before, encoding="utf-8")


def read(module: str) -> str:
    """The source of a module of the reference."""
    return (ROOT / REFERENCE / f"{module}.py").read_text(encoding="utf-8")


def check_unchanged(where: Copy, tests: set[str]) -> None:
    """Without an error all must pass: else a failure would mean nothing."""
    if where.run(tuple(sorted(tests))) != "passed":
        raise SystemExit(
            f"the tests do not pass as they are (within {where.time_limit:g} s each): {', '.join(sorted(tests))}"
        )


def run_list(where: Copy, module: str | None, mutations: tuple[Mutation, ...] = MUTATIONS) -> bool:
    """Plants the errors of the list. Returns whether all were found and caught."""
    chosen = [mutation for mutation in mutations if module in (None, mutation.module)]
    check_unchanged(where, {name for mutation in chosen for name in mutation.tests or tests_of(mutation.module)})
    survived = 0
    for mutation in chosen:
        source = planted(read(mutation.module), mutation)
        tests = mutation.tests or tests_of(mutation.module)
        result = "no such place" if source is None else where.run_with(mutation.module, source, tests)
        caught = result in ("failed", "time")
        survived += not caught
        place = f"{mutation.module}.{mutation.function}"
        word = "caught" if caught else "SURVIVED" if result == "passed" else "NOT FOUND"
        print(
            f"{word:9}  {place:40}  {' '.join(mutation.old.split())} -> {' '.join(mutation.new.split()) or 'nothing'}",
            flush=True,
        )
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return not survived


def modules() -> Iterator[str]:
    """The modules of the reference that hold formulas and have tests."""
    for path in sorted((ROOT / REFERENCE).glob("*.py")):
        if path.stem not in ("__init__", "catalogue") and tests_of(path.stem):
            yield path.stem


def run_all(where: Copy, module: str | None, sample: int | None, seed: int) -> None:
    """Tries a sample of all small changes, and counts module by module."""
    every = [change for name in modules() if module in (None, name) for change in changes(name, read(name))]
    if not every:
        raise SystemExit(f"nothing to change in {module}")
    chosen = every if sample is None else random.Random(seed).sample(every, min(sample, len(every)))
    check_unchanged(where, {name for change in chosen for name in tests_of(change.module)})
    killed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for change in sorted(chosen, key=lambda one: (one.module, one.number)):
        result = where.run_with(change.module, changed(read(change.module), change.number), tests_of(change.module))
        total[change.module] += 1
        killed[change.module] += result != "passed"
        if result == "passed":
            line = read(change.module).splitlines()[change.line - 1].strip()
            print(f"survived  {change.module}.py:{change.line}  {change.says}  | {line}", flush=True)
    print(f"\n{'module':20}  tried  killed  survived")
    for name in sorted(total):
        print(f"{name:20}  {total[name]:5}  {killed[name]:6}  {total[name] - killed[name]:8}")
    print(
        f"{'all':20}  {total.total():5}  {killed.total():6}  {total.total() - killed.total():8}  (of {len(every)} changes)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Plant errors in the reference and see whether the tests catch them.")
    parser.add_argument("--all", action="store_true", help="small changes of all code in place of the list")
    parser.add_argument("--sample", type=int, metavar="N", help="with --all: how many, drawn at random (all of them)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (0)")
    parser.add_argument("--module", metavar="NAME", help="one module only, such as losses")
    parser.add_argument("--time-limit", type=float, default=120, metavar="SECONDS", help="of one run of tests (120)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        where = Copy(Path(folder), arguments.time_limit)
        right = True
        if arguments.all:
            run_all(where, arguments.module, arguments.sample, arguments.seed)
        else:
            right = run_list(where, arguments.module)
    print(f"{time.perf_counter() - started:.0f} s")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
