"""``dlplug completion``: what the shell offers when Tab is pressed, found without importing torch."""

import ast
import shlex
from argparse import REMAINDER, SUPPRESS, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from dlplug.commands import find, offered, parser_of
from dlplug.commands.parser import Parser
from dlplug.commands.train import COMMON_TRAINER, predict_parser
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.core import OWN_PARSER
from dlplug.registry.job import TRAINER, expand, load_config
from dlplug.registry.source import Argument, read_class
from dlplug.specs import ClaimSpec, ModelSpec

# Each calls back with the words up to the cursor; status 1 asks it for the names of files instead.
SCRIPTS = {shell: Path(__file__).with_name("shells") / f"dlplug.{shell}" for shell in ("bash", "zsh", "fish")}
WHERE = """\
Print a script that completes commands, names, options and run folders. Where it goes:

  ~/.bashrc                      eval "$(dlplug completion bash)"
  ~/.zshrc, after compinit       eval "$(dlplug completion zsh)"
  ~/.config/fish/config.fish     dlplug completion fish | source"""
FREE_FORM = {
    "--model": "model by name or class path",
    "--data": "data by name or class path",
    "--logger": "logger by name",
    "--optimizer": "optimizer of torch.optim, for models that leave it open",
    "--lr_scheduler": "schedule of torch.optim.lr_scheduler for that",
    "--config": "config file",
    "--seed_everything": "seed of everything random",
    "--ckpt_path": "checkpoint to start from or to use",
}
FLAGS = {"--help": "the arguments of the chosen model and data", "--help-all": "every argument"}
Offers = dict[str, str]


class Files(Exception):
    """What is wanted is the name of a file, which the shell knows best."""


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug completion``."""
    parser.description = WHERE
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=[*SCRIPTS], help="the shell")
    parser.add_argument("words", nargs=REMAINDER, help=SUPPRESS)  # by the scripts: what is typed so far
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print a shell's script, or where words follow, what fits the last of them; status 1 asks for files."""
    shell, words = options.shell, options.words
    if not words:
        print(SCRIPTS[shell].read_text(), end="")
        return 0
    if shell == "bash":
        words = _split(words[0])[1:] or [""]
    try:
        for value, text in complete(words).items():
            print(_line(shell, value, text, words[-1]))
    except Files:
        return 1
    return 0


def complete(words: list[str]) -> Offers:
    """Return what may stand where the last word is being typed, with a line about each.

    Args:
        words: The words after ``dlplug``; the last may be empty.

    Raises:
        Files: The name of a file may.
    """
    *before, word = words
    if before:
        offers = _Line(before, word).offers()
    else:
        commands = offered(Registry.discover())
        offers = {**{name: command.summary for name, command in commands.items()}, "--help": "", "--version": ""}
    return {value: text for value, text in offers.items() if value.startswith(word)}


