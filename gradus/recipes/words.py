"""Recipes for word vectors on the 25 000 training reviews of IMDb (labels unused), and for a classifier that begins with them.

The rates were found on a fifth of the reviews: adagrad at 0.1 to 0.3 (adam at 0.003 gives vectors that answer a quarter as many
analogies), frequent words left out from 0.001 of the text on.
"""

from __future__ import annotations

from typing import Any

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import FineTuneSettings, OptimizerSettings, TrainSettings

VOCABULARY: dict[str, Any] = {"vocabulary": 20_000, "least_count": 5}
KERAS_PADDING = {"keep": "last", "pad_side": "left"}  # what pad_sequences does unless told otherwise
FIRST = "runs/imdb-word2vec"  # where the run is expected whose vectors others begin with


def imdb_word2vec() -> Recipe:
    """Skip-gram with negative sampling (Mikolov et al. 2013): *course notes* §5.2.5, §5.2.6."""
    return Recipe(
        name="imdb-word2vec",
        about="Word vectors of 100 numbers from film reviews, by skip-gram with negative sampling.",
        data=DataSettings(source="imdb", validation=0),
        task=TaskSettings(name="word-vectors", options={**VOCABULARY, "window": 5, "negatives": 5}),
        model=ModelSettings(name="skip_gram", options={"embedding_size": 100}),
        train=TrainSettings(epochs=5, batch_size=256, optimizer=OptimizerSettings(name="adagrad", learning_rate=0.2)),
    )


def imdb_glove() -> Recipe:
    """GloVe (Pennington et al. 2014): *course notes* §5.2.7. x_max is 10, as its authors have it for small corpora."""
    return Recipe(
        name="imdb-glove",
        about="Word vectors of 100 numbers from film reviews, by how often words meet.",
        data=DataSettings(source="imdb", validation=0),
        task=TaskSettings(name="word-vectors", options={**VOCABULARY, "window": 10, "largest_count": 10.0}),
        model=ModelSettings(name="glove", options={"embedding_size": 100}),
        train=TrainSettings(
            epochs=10, batch_size=16_384, optimizer=OptimizerSettings(name="adagrad", learning_rate=0.1)
        ),
    )


def imdb_200_reviews_word2vec() -> Recipe:
    """*Deep Learning with Python* §6.1.3: 200 labelled reviews, word vectors trained on text without labels, frozen.

    It begins with the run that `gradus train imdb-word2vec --out runs/imdb-word2vec` makes, in that run's vocabulary. The text's
    vectors are those of GloVe from other texts. Another draw of 200 reviews: --set data.split_seed=1; tuned in place of frozen:
    --set 'train.fine_tune.freeze=[]'; learnt from the 200 reviews alone: --embeddings "" besides.
    """
    return Recipe(
        name="imdb-200-reviews-word2vec",
        about="Sentiment from 200 labelled reviews, with word vectors from unlabelled ones.",
        data=DataSettings(source="imdb", validation=10_000, rows=200),
        task=TaskSettings(name="text-classification", options={**KERAS_PADDING, "max_length": 100, **VOCABULARY}),
        model=ModelSettings(name="sequence_mlp", options={"hidden": [32], "masked": False}, embeddings=FIRST),
        train=TrainSettings(
            epochs=10,
            batch_size=32,
            optimizer=OptimizerSettings(name="rmsprop", learning_rate=0.001, rho=0.9, epsilon=1e-7),
            fine_tune=FineTuneSettings(freeze=("embedding",)),
        ),
        published=Published(
            metric="accuracy", value=0.56, source="Deep Learning with Python, 1st ed., §6.1.3 (with GloVe vectors)"
        ),
    )
