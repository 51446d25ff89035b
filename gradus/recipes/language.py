"""Language models: Shakespeare, Nietzsche, names, code, the Penn Treebank, the next word of a short text.

What a loss is of is said by `gradus eval`: nats a token, and nats and bits a character.
"""

from __future__ import annotations

from typing import Any

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, RegularizationSettings, ScheduleSettings, TrainSettings

NANO_GPT = "nanoGPT's README, tiny Shakespeare by characters"
PLAIN_TALK = "Plain Talk on Deep Learning, §8.5.1"
ZAREMBA = "TensorFlow's PTB program (its own table, after Zaremba et al. 2014)"


def _task(**options: Any) -> TaskSettings:
    return TaskSettings(name="language-modeling", options=options)


def shakespeare_lstm() -> Recipe:
    """Streams with carried state, a one-cycle rate. The last tenth of the text judges, as the public small models have it."""
    return Recipe(
        name="shakespeare-lstm",
        about="Tiny Shakespeare by characters: one LSTM of 256 whose state is carried, for minutes on a CPU.",
        data=DataSettings(source="tinyshakespeare", validation=0.1, test=0),
        task=_task(tokenizer="character", length=64, streams=32),
        model=ModelSettings(
            name="recurrent_lm", options={"hidden_size": 256, "layers": 1, "embedding_size": 64, "dropout": 0.1}
        ),
        train=TrainSettings(
            epochs=12,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.006, weight_decay=0.01),
            schedule=ScheduleSettings(name="one_cycle", peak_at=0.2),
            regularization=RegularizationSettings(clip_norm=1.0),
        ),
        published=Published(metric="loss", value=1.88, source=f"{NANO_GPT}, a small Transformer, 3 minutes on a CPU"),
    )


def shakespeare_transformer() -> Recipe:
    """4 layers of 128 that see 64 characters, as nanoGPT's README suggests for a laptop; trained for longer."""
    return Recipe(
        name="shakespeare-transformer",
        about="Tiny Shakespeare by characters: a Transformer of 4 layers of 128 that sees 64 characters.",
        data=DataSettings(source="tinyshakespeare", validation=0.1, test=0),
        task=_task(tokenizer="character", length=64),
        model=ModelSettings(name="transformer_lm", options={"width": 128, "layers": 4, "heads": 4}),
        train=TrainSettings(
            epochs=10,
            batch_size=16,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.001, beta2=0.99, weight_decay=0.1),
            schedule=ScheduleSettings(name="cosine", warmup=0.02, final=0.1),
            regularization=RegularizationSettings(clip_norm=1.0),
        ),
        published=Published(
            metric="loss", value=1.88, source=f"{NANO_GPT}, 2 000 steps of 12 x 64, 3 minutes on a CPU"
        ),
    )


def shakespeare_transformer_full() -> Recipe:
    """nanoGPT's `train_shakespeare_char`: 5 000 steps of 64 x 256 characters. Rows begin at every 32nd character, where nanoGPT
    draws them anywhere: 10 passes over these are 4 960 steps or so. For a GPU."""
    return Recipe(
        name="shakespeare-transformer-full",
        about="Tiny Shakespeare by characters: a Transformer of 6 layers of 384 that sees 256 characters; for a GPU.",
        data=DataSettings(source="tinyshakespeare", validation=0.1, test=0),
        task=_task(tokenizer="character", length=256, stride=32),
        model=ModelSettings(name="transformer_lm", options={"width": 384, "layers": 6, "heads": 6, "dropout": 0.2}),
        train=TrainSettings(
            epochs=10,
            batch_size=64,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.001, beta2=0.99, weight_decay=0.1),
            schedule=ScheduleSettings(name="cosine", warmup=0.02, final=0.1),
            regularization=RegularizationSettings(clip_norm=1.0),
        ),
        published=Published(metric="loss", value=1.4697, source=f"{NANO_GPT}, its best validation loss"),
    )


def nietzsche() -> Recipe:
    """*Deep Learning with Python* §8.1 as printed: one-hot characters in small letters, windows of 60 every 3 characters, the
    loss of the one that follows, RMSprop at 0.01, range(1, 60): 59 epochs, where its comment says 60. It validates nothing."""
    return Recipe(
        name="nietzsche",
        about="Nietzsche by characters as the text has it: LSTM of 128 on windows of 60, every 3 characters.",
        data=DataSettings(source="nietzsche", validation=0.1, test=0),
        task=_task(tokenizer="character", lowercase=True, length=60, stride=3, last_only=True),
        model=ModelSettings(name="recurrent_lm", options={"hidden_size": 128, "layers": 1, "embedding_size": 0}),
        train=TrainSettings(
            epochs=59,
            batch_size=128,
            optimizer=OptimizerSettings(name="rmsprop", learning_rate=0.01, rho=0.9, epsilon=1e-7),
        ),
    )


