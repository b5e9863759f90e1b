"""Tokens and their ids, by Hugging Face's ``tokenizers``."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from dlplug.console import say

Level = Literal["character", "word", "bpe"]
UNKNOWN = "<unk>"
LONG = 10_000  # characters of a text that is faster counted as numbers
CHUNK = 20_000  # texts that are tokenized at once
JOINED = 1000  # characters of lines that are tokenized together
MAX_UNKNOWN = 0.1  # share of unknown tokens above which a person is told what to do
# A word, a digit or a punctuation mark with the space before it, so that tokens joined again are the text as it was.
WORDS = r" ?[^\W\d]+| ?\d| ?[^\w\s]|\s"


class Vocabulary:
    """Encodes text as token ids and decodes them; the same text comes back, except for unknown tokens.

    Levels: ``character``; ``word``, a word, a digit or a punctuation mark together with the space before it; ``bpe``,
    byte pair encoding (Sennrich et al., 2016) of bytes, which encodes every text. Special tokens have the first ids, in
    the order given. They cannot be typed: text that spells ``<unk>`` is five characters.

    Args:
        level: What a token is.
        specials: The special tokens.
        tokenizer: The library's tokenizer.

    Attributes:
        level: What a token is.
        specials: The special tokens.
    """

    def __init__(self, level: Level, specials: Sequence[str], tokenizer: Tokenizer) -> None:
        self.level, self.specials = level, tuple(specials)
        self._tokenizer = tokenizer
        self._ids = tokenizer.get_vocab()
        self._tokens = [token for token, _ in sorted(self._ids.items(), key=lambda item: item[1])]
        self._lookup: np.ndarray | None = None

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        level: Level = "character",
        size: int = 0,
        min_count: int = 1,
        specials: Sequence[str] = (UNKNOWN,),
        sentences: bool = False,
        lowercase: bool = False,
    ) -> "Vocabulary":
        """Learn a vocabulary from training texts.

        Args:
            texts: The texts, or one text in pieces; iterated over once.
            level: What a token is.
            size: Maximum number of tokens, special ones included; the rarest are left out. 0 for no limit, which for
                ``bpe`` means 8,000.
            min_count: Tokens (for ``bpe``, pairs) seen less often are left out.
            specials: Special tokens. ``"<unk>"``, which stands for tokens that are left out, is put first where it is
                not among them; ``bpe`` needs none.
            sentences: Whether texts are sentences, so that a first word is the same token as one in the middle.
            lowercase: Whether text is lowercased.

        Raises:
            ValueError: ``size`` or ``min_count`` is out of range, or no token was found.
        """
        if min_count < 1 or size < 0 or (0 < size <= len(specials)):
            raise ValueError(
                f"min_count must be at least 1 and the vocabulary's size 0 or above {len(specials)}, "
                f"not {min_count} and {size}"
            )
        if level != "bpe" and UNKNOWN not in specials:
            specials = (UNKNOWN, *specials)
        steps: list[normalizers.Normalizer] = [normalizers.Lowercase()] if lowercase else []
        if level == "character":
            tokenizer = _train_characters(texts, size, min_count, specials, lowercase)
        elif level == "word":
            steps += [normalizers.Prepend(" ")] if sentences else []
            tokenizer = _train_words(texts, size, min_count, specials, normalizers.Sequence(steps))
        else:
            tokenizer = _train_bpe(texts, size or 8000, min_count, specials, normalizers.Sequence(steps), sentences)
        if sentences and level != "character":  # the space that was put before the first word
            tokenizer.decoder = decoders.Sequence([tokenizer.decoder, decoders.Strip(" ", 1, 0)])
        if tokenizer.get_vocab_size() <= len(specials):
            raise ValueError("the training text holds no token for the vocabulary")
        return cls(level, specials, tokenizer)

    def __len__(self) -> int:
        return len(self._tokens)

    def token_to_id(self, token: str) -> int:
        """Return the id of a token, such as ``"<pad>"``.

        Raises:
            KeyError: There is no such token.
        """
        return self._ids[token]

    def id_to_token(self, token_id: int) -> str:
        """Return a token for tables and plots: as decoded text, or a special token's name."""
        return self._tokens[token_id] if token_id < len(self.specials) else self.decode([token_id])

    def lengths(self) -> Tensor:
        """Return how many characters begin in each token, shape (tokens,): 0 for special ones, but 1 for an unknown."""
        if self.level == "bpe":  # its tokens spell bytes, and 0x80 to 0xbf continue a character of UTF-8
            continuations = set(_spell_bytes(range(0x80, 0xC0)))
            counts = [sum(letter not in continuations for letter in token) for token in self._tokens]
        else:
            counts = [len(token) for token in self._tokens]
        counts[: len(self.specials)] = [int(special == UNKNOWN) for special in self.specials]
        return torch.tensor(counts)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield the token ids of each text."""
        for first in range(0, len(texts), CHUNK):  # of a million, the library's own lists would take gigabytes
            chunk = list(texts[first : first + CHUNK])
            yield from (found.ids for found in self._tokenizer.encode_batch_fast(chunk, add_special_tokens=False))

    def encode_stream(self, pieces: Iterable[str]) -> Tensor:
        """Return the token ids of one long text, in the narrowest integers that hold them.

        Args:
            pieces: The text in pieces of about a million characters, whole lines each.

        Returns:
            Shape (tokens,); uint8, int16 or int32.
        """
        parts = list(self.encode_pieces(pieces))
        return torch.cat(parts) if parts else torch.zeros(0, dtype=self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The narrowest integers that hold all ids."""
        return torch.uint8 if len(self) <= 256 else torch.int16 if len(self) <= 32768 else torch.int32

    def encode_pieces(self, pieces: Iterable[str]) -> Iterator[Tensor]:
        """Yield the token ids of each piece of a text; see ``encode_stream``."""
        return (torch.from_numpy(part).to(self.dtype) for part in self._encoded(pieces))

    def report_unknown(self, tokens: Tensor, what: str) -> None:
        """Say how many tokens are unknown, and what to do where they are many; nothing where there are none.

        Args:
            tokens: Token ids, special ones among them.
            what: What they are tokens of.
        """
        unknown = tokens == self._ids.get(UNKNOWN, -1)
        share = float(unknown.sum() / (unknown | (tokens >= len(self.specials))).sum())
        if share > 0:
            options = "lower --data.min_count, a larger --data.vocabulary_size or --data.level bpe makes them fewer"
            shown = f"{share:.0%}" if share > MAX_UNKNOWN else f"{max(share, 0.001):.1%}"
            advice = f": {options}" if share > MAX_UNKNOWN else ""
            say(f"{shown} of the {self.level} tokens of {what} are unknown to the vocabulary{advice}")

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids; special tokens are left out, unknown ones are ``"�"``."""
        unknown = self._ids.get(UNKNOWN, -1)
        text = ""
        known: list[int] = []
        for token_id in ids:
            if token_id == unknown:
                text += self._decode(known) + "�"
                known = []
            elif token_id >= len(self.specials):
                known.append(token_id)
        return text + self._decode(known)

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each sequence of token ids."""
        return [self.decode(ids) for ids in batch]

    def to_json(self) -> str:
        """Return it as text, for an ``Info`` and so for checkpoints."""
        return json.dumps([self.level, self.specials, json.loads(self._tokenizer.to_str())], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Return what ``to_json`` was called on."""
        level, specials, tokenizer = json.loads(text)
        return cls(level, specials, Tokenizer.from_str(json.dumps(tokenizer)))

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False) if ids else ""
        return text

    def _encoded(self, pieces: Iterable[str]) -> "Iterator[np.ndarray]":
        for piece in pieces:
            if self.level != "character":
                ids = chain.from_iterable(self.encode_batch([*_join_lines(piece.splitlines(keepends=True))]))
                yield np.fromiter(ids, np.int32)
                continue
            if self._lookup is None:  # for characters a table is fifty times as fast as the tokenizer
                self._lookup = np.full(0x110000, self._ids[UNKNOWN], dtype=np.int32)
                for token in self._tokens[len(self.specials) :]:
                    self._lookup[ord(token)] = self._ids[token]
            yield self._lookup[np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32)]


def _join_lines(lines: Iterable[str]) -> Iterator[str]:
    """Join lines where no other whitespace is beside their end, so that their tokens are those of each by itself.

    One long text would be tokenized on one thread; many short ones take twice as long.
    """
    held = ""
    for line in lines:
        if held and (len(held) > JOINED or line[0].isspace() or held[-1] != "\n" or held[-2:-1].isspace()):
            yield held
            held = ""
        held += line
    yield held


def _spell_bytes(numbers: Iterable[int]) -> str:
    """Return how byte-level BPE spells bytes: printable ones as themselves, others as the letters from 0x100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = {byte: chr(0x100 + i) for i, byte in enumerate(b for b in range(256) if b not in plain)}
    return "".join(others.get(number, chr(number)) for number in numbers)


def _train_characters(
    texts: Iterable[str], size: int, min_count: int, specials: Sequence[str], lowercase: bool
) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        text = text.lower() if lowercase else text
        if len(text) < LONG:
            counts.update(text)
            continue
        codes = np.bincount(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32))
        counts.update({chr(code): int(codes[code]) for code in codes.nonzero()[0]})
    kept = [c for c, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= min_count]
    kept = kept[: size - len(specials)] if size else kept
    tokenizer = _word_level([*specials, *sorted(kept)], r"[\s\S]")
    tokenizer.decoder = decoders.Fuse()
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def _train_words(
    texts: Iterable[str], size: int, min_count: int, specials: Sequence[str], normalizer: normalizers.Normalizer
) -> Tokenizer:
    counting = _word_level([UNKNOWN], WORDS)
    counting.normalizer = normalizer
    limit = size - len(specials) if size else 2**31
    counting.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=limit, min_frequency=min_count))
    kept = sorted(counting.get_vocab().items(), key=lambda item: item[1])
    tokenizer = _word_level([*specials, *(word for word, _ in kept)], WORDS)
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _word_level(tokens: Sequence[str], pattern: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return tokenizer


def _train_bpe(
    texts: Iterable[str],
    size: int,
    min_count: int,
    specials: Sequence[str],
    normalizer: normalizers.Normalizer,
    sentences: bool,
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=sentences)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer makes its special tokens ones that text can spell; without this they have just an id.
    plain = {**json.loads(tokenizer.to_str()), "added_tokens": []}
    return Tokenizer.from_str(json.dumps(plain))
