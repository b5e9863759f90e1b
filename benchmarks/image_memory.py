"""What 70,000 images cost in memory beyond their tensors: `python benchmarks/image_memory.py FOLDER`.

The folder holds Fashion-MNIST's four IDX files; Debian's package dataset-fashion-mnist puts them in
/usr/share/datasets/fashion-mnist. The target is 60 MB.
"""

import resource
import sys
import time
from pathlib import Path

from dlplug_vision.data.full_size import FashionMNIST


def resident() -> float:
    """Return the megabytes that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    before, start = resident(), time.perf_counter()
    data = FashionMNIST(root=sys.argv[1])
    data.setup()
    seconds, after = time.perf_counter() - start, resident()
    tensors = sum(t.numel() * t.element_size() for split in data.splits.values() for t in split) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"tensors {tensors:.0f} MB, read in {seconds:.2f} s")
    print(f"beyond them: {after - before - tensors:.0f} MB resident, {peak - before - tensors:.0f} MB at the peak")


if __name__ == "__main__":
    main()
