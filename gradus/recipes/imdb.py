"""Film reviews, good or bad: the experiments of *Deep Learning with Python*, 1st ed., §3.4, §4.4 and chapter 6, and a best one.

All are judged on the 25 000 test reviews, with the weights that were best on held-out training reviews; the text compares
validation accuracies with a test accuracy (of §3.4). Where it says the first words of a review it reads the last ones, since
Keras cuts and pads in front; `keep` = "last" says so. Padding is told apart here; as there with
--set model.options.masked=false and --set task.options.pad_side=left. Its one sigmoid unit is two logits here, whose difference
it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.mnist import KERAS_INITIALIZATION, KERAS_RMSPROP
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

TASK = "text-classification"
BOOK = "Deep Learning with Python, 1st ed., "
DATA = DataSettings(source="imdb", validation=0.2)
BAGS = TaskSettings(name=TASK, options={"encoding": "multi-hot", "vocabulary": 10_000})


def _published(value: float, source: str) -> Published:
    return Published(metric="accuracy", value=value, source=BOOK + source)


def multi_hot(name: str, about: str, hidden: int = 16, **model: Any) -> Recipe:
    """Two hidden layers on which of 10 000 words occur: listing 3-3. 20 epochs, 10 000 reviews to validate: listing 3-9."""
    options = {"hidden": [hidden, hidden], **KERAS_INITIALIZATION, **model}
    return Recipe(
        name=name,
        about=about,
        data=replace(DATA, validation=10_000),
        task=BAGS,
        model=ModelSettings(name="mlp", options=options),
        train=TrainSettings(epochs=20, batch_size=512, optimizer=KERAS_RMSPROP),
    )


def imdb_multi_hot_mlp() -> Recipe:
    """Listing 3-11: trained again on all 25 000, for 4 epochs, and judged once."""
    recipe = multi_hot("imdb-multi-hot-mlp", "10 000-16-16-2 with ReLU on which words occur, 4 epochs.")
    return replace(
        recipe,
        data=replace(DATA, validation=0),
        train=replace(recipe.train, epochs=4),
        published=_published(0.883, "§3.4 (test reviews)"),
    )


def imdb_multi_hot_reference() -> Recipe:
    """What the three studies of overfitting (§4.4) compare with: 20 epochs of §3.4."""
    return multi_hot("imdb-multi-hot-reference", "The same for 20 epochs: it overfits after a few.")


def imdb_multi_hot_small() -> Recipe:
    """§4.4.1, listing 4-4."""
    return multi_hot("imdb-multi-hot-small", "4 units a layer: it overfits later.", 4)


def imdb_multi_hot_large() -> Recipe:
    """§4.4.1, listing 4-5."""
    return multi_hot("imdb-multi-hot-large", "512 units a layer: it overfits from the first epoch on.", 512)


def imdb_multi_hot_l2() -> Recipe:
    """§4.4.2, listing 4-6: 0.001 of the squares of the two hidden layers' weights. Here the output layer's 32 count too."""
    recipe = multi_hot("imdb-multi-hot-l2", "16 units, an L2 penalty of 0.001.")
    regularization = replace(recipe.train.regularization, l2=0.001)
    return replace(recipe, train=replace(recipe.train, regularization=regularization))


def imdb_multi_hot_dropout() -> Recipe:
    """§4.4.3, listing 4-8."""
    return multi_hot("imdb-multi-hot-dropout", "16 units, half of each hidden layer's outputs dropped.", dropout=0.5)


def imdb_bag_of_words() -> Recipe:
    """What order-free counts are worth: every network that reads has to beat it."""
    return Recipe(
        name="imdb-bag-of-words",
        about="Logistic regression on TF-IDF of 10 000 words.",
        data=replace(DATA, validation=0.1),
        task=TaskSettings(name=TASK, options={"encoding": "tf-idf", "vocabulary": 10_000}),
        model=ModelSettings(name="logistic_regression"),
        train=TrainSettings(
            epochs=10,
            batch_size=256,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.03),
            schedule=ScheduleSettings(name="cosine"),
        ),
    )


def reading(length: int) -> TaskSettings:
    """The last `length` tokens of a review, of a vocabulary of 10 000."""
    return TaskSettings(name=TASK, options={"vocabulary": 10_000, "max_length": length, "keep": "last"})


def imdb_embedding() -> Recipe:
    """Listings 6-6 and 6-7."""
    return Recipe(
        name="imdb-embedding",
        about="The last 20 words, a vector of 8 each, all in a row before one layer.",
        data=DATA,
        task=reading(20),
        model=ModelSettings(name="sequence_mlp", options={"embedding_size": 8}),
        train=TrainSettings(epochs=10, batch_size=32, optimizer=KERAS_RMSPROP),
        published=_published(0.76, "§6.1.2 (validation reviews)"),
    )


def _reader(name: str, about: str, model: str, published: Published | None = None, **options: Any) -> Recipe:
    """500 words, vectors of 32, 10 epochs in batches of 128: as the text has it from listing 6-22 on."""
    return Recipe(
        name=name,
        about=about,
        data=DATA,
        task=reading(500),
        model=ModelSettings(name=model, options={"embedding_size": 32, "hidden_size": 32, **options}),
        train=TrainSettings(epochs=10, batch_size=128, optimizer=KERAS_RMSPROP),
        published=published,
    )


def imdb_simple_rnn() -> Recipe:
    """Listings 6-22 to 6-24."""
    printed = _published(0.85, "§6.2.1 (validation reviews)")
    return _reader("imdb-simple-rnn", "A simple recurrent layer of 32 units over 500 words.", "simple_rnn", printed)


def imdb_lstm() -> Recipe:
    """Listing 6-27."""
    printed = _published(0.89, "§6.2.3 (validation reviews)")
    return _reader("imdb-lstm", "An LSTM of 32 units over 500 words.", "lstm", printed)


def imdb_lstm_reversed() -> Recipe:
    """Listing 6-42. The text gives it vectors of 128 and, turned before they are cut, the other end of each review; here all but
    the direction is as in `imdb-lstm`."""
    printed = _published(0.89, "§6.3.8 (validation reviews, vectors of 128: 'about the same')")
    return _reader("imdb-lstm-reversed", "The same, read from the end.", "lstm", printed, reversed=True)


def imdb_bidirectional() -> Recipe:
    """Listing 6-43. Run in order the text's code reads the reversed reviews of listing 6-42 here."""
    printed = _published(0.89, "§6.3.8 (validation reviews, 'above')")
    return _reader("imdb-bidirectional", "An LSTM of 32 units in each direction.", "lstm", printed, bidirectional=True)


