"""Errors of jsonargparse in one line of its ten."""

import re

KEY = re.compile(r'Parser key "([^"]+)":')
WRAPPING = re.compile(r'Parser key "|Does not validate against any|Problem with given class_path|Validation failed')
UNION = re.compile(r"Subtypes: \[(?P<types>.*?)\]\n.*Given value: (?P<value>.*)\Z", re.DOTALL)
SINGLE = re.compile(r"Expected an? (?P<types>.*?)(?:\. Got value: (?P<value>.*))?\Z", re.DOTALL)


def explain(error: BaseException) -> str:
    """Return option, value and what was expected, from an error of jsonargparse and those that caused it.

    A constructor's own error, which jsonargparse wraps, is returned as it is.
    """
    keys: list[str] = []
    at_key = innermost = error
    for innermost in _chain(error):
        if (found := KEY.match(str(innermost))) and found[1] not in keys:
            keys.append(found[1])
            at_key = innermost
        if not WRAPPING.match(str(innermost)):
            break
    text = str(innermost)
    if SINGLE.match(text):  # the first of the types that would do: those of the whole option say more
        found = UNION.search(str(at_key)) or SINGLE.search(text)
        assert found
        text = f"{found['value']!r} is not {_plain(found['types'])}"
    text = " ".join(text.split()) or type(innermost).__name__
    return f"--{'.'.join(keys)}: {text}" if keys else text


def _chain(error: BaseException | None) -> list[BaseException]:
    links = []
    while error is not None:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _plain(types: str) -> str:
    """Return types as a person would name them: ``"int or null"``."""
    types = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", types)
    types = re.sub(r"(?:typing\.)?(?:Union|Optional|Literal)\[(.*?)\]", r"\1", types).replace("typing.", "")
    names = list(dict.fromkeys(name.strip() for name in types.replace("NoneType", "null").split(",")))
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
