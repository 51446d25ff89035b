"""The settings of training: one frozen dataclass a part, checked when made. A default is stated here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gradus.errors import UserError, unknown_name


def _need(condition: bool, name: str, expected: str, received: object) -> None:
    if not condition:
        raise UserError(f"{name}: expected {expected}, received {received}")


# What each optimiser uses where the setting is None: usual rates, and torch.optim's decays and epsilons.
OPTIMIZERS: dict[str, dict[str, float]] = {
    "sgd": {"learning_rate": 0.01},
    "adagrad": {"learning_rate": 0.01, "epsilon": 1e-10},
    "adadelta": {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6},
    "rmsprop": {"learning_rate": 0.001, "rho": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 0.001, "epsilon": 1e-8},
    "adamw": {"learning_rate": 0.001, "epsilon": 1e-8},
}


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """An optimiser of torch.optim and its arguments under their field names. None: the optimiser's usual value."""

    name: str = "adamw"
    learning_rate: float | None = None
    momentum: float = 0.0  # sgd and rmsprop
    nesterov: bool = False  # sgd
    beta1: float = 0.9  # adam and adamw: decay of the mean of gradients
    beta2: float = 0.999  # adam and adamw: decay of the mean of squared gradients
    rho: float | None = None  # rmsprop and adadelta: decay of the mean of squared gradients
    epsilon: float | None = None  # added to the divisor
    weight_decay: float = 0.0  # adamw: decoupled. The others: weight_decay * w is added to the gradient, which is an L2
    # penalty of weight_decay / 2 * w^2 (the same thing as decoupled decay for plain sgd only)
    decay: Literal["weights", "all"] = (
        "weights"  # what decays: parameters of two or more dimensions, or biases and norms too
    )

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise unknown_name("optimizer", self.name, OPTIMIZERS)
        rate = self.learning_rate
        _need(rate is None or 0 < rate < float("inf"), "learning_rate", "a number above 0", rate)
        for name in ("momentum", "beta1", "beta2", "rho"):
            value = getattr(self, name)
            _need(value is None or 0 <= value < 1, f"optimizer.{name}", "0 to below 1", value)
        _need(self.weight_decay >= 0, "optimizer.weight_decay", "0 or more", self.weight_decay)
        _need(self.epsilon is None or self.epsilon > 0, "optimizer.epsilon", "a number above 0", self.epsilon)
        if self.nesterov and not (self.name == "sgd" and self.momentum > 0):
            raise UserError("optimizer.nesterov: needs name = 'sgd' and a momentum above 0")
        if self.momentum and self.name not in ("sgd", "rmsprop"):
            raise UserError(f"optimizer.momentum: {self.name} has none; sgd and rmsprop have")

    def resolved(self) -> OptimizerSettings:
        """With every None replaced by the value that will be used."""
        left_open: dict[str, Any] = {
            key: usual for key, usual in OPTIMIZERS[self.name].items() if getattr(self, key) is None
        }
        return replace(self, **left_open)


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """How the learning rate changes. Formulas in `train/schedules.py`; steps and totals are counted in updates."""

    name: Literal[
        "constant",
        "step",
        "milestones",
        "exponential",
        "inverse_time",
        "root",
        "polynomial",
        "cosine",
        "one_cycle",
        "plateau",
    ] = "constant"
    warmup: float = 0.0  # rise linearly from 0 over this share of all steps first
    factor: float = 0.1  # step, milestones and plateau: multiply by this; exponential: multiply by this every `every`
    every: float = 1.0  # step, exponential, inverse_time, root: the period, in epochs
    hold: float = 0.0  # step, exponential, inverse_time, root: epochs at the full rate before the first period begins
    milestones: tuple[float, ...] = ()  # milestones: the epochs at which the rate is multiplied by `factor`
    staircase: bool = False  # exponential: in jumps, once a period
    rate: float = 1.0  # inverse_time: 1 / (1 + rate * periods)
    power: float = 1.0  # polynomial: (1 - progress)^power
    final: float = 0.0  # polynomial, cosine, one_cycle: share of the learning rate at the end
    peak_at: float = 0.3  # one_cycle: share of all steps at which the rate is highest
    start: float = 0.04  # one_cycle: share of the learning rate at the start
    patience: int = 5  # plateau: epochs without a better validation loss before the rate falls

    def __post_init__(self) -> None:
        _need(0 <= self.warmup < 1, "schedule.warmup", "a share of all steps, 0 to below 1", self.warmup)
        _need(0 < self.factor <= 1, "schedule.factor", "above 0, at most 1", self.factor)
        _need(self.every > 0, "schedule.every", "a number of epochs above 0", self.every)
        _need(0 <= self.hold < math.inf, "schedule.hold", "a number of epochs from 0", self.hold)
        rising = list(self.milestones) == sorted(set(self.milestones)) and all(
            0 < m < math.inf for m in self.milestones
        )
        _need(rising, "schedule.milestones", "rising numbers of epochs above 0", list(self.milestones))
        if self.name == "milestones" and not self.milestones:
            raise UserError("schedule.milestones: name = 'milestones' needs at least one epoch, such as [10, 20]")
        _need(self.rate >= 0, "schedule.rate", "0 or more", self.rate)
        _need(self.power > 0, "schedule.power", "a number above 0", self.power)
        _need(0 <= self.final <= 1, "schedule.final", "0 to 1", self.final)
        _need(0 < self.peak_at < 1, "schedule.peak_at", "between 0 and 1", self.peak_at)
        _need(0 < self.start <= 1, "schedule.start", "above 0, at most 1", self.start)
        if self.name == "one_cycle" and self.warmup:
            raise UserError("schedule.warmup: one_cycle begins with a rise of its own; set schedule.peak_at instead")
        _need(self.patience >= 1, "schedule.patience", "1 or more epochs", self.patience)


