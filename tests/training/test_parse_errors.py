from argparse import ArgumentError
from typing import Literal

import pytest
from jsonargparse import ArgumentParser

from dlplug.training.parse_errors import explain


class Inner:
    def __init__(self, size: int = 1, kind: Literal["a", "b"] = "a"):
        if size < 1:
            raise ValueError("size must be\nat least 1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the newest jsonargparse renames instantiate_classes
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--n=x"], "--n: 'x' is not int"),
        (["--maybe=x"], "--maybe: 'x' is not int, 'a', 'b' or null"),
        (["--inner=Inner", "--inner.size=x"], "--inner.size: 'x' is not int"),
        (["--inner=Inner", "--inner.kind=c"], "--inner.kind: 'c' is not 'a' or 'b'"),
        (["--inner=Inner", "--inner.size=0"], "size must be at least 1"),
        (["--other=1"], "unrecognized arguments: --other=1"),
    ],
)
def test_one_line_says_option_value_and_what_was_expected(args, message):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--n", type=int)
    parser.add_argument("--maybe", type=int | Literal["a", "b"] | None)
    parser.add_subclass_arguments(Inner, "inner", required=False)
    with pytest.raises((ArgumentError, ValueError)) as caught:
        parser.instantiate_classes(parser.parse_args(args))
    assert explain(caught.value) == message
