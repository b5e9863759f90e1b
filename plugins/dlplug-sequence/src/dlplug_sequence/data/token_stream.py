"""Text as one long stream of tokens: what language models read."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dlplug.data import Batch, BatchIndexSampler, Data, Info, Input, load_batches, run_seed
from dlplug.errors import InputError
from dlplug_sequence.data.text_inputs import text_inputs
from dlplug_sequence.data.vocabulary import Level, Vocabulary

PIECE = 1_000_000  # characters held at once while a text is read
RELEASED = 100  # batches after which memory that was only read is released
BOUNDS = {"train": (0.0, 0.9), "val": (0.9, 0.95), "test": (0.95, 1.0)}


@dataclass(frozen=True)
class TextInfo(Info):
    """A stream of tokens.

    Attributes:
        vocabulary: The ``Vocabulary`` as JSON.
    """

    vocabulary: str

    def __str__(self) -> str:
        vocabulary = Vocabulary.from_json(self.vocabulary)
        sample = "".join(vocabulary.id_to_token(i) for i in range(len(vocabulary.specials), len(vocabulary)))[-20:]
        return f"text of {len(vocabulary)} tokens, {vocabulary.level} level (…{sample!r})"


class ContiguousSampler(BatchIndexSampler):
    """Positions of a stream, where each row of a batch continues the same row of the batch before.

    So state can be carried over from batch to batch (truncated backpropagation through time). The stream is cut into as
    many parts as there are rows on all ranks; where they start moves each time that it is read, by less than a row's
    length. Where epochs are shorter than the stream, each reads on where the one before stopped.

    Args:
        size: Tokens of the stream.
        batch_size: Rows of a batch on each rank.
        seq_len: Tokens of a row.
        random_offset: Whether rows start elsewhere each epoch, and a last, shorter batch is left out: for training.
        seed: The run's seed.
        limit: Batches of an epoch, or which share of all: ``limit_train_batches`` of Lightning's trainer.
    """

    def __init__(
        self, size: int, batch_size: int, seq_len: int, random_offset: bool, seed: int = 0, limit: int | float = 1.0
    ) -> None:
        super().__init__(size, batch_size, "shuffled" if random_offset else "in order", seed)
        rows = batch_size * self.num_replicas
        self.part = (size - 1) // rows  # tokens to predict in a row of all batches together
        self.seq_len = min(seq_len, self.part)
        if self.part < 1:
            raise InputError(f"the text is too short: {size:,} tokens do not make {rows} rows; lower data.batch_size")
        self.steps = self.part // self.seq_len if random_offset else -(-self.part // self.seq_len)
        if random_offset:  # parts are whole rows long, and the rest of the stream is what they can move by
            self.part = self.steps * self.seq_len
        self.room = size - 1 - rows * self.part
        self.taken = min(limit, self.steps) if isinstance(limit, int) else int(limit * self.steps)  # of each epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        """Give positions, shape (batch_size, seq_len + 1): the last of a row is only predicted."""
        rows = torch.arange(self.rank * self.batch_size, (self.rank + 1) * self.batch_size).unsqueeze(1)
        first = self.epoch * self.taken
        for batch in range(first, first + self.steps):
            reading, step = divmod(batch, self.steps)
            start = step * self.seq_len
            end = min(start + self.seq_len, self.part)
            yield self._offset(reading) + self.part * rows + torch.arange(start, end + 1)

    def _offset(self, reading: int) -> int:
        """Return by how much the parts are moved when the stream is read for the so-manieth time."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + reading)
        room = min(self.room, self.seq_len) + 1
        return int(torch.randint(room, (), generator=generator)) if self.shuffle else 0


class _Stream(Dataset[Batch]):
    def __init__(self, tokens: Tensor, release: Callable[[], None] | None) -> None:
        self.tokens, self.release, self._batches = tokens, release, count(1)

    def __getitem__(self, positions: Tensor) -> Batch:
        if self.release and next(self._batches) % RELEASED == 0:
            self.release()
        rows = self.tokens[positions].long()
        return rows[:, :-1], rows[:, 1:]


