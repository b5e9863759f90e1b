"""The labs: every exercise has a check that its solution passes and nothing else does."""

import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("nbclient", reason="nbclient executes the labs: pip install -r requirements-dev.txt")

LABS = Path(__file__).parents[1] / "labs"
RUN = SimpleNamespace(**runpy.run_path(str(LABS / "run.py")))
NAMES = RUN.names()
# A wrong answer each: what is replaced in the solution, and what the check says of it.
WRONG = [
    ("2-sequences", "bigram", "+ tokens[1:]", "+ tokens[:-1]", "P(next | last)"),
    ("2-sequences", "rnn_cell", "s @ W.T", "s @ W", "W is transposed"),
    ("2-sequences", "sequence_loss", "logits.logsumexp(2)", "logits.exp().sum(2).log()", "use logsumexp"),
    ("2-sequences", "jacobian", "in states", "in states.flip(0)", "the last step's factor stands leftmost"),
    ("2-sequences", "causal_mask", ".tril()", ".triu()", "rows and columns are swapped"),
    ("2-sequences", "attention", "softmax(-1)", "softmax(-2)", "softmax is over the queries"),
    ("2-sequences", "attention", "-math.inf", "0.0", "with -inf before the softmax"),
    ("3-vision", "descend", "- lr", "+ lr", "uphill"),
    ("3-vision", "descend", ").detach()", ")", "`detach()` them"),
    ("3-vision", "convolve", "* kernel)", "* kernel.flip(0, 1))", "the kernel is turned round"),
    ("3-vision", "convolve", "n - k + 1", "n - k", "has shape"),
    ("3-vision", "convolve", "output[i, j]", "output[i, j, 0]", "stops at `output[i, j, 0] = "),
    ("3-vision", "convolve", "return output", "pass", "is None: is a `return` missing?"),
    ("3-vision", "output_size", "2 * padding", "padding", "it counts twice"),
    ("3-vision", "receptive_field", "jump *= stride", "", "strides are left out"),
    ("4-generative", "log_likelihood", "logsigmoid(", "torch.sigmoid(", "sum of the probabilities"),
    ("4-generative", "causal_logits", ".tril(-1)", ".tril()", "pixel 2 sees itself"),
    (
        "4-generative",
        "sample",
        "torch.bernoulli(network(x)[:, i].sigmoid())",
        "(network(x)[:, i] > 0)",
        "likelier value",
    ),
    ("4-generative", "reparameterise", "std * torch", "std.detach() * torch", "does not reach mean and std"),
    ("4-generative", "kl", ".sum(1)", ".mean(1)", "independent dimensions add up"),
    (
        "4-generative",
        "elbo",
        "def elbo",
        "def kl(*_):\n    raise NotImplementedError\n\ndef elbo",
        "calls kl, which is",
    ),
    ("4-generative", "elbo", "- kl", "+ kl", "it is a cost, subtract it"),
    ("4-generative", "gan_losses", "softplus(-fake).mean()", "-softplus(fake).mean()", "minimax loss"),
    ("5-multimodal", "free_energy", "softplus(v @ W + b)", "softplus(v @ W)", "hidden biases are missing"),
    (
        "5-multimodal",
        "gibbs_step",
        "torch.bernoulli((v @ W + b).sigmoid())",
        "(v @ W + b).sigmoid()",
        "draw them, 0 or 1",
    ),
    (
        "5-multimodal",
        "complete",
        "torch.where(known, v, gibbs_step(filled, W, a, b))",
        "gibbs_step(filled, W, a, b)",
        "put",
    ),
    ("5-multimodal", "contrastive_loss", "normalize(images)", "images", "the loss of six pairs"),
    ("5-multimodal", "recall_at_k", ".topk(k, dim=1).indices", ".topk(k, dim=0).indices.T", "a query is a row"),
    ("5-multimodal", "bleu", "ours & theirs", "ours", "at most as often as in the reference"),
    ("5-multimodal", "distillation_loss", "torch.xlogy(teacher, teacher)", "0", "own entropy is missing"),
    ("6-reinforcement", "discounted_returns", "reversed(range(len(rewards)))", "range(len(rewards))", "came before"),
    ("6-reinforcement", "value_iteration", "Q.amax(1)", "Q.mean(1)", "the best policy takes the best"),
    ("6-reinforcement", "q_update", "if done", "if False", "after the end there is nothing to come"),
    ("6-reinforcement", "epsilon_greedy", "< epsilon", "< 0", "nothing else is ever tried"),
    ("6-reinforcement", "policy_loss", "return -", "return ", "less probable"),
    ("6-reinforcement", "gae", "gamma * lam", "lam", "by their product"),
    ("6-reinforcement", "ppo_loss", "torch.minimum", "torch.maximum", "the pessimistic one"),
    ("7-plugin", "build_network", "nn.ReLU(),", "", "a linear function"),
    ("7-plugin", "build_network", "info.channels *", "1 *", "Take all sizes from info"),
    (
        "7-plugin",
        "training_step",
        "cross_entropy(logits",
        "cross_entropy(logits.softmax(1)",
        "the softmax is taken twice",
    ),
    ("7-plugin", "showcase", "low=-size", "low=0.0", "makes 0 grey"),
    ("7-plugin", "dlplug_specs", 'takes="images",', "", "it takes nothing"),
    ("7-plugin", "pyproject", "entry-points.dlplug", "entry-points", "how dlplug finds the plugin"),
    ("3-vision", "saliency", ".max()", ".sum()", "all scores added up"),
]


