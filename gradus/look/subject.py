"""What a check is run on: a network of the table, made small, or a class of the user's own file."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.models import accepted_options, create_model, image_sizes, model_class, smallest_image_size

SMALL = {"num_classes": 5, "in_features": 12, "in_channels": 1}  # where neither the user nor the network says
STEPS = 48  # of a sequence of numbers, where the user says nothing


def small_model(
    name: str, options: Mapping[str, Any], shape: Sequence[int] | None, seed: int
) -> tuple[nn.Module, tuple[int, ...] | None]:
    """A network of `MODELS` with random weights, and the shape of one row of its inputs (None: its first layer tells).

    options: chosen by the user; the others are its defaults, or small. shape: of the inputs, where the user chose it
    """
    known = inspect.signature(model_class(name)).parameters
    chosen = dict(options)
    if shape is not None and len(shape) == 3:
        from_shape = {"in_channels": shape[0], "image_size": shape[-1], "in_features": shape[0] * shape[1] * shape[2]}
    elif {"num_tokens", "in_features"} <= set(known):  # sequences: (steps, features), or (steps,) of token ids
        shape = shape or ((STEPS, chosen.get("in_features", 2)) if "num_tokens" not in chosen else None)
        from_shape = {"in_features": shape[-1], "length": shape[0]} if shape and len(shape) == 2 else {}
    else:
        from_shape = {"in_features": shape[0]} if shape else {}
    for option in accepted_options(name):
        if option not in chosen and option in from_shape:
            chosen[option] = from_shape[option]
        elif option not in chosen and option in SMALL and known[option].default is inspect.Parameter.empty:
            chosen[option] = SMALL[option]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model(name, **chosen)
    if shape is not None:
        return model, tuple(shape)
    if "in_features" in chosen:
        return model, (chosen["in_features"],)
    if "image_size" in known:
        side = chosen.get("image_size") or (image_sizes(name, {}) or (known["image_size"].default,))[0]
        channels = chosen.get("in_channels", known["in_channels"].default if "in_channels" in known else 1)
        return model, (channels, side, side)
    if "in_channels" in known:
        side = max(9, smallest_image_size(name))
        return model, (chosen.get("in_channels", known["in_channels"].default), side, side)
    return model, None


def own_module(path: str, options: Mapping[str, Any], seed: int) -> nn.Module:
    """The module behind `path/to/file.py:Name`, a class or a function that makes one. Runs the user's own file.

    Raises `UserError` for whatever does not work, with the line of the file where it can be told.
    """
    file, _, name = path.rpartition(":")
    if not file or not name:
        raise UserError(f"--file {path}: expected FILE.py:CLASS, such as my_module.py:MyNet")
    source = Path(file)
    if not source.is_file():
        raise UserError(f"{file}: there is no such file")
    made_by = _attribute(source, name)
    if isinstance(made_by, nn.Module):
        return made_by
    if not callable(made_by):
        raise UserError(f"{file}: {name} is no class and no function, so it makes no module")
    _check_options(f"{file}: {name}", made_by, options)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = made_by(**options)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{file}: {name}(...) failed{_line(error, source)}: {_said(error)}") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"{file}: {name}(...) makes a {type(module).__name__}, expected a torch.nn.Module")
    return module


def _attribute(source: Path, name: str) -> Any:
    """Runs the file, with its own folder to import from, and returns what stands there under the name."""
    spec = importlib.util.spec_from_file_location(source.stem, source)
    if spec is None or spec.loader is None:
        raise UserError(f"{source}: expected a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(source.resolve().parent))
    sys.modules[source.stem], before = module, sys.modules.get(source.stem)  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{source}: it cannot be run{_line(error, source)}: {_said(error)}") from error
    finally:
        sys.path.remove(str(source.resolve().parent))
        if before is not None:
            sys.modules[source.stem] = before
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, nn.Module)]
        raise unknown_name(f"class of {source}", name, known)
    return getattr(module, name)


def _check_options(what: str, made_by: Any, options: Mapping[str, Any]) -> None:
    """Raises `UserError` for arguments that are not known, or missing."""
    parameters = inspect.signature(made_by).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for option in options:
        if option not in parameters:
            hint = did_you_mean(option, parameters) or (f"; options: {', '.join(parameters)}" if parameters else "")
            raise UserError(f"{what} has no option '{option}'{hint}")
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in variadic
        and parameter.name not in options
    ]
    if missing:
        raise UserError(f"{what} needs {' and '.join(missing)}: give --set {missing[0]}=...")


def _line(error: BaseException, source: Path) -> str:
    """ " (line 12)" where the error came from the user's file."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" (line {error.lineno})"
    trace, found = error.__traceback__, None
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == source.resolve():
            found = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {found})" if found else ""


def _said(error: BaseException) -> str:
    """The error's own words in one line."""
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(words.split())}" if words else type(error).__name__