@dataclass(frozen=True, kw_only=True)
class RegularizationSettings:
    """What holds the weights back. Penalties concern weights (parameters of two or more dimensions), not biases."""

    l1: float = 0.0  # adds l1 * sum |w| to the training loss
    l2: float = 0.0  # adds l2 * sum w^2 to the training loss
    max_norm: float | None = (
        None  # after each update, each neuron's weight vector is scaled back to at most this length
    )
    clip_norm: float | None = None  # gradients are scaled so that all together are at most this long
    clip_value: float | None = None  # each gradient entry is cut to +- this

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            value = getattr(self, name)
            _need(0 <= value < float("inf"), f"regularization.{name}", "0 or more", value)
        for name in ("max_norm", "clip_norm", "clip_value"):
            value = getattr(self, name)
            _need(value is None or value > 0, f"regularization.{name}", "a number above 0", value)


@dataclass(frozen=True, kw_only=True)
class FineTuneSettings:
    """Which parts of a network learn, and how fast: for networks that begin with trained weights (`train/fine_tune.py`)."""

    freeze: tuple[
        str, ...
    ] = ()  # stages, or modules by the start of their names, that do not learn; "features": all but
    # the head
    rate_decay: float = 1.0  # each stage nearer the input learns at this factor of the rate of the next
    unfreeze_every: int = 0  # epochs after which one more frozen stage learns, from the head on; 0: never
    unfreeze_stages: int | None = None  # at most so many are unfrozen; None: all, one after the other
    cache: bool = True  # compute what frozen stages give once, where nothing in them is random, and learn from that

    def __post_init__(self) -> None:
        _need(0 < self.rate_decay <= 1, "fine_tune.rate_decay", "above 0, at most 1", self.rate_decay)
        _need(
            self.unfreeze_every >= 0, "fine_tune.unfreeze_every", "a whole number of epochs from 0", self.unfreeze_every
        )
        stages = self.unfreeze_stages
        _need(stages is None or stages >= 1, "fine_tune.unfreeze_stages", "1 or more stages", stages)
        if stages is not None and not self.unfreeze_every:
            raise UserError("fine_tune.unfreeze_stages: needs fine_tune.unfreeze_every, the epochs after which")

    @property
    def freezes(self) -> bool:
        """Whether anything is frozen at the beginning."""
        return bool(self.freeze or self.unfreeze_every)


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings:
    """How the players of a game take turns (`train/adversarial.py`)."""

    turns: int = 1  # of the discriminator for one of the generator; a batch is cut into so many parts
    discriminator_rate: float | None = None  # its learning rate; None: that of the optimiser

    def __post_init__(self) -> None:
        _need(self.turns >= 1, "adversarial.turns", "a whole number above 0", self.turns)
        rate = self.discriminator_rate
        _need(rate is None or 0 < rate < math.inf, "adversarial.discriminator_rate", "a number above 0", rate)


@dataclass(frozen=True, kw_only=True)
class ExperienceSettings:
    """How a model that acts meets its environment (`train/experience.py`)."""

    environments: int = 1  # stepped side by side; the network is asked once for all of them
    epoch_steps: int = 5_000  # environment steps an epoch, all environments together
    discount: float = 0.99  # gamma: what a reward one step later counts
    validation_episodes: int = 10  # played greedily after every epoch, to choose the best weights by; 0: none

    def __post_init__(self) -> None:
        for name in ("environments", "epoch_steps"):
            _need(getattr(self, name) >= 1, f"experience.{name}", "a whole number above 0", getattr(self, name))
        _need(0 <= self.discount <= 1, "experience.discount", "0 to 1", self.discount)
        episodes = self.validation_episodes
        _need(episodes >= 0, "experience.validation_episodes", "a whole number from 0", episodes)


