"""Text as one long stream of tokens: what language models read."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from dlplug.data import Batch, Data, Info, load_batches, run_seed
from dlplug.errors import InputError
from dlplug_sequence.data.vocabulary import Level, Vocabulary

PIECE = 1_000_000  # characters held at once while a text is read
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
        sample = "".join(vocabulary.token(code) for code in range(len(vocabulary.specials), len(vocabulary)))[-20:]
        return f"text of {len(vocabulary)} tokens, {vocabulary.level} level (…{sample!r})"


class ContiguousSampler(DistributedSampler[Tensor]):
    """Positions of a stream that is read in lanes: each of a batch's rows goes on where it stopped in the batch before.

    Ranks share the lanes. Where lanes start moves from epoch to epoch, by less than a batch's length.

    Args:
        size: Tokens of the stream.
        lanes: Rows of a batch on each rank.
        length: Tokens of a row.
        moves: Whether lanes start elsewhere each epoch, and a last, shorter batch is left out: for training.
        seed: The run's seed.
    """

    def __init__(self, size: int, lanes: int, length: int, moves: bool, seed: int = 0) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            range(size),  # type: ignore[arg-type]
            num_replicas=torch.distributed.get_world_size() if distributed else 1,
            rank=torch.distributed.get_rank() if distributed else 0,
            shuffle=moves,
            seed=seed,
        )
        total = lanes * self.num_replicas
        self.lanes, self.moves = lanes, moves
        self.lane = (size - 1) // total  # tokens to predict in a lane
        self.length = min(length, self.lane)
        if self.lane < 1:
            raise InputError(f"the text is too short: {size:,} tokens do not make {total} lanes; lower data.batch_size")
        # Lanes are whole batches long, and the rest of the stream is what they can move by.
        self.steps = self.lane // self.length if moves else -(-self.lane // self.length)
        self.room = size - 1 - total * self.steps * self.length if moves else 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        """Give positions, shape (lanes, length + 1): the last of a row is only predicted."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        shift = int(torch.randint(min(self.room, self.length) + 1, (), generator=generator)) if self.moves else 0
        lane = self.steps * self.length if self.moves else self.lane
        first = shift + lane * torch.arange(self.rank * self.lanes, (self.rank + 1) * self.lanes).unsqueeze(1)
        for start in range(0, lane, self.length):
            end = min(start + self.length, lane)
            yield first + torch.arange(start, end + 1)


class _Stream(Dataset[Batch]):
    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens

    def __getitem__(self, positions: Tensor) -> Batch:
        rows = self.tokens[positions].long()
        return rows[:, :-1], rows[:, 1:]


class TextData(Data):
    """One text, the first 90 % to train on, 5 % to validate and 5 % to test; the vocabulary comes from the first part.

    Batches are (tokens, the tokens that follow), both of shape (batch_size, length). A row goes on where the same row
    of the batch before stopped, from the first batch of an epoch to its last.

    Args:
        level: What a token is.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training text are unknown.
        batch_size: Rows of a batch on each device.
        length: Tokens of a row: as far as gradients flow back.
        held_out: Most characters of the validation text, and of the test text; 0 for all.
    """

    def __init__(
        self,
        level: Level = "character",
        vocabulary_size: int = 0,
        min_count: int = 1,
        batch_size: int = 20,
        length: int = 64,
        held_out: int = 200_000,
    ) -> None:
        super().__init__()
        if min(batch_size, length) < 1 or held_out < 0:
            raise InputError(
                f"batch_size and length must be at least 1 and held_out at least 0, not {batch_size}, {length} and "
                f"{held_out}"
            )
        self.level, self.vocabulary_size, self.min_count = level, vocabulary_size, min_count
        self.batch_size, self.length, self.held_out = batch_size, length, held_out
        self.splits: dict[str, Tensor] = {}

    @abstractmethod
    def read(self) -> Callable[[], Iterable[str]]:
        """Return what gives the text from its start, as often as it is called, in pieces of about ``PIECE``."""

    def setup(self, stage: str = "fit") -> None:
        """Read the text, once."""
        if self.splits:
            return
        try:
            pieces = self.read()
            total = sum(map(len, pieces()))
            bounds = {split: (int(a * total), int(b * total)) for split, (a, b) in BOUNDS.items()}
            vocabulary = Vocabulary.train(
                cut(pieces(), *bounds["train"]), self.level, self.vocabulary_size, self.min_count
            )
            for split, (first, last) in bounds.items():
                if self.held_out and split != "train":
                    last = min(last, first + self.held_out)
                self.splits[split] = vocabulary.encode_stream(cut(pieces(), first, last))
        except (OSError, ValueError) as error:
            raise InputError(f"{type(self).__name__}: {error}") from error
        self.info = TextInfo(vocabulary.to_json())

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Return the training text's batches, in order."""
        return self._loader("train")

    def val_dataloader(self) -> "DataLoader[Batch]":
        """Return the validation text's batches, in order."""
        return self._loader("val")

    def test_dataloader(self) -> "DataLoader[Batch]":
        """Return the test text's batches, in order."""
        return self._loader("test")

    def _loader(self, split: str) -> "DataLoader[Batch]":
        self.setup()
        sampler = ContiguousSampler(len(self.splits[split]), self.batch_size, self.length, split == "train", run_seed())
        return load_batches(_Stream(self.splits[split]), sampler)


def cut(pieces: Iterable[str], first: int, last: int) -> Iterator[str]:
    """Give the characters from ``first`` to before ``last`` of a text in pieces."""
    start = 0
    for piece in pieces:
        if part := piece[max(0, first - start) : max(0, last - start)]:
            yield part
        start += len(piece)
        if start >= last:
            return