class _Line:
    """A command line whose last word is being typed."""

    def __init__(self, before: list[str], word: str) -> None:
        self.command, *self.before = before
        self.word = word
        self.option, equals, _ = word.partition("=")
        self.prefix = f"{self.option}=" if equals else ""  # `--model=` as well as `--model `
        if not equals:
            last = self.before[-1] if self.before else ""
            self.option = last if last.startswith("-") and "=" not in last else ""

    def offers(self) -> Offers:
        """Return what may stand in the last word's place."""
        try:
            command = find(self.command, self.registry)
            parser = None if command.target in OWN_PARSER else parser_of(command)
        except Exception:  # there is no such command, or a plugin's raises
            return {}
        if parser is None:
            if self.command == "predict" and (self.before or self.word.startswith("-")):
                return self._of_parser(predict_parser(), "options")
            return self._of_generate() if self.command == "generate" else self._of_training()
        return self._of_parser(parser, command.takes)

    @cached_property
    def registry(self) -> Registry:
        return Registry.discover()

    def _runs(self) -> Offers:
        """Return the run folders and installed weights that the word may become."""
        if self.word.startswith("-"):
            return {}
        weights = {name: text for name, text in self._names("weights").items() if name.startswith(self.word)}
        try:
            return {**weights, **_run_folders(self.word)}
        except Files:
            if weights:
                return weights
            raise

    def _names(self, *kinds: str) -> Offers:
        return {spec.name: spec.summary for spec in self.registry if spec.kind in kinds}

    @cached_property
    def _chosen(self) -> dict[str, str]:
        """Return the class paths that the words so far settle on; none where they do not make sense yet."""
        done = self.before[:-1] if self.option and not self.prefix else self.before
        try:
            return dict(expand(self.command, done, self.registry).chosen)
        except (InputError, OSError):
            return {}

    def _of_training(self) -> Offers:
        if self.option and self.option not in FLAGS:
            return {f"{self.prefix}{value}": text for value, text in self._values().items()}
        if not self.before and not self.word.startswith("-"):
            return self._runs() or {**FREE_FORM, **FLAGS}
        return {**FREE_FORM, **FLAGS, **{name: a.help for name, a in self._arguments().items() if self._shown(name)}}

    def _shown(self, name: str) -> bool:
        """Whether to offer an option: of the trainer's many the usual ones, until one of them is asked for."""
        kind, _, key = name[2:].partition(".")
        return kind != "trainer" or key in COMMON_TRAINER or self.word.startswith("--t")

    def _arguments(self) -> dict[str, Argument]:
        """Return the arguments of the chosen classes and of the trainer, by option."""
        classes = {**self._chosen, "trainer": TRAINER}
        for word, following in pairwise([*self.before, ""]):
            if word.partition("=")[0] == "--logger":
                name = word.partition("=")[2] or following
                classes["logger"] = next((s.class_path for s in self.registry if s.name == name), "")
        return {f"--{kind}.{a.name}": a for kind, path in classes.items() for a in read_class(path).arguments}

    def _values(self) -> Offers:
        """Return the values of an option."""
        if self.option in ("-c", "--config", "--ckpt_path"):
            raise Files
        kind = self.option.removeprefix("--")
        if kind == "data" and (model := self.registry.spec_of("model", self._chosen.get("model", ""))):
            assert isinstance(model, ModelSpec)
            fitting = self.registry.fitting(model)
            return {name: text for name, text in self._names("data").items() if not model.takes or name in fitting}
        if kind in ("model", "data", "logger"):
            return self._names(kind)
        argument = self._arguments().get(self.option)
        return dict.fromkeys(_values_of(argument.type), "") if argument else {}

    def _of_generate(self) -> Offers:
        if not self.before:
            return self._runs()
        if self.option == "--out":
            raise Files
        try:
            model = load_config(f"{self.before[0]}/config.yaml", self.registry)["model"]["class_path"]
        except (InputError, LookupError, TypeError):
            model = ""
        arguments = {f"--{a.name}": a for a in read_class(model, "generate").arguments}
        if self.option in arguments and arguments[self.option].type != "bool":
            return {f"{self.prefix}{value}": "" for value in _values_of(arguments[self.option].type)}
        return {**{name: a.help for name, a in arguments.items()}, "--seed": "seed", "--out": "file to write"}

    def _of_parser(self, parser: Parser, takes: str) -> Offers:
        """Return the options, or else the positional arguments, of a command with an argparse parser."""
        actions = [action for action in parser._actions if action.help != SUPPRESS]
        for action in actions:
            if self.option in action.option_strings and action.nargs != 0:
                if action.type is Path or action.metavar == "PATH":
                    raise Files
                return {f"{self.prefix}{value}": "" for value in action.choices or ()}
        options = {a.option_strings[-1]: a.help or "" for a in actions if a.option_strings}
        if takes == "options":
            with suppress(InputError):  # its own options, typed so far, are none of a training's
                self.before = parser.parse_known_args([word for word in self.before if word not in FLAGS])[1]
            return {**({} if self.option else options), **self._of_training()}
        if self.word.startswith("-"):
            return options
        positional = [a for a in actions if not a.option_strings]
        if not positional or (len(self.before) >= len(positional) and positional[-1].nargs not in ("*", "+")):
            return {}
        if positional[0].choices:
            return dict.fromkeys(positional[0].choices, "")
        return self._of_position(takes)

    def _of_position(self, takes: str) -> Offers:
        if takes == "run":
            return self._runs()
        if takes == "model":
            return self._names("model")
        if takes != "words":
            raise Files
        if self.command == "verify":
            claims = [spec for spec in self.registry if isinstance(spec, ClaimSpec)]
            about = {model: "claims about this model" for claim in claims for model in claim.models}
            sections = {claim.lecture: "claims of this section" for claim in claims if claim.lecture}
            return {**about, **dict(sorted(sections.items())), **self._names("claim")}
        plugins = {plugin.name: plugin.origin for plugin in self.registry.plugins}
        if self.command == "uninstall":
            return plugins
        return {**(plugins if self.command == "check" else {}), **{s.name: s.summary for s in self.registry}}


def _run_folders(word: str) -> Offers:
    """Return the run folders that a word may become, the newest first.

    Raises:
        Files: There is none, but there may be elsewhere.
    """
    found = {str(path.parent): path.parent.name for path in Path().glob("runs/*/*/config.yaml")}
    runs = sorted((path for path in found if path.startswith(word)), key=lambda path: found[path], reverse=True)
    if word and not runs:
        raise Files
    return dict.fromkeys(runs, "")


def _values_of(annotation: str) -> Iterator[str]:
    """Yield what a type, as written, names by itself: ``Literal["a", "b"] | None`` or ``bool``."""
    for node in ast.walk(ast.parse(annotation or "None", mode="eval")):
        if isinstance(node, ast.Name) and node.id == "bool":
            yield from ("true", "false")
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
            members: Iterable[ast.expr] = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            yield from (str(member.value) for member in members if isinstance(member, ast.Constant))


def _split(line: str) -> list[str]:
    """Split a line as a shell would, the last word as far as it goes."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        return [*words, ""] if line[-1:].isspace() and not closing else words
    return []


def _line(shell: str, value: str, text: str, word: str) -> str:
    """Return an offer as the shell's script reads it."""
    if shell == "bash":  # completes only what follows the last of these, and inserts it as it is
        rest = value[max(word.rfind("="), word.rfind(":")) + 1 :]
        return rest and shlex.quote(rest)
    if shell == "zsh":
        value, separator = value.replace(":", "\\:"), ":"
    else:
        separator = "\t"
    return f"{value}{separator}{' '.join(text.split()).partition('. ')[0]}" if text else value