def nietzsche_streams() -> Recipe:
    """The same text with a loss at every character and the state carried: a tenth of the time an epoch, and better."""
    return Recipe(
        name="nietzsche-streams",
        about="Nietzsche by characters, learnt at every character with a carried state: LSTM of 256.",
        data=DataSettings(source="nietzsche", validation=0.1, test=0),
        task=_task(tokenizer="character", lowercase=True, length=64, streams=32),
        model=ModelSettings(
            name="recurrent_lm", options={"hidden_size": 256, "layers": 1, "embedding_size": 64, "dropout": 0.2}
        ),
        train=TrainSettings(
            epochs=12,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.006, weight_decay=0.01),
            schedule=ScheduleSettings(name="one_cycle", peak_at=0.2),
            regularization=RegularizationSettings(clip_norm=1.0),
        ),
    )


def dinosaur_names() -> Recipe:
    """The course's exercise (E-13): a simple recurrent network of 50, gradients cut at 5; its names come from the package."""
    return Recipe(
        name="dinosaur-names",
        about="New names of dinosaurs: each name a text of its own, a simple recurrent network of 50.",
        data=DataSettings(source="dinosaurs", validation=0.1, test=0.1),
        task=_task(tokenizer="character", length=32),
        model=ModelSettings(
            name="recurrent_lm", options={"kind": "simple", "hidden_size": 50, "layers": 1, "embedding_size": 0}
        ),
        train=TrainSettings(
            epochs=20,
            batch_size=8,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.01),
            schedule=ScheduleSettings(name="one_cycle"),
            regularization=RegularizationSettings(clip_value=5.0),
        ),
    )


def code() -> Recipe:
    """Plain Talk §8.5.3's code generator on a corpus that everyone has who has Gradus: its own source."""
    return Recipe(
        name="code",
        about="Python by characters, learnt from the source of Gradus itself: an LSTM of 256 whose state is carried.",
        data=DataSettings(source="gradus_code", validation=0.05, test=0.05),
        task=_task(tokenizer="character", length=96, streams=32),
        model=ModelSettings(name="recurrent_lm", options={"hidden_size": 256, "layers": 1, "embedding_size": 64}),
        train=TrainSettings(
            epochs=6,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.006, weight_decay=0.01),
            schedule=ScheduleSettings(name="one_cycle", peak_at=0.2),
            regularization=RegularizationSettings(clip_norm=1.0),
        ),
    )


def _ptb(
    name: str,
    scale: float,
    norm: float,
    layers: int,
    steps: int,
    size: int,
    full: int,
    epochs: int,
    keep: float,
    decay: float,
    perplexity: float | None,
) -> Recipe:
    """One row of the text's table. The rate is multiplied by `decay` in every epoch after the first `full` ones: the first such
    epoch is number `full` + 1, so the schedule holds for `full` - 1 epochs and falls after each one more."""
    published = Published(metric="perplexity_per_word", value=perplexity, source=ZAREMBA) if perplexity else None
    return Recipe(
        name=f"ptb-{name}",
        about=f"The Penn Treebank by words, configuration {name} of TensorFlow's program ({PLAIN_TALK}).",
        data=DataSettings(source="ptb"),
        task=_task(tokenizer="whitespace", vocabulary=10_004, length=steps, streams=20, loss_over="row"),
        model=ModelSettings(
            name="recurrent_lm",
            options={
                "hidden_size": size,
                "embedding_size": size,
                "layers": layers,
                "dropout": round(1 - keep, 6),
                "same_mask": False,
                "init_scale": scale,
            },
        ),
        train=TrainSettings(
            epochs=epochs,
            optimizer=OptimizerSettings(name="sgd", learning_rate=1.0),
            schedule=ScheduleSettings(name="step", factor=decay, every=1, hold=full - 1),
            regularization=RegularizationSettings(clip_norm=norm),
        ),
        published=published,
    )


def ptb_small() -> Recipe:
    return _ptb("small", 0.1, 5, 2, 20, 200, 4, 13, 1.0, 0.5, 115.91)


def ptb_medium() -> Recipe:
    return _ptb("medium", 0.05, 5, 2, 35, 650, 6, 39, 0.5, 0.8, 82.07)


def ptb_large() -> Recipe:
    return _ptb("large", 0.04, 10, 2, 35, 1500, 14, 55, 0.35, 1 / 1.15, 78.29)


def ptb_test() -> Recipe:
    return _ptb("test", 0.1, 1, 1, 2, 2, 1, 1, 1.0, 0.5, None)


def next_word() -> Recipe:
    """*Principles and Practice* §7.5 on other data: its questions from a shop are replaced by the replies of
    `dialogues_english` (their prompts repeat, so that a test row would have been read before). 800 rows to learn from, 30
    epochs, as the text. Its 35.1 % are of the training rows and count padding; ours count words alone, of rows held out."""
    return Recipe(
        name="next-word",
        about="The next word of a reply: a simple recurrent network of 256 on 800 short texts.",
        data=DataSettings(source="dialogues_english", target="reply", rows=800),
        task=_task(tokenizer="word", vocabulary=1_804, length=14),
        model=ModelSettings(
            name="recurrent_lm", options={"kind": "simple", "hidden_size": 256, "layers": 1, "embedding_size": 0}
        ),
        train=TrainSettings(
            epochs=30, batch_size=64, optimizer=OptimizerSettings(name="adam", learning_rate=0.001, epsilon=1e-7)
        ),
        published=Published(
            metric="accuracy",
            value=0.351,
            source="Principles and Practice, §7.5: training rows of other questions, padding counted",
        ),
    )
