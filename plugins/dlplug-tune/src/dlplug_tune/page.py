"""What a study found: the best options as a config, and a page."""

import json
import warnings
from pathlib import Path
from typing import Any

import optuna.visualization as plots
import yaml
from optuna.trial import FrozenTrial, TrialState

from dlplug.console import plain
from dlplug.files import write_atomically
from dlplug.report import fill
from dlplug_tune.study import Study, number_of

FIGURES = {  # Optuna's, by title, each with how it is read
    "History": (
        "optimization_history",
        "The trials in their order, and the best so far: flat for long, more bring little.",
    ),
    "Importance": ("param_importances", "Which options tell good trials from others."),
    "Slices": ("slice", "Each option by itself: where good trials crowd at an edge, the range ends too early."),
    "Parallel coordinates": ("parallel_coordinate", "A line a trial; drag along an axis to see some alone."),
    "Validation by epoch": ("intermediate_values", "Of the first seed, where trials may be pruned."),
    "Trade-off": (
        "pareto_front",
        "Several objectives: nothing is better in one than the marked trials, but worse in another.",
    ),
}


def completed(study: Study) -> list[FrozenTrial]:
    """Return the trials that came to a result, the best by the first objective first."""
    found = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    return sorted(found, key=lambda trial: trial.values[0], reverse=study.search.objectives[0][1] == "max")


def summary(study: Study) -> str:
    """Return a line of the best trial, and one of the recipe's where that was tried."""
    trials = completed(study)
    recipe = next((trial for trial in trials if "recipe" in trial.user_attrs), trials[0])
    lines = [f"best of {len(trials)}: {_reached(study, trials[0])}"]
    lines += [f"the recipe's: {_reached(study, recipe)}"] if recipe is not trials[0] else []
    return "\n".join(lines)


def _reached(study: Study, trial: FrozenTrial) -> str:
    values = zip(study.search.objectives, trial.values, strict=True)
    return f"{', '.join(f'{name} {value:.4g}' for (name, _), value in values)} in trial {number_of(trial)}"


def facts(study: Study) -> dict[str, str]:
    """Return what was searched, how long and on which data."""
    search, trials = study.search, study.trials()
    states = [trial.state for trial in trials]
    seconds = sum(trial.duration.total_seconds() for trial in trials if trial.duration)
    return {
        "result": summary(study),
        "model": search.model,
        "data": f"{search.data}: what is chosen is chosen on its validation data",
        "by": ", ".join(f"{name} ({mode})" for name, mode in search.objectives),
        "seeds": ", ".join(map(str, search.seeds)),
        "trials": ", ".join(f"{states.count(state)} {state.name.lower()}" for state in TrialState if state in states),
        "time": f"{seconds:.0f} s, those of all trials together",
        "drawn by": search.sampler + (f", pruned by the {search.prune}" if search.prune != "none" else ""),
        "typed": " ".join(search.line),
        **{option: str(given) for option, given in search.space.items()},
    }


def write_best(study: Study) -> Path:
    """Write the best trial's config, as ``dlplug fit -c`` takes it, and return where it is."""
    config = yaml.safe_load(completed(study)[0].user_attrs["config"])
    config.pop("seed_everything", None)
    config["trainer"].pop("default_root_dir", None)
    head = "".join(f"# {name}: {plain(value)}\n" for name, value in facts(study).items())
    path = study.folder / "best.yaml"
    write_atomically(path, (head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)).encode())
    return path


def write_page(study: Study) -> Path:
    """Write the page, and return where it is."""
    search = study.search
    path = study.folder / "report.html"
    best = completed(study)[0].number
    rows = []
    for trial in study.trials():
        report = f"{search.model}/trial{number_of(trial)}-seed{search.seeds[0]}/report.html"
        state = trial.user_attrs.get("error") or trial.state.name.lower()
        row = {"trial": trial, "number": number_of(trial), "state": state, "is_best": trial.number == best}
        rows.append(row | {"report": report if (study.folder / report).is_file() else ""})
    values = {"facts": facts(study), "rows": rows, "search": search, "name": study.name, "figures": _figures(study)}
    page = fill(Path(__file__).with_name("study.html"), **values, epochs=[], axis="step")
    write_atomically(path, page.encode(errors="replace"))
    return path


def _figures(study: Study) -> list[dict[str, Any]]:
    """Return Optuna's figures, those that it can draw of these trials."""
    names = [name for name, _ in study.search.objectives]
    figures = []
    for title, (kind, note) in FIGURES.items():
        options: dict[str, Any] = {"target_name": names[0]}
        if kind in ("intermediate_values", "pareto_front"):
            options = {"target_names": names} if kind == "pareto_front" else {}
        elif len(names) > 1:
            options["target"] = lambda trial: trial.values[0]
        with warnings.catch_warnings(action="ignore"):
            try:
                figure = json.loads(getattr(plots, f"plot_{kind}")(study.optuna, **options).to_json())
            except Exception:  # one trial alone has no importances, one objective no front
                continue
        figure["layout"] = {k: v for k, v in figure["layout"].items() if k not in ("template", "title")}
        if figure["data"]:
            figures.append({"kind": "figure", "title": title, "note": note, "content": figure})
    return figures
