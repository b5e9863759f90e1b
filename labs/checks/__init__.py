"""What the check cells call: a sentence on what is right, or on what to look at where it is not."""

import linecache
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor


class NotYet(Exception):
    """An exercise that is not solved; a notebook shows its sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


def check(judge: Callable[[Any], str]) -> Callable[[Any], None]:
    """Turn a function that measures an answer into a check, which prints what is right or raises ``NotYet``.

    Random numbers that the answer draws are the same at each call, and the notebook's own stay as they were.
    """

    @wraps(judge)
    def checked(answer: Any) -> None:
        name = judge.__name__
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                right = judge(answer)
        except NotYet as error:
            raise NotYet(f"{name}: {error}") from None
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            if last.line == "raise NotImplementedError":
                which = name if last.name == name else f"{name} calls {last.name}, which"
                raise NotYet(f"{which} is still to be written: replace its last line") from None
            raise NotYet(f"{name} stops{_place(answer, error)}: {type(error).__name__}: {error}") from error
        print(f"✓ {name}: {right}")

    return checked


def expect(truth: bool, look: str) -> None:
    """Say what to look at unless something is true."""
    if not truth:
        raise NotYet(look)


def equal(got: Any, wanted: Any, of: str, look: str, mistakes: Mapping[str, Any] | None = None) -> None:
    """Compare numbers.

    Args:
        got: What the answer gave.
        wanted: What is right.
        of: What was computed, in words.
        look: What to look at where it is wrong.
        mistakes: What wrong results that have a known cause are, by the sentence that names the cause.
    """
    expect(got is not None, f"{of} is None: is a `return` missing?")
    wanted, got = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (wanted, got))
    if got.shape == wanted.shape and torch.allclose(got, wanted, rtol=1e-4, atol=1e-5):
        return
    for sentence, wrong in (mistakes or {}).items():
        wrong = torch.as_tensor(wrong, dtype=torch.float64).detach()
        expect(got.shape != wrong.shape or not torch.allclose(got, wrong, rtol=1e-4, atol=1e-5), sentence)
    shapes = [tuple(value.shape) for value in (got, wanted)]
    expect(got.shape == wanted.shape, f"{of} has shape {shapes[0]}, and should have {shapes[1]}. {look}")
    raise NotYet(f"{of} is {_short(got)}, and should be {_short(wanted)}. {look}")


def learns(loss: Any) -> None:
    """Check that a gradient flows from a loss."""
    expect(isinstance(loss, Tensor), "give a tensor: numbers of Python, as `.item()` gives them, have no gradient")
    expect(loss.requires_grad, "no gradient flows back from it: leave out `.item()`, `.detach()` and `no_grad`")


def _short(value: Tensor) -> str:
    numbers = [f"{number:.4g}" for number in value.flatten()[:5].tolist()]
    return f"[{', '.join(numbers)}{', …' if value.numel() > 5 else ''}]" if value.dim() else numbers[0]


def _place(answer: Any, error: Exception) -> str:
    """Return the line of the answer where an error came up, in words."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" at `{linecache.getline(file, lines[-1] or 0).strip()}`" if file and lines else ""
