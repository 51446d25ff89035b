"""Run: a folder with a trained model in it, and all that can be done with it after training."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradus import settings
from gradus.errors import NoWeights, UserError, did_you_mean, quoted
from gradus.models import create_model
from gradus.recipes.experiment import Experiment, prepare
from gradus.recipes.inputs import read_inputs
from gradus.recipes.playing import play_run
from gradus.recipes.recipe import Recipe
from gradus.tasks.assessment import Assessment, ControlAssessment
from gradus.tasks.control import ControlTask
from gradus.tasks.generation import GenerationTask
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import load_task
from gradus.tasks.task import Answer, Task
from gradus.train import checkpoint
from gradus.train.devices import plan_device
from gradus.train.folder import RunFolder
from gradus.train.randomness import seed_step
from gradus.train.source import by_length, evaluation_rows, in_order
from gradus.train.stream import readable

FINISHED = "finished"  # in the state of best weights that a network changed after they were measured (`finishing.py`)
FORMAT = 1  # of recipe.toml and task.json; a newer one is refused
TEMPERATURE_FILE = "temperature.json"  # written by `gradus doctor RUN --calibrate`


class Run:
    """A finished or unfinished run. Made by `fit`, `train_recipe`, `resume` and `load_run`.

    path, recipe, task; the model is loaded when first needed, with the best weights (the last ones where there was no
    validation split to choose by).
    """

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        task: Task,
        *,
        experiment: Experiment | None = None,
        model: nn.Module | None = None,
    ) -> None:
        self.path, self.recipe, self.task = path, recipe, task
        self._experiment, self._given = experiment, model
        self._model: nn.Module | None = None
        self._assessments: dict[str, Assessment] = {}
        self._temperature: float | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.recipe.model.name} on {self.recipe.data.source}, {len(self.history)} epochs)"

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict an epoch: epoch, step, samples, train_seconds, learning_rate, train_loss, validation_loss, ..."""
        return RunFolder(self.path).read_metrics()

    @property
    def evaluation(self) -> dict[str, Any]:
        """What was measured when the training ended: split, metrics, baselines, timing, best. Empty before that."""
        return RunFolder(self.path).read_json("evaluation.json") if (self.path / "evaluation.json").exists() else {}

    @property
    def is_custom(self) -> bool:
        """Whether the model is a module of the user's own, which the run folder cannot make again."""
        return self.recipe.model.name.startswith("custom:")

    @property
    def model(self) -> nn.Module:
        """The trained network, in evaluation mode, on the CPU or the GPU that there is."""
        if self._model is None:
            model = self._fresh_model()
            folder = RunFolder(self.path).checkpoints
            name = "best" if checkpoint.exists(folder, "best") else "last"
            if not checkpoint.exists(folder, name):
                raise NoWeights(
                    f"{self.path}: no checkpoint has been written yet; continue with: gradus resume {quoted(self.path)}"
                )
            found = checkpoint.load(folder, name)
            try:
                model.load_state_dict(found.model)
            except RuntimeError as error:
                raise UserError(
                    f"{self.path}: its weights do not fit model {self.recipe.model.name} ({error})"
                ) from None
            self.plan = plan_device(
                self.recipe.train.device if torch.cuda.is_available() else "cpu", self.recipe.train.precision
            )
            self.task.to_device(self.plan.device)
            if name == "best" and not found.state.get(FINISHED):
                record = next((one for one in self.history if one.get("epoch") == found.state.get("epoch")), {})
                self.task.use_record(record)
            self._model = self.plan.place(model).eval()
        return self._model

    def _fresh_model(self) -> nn.Module:
        if self.is_custom:  # a copy: the user's own module keeps the weights it has
            return copy.deepcopy(self._given if self._given is not None else self.experiment.model)
        return create_model(self.recipe.model.name, **self.recipe.model.options)

    @property
    def experiment(self) -> Experiment:
        """The data, read again where this run was loaded from its folder."""
        if self._experiment is None:
            if self.is_custom and self._given is None:
                raise UserError(
                    f"{self.path}: this run trained a module of your own; give it as load_run(path, model=...)"
                )
            self._experiment = prepare(self.recipe, model=self._given, measure=False, weights=False, like=self.task)
        return self._experiment

    @property
    def temperature(self) -> float:
        """What the logits of classes and labels are divided by: 1 unless the run was calibrated (`gradus doctor RUN
        --calibrate`). Setting it forgets what was assessed with another one; the folder stays as it is."""
        if self._temperature is None:
            there = (self.path / TEMPERATURE_FILE).exists()
            self._temperature = RunFolder(self.path).read_json(TEMPERATURE_FILE)["temperature"] if there else 1.0
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._temperature, self._assessments = float(value), {}

    def outputs(self, tensors: dict[str, Any]) -> Tensor:
        """(N, ...) on the CPU: what the task keeps of the model's outputs for encoded rows (`Task.collected`)."""
        model = self.model
        parts = []
        with (
            torch.random.fork_rng(),  # of networks that draw: the same numbers each time
            torch.inference_mode(),
            self.plan.autocast(),
            readable(tensors, max(0, self.recipe.data.workers), self.plan.device) as rows,
        ):
            seed_step(self.recipe.train.seed, 0, 0, self.plan.device)
            read = self.task.reader(model)
            order = by_length(rows)
            for batch in in_order(rows, evaluation_rows(rows, self.recipe.train.batch_size), order):
                on_device = {name: tensor.to(self.plan.device) for name, tensor in batch.items()}
                inputs, _ = self.task.prepare(on_device, training=False)
                parts.append(self.task.collected(read(inputs), on_device).cpu())
        found = self.task.joined(parts)
        found = found / self.temperature if self.temperature != 1 else found
        return found if order is None else found[order.argsort()]

    def assess(self, split: str = "test") -> Assessment:
        """The answers on a split and their exact metrics."""
        if split not in self._assessments:
            tensors = self.experiment.tensors
            if split not in tensors:
                raise UserError(f"{self.path}: there is no split '{split}'; there are {', '.join(tensors)}")
            if isinstance(self.task, ControlTask):
                self._assessments[split] = play_run(self)
                return self._assessments[split]
            outputs = self.outputs(tensors[split])
            self._assessments[split] = self.task.assess(outputs, tensors[split]["targets"])
        return self._assessments[split]

    def evaluate(self, split: str = "test") -> dict[str, float]:
        """Metrics of the best weights on a split."""
        return dict(self.assess(split).metrics)

    def play(self, episodes: int | None = None, *, seed: int | None = None) -> ControlAssessment:
        """Returns and lengths of whole episodes, played with the actions that the model holds for the best.

        episodes, seed: None: those by which the run was measured. Raises `UserError` for a run of another task.
        """
        return play_run(self, episodes, seed=seed)

    def answers(self, inputs: Sequence[Any] | Any) -> tuple[list[str], list[Answer]]:
        """Names and answers for inputs; see `predict`."""
        split = read_inputs(self.task, inputs if isinstance(inputs, list | tuple) else [inputs])
        answers = self.task.answers(split, self.outputs)
        return self.task.answer_names(split), answers

    def predict(self, inputs: Sequence[Any] | Any) -> list[dict[str, Any]]:
        """Predictions, one dict an input: input, prediction, certainty, alternatives, and a remark where there is one.

        inputs: for pictures: paths of files or folders, uint8 arrays (height, width[, channels]) or Pillow images;
                for texts: the texts themselves, paths of text files or folders of them, or what tables take;
                for tables: paths of CSV, TSV, JSON lines or Parquet files, or dicts of column -> value.
        Raises `UserError` for an input of the wrong kind, naming it.
        """
        names, answers = self.answers(inputs)
        return [{"input": name, **answer.to_json()} for name, answer in zip(names, answers, strict=True)]

    def generate(
        self, prompt: str | None = None, *, length: int = 400, count: int | None = None, **sampling: Any
    ) -> Any:
        """What the model makes: a list of texts, or uint8 pictures (count, height, width, channels).

        A language model writes on from a prompt, which stands at the beginning of each text (None: where a document, or a line,
        begins), `length` tokens at most; sampling: temperature (1), top_k (0: all), top_p (1), seed (0); count: 1.
        Of pictures, sampling: seed (0), label (the class asked for; all in turn), and settings of the network's own, such as
        steps and guidance of a diffusion model; count: 64.

        Raises `UserError` for a run of another task, a setting out of range, or a prompt that it cannot read.
        """
        if isinstance(self.task, GenerationTask):
            from gradus.recipes.picturing import make_pictures

            if prompt is not None:
                raise UserError(
                    f"{self.path}: this run makes pictures, and takes no prompt; a class is asked for as label"
                )
            seed, label = sampling.pop("seed", 0), sampling.pop("label", None)
            return make_pictures(self, 64 if count is None else count, seed=seed, label=label, sampling=sampling)
        from gradus.recipes.generating import generate

        return generate(self, prompt, length=length, count=1 if count is None else count, **sampling)

    def report(self) -> Path:
        """Writes report.html and returns its path."""
        from gradus.recipes.reporting import report_of

        return report_of(self)