@pytest.fixture
def judge(monkeypatch, tmp_path):
    """Give the sentence that a check says of an answer's source, as the cells of a notebook are run."""
    monkeypatch.syspath_prepend(LABS)

    def judge(name, exercise, source):
        checks = import_module(f"checks.{name.partition('-')[2]}")
        names = runpy.run_path(str(LABS / "solutions" / f"{name.partition('-')[2]}.py"))
        file = tmp_path / f"{exercise}.py"  # so that the check can quote a line of it
        file.write_text(source)
        exec(compile(source, str(file), "exec"), names)
        try:
            getattr(checks, exercise)(names[exercise])
        except import_module("checks").NotYet as error:
            return str(error)
        return ""

    return judge


@pytest.mark.parametrize("name", NAMES)
def test_each_exercise_passes_solved_and_fails_unsolved(name, judge):
    notebook, solutions = RUN.read(name), RUN.solutions(name)
    sources = [cell.source for cell in notebook.cells]
    unsolved = {RUN.exercise(source): source for source in sources if RUN.exercise(source)}
    checked = [found for source in sources for found in RUN.CHECK.findall(source)]
    assert checked == list(unsolved) == list(solutions)  # in this order
    assert 5 <= len(checked) <= 8
    answers = (LABS / "solutions" / f"{name.partition('-')[2]}.py").read_text()
    setup = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    imported = re.findall(r"^(?:from \S+ )?import (.*)", answers, re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(imported))) <= set(re.findall(r"\w+", setup))
    for exercise, source in unsolved.items():
        assert "is still to be written" in judge(name, exercise, source)
        assert judge(name, exercise, solutions[exercise]) == ""
        lines = [
            line for line in re.sub(r'""".*?"""', "", solutions[exercise], flags=re.DOTALL).splitlines()[1:] if line
        ]
        assert len(lines) <= 11, exercise  # a line more than the notebooks say, for what ruff breaks
        head = source.partition("):")[0]
        assert solutions[exercise].partition("):")[0] == head  # the signature


@pytest.mark.parametrize(("name", "exercise", "right", "wrong", "said"), WRONG)
def test_a_check_says_what_to_look_at(name, exercise, right, wrong, said, judge):
    source = RUN.solutions(name)[exercise]
    assert right in source
    assert said in judge(name, exercise, source.replace(right, wrong))


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_kept_without_outputs(name):
    cells = [cell for cell in RUN.read(name).cells if cell.cell_type == "code"]
    assert not [cell.source for cell in cells if cell.outputs or cell.execution_count]
    assert name in (LABS / "README.md").read_text()
    assert name in (LABS.parent / "docs" / "labs.md").read_text()


def executed(*args):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # the kernel's too
    return subprocess.run(
        [sys.executable, LABS / "run.py", *args], capture_output=True, text=True, env=env, check=False
    )


def test_one_lab_is_executed():
    result = executed("3-vision")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("3-vision: 7 checks pass")
    result = executed("--unsolved", "3-vision")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("3-vision: 7 checks fail")
    assert "there is no lab vision" in executed("vision").stderr


@pytest.mark.slow("half a minute a lab; by day 3-vision is executed, and the exercises of all are")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "3-vision"])
def test_the_others_are_executed(name):
    result = executed(name)
    assert result.returncode == 0, result.stderr
