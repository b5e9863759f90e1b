"""A cnn with a page of its own in ``dlplug play``."""

import torch

from dlplug.media import Image, ImageFile
from dlplug_vision.data.image_files import load_image
from dlplug_vision.models.cnn import CNN


class Looker(CNN):
    """A cnn that says which pixels count."""

    def demos(self):
        """Return functions by title, whose typed arguments become widgets."""
        return {"What counts": self.saliency}

    def saliency(self, image: ImageFile, smooth: bool = True) -> dict[str, Image]:
        """Show how much each pixel counts.

        Args:
            image: A picture.
            smooth: Whether to average over noisy copies (Smilkov et al., 2017).
        """
        pixels = load_image(image, self.shape).expand(16 if smooth else 1, -1, -1, -1)
        noisy = pixels + 0.1 * smooth * torch.randn_like(pixels)
        with torch.enable_grad():
            [slope] = torch.autograd.grad(self(noisy.requires_grad_()).max(1).values.sum(), noisy)
        counts = slope.mean(0).abs()
        return {"seen": Image(pixels[0]), "counts": Image(counts, high=float(counts.max().clamp_min(1e-9)))}