def load_run(path: str | Path, model: nn.Module | None = None) -> Run:
    """Reads a run folder. `model`: an instance of the module, for a run that trained one of the user's own.

    Raises `UserError` where there is none, where it is not whole, or where a newer version made it.
    """
    path = Path(path)
    folder = RunFolder(path)
    if not path.is_dir():
        near = sorted(str(other) for other in path.parent.glob("*") if (other / "recipe.toml").exists())
        raise UserError(f"{path}: there is no such run{did_you_mean(str(path), near)}")
    try:
        values = tomllib.loads((path / "recipe.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: this is not a whole run (recipe.toml is missing)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path / 'recipe.toml'}: this file is damaged ({error})") from None
    version = values.pop("format", 0)
    if version > FORMAT:
        raise UserError(f"{path}: this run was made by a newer version of gradus (format {version}, known {FORMAT})")
    recipe = settings.from_dict(Recipe, values)
    if (path / "folds.json").exists():
        members = sorted(str(member) for member in (path / "members").glob("*") if member.is_dir())
        one = f"; give one of them, such as {members[0]}" if members else ""
        raise UserError(f"{path}: this holds the models of several folds, not one run{one}")
    if not (recipe.task.name and recipe.model.name):
        raise UserError(f"{path / 'recipe.toml'}: this file is damaged (it names no task or no model)")
    task_settings = TaskSettings(name=recipe.task.name, options=recipe.task.options)
    return Run(path, recipe, load_task(task_settings, folder.read_json("task.json")), model=model)
