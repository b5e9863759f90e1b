"""How fast agents learn, against Stable-Baselines3 and a plain PyTorch loop. One thread, CPU seconds.

    pip install stable-baselines3        # a requirement of this script alone
    python benchmarks/rl_speed.py [--rounds 3] [--steps 10000] [--only sac]   time for as many steps and updates
    python benchmarks/rl_speed.py --solve [--seeds 5]                  time to a mean of 475 over 20 greedy episodes

CartPole-v1 with the settings of Stable-Baselines3's zoo: deep Q-learning with a network of 256-256, batches of 64 and
an update every two steps; PPO with 8 environments, 32 steps, 20 rounds, batches of 256. Pendulum-v1 with the zoo's SAC,
its updates made eight at a time in both; --only sac measures these alone. The same work is done without
validation by all; ours still writes checkpoints, metrics and a report. In --solve each has its own recipe, and
validation counts for all. Each training is a process of its own, and rounds are interleaved, so that whatever else the
machine does falls on all alike; imports do not count.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout

os.environ["OMP_NUM_THREADS"] = "1"

import gymnasium
import lightning as L
import numpy as np
import torch
from torch import nn
from torch.nn.functional import smooth_l1_loss

# Lightning sets it; where NVIDIA's library is missing it slows each step of Adam, which ours undoes. So for all.
os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
BATCH = 256  # environment steps before 128 updates


class Clock(L.Callback):
    """Notes the CPU seconds at which training starts and ends."""

    started = ended = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        Clock.started = time.process_time()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        Clock.ended = time.process_time()


def fit(*line: str) -> float:
    from dlplug.__main__ import main

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        sys.path.append(os.path.dirname(os.path.abspath(__file__)))
        import rl_speed

        with open(os.devnull, "w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
            status = main(["fit", *line, "--trainer.callbacks+=rl_speed.Clock"])
        if status:
            raise RuntimeError("dlplug fit failed")
        return rl_speed.Clock.ended - rl_speed.Clock.started


def ours_dqn(steps: int, seed: int) -> float:
    same = ("--model.n_steps=1", "--model.double_q=false", f"--data.batches={steps // BATCH}", "--trainer.max_epochs=1")
    return fit("--model=dqn", *same, "--trainer.limit_val_batches=0", f"--seed_everything={seed}")


def ours_ppo(steps: int, seed: int) -> float:
    same = (f"--data.batches={steps // BATCH}", "--trainer.max_epochs=1", "--trainer.limit_val_batches=0")
    return fit("--model=ppo", *same, f"--seed_everything={seed}")


def ours_sac(steps: int, seed: int) -> float:
    same = (f"--data.batches={steps // 8}", "--trainer.max_epochs=1", "--trainer.limit_val_batches=0")
    return fit("--model=sac", *same, f"--seed_everything={seed}")


def sb3_sac(steps: int, seed: int) -> float:
    model = zoo_sac(seed)
    started = time.process_time()
    model.learn(steps // 8 * 8)
    return time.process_time() - started


def zoo_sac(seed: int):  # type: ignore[no-untyped-def]
    from stable_baselines3 import SAC

    return SAC(
        "MlpPolicy",
        "Pendulum-v1",
        learning_rate=1e-3,
        buffer_size=100_000,
        learning_starts=256,
        train_freq=8,
        gradient_steps=8,
        seed=seed,
        device="cpu",
    )


def sb3_dqn(steps: int, seed: int) -> float:
    model = zoo_dqn(seed)
    started = time.process_time()
    model.learn(steps // BATCH * BATCH)
    return time.process_time() - started


def zoo_dqn(seed: int):  # type: ignore[no-untyped-def]
    from stable_baselines3 import DQN

    return DQN(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )


def sb3_ppo(steps: int, seed: int) -> float:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 8, seed=seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: 1e-3 * left,
        clip_range=lambda left: 0.2 * left,
        seed=seed,
        device="cpu",
    )
    started = time.process_time()
    model.learn(steps // BATCH * BATCH)
    return time.process_time() - started


def plain_dqn(steps: int, seed: int) -> float:
    """The same algorithm as ours in a loop: four environments, 64 steps, 128 updates, target copied after these."""
    torch.manual_seed(seed)
    started = time.process_time()
    envs = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1")] * 4, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
    )
    layers = (nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
    q = nn.Sequential(*layers)
    target = nn.Sequential(nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
    target.load_state_dict(q.state_dict())
    optimizer = torch.optim.Adam(q.parameters(), 2.3e-3, fused=True)
    columns = [torch.zeros(100_000, 4), torch.zeros(100_000, dtype=torch.long), torch.zeros(100_000)]
    columns += [torch.zeros(100_000), torch.zeros(100_000, 4)]
    seen, size = torch.from_numpy(envs.reset(seed=seed)[0]), 0
    for _ in range(steps // BATCH):
        epsilon = 1.0 if size < 1000 else max(0.04, 1 - 0.96 * size / 8000)
        for _ in range(BATCH // 4):
            with torch.no_grad():
                best = q(seen).argmax(1)
            actions = torch.where(torch.rand(4) < epsilon, torch.randint(2, (4,)), best)
            after, rewards, terminated, truncated, infos = envs.step(actions.numpy())
            led_to = torch.from_numpy(after).clone()
            for i in np.flatnonzero(terminated | truncated):
                led_to[i] = torch.from_numpy(infos["final_obs"][i])
            ended = torch.from_numpy(terminated).float()
            new = (seen, actions, torch.from_numpy(rewards).float(), 0.99 * (1 - ended), led_to)
            for column, values in zip(columns, new, strict=True):
                column[size : size + 4] = values
            seen, size = torch.from_numpy(after), size + 4
        if size < 1000:
            continue
        for _ in range(128):
            places = torch.randint(size, (64,))
            s, a, r, discount, following = (column[places] for column in columns)
            with torch.no_grad():
                wanted = r + discount * target(following).amax(1)
            loss = smooth_l1_loss(q(s).gather(1, a[:, None])[:, 0], wanted)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(q.parameters(), 10.0)
            optimizer.step()
        target.load_state_dict(q.state_dict())
    return time.process_time() - started


def ours_solves(steps: int, seed: int) -> float:
    return fit("--model=dqn", "--data.stop_on_reward_threshold=true", f"--seed_everything={seed}")


def sb3_solves(steps: int, seed: int) -> float:
    from stable_baselines3.common.callbacks import EvalCallback, StopTrainingOnRewardThreshold

    model = zoo_dqn(seed)
    model.set_env(model.get_env())
    stop = StopTrainingOnRewardThreshold(475.0)
    judge = EvalCallback(gymnasium.make("CartPole-v1"), stop, n_eval_episodes=20, eval_freq=2560, verbose=0, warn=False)
    started = time.process_time()
    model.learn(50_000, callback=judge)
    seconds = time.process_time() - started
    return seconds if judge.best_mean_reward >= 475 else float("inf")


SAME: dict[str, Callable[[int, int], float]] = {
    "dqn, ours": ours_dqn,
    "dqn, plain loop": plain_dqn,
    "dqn, Stable-Baselines3": sb3_dqn,
    "ppo, ours": ours_ppo,
    "ppo, Stable-Baselines3": sb3_ppo,
    "sac, ours": ours_sac,
    "sac, Stable-Baselines3": sb3_sac,
}
SOLVE: dict[str, Callable[[int, int], float]] = {
    "dqn to 475, ours": ours_solves,
    "dqn to 475, Stable-Baselines3": sb3_solves,
}


def measure(name: str, steps: int, seed: int) -> float:
    line = [sys.executable, __file__, "--one", name, "--steps", str(steps), "--seed", str(seed)]
    return float(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--solve", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    contestants = {name: of for name, of in (SOLVE if options.solve else SAME).items() if name.startswith(options.only)}
    if options.one:
        torch.set_num_threads(1)
        print({**SAME, **SOLVE}[options.one](options.steps, options.seed))
        return
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for seed in range(options.seeds if options.solve else options.rounds):
        for name in contestants:
            seconds[name].append(measure(name, options.steps, seed))
            print(f"seed {seed}  {name:32} {seconds[name][-1]:8.1f} CPU s", flush=True)
    for name, values in seconds.items():
        base = next(other for other in seconds if other.startswith(name[:3]))
        ratio = statistics.median(a / b for a, b in zip(seconds[base], values, strict=True))
        print(f"{name:32} {statistics.median(values):8.1f} CPU s   ours / this: {ratio:.2f}")


if __name__ == "__main__":
    main()
