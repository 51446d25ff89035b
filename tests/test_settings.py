"""Settings: what is written reads back equal, and what is wrong is told with its whole path and the nearest name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.recipes.recipe import Recipe, read_recipe, write_recipe
from gradus.settings import convert, from_dict, override, parse_value, to_dict
from gradus.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    kind: Literal["slow", "fast"] = "slow"
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = 3
    share: float = 0.25
    on: bool = False
    name: str = ""
    widths: tuple[int, ...] = ()
    limit: float | None = None
    size: int | str = 0
    options: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    other: Inner | None = None


numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
inners = st.builds(Inner, rate=numbers, kind=st.sampled_from(["slow", "fast"]), note=st.none() | texts)
leaves = st.booleans() | st.integers(-(2**60), 2**60) | numbers | texts
free = st.recursive(
    leaves, lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3), max_leaves=6
)
outers = st.builds(
    Outer,
    count=st.integers(-(2**60), 2**60),
    share=numbers,
    on=st.booleans(),
    name=texts,
    widths=st.lists(st.integers(1, 999), max_size=4).map(tuple),
    limit=st.none() | numbers,
    size=st.integers(0, 99) | texts,
    options=st.dictionaries(texts, free, max_size=3),
    inner=inners,
    other=st.none() | inners,
)


@given(outers)
def test_what_is_written_reads_back_equal(settings):
    assert from_dict(Outer, to_dict(settings)) == settings


@given(outers)
def test_toml_carries_everything(settings):
    assert from_dict(Outer, tomllib.loads(tomli_w.dumps(to_dict(settings)))) == settings


def test_none_is_left_out_at_every_depth():
    settings = Outer(limit=None, inner=Inner(note=None), options={"a": None, "b": {"c": None, "d": 1}})
    written = to_dict(settings)
    assert "limit" not in written and "other" not in written and "note" not in written["inner"]
    assert written["options"] == {"b": {"d": 1}}


def test_dictionaries_are_plain_and_apart_from_the_settings():
    settings = Outer(widths=(4, 5), options={"hidden": (7, 8)})
    written = to_dict(settings)
    assert written["widths"] == [4, 5] and type(written["widths"]) is list
    assert written["options"] == {"hidden": [7, 8]} and type(written["inner"]) is dict
    written["options"]["hidden"].append(9)
    assert settings.options == {"hidden": (7, 8)}


def test_whole_numbers_pass_as_numbers_and_lists_as_tuples():
    settings = from_dict(Outer, {"share": 2, "limit": 3, "widths": [1, 2]})
    assert (type(settings.share), settings.share) == (float, 2.0)
    assert (type(settings.limit), settings.limit) == (float, 3.0)
    assert settings.widths == (1, 2)
    assert from_dict(Outer, {"widths": (1, 2)}).widths == (1, 2)


def test_the_first_type_of_several_that_fits_is_taken():
    assert from_dict(Outer, {"size": 7}).size == 7
    assert from_dict(Outer, {"size": "big"}).size == "big"


def test_a_made_part_is_taken_as_it_is():
    part = Inner(rate=0.75)
    assert from_dict(Outer, {"inner": part}).inner is part


def test_none_is_taken_only_where_it_may_stand():
    assert from_dict(Outer, {"limit": None, "other": None}).limit is None
    with pytest.raises(UserError, match="count: expected a whole number, received None"):
        from_dict(Outer, {"count": None})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 1}, "unknown setting 'cuont'; did you mean 'count'?"),
        ({"inner": {"ratte": 1}}, "unknown setting 'inner.ratte'; did you mean 'rate'?"),
        ({"other": {"KIND": "fast"}}, "unknown setting 'other.KIND'; did you mean 'kind'?"),
        ({"inner": {"xyzzy": 1}}, "unknown setting 'inner.xyzzy'; known: rate, kind, note"),
    ],
)
def test_an_unknown_key_names_its_path_and_the_nearest(values, message):
    with pytest.raises(UserError) as told:
        from_dict(Outer, values)
    assert str(told.value) == message


def test_where_starts_the_path():
    with pytest.raises(UserError, match=r"^unknown setting 'task\.options\.inner\.ratte'"):
        from_dict(Outer, {"inner": {"ratte": 1}}, "task.options")


@pytest.mark.parametrize(
    ("values", "path", "expected", "received"),
    [
        ({"count": 1.5}, "count", "a whole number", "1.5"),
        ({"count": True}, "count", "a whole number", "True"),
        ({"count": "3"}, "count", "a whole number", "'3'"),
        ({"share": "much"}, "share", "a number", "'much'"),
        ({"share": False}, "share", "a number", "False"),
        ({"on": 1}, "on", "true or false", "1"),
        ({"name": 3}, "name", "a text", "3"),
        ({"widths": 3}, "widths", "a list", "3"),
        ({"widths": "33"}, "widths", "a list", "'33'"),
        ({"widths": [1, "two"]}, "widths", "a whole number", "'two'"),
        ({"options": [1]}, "options", "a table of settings", "[1]"),
        ({"inner": 3}, "inner", "a table of settings", "3"),
        ({"other": "x"}, "other", "a table of settings", "'x'"),
        ({"inner": {"rate": [1]}}, "inner.rate", "a number", "[1]"),
        ({"limit": "x"}, "limit", "a number", "'x'"),
    ],
)
def test_a_wrong_type_says_where_what_was_expected_and_received(values, path, expected, received):
    with pytest.raises(UserError) as told:
        from_dict(Outer, values)
    assert str(told.value) == f"{path}: expected {expected}, received {received}"


def test_a_wrong_choice_lists_the_choices_and_the_nearest():
    with pytest.raises(UserError) as told:
        from_dict(Outer, {"inner": {"kind": "fasst"}})
    assert str(told.value) == "inner.kind: expected one of slow, fast, received 'fasst'; did you mean 'fast'?"


def test_any_takes_anything():
    marker = object()
    assert convert(marker, Any, "x") is marker


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("7", 7),
        ("true", True),
        ("[512, 256]", [512, 256]),
        ('"0.5"', "0.5"),
        ("relu", "relu"),
        ("a/b.csv", "a/b.csv"),
        ("", ""),
        ("{a = 1}", {"a": 1}),
    ],
)
def test_flags_are_read_as_toml_or_as_text(text, value):
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


def test_override_reaches_nested_fields_and_leaves_the_original():
    values = {"train": {"epochs": 5, "optimizer": {"name": "sgd"}}}
    found = override(values, "train.optimizer.momentum=0.9", Recipe)
    assert found == {"train": {"epochs": 5, "optimizer": {"name": "sgd", "momentum": 0.9}}}
    assert values == {"train": {"epochs": 5, "optimizer": {"name": "sgd"}}}
    assert from_dict(Recipe, found).train.optimizer.momentum == 0.9


def test_override_replaces_the_values_that_were_there():
    assert override({"train": {"epochs": 5}}, "train.epochs=7", Recipe) == {"train": {"epochs": 7}}


def test_override_makes_the_parts_that_are_missing():
    assert override({}, "train.schedule.name=cosine", Recipe) == {"train": {"schedule": {"name": "cosine"}}}
    assert override({}, "published.value=0.5", Recipe) == {"published": {"value": 0.5}}


def test_override_enters_free_dictionaries():
    found = override({"model": {"options": {"dropout": 0.1}}}, "model.options.hidden=[512]", Recipe)
    assert found == {"model": {"options": {"dropout": 0.1, "hidden": [512]}}}
    assert override({}, "model.options.a.b.c=1", Recipe) == {"model": {"options": {"a": {"b": {"c": 1}}}}}


def test_override_keeps_a_text_where_a_text_is_wanted():
    assert override({}, "task.name=1", Recipe) == {"task": {"name": "1"}}
    assert override({}, "data.target=2020", Recipe) == {"data": {"target": "2020"}}


def test_override_splits_at_the_first_equals_sign():
    assert override({}, "data.source=a=b.csv", Recipe) == {"data": {"source": "a=b.csv"}}


@pytest.mark.parametrize("assignment", ["train.epochs", "=3", "   =3", ""])
def test_override_without_a_path_or_a_value(assignment):
    with pytest.raises(UserError, match=r"expected part\.field=value"):
        override({}, assignment, Recipe)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("trian.epochs=3", "unknown setting 'trian'; did you mean 'train'?"),
        ("train.optimizer.momentun=3", "unknown setting 'train.optimizer.momentun'; did you mean 'momentum'?"),
        ("train.epochs=ten", "train.epochs: expected a whole number, received 'ten'"),
        ("train.epochs=2.5", "train.epochs: expected a whole number, received 2.5"),
        ("train.optimizer.learning_rate=fast", "train.optimizer.learning_rate: expected a number, received 'fast'"),
        ("train.optimizer=adam", "train.optimizer: expected a table of settings, received 'adam'"),
        ("model.options=3", "model.options: expected a table of settings, received 3"),
    ],
)
def test_override_tells_what_is_wrong(assignment, message):
    with pytest.raises(UserError) as told:
        override({}, assignment, Recipe)
    assert str(told.value) == message


def test_a_bad_choice_on_the_command_line_lists_the_choices():
    with pytest.raises(UserError, match=r"train\.schedule\.name: expected one of constant, .*did you mean 'cosine'"):
        override({}, "train.schedule.name=cosin", Recipe)


@pytest.mark.parametrize("values", [{}, {"train": {"epochs": 5}}])
def test_a_path_below_a_plain_field_is_refused(values):
    with pytest.raises(UserError, match=r"train\.epochs"):
        override(values, "train.epochs.x=1", Recipe)


@pytest.mark.parametrize(
    ("values", "assignment"),
    [
        ({"train": 3}, "train.epochs=3"),
        ({"model": {"options": {"hidden": 3}}}, "model.options.hidden.x=3"),
    ],
)
def test_a_value_in_the_way_of_a_path_is_told(values, assignment):
    with pytest.raises(UserError):
        override(values, assignment, Recipe)


def test_a_missing_required_field_is_told(tmp_path):
    (tmp_path / "r.toml").write_text("[published]\nvalue = 0.5\n")
    with pytest.raises(UserError, match=r"published.*metric"):
        read_recipe(tmp_path / "r.toml")


def test_a_whole_number_too_large_for_a_float_is_told():
    with pytest.raises(UserError, match="share"):
        from_dict(Outer, {"share": 10**400})


def test_a_recipe_file_reads_back_equal(tmp_path):
    recipe = from_dict(
        Recipe,
        {
            "name": "x",
            "data": {"source": "猫.csv", "target": "a,b", "validation": 0.3},
            "model": {"name": "mlp", "options": {"hidden": [5, 6], "dropout": 0.5}},
            "train": {"epochs": 2, "optimizer": {"name": "sgd", "momentum": 0.5}, "regularization": {"l2": 0.1}},
            "published": {"metric": "accuracy", "value": 0.5, "source": "a book"},
        },
    )
    path = tmp_path / "recipe.toml"
    path.write_text(write_recipe(recipe, format=1), encoding="utf-8")
    assert read_recipe(path) == recipe
    assert recipe.published is not None and recipe.train.optimizer.momentum == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train\n", "not a TOML file"),
        ("[train.optimzer]\nname = 'sgd'\n", "unknown setting 'train.optimzer'; did you mean 'optimizer'?"),
        ("[train]\nepochs = 'two'\n", "train.epochs: expected a whole number, received 'two'"),
    ],
)
def test_a_bad_recipe_file_is_named(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(UserError) as told:
        read_recipe(path)
    assert str(told.value).startswith(f"{path}: ") and message in str(told.value)


def test_bytes_that_are_not_text_and_a_missing_file_are_named(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_bytes("name = '数据'".encode("gb18030"))
    with pytest.raises(UserError, match="not a TOML file"):
        read_recipe(path)
    with pytest.raises(UserError, match="there is no such file"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number above 0, received 0"),
        ({"batch_size": -1}, "batch_size: expected a whole number above 0"),
        ({"seed": -1}, "seed: expected a whole number from 0"),
        ({"average": 1.0}, "average: expected between 0 and 1, received 1.0"),
        ({"patience": 0}, "patience: expected 1 or more epochs"),
        ({"device": "gpu"}, "device: expected one of auto, cpu, cuda, received 'gpu'"),
        ({"batch_size": 2, "accumulate": 3}, "accumulate: 3 parts of a batch of 2 rows would be empty"),
    ],
)
def test_impossible_training_settings_are_told(values, message):
    with pytest.raises(UserError) as told:
        from_dict(TrainSettings, values)
    assert message in str(told.value)


@given(st.integers(1, 200_000))
def test_the_batch_size_left_open_fits_the_data(rows):
    size = TrainSettings().resolved(rows).batch_size
    power = 64 if rows >= 1024 else max((2**n for n in range(7) if rows / 2**n >= 16), default=1)
    assert power <= size <= rows
    assert size == 1 or rows % size != 1  # one row alone has no batch statistics
    assert all(rows % smaller == 1 for smaller in range(power, size))  # more than the power only where that would be


def test_a_batch_larger_than_the_data_is_refused_and_a_given_one_kept():
    assert TrainSettings(batch_size=10).resolved(10).batch_size == 10
    with pytest.raises(UserError, match="batch_size: 11 is more than the 10 training rows"):
        TrainSettings(batch_size=11).resolved(10)


def test_nearest_names():
    assert did_you_mean("LeNet", ["mlp", "lenet5"]) == "; did you mean 'lenet5'?"
    assert did_you_mean("qqqqq", ["mlp", "lenet5"]) == ""
    assert str(unknown_name("model", "qqqqq", ["mlp", "lenet5"])) == "unknown model 'qqqqq'; known: mlp, lenet5"
    many = [f"name{index}" for index in range(20)]
    assert str(unknown_name("thing", "zzz", many)).endswith("name11, ...")


def test_names_that_hold_what_was_typed_are_named_where_none_is_near():
    known = ["conv_vae", "dense_vae", "mlp"]
    assert did_you_mean("vae", known) == "; did you mean 'conv_vae' or 'dense_vae'?"
    assert did_you_mean("ae", known) == "", "two letters are in too many names"
