"""Would a finding's command work when pasted? Read as the command line reads it; a training is prepared, not begun."""

from __future__ import annotations

import shlex

from subject import Subject

from gradus.cli import build_parser
from gradus.cli.flags import recipe_of
from gradus.errors import UserError
from gradus.recipes.experiment import prepare


def refusal(command: str, subject: Subject) -> str:
    """Why the command does not work; empty where it does. A training is prepared with the subject's data and network."""
    words = shlex.split(command)
    if not words:
        return "there is no command"
    if words[0] != "gradus":
        return f"'{words[0]}' is no command of gradus"
    try:
        arguments = build_parser().parse_args(words[1:])
        if words[1] == "train":
            prepare(recipe_of(arguments), subject.dataset, subject.made_model(), measure=False)
    except UserError as error:
        return str(error)
    except SystemExit:
        return "it cannot be read"
    return ""
