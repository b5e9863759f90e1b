from functools import partial
from pathlib import Path

from lightning.pytorch import LightningDataModule
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder


class Photos(LightningDataModule):
    """Photographs in folders, train, val and test, each with a folder a class.

    Args:
        root: The folder.
        size: Height and width that they are brought to.
        batch_size: Photographs a batch.
    """

    def __init__(self, root: str = "photos", size: int = 64, batch_size: int = 4):
        super().__init__()
        self.root, self.batch_size = Path(root), batch_size
        self.transform = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])

    def _loader(self, split, shuffle=False):
        photos = ImageFolder(self.root / split, self.transform)
        return DataLoader(photos, self.batch_size, shuffle=shuffle)

    def train_dataloader(self):
        return self._loader("train", shuffle=True)

    def val_dataloader(self):
        return self._loader("val")

    def test_dataloader(self):
        return self._loader("test")

    def predict_dataloader(self):
        return self._loader("test")

    def read_inputs(self, source, info):
        """The one method that `dlplug predict RUN --input FOLDER` asks for."""
        files = sorted(path for path in Path(source).rglob("*") if path.is_file())
        return [(str(path.relative_to(source)), partial(self._read, path)) for path in files]

    def _read(self, path):
        return (self.transform(Image.open(path).convert("RGB")),)
