"""On-policy and off-policy beside a cliff, and why an agent has to try things: epsilon."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gradus.environments import decision_process
from gradus.environments.tables import DecisionProcess, TableEnvironment, process_of_rows
from gradus.look.charts import MODEL, SECOND, THIRD
from gradus.look.inside.painting import DRAWN
from gradus.look.value_map import paint_map
from gradus.reference import decisions
from gradus.train.tabular import choose, target_value

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

EPSILON = 0.1
EPISODES = 400
LIMIT = 300


def learn(
    process: DecisionProcess, method: str, episodes: int, epsilon: float, alpha: float = 0.5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(the table (S, A), the returns of the episodes while it learnt); undiscounted."""
    random = np.random.default_rng(seed)
    world = TableEnvironment(process, LIMIT)
    table: list[list[float]] = [[0.0] * process.expected.shape[1] for _ in range(process.expected.shape[0])]
    returns = np.zeros(episodes)
    for episode in range(episodes):
        state, _ = world.reset(seed=seed * 100_000 + episode)
        action, over = choose(table[state], epsilon, *random.random(2)), False
        while not over:
            reached, reward, ended, cut, _ = world.step(action)
            next_action = choose(table[reached], epsilon, *random.random(2))
            target = reward if ended else reward + target_value(method, table[reached], next_action, epsilon)
            table[state][action] += alpha * (target - table[state][action])
            if method != "sarsa":  # it acts by what it has just learnt
                next_action = choose(table[reached], epsilon, *random.random(2))
            returns[episode] += reward
            state, action, over = reached, next_action, ended or cut
    return np.array(table), returns


@lru_cache(maxsize=1)
def learnt() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Both methods beside the cliff: the last table, and returns (seeds, episodes) while learning."""
    cliff = decision_process("grid:cliff")
    found = {}
    for method in ("q_learning", "sarsa"):
        runs = [learn(cliff, method, EPISODES, EPSILON, seed=seed) for seed in range(4)]
        found[method] = runs[0][0], np.array([returns for _, returns in runs])
    return found


def stumbling(process: DecisionProcess, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """(P, r) of choosing an action and taking a random one instead with the chance epsilon."""
    chances = (1 - epsilon) * process.chances + epsilon * process.chances.mean(axis=1, keepdims=True)
    rewards = (1 - epsilon) * process.expected + epsilon * process.expected.mean(axis=1, keepdims=True)
    return chances, rewards


def ways(epsilon: float) -> dict[str, tuple[float, float]]:
    """policy -> (its return without a stumble, its expected return with them), beside the cliff, exactly."""
    cliff = decision_process("grid:cliff")
    chances, rewards = stumbling(cliff, epsilon)
    found = {}
    for name, solution in (("edge", cliff.solve(1.0)), ("careful", decisions.value_iteration(chances, rewards, 1.0))):
        policy = solution.policy
        acting = decisions.policy_evaluation(policy, chances, rewards, 1.0)
        found[name] = cliff.return_of(policy), float(cliff.starts @ acting)
    return found


# One step to the left is 1, five steps to the right 10
LURE = process_of_rows(
    {
        "0": {"left": [(1, 1, "near")], "right": [(1, 0, "1")]},
        **{str(place): {"left": [(1, 0, str(place - 1))], "right": [(1, 0, str(place + 1))]} for place in range(1, 4)},
        "4": {"left": [(1, 0, "3")], "right": [(1, 10, "far")]},
    }
)


def found_far(epsilon: float, seeds: int = 20) -> float:
    """The share of agents that, after 100 episodes, would go for the 10."""
    won = 0
    for seed in range(seeds):
        table, _ = learn(LURE, "q_learning", 100, epsilon, seed=seed)
        won += LURE.return_of(table.argmax(axis=1), 20) == 10
    return won / seeds


def show(page: LessonPage) -> None:
    cliff = decision_process("grid:cliff")
    layout = cliff.layout
    assert layout is not None
    ends = np.flatnonzero(cliff.ends).tolist()
    page.text(
        "From S to G, each step costs 1; who steps over the edge pays 100 and is back at S. The agent takes a random action "
        f"with the chance ε = {EPSILON}. **Q-learning** values an action as if the best followed (off-policy); **SARSA** by "
        "the action that does follow, stumbles included (on-policy)."
    )
    page.formula(r"y_{Q}=r+\gamma\max_{a'}Q(s',a')\qquad y_{\mathrm{SARSA}}=r+\gamma\,Q(s',a')")
    tables = learnt()

    def maps(every):
        for axes, method, title in zip(every, tables, ("Q-learning", "SARSA"), strict=True):
            paint_map(axes, DRAWN, layout, "", tables[method][0], ends=ends, title=title, written=False)

    page.figure(
        maps, f"After {EPISODES} episodes: best actions, and what places are worth", panels=(2, 1), size=(7.4, 5.2)
    )

    def curves(axes):
        for (_, returns), colour in zip(tables.values(), (MODEL, SECOND), strict=True):
            blocks = returns.mean(axis=0).reshape(-1, 20).mean(axis=1)
            axes.plot(np.arange(len(blocks)) * 20 + 10, blocks, color=colour)
        axes.set(xlabel="episode", ylabel="return while learning", ylim=(-110, 0))

    page.figure(curves, "Means of 4 agents and 20 episodes", keys=[("model", "Q-learning"), ("second", "SARSA")])
    for method, (_, returns) in tables.items():
        page.number(
            f"acting_{method}", returns[:, 200:].mean(), f"{method}: return while learning, from episode 200 on"
        )
    exact = ways(EPSILON)
    page.number("edge", exact["edge"][0], "the way along the edge, without a stumble (exact)", printed=-13)
    page.number("edge_stumbling", exact["edge"][1], "the same with stumbles")
    page.number("careful", exact["careful"][0], "the best way for one who stumbles, walked without a stumble")
    page.number("careful_stumbling", exact["careful"][1], "the same with stumbles")
    page.text(
        "Neither is wrong: Q-learning learns what would be best for one who does not stumble, SARSA what is best for the agent "
        "as it is. Where ε goes to 0 they agree."
    )
    _first_impressions(page)


def _first_impressions(page: LessonPage) -> None:
    page.heading("First impressions")
    page.text(
        "Why act at random at all? Here 1 lies one step to the left, 10 five steps to the right. An agent without a stumble "
        "takes whatever paid first, for ever."
    )
    shares = [0.0, 0.05, 0.1, 0.3, 0.6, 1.0]
    won = [found_far(epsilon) for epsilon in shares]

    def draw(axes):
        axes.plot(shares, won, "o-", color=THIRD)
        axes.set(xlabel="ε", ylabel="share that goes for 10", ylim=(-0.05, 1.05))

    page.figure(draw, "Of 20 agents after 100 episodes")
    for epsilon, share in zip(shares, won, strict=True):
        page.number(f"far_{epsilon:g}", share, f"ε = {epsilon:g}")
    page.text(
        "An agent that learns off-policy may explore much and still learn what is best; one that has to earn while it learns "
        "lets ε fall: `train.tabular.epsilon_start`, `epsilon_end`, `epsilon_steps`, in a line or by a factor (`epsilon_decay`)."
    )
    page.try_it("gradus train cliffwalking", "gradus train cliffwalking-sarsa", "gradus look RUN values")
