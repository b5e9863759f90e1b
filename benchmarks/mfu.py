"""transformer-lm's tokens a second against a plain PyTorch script of the same model: `python benchmarks/mfu.py`.

PyTorch's FlopCounterMode counts the FLOPs of a step. On a GPU the model has the size of configs/gpt-124m.yaml, in
bf16-mixed and compiled, seconds are the clock's, and of GPUs in PEAKS the model FLOPs utilisation is printed
(Chowdhery et al., 2022). On a CPU it is transformer-lm's default on one thread, and seconds are the processor's, as a
machine may be shared. Rounds of both in turn, on tokens drawn at random.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from lightning.pytorch import Callback
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from dlplug.registry import Registry
from dlplug.registry.job import expand
from dlplug.training.cli import prepare

ON_GPU = torch.cuda.is_available()
D_MODEL, LAYERS, HEADS, CONTEXT, ROWS, WORDS = (768, 12, 12, 1024, 32, 50257) if ON_GPU else (128, 3, 4, 128, 16, 67)
BATCHES, WARM_UP, ROUNDS = (40, 10, 3) if ON_GPU else (40, 2, 5)
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bf16, dense, as NVIDIA's data sheets give them


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(D_MODEL) for _ in range(2))
        self.qkv, self.project = nn.Linear(D_MODEL, 3 * D_MODEL), nn.Linear(D_MODEL, D_MODEL)
        self.mlp = nn.Sequential(nn.Linear(D_MODEL, 4 * D_MODEL), nn.GELU(), nn.Linear(4 * D_MODEL, D_MODEL))

    def forward(self, x):
        n, time, _ = x.shape
        q, k, v = (part.view(n, time, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norms[0](x)).chunk(3, 2))
        y = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, time, -1)
        x = x + self.project(y)
        return x + self.mlp(self.norms[1](x))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(WORDS, D_MODEL), nn.Embedding(CONTEXT, D_MODEL)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)), nn.LayerNorm(D_MODEL))
        self.out = nn.Linear(D_MODEL, WORDS)

    def forward(self, tokens, targets):
        x = self.blocks(self.embed(tokens) + self.position.weight[: tokens.shape[1]])
        return cross_entropy(self.out(x).flatten(0, 1).float(), targets.flatten())


def seconds() -> float:
    if ON_GPU:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def step(model: nn.Module, rows: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    with torch.autocast("cuda", torch.bfloat16, enabled=ON_GPU):
        loss = model(rows[:, :-1], rows[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def plain() -> tuple[float, int]:
    """Return seconds of a loop as one would write it, and the FLOPs of a step."""
    torch.manual_seed(0)
    device = "cuda" if ON_GPU else "cpu"
    model = GPT().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, (0.9, 0.99), weight_decay=0.0, fused=True)
    stream = torch.randint(WORDS, (ROWS, BATCHES * CONTEXT + 1), device=device)
    with FlopCounterMode(display=False) as counter:
        step(model, stream[:, : CONTEXT + 1], optimizer)
    if ON_GPU:
        model.blocks.compile()
    for number in range(BATCHES):
        if number == WARM_UP:
            start = seconds()
        step(model, stream[:, CONTEXT * number : CONTEXT * (number + 1) + 1], optimizer)
    return seconds() - start, counter.get_total_flops()


class Clock(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == WARM_UP:
            self.start = seconds()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == BATCHES - 1:
            self.taken = seconds() - self.start


def command(text: Path) -> float:
    """Return seconds that the fit loop takes."""
    options = {
        "model.d_model": D_MODEL,
        "model.num_layers": LAYERS,
        "model.num_heads": HEADS,
        "model.context_length": CONTEXT,
        "data.seq_len": CONTEXT,
        "data.batch_size": ROWS,
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": BATCHES,
        "trainer.limit_val_batches": 0,
        "trainer.precision": "bf16-mixed" if ON_GPU else "32-true",
        "trainer.enable_checkpointing": "false",
        "trainer.default_root_dir": text.parent,
    }
    line = ["--model", "transformer-lm", "--data", "text-file", f"--data.path={text}"]
    line += [f"--{name}={value}" for name, value in options.items()] + ["--compile"] * ON_GPU
    cli = prepare(expand("fit", line, Registry.discover()), Registry.discover())
    clock = Clock()
    cli.trainer.callbacks.append(clock)
    assert cli.execute() == 0
    assert len(cli.model.vocabulary) == WORDS, len(cli.model.vocabulary)
    return clock.taken


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "random.txt")
        letters = [chr(0x10000 + n) for n in range(WORDS - 1)]  # and one that stands for unknown ones
        drawn = torch.randint(WORDS - 1, (ROWS * (BATCHES + 2) * CONTEXT * 10 // 9,)).tolist()
        text.write_text("".join(letters) + "".join(letters[n] for n in drawn))
        rounds = [(plain(), command(text)) for _ in range(ROUNDS)]
    tokens, steps = ROWS * CONTEXT * (BATCHES - WARM_UP), BATCHES - WARM_UP
    ratio = statistics.median(loop / ours for (loop, _), ours in rounds)
    loop, ours = (statistics.median(column) for column in zip(*((a, b) for (a, _), b in rounds), strict=True))
    flops = rounds[0][0][1]
    print(f"plain script {tokens / loop:,.0f} tokens a second, transformer-lm {tokens / ours:,.0f}: {ratio:.2f} ×")
    print(f"{flops / ROWS / CONTEXT:,.0f} FLOPs a token, {steps * flops / ours / 1e12:.3f} TFLOPs a second")
    peak = next((peak for name, peak in PEAKS.items() if ON_GPU and name in torch.cuda.get_device_name()), 0)
    if peak:
        print(f"model FLOPs utilisation {steps * flops / ours / peak:.1%}, plain {steps * flops / loop / peak:.1%}")


if __name__ == "__main__":
    main()
