"""The script that plants errors in the reference: its places exist, and its changes are what they say."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "scripts/mutate_reference.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("mutate_reference", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutate_reference"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutate_reference"]


def test_every_planted_error_finds_its_place_and_its_tests(script):
    assert len(script.MUTATIONS) >= 10
    for mutation in script.MUTATIONS:
        source = script.read(mutation.module)
        found = script.planted(source, mutation)
        assert found is not None, mutation
        assert ast.dump(ast.parse(found)) != ast.dump(ast.parse(source)), mutation
        assert mutation.tests or script.tests_of(mutation.module), mutation


def test_an_error_is_planted_behind_the_docstring_of_its_function(script):
    source = 'def f(a, b):\n    """a + b"""\n    return a + b\n\n\ndef g(a, b):\n    """a + b"""\n    return a + b\n'
    found = script.planted(source, script.Mutation("m", "g", "a + b", "a - b"))
    assert found == source[: source.rindex("a + b")] + "a - b\n"
    assert script.planted(source, script.Mutation("m", "g", "a * b", "")) is None
    assert script.planted(source, script.Mutation("m", "h", "a + b", "")) is None


def test_the_small_changes(script):
    source = (
        "def f(x: 'a + b', n=2) -> 'a - b':\n    'a * b'\n    if n < 3:\n        raise ValueError(f'{1 + 1}')\n"
        "    return -x.T @ x.transpose(0) * np.maximum(x, 0.5).sum(axis=1) + np.swapaxes(x, 0, 1)\n"
        "CATALOGUE = (1 + 1,)\n"
    )
    found = {
        change.says: ast.unparse(ast.parse(script.changed(source, change.number)))
        for change in script.changes("m", source)
    }
    assert set(found) == {
        *("2 to 3", "Lt to LtE", "3 to 4", "minus dropped", "transpose dropped", "0 to 1", "Mult to Div", "Add to Sub"),
        *("maximum to minimum", "0.5 to 0.75", "axis 1 to 0", "swapaxes dropped", "1 to 2"),
    }
    assert "n <= 3" in found["Lt to LtE"] and "return x.T" in found["minus dropped"]
    assert "sum(axis=0)" in found["axis 1 to 0"] and "+ x\n" in found["swapaxes dropped"] + "\n"
    assert "np.minimum(x, 0.5)" in found["maximum to minimum"]
    plain = ast.unparse(ast.parse(source))
    assert all(
        text != plain and "CATALOGUE = (1 + 1,)" in text and "raise ValueError(f'{1 + 1}')" in text
        for text in found.values()
    )


def test_the_tests_of_a_module(script):
    assert script.tests_of("backpropagation")[0] == "test_backpropagation.py"
    assert set(script.tests_of("graph")) >= {"test_graph.py", "test_graph_books.py"}
    assert set(script.tests_of("variable")) >= {"test_graph.py"}
    assert script.tests_of("nothing_of_that_name") == ()
