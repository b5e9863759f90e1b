"""1,797 small digits."""

from torch import Tensor

from dlplug_vision.data.images import SplitImages, read_table

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


class Digits(SplitImages):
    """1,797 handwritten digits, 8×8 grey of 17 levels: 1,445 to train on, 176 each to validate and test.

    Source: Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), UCI machine learning repository, as
    it comes with scikit-learn (BSD-3); 0.06 MB.
    """

    def read(self) -> tuple[Tensor, Tensor]:
        """Return all images and labels."""
        table = read_table("sklearn", "datasets/data/digits.csv.gz", SHA256)  # (1797, 8 * 8 + 1)
        return table[:, :-1].view(-1, 1, 8, 8) / 16, table[:, -1].long()
