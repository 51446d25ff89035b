"""Tasks on texts beyond one class a text: questions about stories, pairs of texts, a tag for each word, several outputs."""

from __future__ import annotations

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.mnist import KERAS_RMSPROP
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, TrainSettings

PAIR = "text-pair-classification"


def _adam(rate: float) -> OptimizerSettings:
    return OptimizerSettings(name="adam", learning_rate=rate)


def babi_qa1() -> Recipe:
    """*Deep Learning with Python*, listings 7-1 and 7-2: two LSTMs side by side, given random numbers there, stories here.

    The text of a story is never compared with the question before the last layer: it stays far from 1. `babi-qa1-memory` looks.
    """
    return Recipe(
        name="babi-qa1",
        about="Two LSTMs, one for the story and one for the question (Deep Learning with Python, listing 7-1).",
        data=DataSettings(source="babi_qa1"),
        task=TaskSettings(name=PAIR),
        model=ModelSettings(name="two_input_lstm"),
        train=TrainSettings(epochs=10, batch_size=128, optimizer=KERAS_RMSPROP),
    )


def babi_qa1_memory() -> Recipe:
    """The question looks among the sentences of the story: 1 000 of the stories are enough."""
    return Recipe(
        name="babi-qa1-memory",
        about="A memory network on 1 000 stories: the question looks among the sentences.",
        data=DataSettings(source="babi_qa1", rows=1_000),
        task=TaskSettings(name=PAIR),
        model=ModelSettings(name="memory_network"),
        train=TrainSettings(epochs=40, batch_size=32, optimizer=_adam(0.01)),
    )


def siamese_dialogues() -> Recipe:
    """*Deep Learning with Python* §7.1.5 on pairs of the dialogues: does this reply belong to this prompt? Prompt and reply are
    not alike in words, so one reader for both is a hard begin: the linear baseline on words is the one to beat."""
    return Recipe(
        name="siamese-dialogues",
        about="One LSTM reads prompt and reply; a symmetric head says whether they belong together.",
        data=DataSettings(source="dialogue_pairs"),
        task=TaskSettings(name=PAIR, options={"max_length": 60}),
        model=ModelSettings(name="siamese_lstm", options={"embedding_size": 64, "hidden_size": 32, "dropout": 0.3}),
        train=TrainSettings(epochs=20, batch_size=32, optimizer=_adam(0.003)),
    )


def several_outputs() -> Recipe:
    """The three outputs of *Deep Learning with Python* §7.1.3, a number, a class and a yes or no, on film reviews: listing 7-3's
    are of posts that nobody has. Each loss weighs the same: listing 7-5's 0.25, 1 and 10 even out the sizes of its losses, one of
    which is of years squared; numbers are standardised here, so that its weights would leave the verdict unlearnt."""
    return Recipe(
        name="several-outputs",
        about="Length, verdict and speaker of a film review by one GRU, its losses weighted.",
        data=DataSettings(source="imdb_outputs", target="words,label,speaker"),
        task=TaskSettings(name="text-multi-output", options={"max_length": 200, "loss_weights": [1, 1, 1]}),
        model=ModelSettings(name="gru", options={"embedding_size": 64, "hidden_size": 64, "dropout": 0.3}),
        train=TrainSettings(epochs=4, batch_size=64, optimizer=_adam(0.002)),
    )


def imdb_capitals() -> Recipe:
    """Which words of a text without punctuation began with a capital: real text, tags that nobody had to write."""
    return Recipe(
        name="imdb-capitals",
        about="A bidirectional LSTM puts the capitals back into film reviews.",
        data=DataSettings(source="imdb_capitals"),
        task=TaskSettings(name="tagging", options={"vocabulary": 20_000, "characters": 12}),
        model=ModelSettings(name="tagger", options={"hidden_size": 64}),
        train=TrainSettings(epochs=3, batch_size=64, optimizer=_adam(0.003)),
    )
