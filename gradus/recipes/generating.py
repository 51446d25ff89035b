"""Writing on with a language model: token by token, from a prompt, by a seed.

The same seed gives the same text on the same machine, whatever the number of texts asked for: each has a generator of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gradus.data.text.encoders import BEGIN, END, UNKNOWN
from gradus.errors import UserError
from gradus.nn.sampling import next_distribution, sample
from gradus.tasks.language import LanguageTask
from gradus.train.randomness import derive

if TYPE_CHECKING:
    from gradus.recipes.run import Run


HELD = ("\ufffd", " -", " /")  # half of a character, and what may join words: told with the next token
TAIL = 32  # tokens that are decoded together: how a token is written may hang on those before it


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen; `nn/sampling.py` has the formulas."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise UserError(f"temperature: expected a number from 0, received {self.temperature:g}")
        if self.top_k < 0:
            raise UserError(f"top-k: expected a whole number from 0 (all), received {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top-p: expected a share above 0, at most 1, received {self.top_p:g}")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed: expected a whole number from 0, received {self.seed}")


def language_task(run: Run) -> LanguageTask:
    """The task of a run that writes. Raises `UserError` for any other."""
    if not isinstance(run.task, LanguageTask):
        raise UserError(
            f"{run.path}: this run's task is {run.task.name}; only language models (language-modeling) generate"
        )
    return run.task


def prompt_ids(task: LanguageTask, prompt: str | None) -> Tensor:
    """(1, T): what the model reads first. Without a prompt a document begins, and running text goes on from a line break.

    Raises `UserError` for an empty prompt where nothing begins, and for a character that the model does not know, or no
    word that it does.
    """
    begin = [BEGIN] if task.documents else []
    if prompt is None and not task.documents:
        prompt = "\n"
        if UNKNOWN in task.encoder.encode(prompt) or not len(task.encoder.encode(prompt)):
            raise UserError("--prompt: this model goes on with a text: give it a begin")
    ids = task.encoder.encode(prompt or "").tolist()
    if not begin and not ids:
        raise UserError("--prompt: it holds nothing to go on from; give at least one word or character")
    if UNKNOWN in ids and task.unit == "character":
        strange = next(letter for letter in prompt or "" if UNKNOWN in task.encoder.encode(letter))
        raise UserError(f"--prompt: the model knows no {strange!r}: it was not in its training text")
    if ids and set(ids) == {UNKNOWN}:
        raise UserError("--prompt: the model knows no word of it: none was in its vocabulary")
    return torch.tensor([begin + ids], dtype=torch.int64)


def never_written(task: LanguageTask) -> Tensor:
    """bool (V,): padding, unknown and begin, and in running text the end of a document."""
    forbidden = torch.zeros(task.encoder.size, dtype=torch.bool)
    forbidden[: END if task.documents else END + 1] = True
    return forbidden


def write_on(
    run: Run, prompt: str | None, length: int, sampling: Sampling, number: int = 0
) -> Iterator[tuple[str, Tensor]]:
    """Yields pieces of text as they come, each with the distribution (V,) that its last token was drawn from; ends after `length`
    tokens, or where a document ends. number: which text of those of one seed."""
    task = language_task(run)
    if length < 1:
        raise UserError(f"length: expected 1 token or more, received {length}")
    begun = prompt_ids(task, prompt)
    model = run.model
    generator = torch.Generator().manual_seed(derive(sampling.seed, number))
    forbidden = never_written(task)
    ids = begun[0].tolist()[-TAIL:]
    told = task.encoder.decode(ids)
    state: Any = None
    new = begun[:, -task.options.length :]  # what lies further back it never saw together with this
    for _ in range(length):
        with torch.inference_mode():
            logits, state = _step(model, new.to(run.plan.device), state, task.options.length)
        chances = next_distribution(
            logits.float().cpu(), sampling.temperature, sampling.top_k, sampling.top_p, forbidden
        )
        token = int(sample(chances, generator))
        if token == END:
            return
        ids.append(token)
        text = task.encoder.decode(ids)
        if not text.endswith(HELD):
            yield text[len(told) :], chances
            ids = ids[-TAIL:] if len(ids) > 2 * TAIL else ids
            told = task.encoder.decode(ids)
        new = torch.tensor([[token]])


def _step(model: nn.Module, ids: Tensor, state: Any, length: int) -> tuple[Tensor, Any]:
    """Logits (V,) after these ids (1, T), and the state. A module of the user's own that has no state reads all again."""
    if hasattr(model, "continued"):
        logits, state = model.continued(ids, state)  # type: ignore[operator]
        return logits[0, -1], state
    known = ids if state is None else torch.cat([state, ids], dim=1)[:, -length:]
    return model(known)[0, -1], known


def generate(run: Run, prompt: str | None = None, *, length: int = 400, count: int = 1, **sampling: Any) -> list[str]:
    """`count` texts, each the prompt and what the model writes on; see `Run.generate`."""
    if count < 1:
        raise UserError(f"count: expected 1 text or more, received {count}")
    chosen = Sampling(**sampling)
    return [
        (prompt or "") + "".join(piece for piece, _ in write_on(run, prompt, length, chosen, number))
        for number in range(count)
    ]
