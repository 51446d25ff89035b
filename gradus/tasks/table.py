"""The table of tasks: name -> how it is made, how it is recognised from the columns."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, replace
from typing import Any

from gradus import settings
from gradus.data.columns import Boxes, Image, Label, Labels, Mask, Number, Points, Tags, Text
from gradus.data.dataset import Dataset
from gradus.data.readers.infer import is_writing
from gradus.data.text.encoders import TextEncoder, TokenOptions
from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.tasks.control import ControlOptions, ControlTask
from gradus.tasks.detection import BoxOptions, DetectionTask
from gradus.tasks.forecast_windows import ForecastOptions
from gradus.tasks.forecasting import ForecastTask
from gradus.tasks.generation import GenerationOptions, GenerationTask
from gradus.tasks.inputs import ImageInputs, ImageOptions, Inputs, TableInputs
from gradus.tasks.landmarks import LandmarkOptions, LandmarksTask
from gradus.tasks.language import LanguageOptions, LanguageTask
from gradus.tasks.localization import LocalizationOptions, LocalizationTask
from gradus.tasks.pairs import PairInputs, PairOptions
from gradus.tasks.scenes import SceneInputs, SceneOptions
from gradus.tasks.segmentation import MaskOptions, SegmentationTask
from gradus.tasks.settings import TaskSettings
from gradus.tasks.several import SeveralOptions, SeveralTarget
from gradus.tasks.tagging import TaggingOptions, TaggingTask
from gradus.tasks.targets import ClassOptions, ClassTarget, LabelsTarget, NumberOptions, NumberTarget, Target
from gradus.tasks.task import InputTargetTask, Task
from gradus.tasks.text import TextInputs, TextOptions
from gradus.tasks.word_vectors import WordVectorOptions, WordVectorTask


@dataclass(frozen=True)
class TaskKind:
    about: str
    options: tuple[type, ...]  # the option dataclasses that its settings are read into
    models: tuple[str, ...]  # the networks that suit it, the default first


TASKS: dict[str, TaskKind] = {
    "image-classification": TaskKind(
        "one class a picture", (ImageOptions, ClassOptions), ("mnist_convnet", "lenet5", "mlp", "logistic_regression")
    ),
    "tabular-classification": TaskKind(
        "one class a row, or any number of labels a row", (ClassOptions,), ("mlp", "logistic_regression")
    ),
    "object-detection": TaskKind(
        "boxes around the things in a picture",
        (SceneOptions, BoxOptions),
        ("grid_detector", "faster_rcnn", "ssd", "yolo_v1", "fast_rcnn"),
    ),
    "object-localization": TaskKind(
        "one thing in a picture: whether, where and what",
        (SceneOptions, LocalizationOptions),
        ("localizer", "squeezenet1_0", "resnet18"),
    ),
    "landmarks": TaskKind(
        "named points in a picture", (SceneOptions, LandmarkOptions), ("localizer", "squeezenet1_0", "resnet18")
    ),
    "semantic-segmentation": TaskKind(
        "the class of every pixel",
        (SceneOptions, MaskOptions),
        ("unet", "fcn8s", "deeplab", "segnet", "fcn16s", "fcn32s"),
    ),
    "text-classification": TaskKind(
        "one class a text, or any number of labels a text",
        (TextOptions, TokenOptions, ClassOptions),
        (
            *("gru", "lstm", "attention_rnn", "averaged_embeddings", "text_convnet", "kim_convnet", "conv_rnn"),
            *("transformer_encoder", "dilated_convnet", "simple_rnn", "sequence_mlp", "mlp", "logistic_regression"),
        ),
    ),
    "text-regression": TaskKind(
        "one or several numbers a text",
        (TextOptions, TokenOptions, NumberOptions),
        ("gru", "lstm", "simple_rnn", "mlp", "logistic_regression"),
    ),
    "text-pair-classification": TaskKind(
        "one class a pair of texts: the answer to a question, whether two say the same",
        (TextOptions, TokenOptions, PairOptions, ClassOptions),
        ("siamese_lstm", "two_input_lstm", "memory_network"),
    ),
    "text-pair-regression": TaskKind(
        "a number a pair of texts: how alike they are",
        (TextOptions, TokenOptions, PairOptions, NumberOptions),
        ("siamese_lstm", "two_input_lstm", "memory_network"),
    ),
    "tagging": TaskKind("a class for each word of a text: names, parts of speech", (TaggingOptions,), ("tagger",)),
    "word-vectors": TaskKind(
        "vectors of words, from which words stand around each",
        (WordVectorOptions, TokenOptions),
        ("skip_gram", "cbow", "glove", "window_words"),
    ),
    "language-modeling": TaskKind(
        "what comes next in a text",
        (LanguageOptions, TokenOptions),
        ("recurrent_lm", "transformer_lm", "conv_lm", "window_lm"),
    ),
    "forecasting": TaskKind(
        "numbers that lie ahead, of what is measured in time",
        (ForecastOptions,),
        (
            *("gru", "lstm", "attention_rnn", "conv_rnn", "dilated_convnet", "text_convnet", "transformer_encoder"),
            *("simple_rnn", "sequence_mlp"),
        ),
    ),
    "text-multi-output": TaskKind(
        "several columns of different kinds, from a text",
        (TextOptions, TokenOptions, SeveralOptions, ClassOptions, NumberOptions),
        ("gru", "lstm", "simple_rnn", "mlp", "logistic_regression"),
    ),
    "image-multi-output": TaskKind(
        "several columns of different kinds, from a picture",
        (ImageOptions, SeveralOptions, ClassOptions, NumberOptions),
        ("mnist_convnet", "lenet5", "mlp", "logistic_regression"),
    ),
    "tabular-multi-output": TaskKind(
        "several columns of different kinds, from a table",
        (SeveralOptions, ClassOptions, NumberOptions),
        ("mlp", "logistic_regression"),
    ),
    "picture-generation": TaskKind(
        "new pictures that are like those of the data",
        (ImageOptions, GenerationOptions),
        (
            *("conv_vae", "dcgan", "diffusion", "dense_vae", "dense_autoencoder", "conv_autoencoder"),
            *("gan", "cgan", "dcgan_frogs", "wgan_gp", "lapgan"),
            *("rbm", "dbn", "conv_rbm", "conv_dbn"),
        ),
    ),
    "control": TaskKind(
        "actions in an environment that earn rewards",
        (ControlOptions,),
        ("q_network", "q_table", "actor_critic", "atari_dqn", "atari_dqn_2013", "atari_actor_critic"),
    ),
    "tabular-regression": TaskKind("one or several numbers a row", (NumberOptions,), ("mlp", "logistic_regression")),
}


def infer_task(dataset: Dataset) -> str:
    """The task that the columns suggest: pictures and a class, a table and a class, a table and a number."""
    if not dataset.target:
        raise UserError(
            f"{dataset.name}: which column is to be learnt? Name it with --target; columns: {', '.join(dataset.types)}"
        )
    types = dataset.types
    first = dataset.target.split(",")[0].strip()
    kind = types.get(dataset.target) or types.get(first)
    pictures = any(isinstance(other, Image) for other in types.values())
    if several_kinds(dataset):
        others = [other for name, other in types.items() if name not in target_names(dataset)]
        text = len(others) == 1 and isinstance(others[0], Text)
        return "image-multi-output" if pictures else "text-multi-output" if text else "tabular-multi-output"
    if pictures and isinstance(kind, Boxes):
        return "object-detection"
    if pictures and isinstance(kind, Points):
        return "landmarks"
    if pictures and isinstance(kind, Mask):
        return "semantic-segmentation"
    if isinstance(kind, Tags):
        return "tagging"
    if isinstance(kind, Text):
        return "language-modeling"
    if dataset.ordered and isinstance(kind, Number):
        return "forecasting"
    texts = [isinstance(other, Text) for name, other in types.items() if name not in (first, dataset.target)]
    if texts and isinstance(kind, Label | Labels) and not pictures and (all(texts) or _holds_writing(dataset)):
        return "text-pair-classification" if _are_a_pair(dataset) else "text-classification"
    if texts and all(texts) and isinstance(kind, Number):
        return "text-pair-regression" if _are_a_pair(dataset) else "text-regression"
    if pictures and isinstance(kind, Label | Labels):
        return "image-classification"
    if isinstance(kind, Label | Labels) and not pictures:
        return "tabular-classification"
    if isinstance(kind, Number) and not pictures:
        return "tabular-regression"
    what = type(kind).__name__.lower() if kind else "an unknown column"
    raise UserError(
        f"{dataset.name}: no task learns {what} from {'pictures' if pictures else 'a table'} yet; tasks: {', '.join(TASKS)}"
    )


SECOND_OF_A_PAIR = frozenset(
    {"question", "query", "hypothesis", "sentence2", "question2", "text2", "text_b", "sentence_b", "b"}
)


def _are_a_pair(dataset: Dataset) -> bool:
    """Whether two columns of text are two texts, as told by the name of the second, rather than one text in two parts."""
    texts = [n for n, kind in dataset.types.items() if isinstance(kind, Text) and n not in target_names(dataset)]
    return len(texts) == 2 and texts[1].casefold() in SECOND_OF_A_PAIR


def target_names(dataset: Dataset) -> list[str]:
    return [name.strip() for name in (dataset.target or "").split(",")]


def several_kinds(dataset: Dataset) -> bool:
    """Whether the target is several columns that are not all numbers."""
    names, types = target_names(dataset), dataset.types
    if len(names) < 2 or dataset.target in types or not all(name in types for name in names):
        return False
    return not all(isinstance(types[name], Number) for name in names)


def _holds_writing(dataset: Dataset) -> bool:
    """Whether a text column holds whole sentences, as opposed to names or addresses: then it is what the table is about."""
    target = dataset.target or ""
    columns = [c for name, c in dataset["train"].columns.items() if isinstance(c.type, Text) and name != target]
    return any(is_writing([str(text) for text in column.values[:200]]) for column in columns)


def create_task(
    task_settings: TaskSettings,
    dataset: Dataset,
    model_sizes: tuple[int, ...] | None = None,
    limit: int | None = None,
    smallest: int = 1,
    encoder: TextEncoder | None = None,
) -> Task:
    """Makes a task and fits it to the training split of `dataset`.

    model_sizes: the only picture sides that the chosen model takes, where they are fixed, the usual one first
    smallest:    the smallest picture side that the model takes; smaller pictures are brought to it
    limit:       bytes that decoded pictures may have in memory, beyond which they are decoded when asked for; None: any

    encoder:     of texts, where it is taken over in place of one that is fitted to the training texts

    Raises `UserError` for an unknown task or option, or a target that does not suit the task.
    """
    target = dataset.target or ""
    labels = isinstance(dataset.types.get(target), Labels)
    task = _make(task_settings, labels, model_sizes)
    inputs = getattr(task, "inputs", None)
    if isinstance(inputs, ImageInputs | SceneInputs):
        inputs.limit, inputs.all_rows = limit, sum(map(len, dataset.splits.values()))
    if isinstance(inputs, ImageInputs):
        inputs.smallest = smallest
    if isinstance(inputs, TextInputs):
        inputs.given = encoder
    if isinstance(inputs, SceneInputs):
        inputs.model_sizes = model_sizes
    task.fit(dataset)
    return task


def load_task(task_settings: TaskSettings, state: dict[str, Any]) -> Task:
    """The task as it was fitted, from what `save_state` wrote."""
    task = _make(task_settings, state.get("labels", False), None)
    task.restore(state["fitted"])
    return task


def save_state(task: Task) -> dict[str, Any]:
    """All that a fitted task needs to predict, as JSON."""
    labels = isinstance(task, InputTargetTask) and isinstance(task.target, LabelsTarget)
    return {"task": task.name, "labels": labels, "fitted": task.state()}


def _make(task_settings: TaskSettings, labels: bool, model_sizes: tuple[int, ...] | None) -> Task:
    name = task_settings.name
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    options = _read_options(name, task_settings.options)
    if name == "object-detection":
        return DetectionTask(SceneInputs(options[SceneOptions]), options[BoxOptions])
    if name == "object-localization":
        return LocalizationTask(SceneInputs(options[SceneOptions]), options[LocalizationOptions])
    if name == "landmarks":
        return LandmarksTask(SceneInputs(options[SceneOptions]), options[LandmarkOptions])
    if name == "semantic-segmentation":
        return SegmentationTask(SceneInputs(options[SceneOptions]), options[MaskOptions])
    if name == "tagging":
        return TaggingTask(options[TaggingOptions])
    if name == "language-modeling":
        return LanguageTask(options[LanguageOptions], options[TokenOptions])
    if name == "word-vectors":
        return WordVectorTask(options[WordVectorOptions], options[TokenOptions])
    if name == "picture-generation":
        pictures = replace(options[ImageOptions], normalize="unit")
        return GenerationTask(ImageInputs(pictures, model_sizes), options[GenerationOptions])
    if name == "control":
        return ControlTask(options[ControlOptions])
    if name == "forecasting":
        return ForecastTask(options[ForecastOptions])
    target: Target
    if SeveralOptions in options:
        target = SeveralTarget(options[SeveralOptions], options[ClassOptions], options[NumberOptions])
    elif NumberOptions in options:
        target = NumberTarget(options[NumberOptions])
    else:
        target = (LabelsTarget if labels else ClassTarget)(options[ClassOptions])
    inputs: Inputs = TableInputs()
    if ImageOptions in options:
        inputs = ImageInputs(options[ImageOptions], model_sizes)
    elif PairOptions in options:
        inputs = PairInputs(options[TextOptions], options[TokenOptions], options[PairOptions])
    elif TextOptions in options:
        inputs = TextInputs(options[TextOptions], options[TokenOptions])
    return InputTargetTask(name, inputs, target)


def _read_options(name: str, given: dict[str, Any]) -> dict[type, Any]:
    kinds = TASKS[name].options
    known = [field.name for kind in kinds for field in fields(kind)]
    for option in given:
        if option not in known:
            raise UserError(
                f"{name} has no option '{option}'{did_you_mean(option, known) or '; options: ' + ', '.join(known)}"
            )
    result: dict[type, Any] = {}
    for kind in kinds:
        names = inspect.signature(kind).parameters
        mine = {key: value for key, value in given.items() if key in names}
        result[kind] = settings.from_dict(kind, mine, "task.options")
    return result
