"""What was seen while the run trained (`train/watch.py`); before training, or of a run not watched, in the first steps."""

from __future__ import annotations

import torch

from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import train_with
from gradus.doctor.finding import Finding
from gradus.tasks.control import ControlTask
from gradus.train.learner import NonFiniteError, Supervised
from gradus.train.randomness import seed_step
from gradus.train.signs import Evidence, Record, Sign, find_idle_layers
from gradus.train.signs_of_epochs import read_signs
from gradus.train.source import Source
from gradus.train.vitals import Before, chance_loss, idle_from_the_start, look
from gradus.train.watch import read_vitals

STEPS = 5
# kind -> the lesson that shows it, for networks of the user's own, which the command line cannot train
LESSONS = {
    "rate-too-high": "plateaus-and-saddles",
    "rate-too-low": "plateaus-and-saddles",
    "vanishing": "vanishing-gradients",
    "idle-layer": "forward-and-backward",
    "statistics-differ": "batch-normalisation",
    "saturated-units": "activation-gallery",
    "dead-units": "activation-gallery",
}
USUAL_LESSON = "optimiser-race"


def find_watched(case: Case) -> list[Finding]:
    """What went wrong while the run trained: of a watched run by its vitals, of others by their history and fresh first steps.

    Overfitting has no finding here: the gap that it leaves is judged by itself. From which epoch on is in `case.measured`.
    """
    run = case.trained
    rate = case.recipe.train.optimizer.learning_rate
    records, history = read_vitals(run.path), run.history
    watched = any(one["what"] == "probe" for one in records)
    if not watched:
        records = [*first_steps(case), *records]
    signs = read_signs(Evidence(records, history, rate))
    case.measured["watched"] = {
        "probes": sum(one["what"] == "probe" for one in records) if watched else 0,
        "overfitting": next((sign.told for sign in signs if sign.kind == "variance"), None),
    }
    return [_finding(case, sign) for sign in signs if sign.kind != "variance"]


def find_idle(case: Case) -> list[Finding]:
    """Layers that will not learn though they should, told before training by some steps that are thrown away."""
    if case.run is not None:
        raise NotHere("the run itself was watched")
    return [_finding(case, sign) for sign in find_idle_layers(Evidence(first_steps(case), [], None))]


def first_steps(case: Case) -> list[Record]:
    """The first steps of a training that is thrown away, each looked at, as records of vitals.

    Raises `NotHere` for what learns in another way than by a loss of its rows.
    """
    if isinstance(case.task, ControlTask) or hasattr(case.experiment.model, "players"):
        raise NotHere(f"{case.recipe.model.name} does not learn from the loss of single steps")
    with torch.random.fork_rng():
        trainer = case.fresh_trainer()
        try:
            assert isinstance(trainer.learner, Supervised)
            return _steps(trainer.learner, trainer.source, case.seed)
        finally:
            trainer.source.close()


def _steps(learner: Supervised, source: Source, seed: int) -> list[Record]:
    start = {"chance": chance_loss(learner, source), "idle": idle_from_the_start(learner)}
    records: list[Record] = [{"what": "start", "epoch": 1, "step": 0, **start}]
    learner.begin_epoch(0)
    for step in range(min(STEPS, source.steps)):
        seed_step(seed, 0, step, learner.device)
        batch, before = source.batch(0, step), Before(learner.model)
        try:
            loss = learner.step(batch)["loss"]
        except NonFiniteError:  # told by the run that stopped, and by other checks
            break
        place = {"what": "probe", "epoch": 1, "step": step + 1, "update": step + 1, "loss": float(loss)}
        rate = float(learner.optimizer.param_groups[0]["lr"])
        records.append({**place, "rate": rate, "layers": before.changes(learner.model)})
    if len(records) > 1:
        records[-1] |= look(learner, source, batch, statistics=False)
    return records


def _finding(case: Case, sign: Sign) -> Finding:
    settings = [setting for setting in sign.settings if _is_setting(setting)]
    lesson = LESSONS.get(sign.kind, USUAL_LESSON)
    commands = [train_with(case, setting, lesson=lesson) for setting in settings] or [f"gradus lesson {lesson}"]
    words = [setting for setting in sign.settings if not _is_setting(setting)]
    return Finding(
        kind=sign.kind,
        told=sign.told,
        where=sign.where,
        value=sign.value,
        usual=sign.usual,
        strength=sign.strength,
        command=commands[0],
        others=(*words, *dict.fromkeys(commands[1:])),
    )


def _is_setting(text: str) -> bool:
    return "=" in text and " " not in text
