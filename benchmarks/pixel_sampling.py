"""Times sampling with cached features against a forward pass for every pixel: `python benchmarks/pixel_sampling.py`.

Untrained models of the default size on 28×28 pixels, one thread, runs interleaved.
"""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from dlplug.data import ImageInfo
from dlplug_generative.pixel_cnn import PixelCNN
from dlplug_generative.pixel_rnn import PixelRNN
from dlplug_generative.pixels import PixelModel


def seconds(model: PixelModel, cached: bool) -> float:
    started = time.process_time()
    model.sample(1, cached=cached)
    return time.process_time() - started


def operations(model: PixelModel, cached: bool) -> int:
    with FlopCounterMode(display=False) as counter:
        model.sample(1, cached=cached)
    return int(counter.get_total_flops())


def main() -> None:
    torch.set_num_threads(1)
    models = {"pixel-cnn": PixelCNN(), "pixel-rnn, row": PixelRNN(), "pixel-rnn, diagonal": PixelRNN(cell="diagonal")}
    for name, model in models.items():
        model.build(ImageInfo(1, 28, 28))
        pairs = [(seconds(model, True), seconds(model, False)) for _ in range(2)]
        cached, naive = (min(times) for times in zip(*pairs, strict=True))
        small = type(model)(**model.hparams)
        small.build(ImageInfo(1, 14, 14))
        fewer = operations(small, False) / operations(small, True)
        print(f"{name:20} {cached:6.2f} s an image; naive {naive:7.2f} s = {naive / cached:5.1f} × the time", end="; ")
        print(f"{fewer:.0f} × the operations at 14×14", flush=True)


if __name__ == "__main__":
    main()
