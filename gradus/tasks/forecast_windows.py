"""What a forecast looks back at and ahead to: its options, and the rows that are foretold as a view of the series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gradus.data.device_rows import Windows
from gradus.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """What is looked back at, and what is foretold; all in rows."""

    lookback: int = 120
    step: int = 1  # of the rows of the window every so many-th is read, the last one always
    delay: int = 1  # rows from now to the first that is foretold
    horizon: int = 1  # rows that are foretold
    relative: bool = True  # what is learnt is the change since the last value that is known; else the value itself
    loss: Literal["mae", "mse", "huber"] = "mae"  # of what is learnt, standardised
    quantiles: tuple[
        float, ...
    ] = ()  # such as [0.1, 0.5, 0.9]: learnt by the pinball loss instead; answers are bands then
    calendar: tuple[
        str, ...
    ] = ()  # of hour, weekday, year: the place of each row in the day, week and year, as an input
    # columns in degrees, read as sine and cosine; not given: numbers from 0 to 360 whose name says degrees or direction
    circular: tuple[str, ...] | None = None
    reversed: bool = False  # the window is read from its end to its beginning
    season: int = (
        0  # rows that a season lasts, for the seasonal baseline; 0: that of the step (24 of hours, 7 of days, ...)
    )
    arima: tuple[int, ...] = ()  # [p, d, q]: ARIMA as a baseline too

    def __post_init__(self) -> None:
        for name in ("lookback", "step", "delay", "horizon"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected 1 row or more, received {getattr(self, name)}")
        if list(self.quantiles) != sorted(set(self.quantiles)) or not all(0 < q < 1 for q in self.quantiles):
            raise UserError(f"quantiles: expected shares between 0 and 1 in ascending order, received {self.quantiles}")
        if self.arima and (len(self.arima) != 3 or min(self.arima) < 0):
            raise UserError(f"arima: expected [p, d, q], three whole numbers from 0, received {list(self.arima)}")
        if self.season < 0:
            raise UserError(f"season: expected a number of rows (or 0 to have it found), received {self.season}")

    @property
    def ahead(self) -> int:
        """Rows from now to the last that is foretold."""
        return self.delay + self.horizon - 1


class Targets(Windows):
    """The rows that are foretold of each window, as what is learnt: values (T, K) standardised, or what they are above the last
    known one, divided by `spread` (K,).

    known:   (T, K), `values` with what is missing as it was last
    moments: (T,) int64 seconds, the time of every row of the series; None where rows have none
    delay:   rows from the last one of the window to the first that is foretold
    """

    def __init__(
        self,
        values: Tensor,
        starts: Tensor,
        places: Tensor,
        *,
        known: Tensor,
        moments: Tensor | None,
        delay: int,
        spread: Tensor | None,
    ) -> None:
        super().__init__(values, starts, places)
        self.known, self.moments, self.delay, self.spread = known, moments, delay, spread

    def to(self, device: torch.device | str) -> Targets:
        if self.device == torch.device(device):
            return self
        values, starts, places, known = (
            part.to(device) for part in (self.values, self.starts, self.places, self.known)
        )
        moments = None if self.moments is None else self.moments.to(device)
        spread = None if self.spread is None else self.spread.to(device)
        return Targets(values, starts, places, known=known, moments=moments, delay=self.delay, spread=spread)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        found = super().index_select(dim, rows)
        return (
            found
            if self.spread is None
            else (found - self.known[self.starts[rows] - self.delay][:, None]) / self.spread
        )

    def absolute(self, learnt: Tensor) -> Tensor:
        """(N, horizon, K, ...) of all windows, as they are learnt -> standardised values."""
        if self.spread is None:
            return learnt
        extra = (None,) * (learnt.dim() - 3)
        now = self.known[self.starts - self.delay]
        return learnt * self.spread[(..., *extra)] + now[(slice(None), None, slice(None), *extra)]

    def learnt(self, standardised: Tensor) -> Tensor:
        """The other way: standardised forecasts (N, horizon, K) of all windows as they would be learnt."""
        if self.spread is None:
            return standardised
        return (standardised - self.known[self.starts - self.delay][:, None]) / self.spread


def last_known(values: Tensor) -> Tensor:
    """(T, K) with what is missing as in the row before; 0, the mean, where nothing is before."""
    missing = torch.isnan(values)
    if not missing.any():
        return values
    rows = torch.arange(len(values))[:, None].expand_as(values)
    last = torch.where(missing, -1, rows).cummax(dim=0).values
    return torch.where(last < 0, 0.0, values.gather(0, last.clamp(min=0)))
