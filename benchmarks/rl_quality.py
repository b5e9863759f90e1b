"""What the default recipes reach, on five seeds: trains, tests the best checkpoint on fresh episodes, prints a table.

    python benchmarks/rl_quality.py                       # all of it: about an hour of one core
    python benchmarks/rl_quality.py q-learning ppo        # of these models alone
    python benchmarks/rl_quality.py ppo:Acrobot-v1        # a model in another environment
    python benchmarks/rl_quality.py ppo:LunarLander-v3    # not among all: it needs pip install Box2D
    python benchmarks/rl_quality.py random:CartPole-v1    # the simplest baseline: random actions
    python benchmarks/rl_quality.py sac sb3-sac           # nor these: the second is Stable-Baselines3's, which it needs

The best checkpoint is chosen by the mean return of validation episodes and tested on 100 others (1,000 for q-learning),
all greedy, with the same seeds in each run. For q-learning also the largest error of the table against value iteration.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import gymnasium

from dlplug.claims import Lab
from dlplug.registry import Registry
from dlplug_rl.evaluation.grid_worlds import optimal_values

ALL = ("q-learning", "q-learning:CliffWalking-v1", "dqn", "policy-gradient", "ppo", "ppo:Acrobot-v1")
SEEDS = range(5)


def measure(lab: Lab, name: str, seed: int) -> tuple[float, float, str]:
    model, _, env = name.partition(":")
    options = [f"--data.env={env}"] if env else []
    options += ["--data.test_episodes=1000"] if name == "q-learning" else []
    started = time.process_time()
    trained = lab.fit(model, *options, "--trainer.enable_progress_bar=false", seed=seed)
    seconds = time.process_time() - started
    more = ""
    if model == "q-learning":
        best = optimal_values(trained.model.info.make().unwrapped, trained.model.gamma)
        error = (trained.model.table - best).abs()[trained.model.visits > 0].max()
        more = f"largest error of Q {float(error):.3f}"
    steps = trained.model.env_steps
    return lab.test(trained)["test/episode_return"], seconds, f"{steps:,} steps {more}"


def measure_sb3_sac(seed: int) -> tuple[float, float, str]:
    """As many steps as our recipe's by Stable-Baselines3, with the same settings; the last policy is tested."""
    from rl_speed import zoo_sac
    from stable_baselines3.common.evaluation import evaluate_policy

    started = time.process_time()
    model = zoo_sac(seed).learn(20_000)
    seconds = time.process_time() - started
    judged = gymnasium.make("Pendulum-v1")
    judged.reset(seed=1000)  # its episodes are the same for each seed
    return evaluate_policy(model, judged, 100, warn=False)[0], seconds, "20,000 steps"


def measure_random(env_id: str, seed: int) -> tuple[float, float, str]:
    """Return what random actions earn in 100 episodes."""
    env = gymnasium.make(env_id)
    env.action_space.seed(seed)
    total, started = 0.0, time.process_time()
    for episode in range(100):
        env.reset(seed=1000 + episode)
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, ended = total + float(reward), terminated or truncated
    return total / 100, time.process_time() - started, ""


def measure_any(lab: Lab, name: str, seed: int) -> tuple[float, float, str]:
    if name == "sb3-sac":
        return measure_sb3_sac(seed)
    kind, _, env_id = name.partition(":")
    return measure_random(env_id, seed) if kind == "random" else measure(lab, name, seed)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Registry.discover(), Path(folder), SEEDS)
        for name in sys.argv[1:] or ALL:
            returns = []
            for seed in SEEDS:
                value, seconds, more = measure_any(lab, name, seed)
                returns.append(value)
                print(f"{name:28} seed {seed}  return {value:8.2f}  {seconds:6.1f} CPU s  {more}", flush=True)
            print(f"{name:28} mean {statistics.fmean(returns):.2f} ± {statistics.stdev(returns):.2f}", flush=True)


if __name__ == "__main__":
    main()
