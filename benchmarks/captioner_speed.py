"""Speed of the captioner, one thread: `python benchmarks/captioner_speed.py`.

Training by the real command against a plain PyTorch loop over the same networks and the same batches, drawn the same
way. Rounds are interleaved, so that whatever else the machine does falls on both alike; ratios are of the medians of
processor seconds.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import torch
from torch import nn
from translation_speed import compare, ours, train

from dlplug_multimodal.data.emoji_scenes import EmojiScenes
from dlplug_sequence.data.vocabulary import Vocabulary

STEPS, BATCH = 200, 16


class Plain(nn.Module):
    """The networks of captioner as a script would have them: convolutions to a grid, a GRU, additive attention."""

    def __init__(self, words: int) -> None:
        super().__init__()

        def conv(before: int, depth: int) -> list[nn.Module]:
            return [nn.Conv2d(before, depth, 3, padding=1, bias=False), nn.BatchNorm2d(depth), nn.ReLU()]

        pairs = [*conv(3, 16), *conv(16, 16), nn.MaxPool2d(2), *conv(16, 32), *conv(32, 32), nn.MaxPool2d(2)]
        self.encoder = nn.Sequential(*pairs, *conv(32, 64))
        self.project, self.places = nn.Linear(64, 128), nn.Parameter(0.4 * torch.randn(64, 128))
        self.first, self.embed = nn.Linear(128, 128), nn.Embedding(words, 64, padding_idx=0)
        self.gru = nn.GRU(64, 128, batch_first=True)
        self.key, self.query = nn.Linear(128, 128, bias=False), nn.Linear(128, 128)
        self.energy = nn.Linear(128, 1, bias=False)
        self.mix, self.out, self.drop = nn.Linear(256, 128), nn.Linear(128, words), nn.Dropout(0.2)

    def forward(self, images: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        n, each, time = captions.shape
        seen = self.project(self.encoder(images.float() / 255).flatten(2).transpose(1, 2)) + self.places
        first = self.first(seen.amax(1)).tanh().repeat_interleave(each, 0)[None]
        h, _ = self.gru(self.drop(self.embed(captions.flatten(0, 1))), first)
        h = h.reshape(n, each * time, -1)
        fit = self.energy((self.query(h)[:, :, None] + self.key(seen)[:, None]).tanh()).squeeze(3)
        mixed = self.mix(torch.cat([h, fit.softmax(2) @ seen], dim=2)).tanh()
        return self.out(self.drop(mixed))


def plain(data: EmojiScenes) -> float:
    net = Plain(len(Vocabulary.from_json(data.info.vocabulary)))
    return train(net, torch.optim.AdamW(net.parameters(), 4e-3, (0.9, 0.99)), data, STEPS)


def main() -> None:
    torch.set_num_threads(1)
    data = EmojiScenes(batch_size=BATCH)
    data.setup()
    compare(
        f"plain / dlplug, captioner training, {STEPS} steps of {BATCH} pictures (target 1.0: at least as fast)",
        {"plain PyTorch": lambda: plain(data), "dlplug fit": lambda: ours(STEPS, "--model=captioner")},
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.resolve()))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        main()
