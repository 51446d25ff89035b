"""Boston housing, the regression of *Deep Learning with Python* §3.6. The data set is withdrawn elsewhere, and says why."""

from __future__ import annotations

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.mnist import KERAS_INITIALIZATION, KERAS_RMSPROP
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import TrainSettings

BOOK = "Deep Learning with Python, 1st ed., §3.6"
TASK = TaskSettings(name="tabular-regression", options={"standardize_target": False})
MODEL = ModelSettings(name="mlp", options={"hidden": [64, 64], **KERAS_INITIALIZATION})


def boston() -> Recipe:
    """Listings 3-24 to 3-31, to be run as `gradus train boston --folds 4`: how many epochs are best?

    The book standardises all training rows together before it cuts the folds; here each fold is standardised by the rows it
    learns from, so that its validation rows stay unseen. Batches of one row: 4 x 303 x 500 = 606 000 updates.
    """
    return Recipe(
        name="boston",
        about="13-64-64-1 with ReLU, 500 epochs of single rows, to find the number of epochs by K-fold validation.",
        data=DataSettings(source="boston_housing", validation=0.25),
        task=TASK,
        model=MODEL,
        train=TrainSettings(epochs=500, batch_size=1, optimizer=KERAS_RMSPROP),
        published=Published(metric="mae", value=2.9948, source=f"{BOOK}, mean of 4 folds after 100 epochs"),
    )


def boston_housing() -> Recipe:
    """Listing 3-32: the final network, on all training rows, judged once on the test rows. The batch size was not tuned."""
    return Recipe(
        name="boston-housing",
        about="13-64-64-1 with ReLU, 80 epochs in batches of 16, judged on the 102 test rows.",
        data=DataSettings(source="boston_housing", validation=0),
        task=TASK,
        model=MODEL,
        train=TrainSettings(epochs=80, batch_size=16, optimizer=KERAS_RMSPROP),
        published=Published(metric="mae", value=2.5532, source=f"{BOOK}, listing 3-32"),
    )
