"""``dlplug dashboard``: a model's panels as a workspace of Weights & Biases."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from dlplug.commands.parser import Parser
from dlplug.errors import InputError
from dlplug.panels import COMMON, STAGES, Panel
from dlplug.registry import Registry


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug dashboard``."""
    parser.add_argument("model", help="as in `dlplug list`, or a class path")
    parser.add_argument("--entity", required=True, help="user or team whose project it is")
    parser.add_argument("--project", default="dlplug", help="the project (default: dlplug)")
    parser.add_argument("--dry-run", action="store_true", help="print the JSON instead; needs no login and no network")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Save a model's dashboard, or print what would be saved.

    Raises:
        InputError: There is no such model, wandb-workspaces is not installed, nobody is logged in, or the server cannot
            be reached.
    """
    name = options.model
    class_path = name if "." in name else Registry.discover().find("model", name).class_path
    if not find_spec("wandb_workspaces"):
        raise InputError("dlplug dashboard needs wandb-workspaces: pip install wandb-workspaces")
    from lightning.pytorch import LightningModule  # seconds, from here on

    from dlplug.loggers.wandb import find_mode
    from dlplug.registry.source import load_class

    if not options.dry_run:
        mode, reason = find_mode()
        if mode != "online":
            raise InputError(f"W&B cannot be online: {reason}; --dry-run needs no W&B")
    sys.path.append(os.getcwd())  # a class of the user's own may be in a file here
    found = load_class(class_path, LightningModule)
    panels = getattr(found, "panels", ())
    workspace = build(name, [*panels, *COMMON], options.entity, options.project, getattr(found, "axis", "") or "step")
    if options.dry_run:
        print(workspace._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=1))
        return 0
    try:
        workspace.save()
    except Exception as error:  # whatever the server and the network come up with
        raise InputError(f"the dashboard was not saved: {' '.join(str(error).split())[:300]}") from error
    print(workspace.url)
    return 0


def build(name: str, panels: Iterable[Panel], entity: str, project: str, axis: str) -> Any:
    """Return the workspace: a section's panels under its name, how to read them after them.

    Args:
        name: The model's name.
        panels: Panels of one section need not follow each other.
        entity: User or team whose project it is.
        project: The project.
        axis: The metric that curves are drawn over.
    """
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.reports.v2.interface import MarkdownPanel

    sections: dict[str, list[Panel]] = {}
    for panel in panels:
        sections.setdefault(panel.section, []).append(panel)
    drawn = []
    for section, group in sections.items():
        notes = MarkdownPanel(markdown="\n\n".join(f"**{panel.title}** {panel.note}" for panel in group))
        drawn.append(ws.Section(name=section, panels=[*(_drawn(panel, axis) for panel in group), notes], is_open=True))
    return ws.Workspace(entity=entity, project=project, name=f"dlplug {name}", sections=drawn)


def _drawn(panel: Panel, axis: str) -> Any:
    """Return curves over the axis, each name's stages on one plot, or a medium over time."""
    from wandb_workspaces.reports.v2.interface import LinePlot, MediaBrowser

    if panel.media:
        return MediaBrowser(title=panel.title, media_keys=[panel.media])
    return LinePlot(title=panel.title, x=axis, y=[f"{stage}/{curve}" for curve in panel.curves for stage in STAGES])
