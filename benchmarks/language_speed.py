"""rnn-lm's tokens a second against a plain PyTorch loop with the same layers: `python benchmarks/language_speed.py`.

One thread, runs of both in turn. Seconds are the processor's, since a machine may be shared.
"""

import statistics
import tempfile
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dlplug.registry import Registry
from dlplug.registry.job import expand
from dlplug.training.cli import prepare
from dlplug_sequence.data.bible import Bible

BATCHES, ROUNDS, BARE = 200, 3, ("--trainer.logger=false", "--trainer.enable_checkpointing=false")


def plain(data: Bible) -> float:
    """Return seconds of a loop as one would write it: the embedding, ``nn.LSTM`` and the last layer of rnn-lm."""
    torch.manual_seed(0)
    embed, lstm, out = nn.Embedding(67, 64), nn.LSTM(64, 320, batch_first=True), nn.Linear(320, 67)
    weights = [*embed.parameters(), *lstm.parameters(), *out.parameters()]
    optimizer = torch.optim.Adam(weights, 3e-3, betas=(0.9, 0.99), foreach=True)
    lanes = data.splits["train"][: 20 * (len(data.splits["train"]) // 20)].view(20, -1)
    state = None
    start = time.process_time()
    for step in range(BATCHES):
        rows = lanes[:, 64 * step : 64 * step + 65].long()
        states, state = lstm(embed(rows[:, :-1]), state)
        state = tuple(part.detach() for part in state)
        loss = cross_entropy(out(states).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return time.process_time() - start


def command(*options: str) -> float:
    """Return seconds that the fit loop takes, from its first batch to its last."""
    with tempfile.TemporaryDirectory() as folder:
        line = ["--model", "rnn-lm", f"--trainer.limit_train_batches={BATCHES}", "--trainer.max_epochs=1"]
        line += ["--trainer.limit_val_batches=0", f"--trainer.default_root_dir={folder}", *options]
        cli = prepare(expand("fit", line, Registry.discover()), Registry.discover())
        times = []
        start, end = cli.model.on_train_batch_start, cli.model.on_train_epoch_end
        cli.model.on_train_batch_start = lambda *args: (times.append(time.process_time()), start(*args))[1]
        cli.model.on_train_epoch_end = lambda: (times.append(time.process_time()), end())[1]
        cli.execute()
        return times[-1] - times[0]


def main() -> None:
    torch.set_num_threads(1)
    data = Bible()
    data.setup()
    rounds = [(plain(data), command(*BARE), command()) for _ in range(ROUNDS)]
    loops, bares, fulls = (statistics.median(column) for column in zip(*rounds, strict=True))
    tokens = BATCHES * 20 * 64
    print(
        f"plain loop {tokens / loops:,.0f} tokens a second; rnn-lm {loops / bares:.2f} × it bare, {loops / fulls:.2f} ×"
    )
    print("with metrics, checkpoints and pictures")


if __name__ == "__main__":
    main()
