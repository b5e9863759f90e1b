"""Each test image that a classifier gets wrong, and in its row the training images that are most like it."""

from pydoc import locate


def configure(parser):
    """Add the arguments; torch is imported in `run`, since --help and completion call this too."""
    parser.add_argument("folder", metavar="RUN", help="a run of a model that classifies images")
    parser.set_defaults(run=run)


def run(options):
    """Write nearest.png into the run folder."""
    import torch
    import yaml

    from dlplug.media import Image
    from dlplug.runs import Run
    from dlplug.trained import load_trained

    folder, model = Run.open(options.folder), load_trained(options.folder)
    chosen = yaml.safe_load(folder.config.read_text())["data"]
    data = locate(chosen["class_path"])(**chosen["init_args"])
    data.setup()
    (seen, _), (images, labels) = (data.prepare_batch(data.splits[split]) for split in ("train", "test"))
    wrong = images[model(images).argmax(1) != labels]
    nearest = torch.cdist(wrong.flatten(1), seen.flatten(1)).topk(5, largest=False).indices  # (mistakes, 5)
    rows = torch.cat([wrong[:, None], seen[nearest]], 1)  # (mistakes, 6, channels, height, width)
    (folder.path / "nearest.png").write_bytes(Image(rows.flatten(0, 1), columns=6).encode())
