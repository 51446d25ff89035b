"""Settings: frozen dataclasses read from and written to plain dictionaries (TOML, JSON, flags).

One tree of dataclasses is the Python signature, the TOML file and the `--set part.field=value` flag. Reading is strict:
an unknown key fails with the nearest name, a value of the wrong type says what was expected. A field that is `None` is left
out when written (TOML has no null) and reads back as its default, so `None` may only be a default, never a choice.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import tomllib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from gradus.errors import UserError, did_you_mean

T = TypeVar("T")

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@functools.cache
def field_types(settings_class: Any) -> dict[str, Any]:
    """Field name -> resolved type of a settings dataclass."""
    hints = typing.get_type_hints(settings_class)
    return {field.name: hints[field.name] for field in dataclasses.fields(settings_class)}


def from_dict(settings_class: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Builds a settings dataclass (and those nested in it) from a dictionary.

    Raises `UserError` for an unknown key or a value of the wrong type; `where` is the dotted path that messages start with.
    """
    fields = field_types(settings_class)  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        path = f"{where}.{key}" if where else key
        if key not in fields:
            raise UserError(f"unknown setting '{path}'{did_you_mean(key, fields) or '; known: ' + ', '.join(fields)}")
        arguments[key] = convert(value, fields[key], path)
    for field in dataclasses.fields(settings_class):  # type: ignore[arg-type]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in arguments:
            raise UserError(f"{where or settings_class.__name__}: '{field.name}' is missing")
    return settings_class(**arguments)


def to_dict(settings: Any) -> dict[str, Any]:
    """The dictionary that `from_dict` reads back to an equal dataclass. Fields that are None are left out."""
    result = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None:
            continue
        result[field.name] = _plain(value)
    return result


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def convert(value: Any, wanted: Any, path: str) -> Any:
    """`value` as the type `wanted`, or a `UserError` that names `path`. Integers pass as floats, lists as tuples."""
    if wanted is Any:
        return value
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(wanted) if option is not type(None)]
        if value is None and len(options) < len(get_args(wanted)):
            return None
        for option in options[:-1]:
            try:
                return convert(value, option, path)
            except UserError:
                continue
        return convert(value, options[-1], path)
    if origin is Literal:
        if value not in get_args(wanted):
            choices = [str(choice) for choice in get_args(wanted)]
            hint = did_you_mean(str(value), choices)
            raise UserError(f"{path}: expected one of {', '.join(choices)}, received '{value}'{hint}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(convert(item, get_args(wanted)[0], path) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        if isinstance(value, wanted):
            return value
        if isinstance(value, Mapping):
            return from_dict(wanted, value, path)
        raise UserError(f"{path}: expected a table of settings, received {value!r}")
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UserError(f"{path}: expected a number, received one too large to be one") from None
    if wanted is str and isinstance(value, datetime.date):  # TOML has dates, which are texts here
        return value.isoformat()
    if isinstance(wanted, type) and isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    expected = _NAMES.get(
        wanted, "a list" if origin is tuple else "a table of settings" if origin is dict else str(wanted)
    )
    raise UserError(f"{path}: expected {expected}, received {value!r}")


def parse_value(text: str) -> Any:
    """The value of a flag, read as TOML where it is TOML (`0.1`, `true`, `[512, 256]`), else as the bare text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def override(values: Mapping[str, Any], assignment: str, root: type) -> dict[str, Any]:
    """A copy of the nested dictionary `values` with `part.field=value` applied; `root` is its dataclass.

    Keys are checked against the dataclass here, so that the message names the whole dotted path.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise UserError(f"--set {assignment}: expected part.field=value, for example train.optimizer.momentum=0.9")
    return _assign(values, path.strip().split("."), text, root, path.strip())


def _assign(values: Any, keys: list[str], text: str, kind: type | None, path: str) -> dict[str, Any]:
    """`values` with the setting at `keys` replaced; `kind` is its dataclass, or None inside a free dictionary."""
    key, *rest = keys
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: there is no '{key}' to set, since what it would belong to is the value {values!r}")
    wanted = Any
    if kind is not None:
        fields = field_types(kind)
        if key not in fields:
            where = path.removesuffix("." + ".".join(rest)) if rest else path
            raise UserError(f"unknown setting '{where}'{did_you_mean(key, fields) or '; known: ' + ', '.join(fields)}")
        wanted = fields[key]
    if rest:
        nested = _dataclass_in(wanted)
        if kind is not None and nested is None and get_origin(wanted) is not dict:
            raise UserError(f"{path}: '{key}' is a single setting, it has no '{rest[0]}'")
        return {**values, key: _assign(values.get(key) or {}, rest, text, nested, path)}
    value = parse_value(text)
    # `--set task.name=1` means the text "1": what is not accepted as TOML may be as it stands
    value = text if not _accepts(value, wanted) and _accepts(text, wanted) else convert(value, wanted, path)
    return {**values, key: value}


def _dataclass_in(wanted: Any) -> type | None:
    for option in (wanted, *get_args(wanted)):
        if isinstance(option, type) and dataclasses.is_dataclass(option):
            return option
    return None


def _accepts(value: Any, wanted: Any) -> bool:
    try:
        convert(value, wanted, "")
    except UserError:
        return False
    return True
