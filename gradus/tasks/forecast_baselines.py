"""Forecasts that any network has to beat, on the same windows.

last value          what was measured last
seasonal naive      what was measured at the same place of the last whole season (the same hour yesterday)
mean by hour        the training mean at that place of the season, whatever was measured since
ridge regression    linear in all numbers of the window
ARIMA               where it is asked for; statsmodels
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.tasks.forecast_windows import Targets
    from gradus.tasks.forecasting import ForecastTask

LARGEST_FIT = 4_000  # windows that the linear baseline learns from, evenly over the training rows
MOST_FEATURES = 2_000  # numbers of a window that it reads: those of the last steps
PENALTIES = (1.0, 100.0, 10_000.0)  # of which the one is taken that is best on the last fifth of those windows
ARIMA_ROWS = 3_000  # the last training rows that ARIMA is fitted to


def baselines(task: ForecastTask, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Baseline name -> metrics, with the same names as the model's."""
    train = {name: rows.cpu() for name, rows in train.items()}
    test = {name: rows.cpu() for name, rows in test.items()}
    targets = test["targets"]
    forecasts = naive(task, targets)
    forecasts |= _mean_by_phase(task, train["targets"], targets)
    if task.options.arima:
        p, d, q = task.options.arima
        forecasts[f"ARIMA({p},{d},{q})"] = _arima(task, train["targets"], targets)
    outputs = {name: targets.learnt(points).flatten(1) for name, points in forecasts.items()}
    outputs["ridge regression"] = _ridge(train, test)
    levels = max(1, len(task.options.quantiles))  # a single number stands for all quantiles
    return {
        name: task.assess(points.repeat_interleave(levels, dim=1), targets).metrics for name, points in outputs.items()
    }


def naive(task: ForecastTask, targets: Targets) -> dict[str, Tensor]:
    """Name -> (N, horizon, K), standardised."""
    known = targets.known
    now = (targets.starts - task.options.delay)[:, None]
    steps = targets.places
    found = {"last value": known[now.expand(-1, len(steps))]}
    season = task.season
    if season:
        seasons = -(-(steps + task.options.delay) // season)  # whole ones, back to what is known now
        back = targets.starts[:, None] + steps - season * seasons
        if season <= task.options.lookback and not bool((back == now).all()):
            found["seasonal naive"] = known[back]
    return found


def _mean_by_phase(task: ForecastTask, train: Targets, test: Targets) -> dict[str, Tensor]:
    """The mean of the training rows at each place of the season; nothing without times."""
    clock = task.clock
    if clock is None or train.moments is None or test.moments is None or not task.season:
        return {}
    if clock.months:
        name, phases = (
            "month",
            [m.numpy().astype("datetime64[s]").astype("datetime64[M]") for m in _moments(train, test)],
        )
        places = [phase.astype(np.int64) % 12 for phase in phases]
    elif clock.seconds >= 86400:
        name, places = "weekday", [(m.numpy() // 86400 + 3) % 7 for m in _moments(train, test)]
    else:
        name, places = "hour", [m.numpy() // 3600 % 24 for m in _moments(train, test)]
    learnt, asked = (torch.from_numpy(np.asarray(place)) for place in places)
    known = ~torch.isnan(train.values)
    sums = torch.zeros(24, train.values.shape[1], dtype=torch.float64)
    counts = torch.zeros_like(sums)
    sums.index_add_(0, learnt, torch.nan_to_num(train.values).double())
    counts.index_add_(0, learnt, known.double())
    means = (sums / counts.clamp(min=1)).float()
    return {f"mean by {name}": means[asked[test.starts[:, None] + test.places]]}


def _moments(train: Targets, test: Targets) -> tuple[Tensor, Tensor]:
    assert train.moments is not None and test.moments is not None
    return train.moments, test.moments


def _ridge(train: dict[str, Any], test: dict[str, Any]) -> Tensor:
    """Ridge regression on the numbers of the window: (N, horizon * K), as they are learnt."""
    from sklearn.linear_model import Ridge

    count = len(train["targets"])
    chosen = torch.from_numpy(np.unique(np.linspace(0, count - 1, min(count, LARGEST_FIT)).astype(np.int64)))
    features, wanted = _flat(train["inputs"], chosen), train["targets"][chosen].flatten(1).numpy()
    kept = len(features) * 4 // 5
    errors = []
    for penalty in PENALTIES:
        model = Ridge(alpha=penalty).fit(features[:kept], wanted[:kept])
        errors.append(np.abs(model.predict(features[kept:]).reshape(wanted[kept:].shape) - wanted[kept:]).mean())
    model = Ridge(alpha=PENALTIES[int(np.argmin(errors))]).fit(features, wanted)
    parts = [model.predict(_flat(test["inputs"], rows)) for rows in torch.arange(len(test["targets"])).split(1000)]
    return torch.from_numpy(np.concatenate([part.reshape(len(part), -1) for part in parts]).astype(np.float32))


def _flat(windows: Any, rows: Tensor) -> np.ndarray:
    """(R, steps * F) of the last steps, at most `MOST_FEATURES`."""
    steps = max(1, MOST_FEATURES // windows.shape[2])
    return windows[rows][:, -steps:].flatten(1).numpy()


def _arima(task: ForecastTask, train: Targets, test: Targets) -> Tensor:
    """ARIMA(p, d, q) fitted to the last training rows, then read through the whole of the judged rows: the forecast at each
    moment is from all rows of its split up to it. (N, horizon, K)."""
    try:
        from statsmodels.tsa.statespace.sarimax import SARIMAX
    except ImportError:
        raise UserError("arima: needs statsmodels; pip install 'gradus[forecast]'") from None
    import warnings

    now = (test.starts - task.options.delay).numpy()
    columns = []
    for place in range(train.values.shape[1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of starting values and convergence: it is a baseline
            model = SARIMAX(train.values[-ARIMA_ROWS:, place].double().numpy(), order=task.options.arima)
            read = model.fit(disp=0, maxiter=50).apply(test.values[:, place].double().numpy()).filter_results
        state, steps = read.filtered_state[:, now], []  # (states, N)
        for ahead in range(1, task.options.ahead + 1):
            state = read.transition[:, :, 0] @ state
            if ahead >= task.options.delay:
                steps.append((read.design[:, :, 0] @ state)[0])
        columns.append(np.stack(steps, axis=1))
    return torch.from_numpy(np.stack(columns, axis=2).astype(np.float32))