@dataclass(frozen=True, kw_only=True)
class QLearningSettings:
    """Deep Q-learning (`train/q_learning.py`; Mnih et al. 2015 where nothing else is said). Steps are those of environments."""

    replay_size: int = 100_000  # transitions that are remembered
    replay_start: int = 1_000  # steps with random actions before anything is learnt
    train_frequency: int = 4  # steps from one time of learning to the next
    updates: int = 1  # minibatches of `batch_size` learnt from each time
    epsilon_start: float = 1.0  # share of actions that are chosen at random: at the beginning,
    epsilon_end: float = 0.05  # and from `epsilon_steps` on; between them it falls in a line
    epsilon_steps: int = 10_000
    target_every: int = 500  # updates from one change of the target network to the next
    target_share: float = (
        1.0  # tau: the target network becomes tau * network + (1 - tau) * itself (Lillicrap et al. 2015)
    )
    loss: Literal["squared", "huber"] = "huber"  # of the temporal difference; huber: as Mnih's clipped error
    double: bool = True  # the network chooses the next action, the target network values it (van Hasselt et al. 2015)
    n_step: int = 1  # rewards that are summed before a value is trusted
    prioritized: bool = False  # what was foretold badly is drawn more often (Schaul et al. 2015)
    priority_exponent: float = 0.6  # alpha: 0 draws evenly
    importance_start: float = 0.4  # beta: how far weights make up for that; it rises in a line to 1 at the end

    def __post_init__(self) -> None:
        whole = ("replay_size", "train_frequency", "updates", "epsilon_steps", "target_every", "n_step")
        for name in whole:
            _need(getattr(self, name) >= 1, f"q_learning.{name}", "a whole number above 0", getattr(self, name))
        _need(self.replay_start >= 0, "q_learning.replay_start", "a whole number from 0", self.replay_start)
        for name in ("epsilon_start", "epsilon_end", "importance_start", "priority_exponent"):
            _need(0 <= getattr(self, name) <= 1, f"q_learning.{name}", "0 to 1", getattr(self, name))
        _need(0 < self.target_share <= 1, "q_learning.target_share", "above 0, at most 1", self.target_share)
        if self.replay_start > self.replay_size:
            raise UserError(
                f"q_learning.replay_start: {self.replay_start} steps before learning, but only {self.replay_size} are "
                "remembered (q_learning.replay_size)"
            )


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """Policy gradients (`train/policy_gradient.py`). The usual values are those of PPO (Schulman et al. 2017)."""

    steps: int = 128  # of each environment, with the policy as it is, before it learns from them (a rollout)
    passes: int = 4  # how often each rollout is gone through, in minibatches of `batch_size`
    clip: float = (
        0.2  # no push where an action's probability has changed by more than this share; 0: the plain gradient
    )
    trace: float = 0.95  # lambda of the advantages: 1: whole returns, 0: one reward and the next value
    value_weight: float = 0.5  # of the loss of the values
    entropy_weight: float = 0.01  # what is gained by a policy that stays undecided
    normalize: bool = True  # advantages have mean 0 and deviation 1 in each minibatch

    def __post_init__(self) -> None:
        for name in ("steps", "passes"):
            _need(getattr(self, name) >= 1, f"policy.{name}", "a whole number above 0", getattr(self, name))
        _need(0 <= self.clip < 1, "policy.clip", "0 to below 1", self.clip)
        _need(0 <= self.trace <= 1, "policy.trace", "0 to 1", self.trace)
        for name in ("value_weight", "entropy_weight"):
            value = getattr(self, name)
            _need(0 <= value < math.inf, f"policy.{name}", "0 or more", value)
        if self.passes > 1 and not self.clip:
            raise UserError(
                "policy.passes: the plain gradient holds for the policy that acted alone; take 1 pass, or a clip above 0"
            )


