"""Wall time of deep Q-learning on CartPole-v1: ours, the same in a bare loop, and stable-baselines3, side by side.

    python benchmarks/control.py [--steps 20000] [--repeats 3] [--seed 0]

All have the same network, optimiser, replay, batches of 128, updates (two a step of eight environments), target copies and random
actions, on one thread; stable-baselines3 and the bare loop learn from single steps, ours with double targets too. None is
evaluated on the way, and none keeps a checkpoint. Each runs in turn in this process, as often as asked for; printed: the median,
and the mean return of the last 20 episodes, by which one sees that all learn.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gradus.recipes.control import dqn_cartpole
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare

ENVIRONMENTS, BATCH, HIDDEN, UPDATES, TARGET_EVERY = 8, 128, 128, 2, 200
START, REPLAY, RATE, DISCOUNT = 1_000, 100_000, 1e-3, 0.99
EPSILON_STEPS, EPSILON_END, LAST = 10_000, 0.04, 20


def ours(steps: int, seed: int, double: bool = False) -> float:
    recipe = dqn_cartpole()
    learning = replace(recipe.train.q_learning, n_step=1, double=double, target_every=TARGET_EVERY, updates=UPDATES)
    experience = replace(recipe.train.experience, epoch_steps=steps, validation_episodes=0)
    schedule = replace(recipe.train.schedule, name="constant")
    train = replace(recipe.train, epochs=1, seed=seed, q_learning=learning, experience=experience, schedule=schedule)
    trainer = create_trainer(prepare(replace(recipe, train=train)))
    returns: list[float] = []
    step = trainer.source.environments.step  # type: ignore[attr-defined]

    def told(actions):
        found = step(actions)
        returns.extend(found.returns[found.ended])
        return found

    trainer.source.environments.step = told  # type: ignore[attr-defined]
    trainer.fit()
    return float(np.mean(returns[-LAST:]))


def bare_loop(steps: int, seed: int) -> float:
    """As one writes it on one page: gymnasium's vector environments, arrays, one loop."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    made = [lambda: gymnasium.make("CartPole-v1")] * ENVIRONMENTS
    same_step = gymnasium.vector.AutoresetMode.SAME_STEP
    environments = gymnasium.vector.SyncVectorEnv(made, autoreset_mode=same_step)
    network = nn.Sequential(nn.Linear(4, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
    target = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    before, after = np.zeros((2, REPLAY, 4), np.float32)
    actions, rewards, ends = np.zeros(REPLAY, np.int64), np.zeros(REPLAY, np.float32), np.zeros(REPLAY, np.float32)
    observations, _ = environments.reset(seed=seed)
    running, returns, held, learnt = np.zeros(ENVIRONMENTS), [], 0, 0
    for done in range(0, steps, ENVIRONMENTS):
        progress = min(1.0, max(0, done - START) / EPSILON_STEPS)
        epsilon = 1.0 if done < START else 1 + progress * (EPSILON_END - 1)
        with torch.no_grad():
            greedy = network(torch.from_numpy(observations)).argmax(1).numpy()
        chosen = np.where(random.random(ENVIRONMENTS) < epsilon, random.integers(2, size=ENVIRONMENTS), greedy)
        following, gained, terminated, truncated, told = environments.step(chosen)
        reached = following.copy()
        ended = terminated | truncated
        for index in np.flatnonzero(ended):
            reached[index] = told["final_obs"][index]
        places = np.arange(held, held + ENVIRONMENTS) % REPLAY
        before[places], after[places], actions[places] = observations, reached, chosen
        rewards[places], ends[places] = gained, terminated
        running += gained
        returns.extend(running[ended])
        running[ended] = 0
        observations, held = following, held + ENVIRONMENTS
        if held < START:
            continue
        for _ in range(UPDATES):
            rows = random.integers(min(held, REPLAY), size=BATCH)
            with torch.no_grad():
                best = target(torch.from_numpy(after[rows])).max(1).values
                goals = torch.from_numpy(rewards[rows]) + DISCOUNT * torch.from_numpy(1 - ends[rows]) * best
            values = network(torch.from_numpy(before[rows])).gather(1, torch.from_numpy(actions[rows])[:, None])[:, 0]
            loss = functional.huber_loss(values, goals)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            learnt += 1
            if learnt % TARGET_EVERY == 0:
                target.load_state_dict(network.state_dict())
    return float(np.mean(returns[-LAST:]))


def stable_baselines(steps: int, seed: int) -> float:
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_vec_env

    environments = make_vec_env("CartPole-v1", n_envs=ENVIRONMENTS, seed=seed)
    model = DQN(
        "MlpPolicy",
        environments,
        learning_rate=RATE,
        buffer_size=REPLAY,
        learning_starts=START,
        batch_size=BATCH,
        gamma=DISCOUNT,
        train_freq=1,
        gradient_steps=UPDATES,
        target_update_interval=TARGET_EVERY // UPDATES * ENVIRONMENTS,  # it counts steps of environments
        exploration_fraction=EPSILON_STEPS / steps,
        exploration_final_eps=EPSILON_END,
        policy_kwargs={"net_arch": [HIDDEN, HIDDEN]},
        seed=seed,
        device="cpu",
    )
    model.learn(steps)
    return float(np.mean([episode["r"] for episode in list(model.ep_info_buffer)[-LAST:]]))


CONTESTANTS: dict[str, Callable[[int, int], float]] = {
    "gradus": ours,
    "gradus, double": lambda steps, seed: ours(steps, seed, double=True),
    "bare loop": bare_loop,
    "stable-baselines3": stable_baselines,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    steps = arguments.steps // ENVIRONMENTS * ENVIRONMENTS
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CONTESTANTS}
    for repeat in range(arguments.repeats):
        for name, run in CONTESTANTS.items():
            began, used = time.perf_counter(), time.process_time()
            returned = run(steps, arguments.seed + repeat)
            found[name].append((time.perf_counter() - began, time.process_time() - used, returned))
    print(f"| {steps} steps of CartPole-v1 | wall s | CPU s | last {LAST} episodes |\n|---|---|---|---|")
    for name, runs in found.items():
        wall, cpu, returned = (statistics.median(values) for values in zip(*runs, strict=True))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {returned:.0f} |")


if __name__ == "__main__":
    main()
