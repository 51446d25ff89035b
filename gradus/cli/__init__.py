"""The commands: a thin skin over the Python API.

`argparse` and nothing else at import, so that `--help` and mistakes answer at once; PyTorch is imported when a command needs it.
Each file adds its commands to the parser; `command_line` runs them.
"""

from gradus.cli.command_line import build_parser, main, parse

__all__ = ["build_parser", "main", "parse"]
