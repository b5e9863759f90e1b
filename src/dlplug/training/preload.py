"""What each command would import or work out anew, done once by a fork server as it imports this."""

import filelock  # noqa: F401
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from dlplug.report.template import pages

for _page in pages().list_templates(extensions=["html"]):
    pages().get_template(_page)  # compiles it
LightningArgumentParser().add_lightning_class_args(Trainer, "trainer")  # fills jsonargparse's caches
