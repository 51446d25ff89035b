"""What a user got wrong, told in one sentence.

The command line prints a `UserError` without a traceback and exits with code 2. From Python it is an ordinary exception.
Its message names the file, the row or the setting, what was expected, what was received, and the nearest valid name.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what was asked for: an unknown name, an impossible setting, unreadable data."""


class NoWeights(UserError):
    """A run stopped before its first checkpoint: there is nothing to answer with."""


class WrongOutputs(UserError):
    """A network whose outputs are not of the form that its task reads: another number of them, or another shape."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'lenet5'?"` for the known name nearest to `name`, or those that hold it; "" where none does."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if not close and len(name) > 2:
        close = [candidate for candidate in by_lower if name.lower() in candidate][:4]
    return f"; did you mean {' or '.join(repr(by_lower[one]) for one in close)}?" if close else ""


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """The error for a name that is not in a table: names the nearest one, or lists all where none is near."""
    known = list(known)
    suggestion = did_you_mean(name, known)
    if not suggestion:
        shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        suggestion = f"; known: {shown}" if known else ""
    return UserError(f"unknown {kind} '{name}'{suggestion}{hint}")


def quoted(path: object) -> str:
    """A path as it is typed in a command: one with a space in quotes."""
    return shlex.quote(str(path))
