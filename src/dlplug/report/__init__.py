"""Run folders and claims as HTML pages that need no network; plugins make others like them by ``fill``."""

from dlplug.report.frames import read_frame
from dlplug.report.template import fill

__all__ = ["fill", "read_frame"]