class TextData(Data):
    """One text, the first 90 % to train on, 5 % to validate and 5 % to test; the vocabulary comes from the first part.

    Batches are (tokens, the tokens that follow), both of shape (batch_size, seq_len). A row continues the same row of
    the batch before, from the first batch of an epoch to its last.

    Args:
        level: What a token is.
        vocabulary_size: Maximum number of tokens of the vocabulary; 0 for no limit, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training text are unknown.
        batch_size: Rows of a batch on each device.
        seq_len: Tokens of a row: the length of truncated backpropagation through time.
        held_out: Maximum number of characters of the validation text, and of the test text; 0 for no limit.

    Attributes:
        release: Releases memory where the tokens are a file, which is read a batch at a time.
    """

    release: Callable[[], None] | None = None

    def __init__(
        self,
        level: Level = "character",
        vocabulary_size: int = 0,
        min_count: int = 1,
        batch_size: int = 20,
        seq_len: int = 64,
        held_out: int = 200_000,
    ) -> None:
        super().__init__()
        if min(batch_size, seq_len) < 1 or held_out < 0:
            raise InputError(
                f"batch_size and seq_len must be at least 1 and held_out at least 0, not {batch_size}, {seq_len} and "
                f"{held_out}"
            )
        self.level, self.vocabulary_size, self.min_count = level, vocabulary_size, min_count
        self.batch_size, self.seq_len, self.held_out = batch_size, seq_len, held_out
        self.splits: dict[str, Tensor] = {}

    def read_inputs(self, source: str, info: Any) -> Sequence[Input]:
        """Return lines, the column ``text`` of a table, or files, each as tokens, those that follow, how many.

        What a text begins after is the end of a line, as where ``generate`` begins.
        """
        vocabulary = Vocabulary.from_json(info.vocabulary)
        start = (vocabulary.encode("\n") or [0])[:1]

        def encode(text: str) -> Batch:
            ids = torch.tensor([*start, *vocabulary.encode(text)])
            return ids[:-1], ids[1:], torch.tensor([len(ids) - 1])

        return text_inputs(source, encode, "text")

    @abstractmethod
    def read(self) -> Callable[[], Iterable[str]]:
        """Return what gives the text from its start, as often as it is called, in pieces of about ``PIECE``."""

    def setup(self, stage: str = "fit") -> None:
        """Read the text, once."""
        if self.splits:
            return
        try:
            vocabulary, self.splits = self.load()
        except (OSError, ValueError) as error:
            raise InputError(f"{type(self).__name__}: {error}") from error
        vocabulary.report_unknown(self.splits["val"], "the validation text")
        self.info = TextInfo(vocabulary.to_json())

    def load(self) -> tuple[Vocabulary, dict[str, Tensor]]:
        """Learn the vocabulary, and return it and the tokens of each split."""
        pieces = self.read()
        bounds = self.bounds(pieces)
        vocabulary = self.learn(cut(pieces(), *bounds["train"]))
        return vocabulary, {split: vocabulary.encode_stream(cut(pieces(), *each)) for split, each in bounds.items()}

    def bounds(self, pieces: Callable[[], Iterable[str]]) -> dict[str, tuple[int, int]]:
        """Return the first character of each split, and the one after its last."""
        total = sum(map(len, pieces()))
        bounds = {split: (int(a * total), int(b * total)) for split, (a, b) in BOUNDS.items()}
        most = self.held_out or total
        return {split: (a, b if split == "train" else min(b, a + most)) for split, (a, b) in bounds.items()}

    def learn(self, pieces: Iterable[str]) -> Vocabulary:
        """Return the vocabulary of a text in pieces."""
        return Vocabulary.train(pieces, self.level, self.vocabulary_size, self.min_count)

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Return the training text's batches, in order."""
        return self._loader("train")

    def val_dataloader(self) -> "DataLoader[Batch]":
        """Return the validation text's batches, in order."""
        return self._loader("val")

    def test_dataloader(self) -> "DataLoader[Batch]":
        """Return the test text's batches, in order."""
        return self._loader("test")

    def predict_dataloader(self) -> "DataLoader[Batch]":
        """Refuse: a stream of tokens has no items."""
        raise InputError("a text has no items to predict: give some, a line each, as --input FILE")

    def _loader(self, split: str) -> "DataLoader[Batch]":
        self.setup()
        tokens = self.splits[split]
        limit = self.trainer.limit_train_batches if self.trainer and split == "train" else 1.0
        sampler = ContiguousSampler(len(tokens), self.batch_size, self.seq_len, split == "train", run_seed(), limit)
        return load_batches(_Stream(tokens, self.release), sampler)


def cut(pieces: Iterable[str], first: int, last: int) -> Iterator[str]:
    """Give the characters from ``first`` to before ``last`` of a text in pieces."""
    start = 0
    for piece in pieces:
        if part := piece[max(0, first - start) : max(0, last - start)]:
            yield part
        start += len(piece)
        if start >= last:
            return