def imdb_convnet() -> Recipe:
    """Listing 6-46. The text prints no figure: 'slightly below the LSTM'."""
    return Recipe(
        name="imdb-convnet",
        about="Two convolutions of width 7 over 500 words: 1 315 970 parameters.",
        data=DATA,
        task=reading(500),
        model=ModelSettings(name="text_convnet", options={"embedding_size": 128}),
        train=TrainSettings(epochs=10, batch_size=128, optimizer=replace(KERAS_RMSPROP, learning_rate=1e-4)),
    )


def imdb_200_reviews() -> Recipe:
    """Listings 6-8 and 6-16: what 200 reviews are worth without vectors that others have learnt.

    The vocabulary is that of the 200; the text's is of all 25 000, of which no more than the 200 reviews have meaning to it.
    """
    return Recipe(
        name="imdb-200-reviews",
        about="200 training reviews, the last 100 words, vectors of 100 from nothing.",
        data=DataSettings(source="imdb", validation=10_000, rows=200),
        task=reading(100),
        model=ModelSettings(name="sequence_mlp", options={"embedding_size": 100, "hidden": [32]}),
        train=TrainSettings(epochs=10, batch_size=32, optimizer=KERAS_RMSPROP),
        published=_published(0.5, "§6.1.3 (validation reviews, 'just over')"),
    )


def imdb_best() -> Recipe:
    """Joulin et al. 2017 with dropout: vectors of words and of pairs of words, averaged. Chosen on validation reviews."""
    return Recipe(
        name="imdb-best",
        about="The mean of vectors of words and of pairs of words (fastText) over whole reviews.",
        data=replace(DATA, validation=0.1),
        task=TaskSettings(name=TASK, options={"vocabulary": 30_000, "max_length": 0}),
        model=ModelSettings(
            name="averaged_embeddings",
            options={"embedding_size": 16, "ngrams": 2, "buckets": 300_000, "dropout": 0.5},
        ),
        train=TrainSettings(
            epochs=5,
            batch_size=64,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.01),
            schedule=ScheduleSettings(name="cosine"),
        ),
    )
