"""Speed of the models of sentences, one thread: `python benchmarks/translation_speed.py`.

Training of seq2seq against a plain PyTorch loop over the same network and the same batches; beam search of width 5
against greedy; batches of about equal lengths against padding each to the longest tweet. Rounds are interleaved, so
that whatever else the machine does falls on all alike; ratios are of the medians of processor seconds.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import lightning as L
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

from dlplug.__main__ import main as dlplug
from dlplug_sequence.data.phrases import Phrases
from dlplug_sequence.data.tweets import Tweets
from dlplug_sequence.models.rnn_classifier import RNNClassifier
from dlplug_sequence.models.seq2seq import Seq2Seq

ROUNDS, STEPS, BATCHES = 3, 60, 20


class Clock(L.Callback):
    """Notes the processor's time from the first batch to the end of training."""

    started = took = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int) -> None:
        Clock.started = Clock.started or time.process_time()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        Clock.took = time.process_time() - Clock.started


class Plain(nn.Module):
    """The network of seq2seq as a script would have it: bidirectional GRU, GRU, attention by dot products."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.embed_source, self.embed_target = nn.Embedding(source, 64), nn.Embedding(target, 64)
        self.encoder = nn.GRU(64, 96, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(64, 192, batch_first=True)
        self.mix, self.out = nn.Linear(384, 192), nn.Linear(192, target)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        lengths = (source != 0).sum(1)
        x = nn.utils.rnn.pack_padded_sequence(self.embed_source(source), lengths, True, enforce_sorted=False)
        packed, last = self.encoder(x)
        states, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        h, _ = self.decoder(self.embed_target(target), torch.cat([last[0], last[1]], dim=1)[None])
        fit = (h @ states.transpose(1, 2)).masked_fill((source == 0)[:, None], -torch.inf)
        return self.out(self.mix(torch.cat([h, fit.softmax(2) @ states], dim=2)).tanh())


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(title: str, cases: dict[str, Callable[[], float]]) -> None:
    """Print the medians of each case, and the first's over the second's."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(ROUNDS + 1):
        for name, case in cases.items():
            took = case()
            if number:  # the first round warms up
                times[name].append(took)
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        print(f"  {name:32} {medians[name]:6.2f} s ({min(found):.2f}-{max(found):.2f})")
    first, second = medians.values()
    print(f"{title}: {first / second:.2f}", flush=True)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, data: L.LightningDataModule, steps: int) -> float:
    """Time the plain loop over batches of an input and the tokens to be written."""
    batches = iter(data.train_dataloader())
    start = time.process_time()
    for _ in range(steps):
        source, target = next(batches)
        logits = net(source, target[..., :-1])
        loss = cross_entropy(logits.flatten(0, -2), target[..., 1:].flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return time.process_time() - start


def plain(data: Phrases, sizes: tuple[int, int]) -> float:
    net = Plain(*sizes)
    return train(net, torch.optim.Adam(net.parameters(), 2e-3), data, STEPS)


def ours(steps: int, *options: str) -> float:
    """Time as many steps of the real command."""
    Clock.started = 0.0
    line = f"--trainer.max_epochs 1 --trainer.limit_train_batches {steps} --trainer.limit_val_batches 0"
    line += " --trainer.callbacks+=translation_speed.Clock"
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        assert dlplug(["fit", *options, *line.split()]) == 0
    return Clock.took


def search(model: Seq2Seq, source: torch.Tensor, num_beams: int) -> float:
    """Time a search that goes on for 30 tokens, as a trained model's does, whatever an untrained one would write."""
    with torch.no_grad():
        return timed(lambda: [model.translate(source, num_beams, max_length=30) for _ in range(3)])


def reading(read: Callable[[torch.Tensor], torch.Tensor], batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    def go() -> None:
        for tokens, labels in batches:
            cross_entropy(read(tokens), labels).backward()

    return timed(go)


def main() -> None:
    torch.set_num_threads(1)
    data = Phrases(size=8000)
    data.setup()
    model = Seq2Seq()
    model.build(data.info)
    sizes = (len(model.source), len(model.target))
    compare(
        f"plain / dlplug, seq2seq training, {STEPS} steps of 64 pairs (target 1.0: at least as fast)",
        {
            "plain PyTorch": lambda: plain(data, sizes),
            "dlplug fit": lambda: ours(STEPS, "--model=seq2seq", "--data.size=8000"),
        },
    )
    source = next(iter(data.test_dataloader()))[0]
    compare(
        "beam 5 / greedy (target at most 3)",
        {"beam 5": lambda: search(model, source, 5), "greedy": lambda: search(model, source, 1)},
    )
    tweets = Tweets()
    tweets.setup()
    reader = RNNClassifier()
    reader.build(tweets.info)
    longest = int(tweets.splits["train"][0].lengths.max())
    buckets = list(tweets.train_dataloader())[:BATCHES]
    net = reader.net

    def read_padding(tokens: torch.Tensor) -> torch.Tensor:
        x = net.embed(pad(tokens, (0, longest - tokens.shape[1])))
        return net.out(net.drop(net.recurrent(x)[0].amax(1)))

    compare(
        f"padded to {longest} / bucketed and packed, {BATCHES} batches of 128 tweets (target 1.5)",
        {"padded": lambda: reading(read_padding, buckets), "bucketed": lambda: reading(reader, buckets)},
    )


if __name__ == "__main__":
    # The command imports this file by its name: the class that notes the time has to be that one.
    sys.path.insert(0, str(Path(__file__).parent.resolve()))
    import translation_speed

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        translation_speed.main()
