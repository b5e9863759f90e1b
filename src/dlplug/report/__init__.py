"""``dlplug report``: run folders as one HTML page that needs no network."""

import webbrowser
from pathlib import Path

from dlplug.runs import Run
from dlplug.usage import Parser


def main(args: list[str]) -> int:
    """Write the report of one run, or of several side by side, and print where it is."""
    parser = Parser(prog="dlplug report", allow_abbrev=False)
    parser.description = "Write a run as one HTML page, or several runs side by side."
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run folder")
    parser.add_argument("--out", metavar="FILE", help="default RUN/report.html, or ./report.html for several runs")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options = parser.parse_args(args)
    runs = [Run.open(folder) for folder in options.runs]

    from dlplug.report.page import write  # numpy and Pillow, which a misspelt folder does without

    default = runs[0].path / "report.html" if len(runs) == 1 else Path("report.html")
    path = write(runs, Path(options.out) if options.out else default)
    print(path)
    if options.open:
        webbrowser.open(path.resolve().as_uri())
    return 0