@dataclass(frozen=True, kw_only=True)
class TabularSettings:
    """Learning a table of action values (`train/tabular.py`). Its learning rate alpha is `optimizer.learning_rate` (0.1 if none
    is given) times the factor of the schedule."""

    method: Literal["q_learning", "sarsa", "expected_sarsa", "double_q"] = "q_learning"
    epsilon_start: float = 1.0  # share of actions that are chosen at random: at the beginning,
    epsilon_end: float = 0.05  # and from `epsilon_steps` steps of environments on
    epsilon_steps: int = 10_000
    epsilon_decay: Literal["linear", "exponential"] = "linear"  # by the same amount, or the same factor, a step
    block: int = 1_000  # steps of environments in one step of the trainer

    def __post_init__(self) -> None:
        for name in ("epsilon_steps", "block"):
            _need(getattr(self, name) >= 1, f"tabular.{name}", "a whole number above 0", getattr(self, name))
        for name in ("epsilon_start", "epsilon_end"):
            _need(0 <= getattr(self, name) <= 1, f"tabular.{name}", "0 to 1", getattr(self, name))
        if self.epsilon_decay == "exponential" and not (self.epsilon_start > 0 and self.epsilon_end > 0):
            raise UserError(
                "tabular.epsilon_decay: exponential never reaches 0; give epsilon_start and epsilon_end above 0"
            )


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How long, in what steps, on what, and when to stop."""

    epochs: int = 10  # passes over the training split
    batch_size: int = 0  # rows an update; 0: 64, fewer for small data, a part of a rollout (told, and written out)
    accumulate: int = 1  # parts that a batch is computed in, to save memory; the gradient is that of the whole batch;
    # 0: one, and more when the memory does not suffice
    seed: int = 0  # initial weights, order of the rows, dropout
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = (
        "auto"  # auto: bf16 on a GPU where that is measured to be faster, else fp32
    )
    force_precision: bool = False  # take the precision even where it is slower than fp32
    deterministic: bool = False  # only algorithms that give the same bits each time, and no TF32; slower on a GPU
    threads: int = 0  # of the CPU; 0: one for small work, else one a core
    capture: bool = True  # on a GPU: the whole step as one CUDA graph, where that is possible
    watch: bool = (
        True  # look at units, weights and gradients at some steps, tell what goes wrong, keep it in vitals.jsonl
    )
    compile: bool = False  # torch.compile the model: takes half a minute at the start, pays for long runs only
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    regularization: RegularizationSettings = field(default_factory=RegularizationSettings)
    fine_tune: FineTuneSettings = field(default_factory=FineTuneSettings)
    adversarial: AdversarialSettings = field(default_factory=AdversarialSettings)
    experience: ExperienceSettings = field(default_factory=ExperienceSettings)
    q_learning: QLearningSettings = field(default_factory=QLearningSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    tabular: TabularSettings = field(default_factory=TabularSettings)
    average: float | None = (
        None  # decay of an exponential moving average of the weights, used in place of them to evaluate
    )
    patience: int | None = None  # stop after this many epochs without a better validation metric; None: never
    monitor: str = ""  # the validation metric that chooses the best weights; empty: the task's own
    checkpoint_seconds: float = 10.0  # least time between two checkpoints; one is always written at the end
    distribution: Literal["ddp", "fsdp"] = "ddp"  # with several processes: each holds the whole model, or a part of it
    sync_batch_norm: bool = False  # with several processes, on GPUs: batch statistics over the rows of all of them

    def __post_init__(self) -> None:
        _need(self.epochs >= 1, "epochs", "a whole number above 0", self.epochs)
        for name in ("accumulate", "threads"):
            _need(getattr(self, name) >= 0, name, "a whole number from 0", getattr(self, name))
        _need(self.batch_size >= 0, "batch_size", "a whole number above 0 (or 0 to have it chosen)", self.batch_size)
        _need(0 <= self.seed < 2**63, "seed", "a whole number from 0", self.seed)
        _need(self.average is None or 0 < self.average < 1, "average", "between 0 and 1", self.average)
        _need(self.patience is None or self.patience >= 1, "patience", "1 or more epochs", self.patience)
        _need(self.checkpoint_seconds >= 0, "checkpoint_seconds", "0 or more", self.checkpoint_seconds)
        if 0 < self.batch_size < self.accumulate:
            raise UserError(f"accumulate: {self.accumulate} parts of a batch of {self.batch_size} rows would be empty")

    def resolved(self, rows: int) -> TrainSettings:
        """With the optimiser's usual values and the batch size written out, for a training split of `rows` rows.

        A batch size that is left open is 64, or for fewer than 1 024 rows the power of two that gives 16 updates an epoch;
        a little more where that would leave a last batch of one row, which has no batch statistics.
        """
        size = self.batch_size or max(1, 2 ** int(math.log2(max(1, min(64, rows // 16)))))
        while not self.batch_size and size > 1 and rows % size == 1:
            size += 1
        if size > rows:
            raise UserError(f"batch_size: {size} is more than the {rows} training rows")
        return replace(self, batch_size=size, optimizer=self.optimizer.resolved())
