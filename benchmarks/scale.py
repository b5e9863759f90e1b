"""Images beyond memory: ``image-folder`` beside torchvision's ``ImageFolder`` and ``DataLoader``; two processes.

    python benchmarks/scale.py [--images N] [--side PIXELS] [--size PIXELS] [--workers N] [--folder DIR]
    python benchmarks/scale.py --processes


Makes JPEGs of ``--side`` by a seeded generator and reads each once, shuffled, in batches of 64 of ``--size``, floats
from 0 to 1: our training split, torchvision's whole folder. Each program is a process of its own. Printed are images a
CPU second, without imports; the peak of its memory, pages that its workers share counted once; and the CPU seconds,
with imports and what workers read ahead, after which the first batch is there. Linux only.

With ``--processes`` it trains models on one and on two processes, each with batches of the recipe's size, one thread
each, and prints the CPU seconds a step of one process, the mean of the two, and the efficiency, their ratio.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

PROGRAMS = {
    "pillow": "torchvision, its default loader",
    "tensor": "torchvision, decode_image",
    "uncached": "dlplug, decoded each time",
    "first": "dlplug, into the cache",
    "cached": "dlplug, from the cache",
}

TEXTS = {
    "memory": "dlplug, tokens in memory",
    "write": "dlplug, first start: writes them",
    "mapped": "dlplug, from the file of tokens",
    "datasets": "datasets, memory-mapped",
}
BATCHES, LANES, TIME = 5_000, 20, 64


def make(root: Path, count: int, side: int) -> None:
    """Write smooth colours with noise, about as large in JPEG as photographs, ten classes of them."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    noise = random.integers(-12, 13, (64, side, side, 3), dtype=np.int16)
    for number in range(count):
        path = root / str(number % 10) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        colours = Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8))
        pixels = np.asarray(colours.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
        Image.fromarray((pixels + noise[number % 64]).clip(0, 255).astype(np.uint8)).save(path, quality=85)


def processes() -> list[int]:
    """Return this process and its workers."""
    return [os.getpid(), *(child.pid for child in multiprocessing.active_children() if child.pid)]


def cpu() -> float:
    """Return the CPU seconds of this process and its workers."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes()]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def memory() -> float:
    """Return the gigabytes of this process and its workers."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in processes()]
    return sum(int(line.split()[1]) for text in rollups for line in text.splitlines() if line.startswith("Pss:")) / 1e6


def be(program: str, root: Path, size: int, workers: int) -> None:
    """Be one of the programs, and print its figures."""
    import torch

    loader: Iterable[Any]
    if program in ("pillow", "tensor"):
        from torch.utils.data import DataLoader
        from torchvision.datasets import ImageFolder
        from torchvision.io import decode_image
        from torchvision.transforms import v2

        steps = [v2.Resize(size), v2.CenterCrop(size), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        reads = {"loader": partial(decode_image, mode="RGB")} if program == "tensor" else {}
        imported = cpu()
        data = ImageFolder(root, v2.Compose(steps), **reads)
        loader = DataLoader(data, 64, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0)
        prepare: Callable[[Any], Any] = tuple
    else:
        from dlplug_vision.data.image_folder import ImageFolder as OurFolder

        imported = cpu()
        ours = OurFolder(str(root), size, in_memory=0, workers=workers, cache=0 if program == "uncached" else 20)
        loader, prepare = ours.train_dataloader(), ours.prepare_batch
    count, peak, first = 0, 0.0, 0.0
    for number, batch in enumerate(loader):
        count += len(prepare(batch)[0])
        first = first or cpu()
        if number % 20 == 0:
            peak = max(peak, memory())
    print(count / (cpu() - imported), peak, first)


# After how many steps, and over how many; an agent's makes many updates.
STEPS = {"cnn": (20, 120), "gan": (10, 60), "multimodal-dbm": (10, 60), "dqn": (60, 60), "ppo": (3, 15)}


def step_time(model: str, processes: int, scratch: str) -> float:
    """Return the CPU seconds a training step of a model, a mean over its processes."""
    path = Path(scratch) / f"{model}.{processes}"
    options = f"--model {model} --trainer.accelerator cpu --trainer.devices {processes} --trainer.limit_val_batches 0 "
    options += "--trainer.num_sanity_val_steps 0 --trainer.callbacks+=step_time.StepTime"
    here = {"PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))}
    timed = {"OMP_NUM_THREADS": "1", "STEP_TIME": f"{STEPS[model][0]} {STEPS[model][1]} {path}"}
    line = [sys.executable, "-m", "dlplug", "fit", *options.split()]
    subprocess.run(line, cwd=scratch, env={**os.environ, **here, **timed}, check=True, capture_output=True)
    found = [float(each.read_text()) for each in path.parent.glob(f"{path.name}.*")]
    return sum(found) / len(found)


def make_text(path: Path, megabytes: int) -> None:
    """Write random words, half a megabyte of them again and again in another order."""
    import numpy as np

    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghijklmnop"), random.integers(2, 10))) for _ in range(5_000)]
    lines = np.array([" ".join(random.choice(words, 9)) for _ in range(10_000)])
    with open(path, "w") as file:
        while file.tell() < 1e6 * megabytes:
            file.write("\n".join(random.permutation(lines)) + "\n")


def be_text(program: str, path: Path) -> None:
    """Be one of the programs that read text, and print its figures."""
    batches: Iterator[Any]
    from dlplug_sequence.data.text_file import TextFile

    imported = cpu()
    ours = TextFile(str(path), batch_size=LANES, seq_len=TIME, in_memory=1e6 if program == "memory" else 0)
    if program == "datasets":
        import datasets
        import torch

        saved = path.with_name("arrow")
        if not saved.exists():  # in a process of its own, so that it does not count
            ours.setup()
            rows = ours.splits["train"].numpy()
            rows = rows[: len(rows) // (TIME + 1) * (TIME + 1)].reshape(-1, TIME + 1)
            column = datasets.Features({"tokens": datasets.Sequence(datasets.Value("uint8"), TIME + 1)})
            return datasets.Dataset.from_dict({"tokens": rows}, column).save_to_disk(saved)
        rows = datasets.load_from_disk(saved).with_format("torch")
        order = torch.randperm(len(rows)).split(LANES)
        batches = (rows[index.tolist()]["tokens"].long() for index in order)
    else:
        ours.prepare_data()
        batches = (tokens for tokens, _ in ours.train_dataloader())
    batches = islice(batches, BATCHES)
    next(batches)
    first = cpu()
    count = sum(batch[:, :TIME].numel() for batch in batches)
    print(count / (cpu() - first), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, first - imported)


def main() -> None:
    parser = argparse.ArgumentParser(description="Images and text beyond memory.")
    parser.add_argument("--text", type=int, metavar="MEGABYTES", help="text instead of images")
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=256, help="of the files")
    parser.add_argument("--size", type=int, default=224, help="of what is trained on")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the images are, or are made and left")
    parser.add_argument("--be", help=argparse.SUPPRESS)
    parser.add_argument("--processes", action="store_true", help="measure training on two processes instead")
    options = parser.parse_args()
    if options.processes:
        print(f"{'':16} one, CPU ms a step   two   efficiency")
        for model in STEPS:
            with tempfile.TemporaryDirectory() as scratch:
                one, two = (step_time(model, count, scratch) for count in (1, 2))
            print(f"{model:16} {1000 * one:18.2f} {1000 * two:5.2f} {one / two:12.2f}", flush=True)
        return None
    if options.be in TEXTS:
        return be_text(options.be, options.folder)
    if options.be:
        return be(options.be, options.folder, options.size, options.workers)
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": scratch}
        if options.text:
            return compare_texts(Path(scratch) / "text.txt", options.text, env)
        folder = options.folder or Path(scratch) / "images"
        if not folder.exists():
            make(folder, options.images, options.side)
        line = [sys.executable, __file__, "--folder", str(folder), f"--size={options.size}"]
        print(f"{'':32} images/CPU s   peak GB   first batch, CPU s")
        for program, name in PROGRAMS.items():
            command = [*line, f"--workers={options.workers}", f"--be={program}"]
            said = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout
            rate, peak, first = map(float, said.split())
            print(f"{name:32} {rate:12.0f} {peak:9.2f} {first:12.1f}", flush=True)


def compare_texts(path: Path, megabytes: int, env: dict[str, str]) -> None:
    """Print a line for each program that reads text."""
    make_text(path, megabytes)
    print(f"{'':32} tokens/CPU s   peak GB   first batch, CPU s")
    for program, name in TEXTS.items():
        if program == "datasets" and not find_spec("datasets"):
            continue
        command = [sys.executable, __file__, "--folder", str(path), f"--be={program}"]
        for _ in range(2 if program == "datasets" else 1):  # which saves its rows first
            found = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
        if found.returncode:
            print(f"{name:32} fails here, as said above", flush=True)
            continue
        rate, peak, first = map(float, found.stdout.split())
        print(f"{name:32} {rate:12,.0f} {peak:9.2f} {first:12.1f}", flush=True)


if __name__ == "__main__":
    main()
