"""Temperature 24 hours ahead: *Deep Learning with Python* §6.3.2 to §6.3.8 and §6.4.3, 6.4.4, on other weather.

The book's series is of Jena, every ten minutes from 2009 to 2016; ours is of Beijing, hourly from 2010 to 2014. So the windows
are those of the book in hours: ten days back (its 1440 rows by 6 are our 240 rows), one row a step. Its text also says five
days, and with its second setting (720 rows by 3) a window has as many steps as before, not twice as many. What it calls 24 hours
ahead is 25 by its code (see `tasks/forecasting.py`); here `delay` is 24, and 25 is `--set task.options.delay=25`.

2010 to 2012 are learnt from, 2013 chooses the best weights, 2014 judges. An epoch is every training window once, about 26 000,
where the book draws 64 000 of its 200 000. The printed errors are of the Jena series and of its validation rows (2.57 °C for the
common-sense baseline, 2.35 for the best network): to be compared as shares saved, not in degrees.
"""

from __future__ import annotations

from typing import Any

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.mnist import KERAS_RMSPROP
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

BOOK = "Deep Learning with Python, 1st ed."
DATA = DataSettings(source="beijing_weather", validation="2013-01-01", test="2014-01-01")
WINDOW = {"lookback": 240, "delay": 24, "relative": False}


def _recipe(
    name: str, about: str, model: str, options: dict[str, Any], epochs: int, where: str, jena: float = 0.0, **task: Any
) -> Recipe:
    published = Published(metric="mae", value=jena, source=f"{BOOK}, {where}, °C on the Jena series") if jena else None
    return Recipe(
        name=name,
        about=about,
        data=DATA,
        task=TaskSettings(name="forecasting", options={**WINDOW, **task}),
        model=ModelSettings(name=model, options=options),
        train=TrainSettings(epochs=epochs, batch_size=128, optimizer=KERAS_RMSPROP),
        published=published,
    )


def weather_dense() -> Recipe:
    """Listing 6-37. The common-sense baseline (2.57 °C printed) stands beside it in every run, as "last value"."""
    about = "The window flattened, 32 ReLU, one number: time is lost, and the last value is hard to beat."
    return _recipe("weather-dense", about, "sequence_mlp", {"hidden": [32]}, 20, "§6.3.3, the baseline", 2.57)


def weather_gru() -> Recipe:
    return _recipe("weather-gru", "GRU of 32 units.", "gru", {"hidden_size": 32}, 20, "§6.3.5, listing 6-39", 2.35)


def weather_gru_dropout() -> Recipe:
    options = {"hidden_size": 32, "dropout": 0.2, "recurrent_dropout": 0.2}
    about = "GRU of 32 units, dropout 0.2 before it and from step to step."
    return _recipe("weather-gru-dropout", about, "gru", options, 40, "listing 6-40")


def weather_gru_stacked() -> Recipe:
    """Listing 6-41 has a second layer of 64 units with ReLU; here both layers have 32 and tanh, which cuDNN and MKL compute."""
    options = {"hidden_size": 32, "layers": 2, "dropout": 0.1, "recurrent_dropout": 0.5}
    about = "Two layers of GRU, dropout 0.1, from step to step 0.5."
    return _recipe("weather-gru-stacked", about, "gru", options, 40, "listing 6-41")


def weather_gru_reversed() -> Recipe:
    about = "The GRU that reads the window backwards: what matters most it has read first."
    return _recipe("weather-gru-reversed", about, "gru", {"hidden_size": 32}, 20, "§6.3.8", reversed=True)


def weather_gru_bidirectional() -> Recipe:
    options = {"hidden_size": 32, "bidirectional": True}
    return _recipe("weather-gru-bidirectional", "A GRU in each direction.", "gru", options, 40, "listing 6-44")


def weather_lstm() -> Recipe:
    """§6.3.9 suggests it."""
    return _recipe("weather-lstm", "LSTM of 32 units.", "lstm", {"hidden_size": 32}, 20, "§6.3.9")


def weather_convnet() -> Recipe:
    """Listing 6-47: errors of 0.4 to 0.5 deviations, worse than the common-sense baseline: it does not know what came last."""
    options = {"channels": 32, "kernel_size": 5, "pool": 3, "layers": 3}
    about = "Three convolutions over time and the largest value of each channel: order is lost."
    return _recipe("weather-convnet", about, "text_convnet", options, 20, "listing 6-47")


def weather_conv_gru() -> Recipe:
    """Listing 6-49, whose windows are 720 rows of ten minutes by 3: five days in half hours. Hourly rows have no halves."""
    options = {"channels": 32, "kernel_size": 5, "pool": 3, "layers": 2, "dropout": 0.1, "recurrent_dropout": 0.5}
    about = "Two convolutions shorten the window, a GRU reads the rest."
    return _recipe("weather-conv-gru", about, "conv_rnn", options, 20, "listing 6-49")


def weather_dilated() -> Recipe:
    """§6.4.4 names dilated kernels; van den Oord et al. 2016."""
    options = {"channels": 32, "kernel_size": 3, "layers": 6, "dropout": 0.1}
    return _recipe(
        "weather-dilated",
        "Causal dilated convolutions, read at the last step.",
        "dilated_convnet",
        options,
        20,
        "§6.4.4",
    )


def weather_best() -> Recipe:
    """What forecasts here are best made with: the change since now is learnt, and the calendar read beside the weather."""
    return _quick(
        "weather-best", "GRU with recurrent dropout that learns the change since now, with the calendar; 5 days."
    )


def weather_quantiles() -> Recipe:
    about = "The same for every hour of the next day, as bands that hold eight of ten."
    return _quick("weather-quantiles", about, delay=1, horizon=24, quantiles=[0.1, 0.5, 0.9])


def _quick(name: str, about: str, **task: Any) -> Recipe:
    options = {"lookback": 120, "delay": 24, "calendar": ["hour", "year"], **task}
    return Recipe(
        name=name,
        about=about,
        data=DATA,
        task=TaskSettings(name="forecasting", options=options),
        model=ModelSettings(name="gru", options={"hidden_size": 32, "dropout": 0.1, "recurrent_dropout": 0.1}),
        train=TrainSettings(
            epochs=12,
            batch_size=128,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.002),
            schedule=ScheduleSettings(name="cosine"),
        ),
    )
