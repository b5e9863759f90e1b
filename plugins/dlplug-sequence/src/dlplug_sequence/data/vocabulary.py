"""Which numbers stand for which pieces of text, by Hugging Face's ``tokenizers``."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

Level = Literal["character", "word", "bpe"]
UNKNOWN = "<unk>"
# A word, a digit or a mark with the space before it; joined again they are the text, as it was.
WORDS = r" ?[^\W\d]+| ?\d| ?[^\w\s]|\s"


class Vocabulary:
    """Turns text into token numbers and back; the same text comes back, but for tokens it does not know.

    Levels: ``character``; ``word``, a word, a digit or a punctuation mark together with the space before it; ``bpe``,
    byte pairs (Sennrich et al., 2016), which know every text. Special tokens have the first numbers, in the order
    given. They cannot be typed: text that spells ``<unk>`` is five characters.

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
        self._codes = tokenizer.get_vocab()
        self._tokens = [token for token, _ in sorted(self._codes.items(), key=lambda item: item[1])]
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
            texts: The texts, or one text in pieces; gone through once.
            level: What a token is.
            size: Most tokens that it may have, special ones included; the rarest are left out. 0 for no limit, and for
                8,000 with ``bpe``.
            min_count: Tokens (for ``bpe``, pairs) seen less often are left out.
            specials: Special tokens. ``"<unk>"``, what a token that is left out becomes, is among them or comes first;
                ``bpe`` needs none.
            sentences: Whether texts are sentences, so that a first word is the same token as in their middle.
            lowercase: Whether capitals are made small.

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
        version_drift: list[normalizers.Normalizer] = [normalizers.Lowercase()] if lowercase else []
        if level == "character":
            tokenizer = _characters(texts, size, min_count, specials, lowercase)
        elif level == "word":
            tokenizer = _words(texts, size, min_count, specials, version_drift, sentences)
        else:
            tokenizer = _pairs(texts, size or 8000, min_count, specials, version_drift, sentences)
        if tokenizer.get_vocab_size() <= len(specials):
            raise ValueError("the training text holds no token for the vocabulary")
        return cls(level, specials, tokenizer)

    def __len__(self) -> int:
        return len(self._tokens)

    def code(self, token: str) -> int:
        """Return the number of a token, such as ``"<pad>"``.

        Raises:
            KeyError: There is no such token.
        """
        return self._codes[token]

    def token(self, code: int) -> str:
        """Return a token by its number, for tables and plots: as decoded text, or a special token's name."""
        return self._tokens[code] if code < len(self.specials) else self.decode([code])

    def lengths(self) -> Tensor:
        """Return how many characters begin in each token, shape (tokens,): 0 for special ones, but 1 for an unknown."""
        if self.level == "bpe":  # its tokens spell bytes; those that go on with a character are 0x80 to 0xbf
            going_on = set(_spelt(range(0x80, 0xC0)))
            counts = [sum(letter not in going_on for letter in token) for token in self._tokens]
        else:
            counts = [len(token) for token in self._tokens]
        counts[: len(self.specials)] = [int(special == UNKNOWN) for special in self.specials]
        return torch.tensor(counts)

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens."""
        codes: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return codes

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the numbers of the tokens of each text."""
        return [found.ids for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_stream(self, pieces: Iterable[str]) -> Tensor:
        """Return one long text's numbers, in the narrowest integers that hold them.

        Args:
            pieces: The text in pieces of about a million characters, whole lines each.

        Returns:
            Shape (tokens,); uint8, int16 or int32.
        """
        width = torch.uint8 if len(self) <= 256 else torch.int16 if len(self) <= 32768 else torch.int32
        parts = [torch.as_tensor(part).to(width) for part in self._encoded(pieces)]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=width)

    def decode(self, codes: Sequence[int]) -> str:
        """Return the text of token numbers; special tokens are left out, unknown ones are ``"�"``."""
        unknown = self._codes.get(UNKNOWN, -1)
        text = ""
        known: list[int] = []
        for code in codes:
            if code == unknown:
                text += self._decode(known) + "�"
                known = []
            elif code >= len(self.specials):
                known.append(code)
        return text + self._decode(known)

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each sequence of token numbers."""
        return [self.decode(codes) for codes in batch]

    def to_json(self) -> str:
        """Return it as text, for an ``Info`` and so for checkpoints."""
        return json.dumps([self.level, self.specials, json.loads(self._tokenizer.to_str())], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Return what ``to_json`` was called on."""
        level, specials, tokenizer = json.loads(text)
        return cls(level, specials, Tokenizer.from_str(json.dumps(tokenizer)))

    def _decode(self, codes: list[int]) -> str:
        text: str = self._tokenizer.decode(codes, skip_special_tokens=False) if codes else ""
        return text

    def _encoded(self, pieces: Iterable[str]) -> Iterator["np.ndarray | list[int]"]:
        for piece in pieces:
            if self.level != "character":
                # Many short texts: one long one would be cut up on one thread, with an object a token.
                lines = piece.splitlines(keepends=True)
                yield [code for codes in self.encode_batch(lines) for code in codes]
                continue
            if self._lookup is None:  # a table is fifty times as fast as a tokenizer, for a token a character
                self._lookup = np.full(0x110000, self._codes[UNKNOWN], dtype=np.int32)
                known = [(ord(t), code) for t, code in self._codes.items() if code >= len(self.specials)]
                self._lookup[[point for point, _ in known]] = [code for _, code in known]
            yield self._lookup[np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32)]


def _spelt(numbers: Iterable[int]) -> str:
    """Return how byte pairs spell bytes: printable ones as themselves, others as the letters from 0x100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = {byte: chr(0x100 + i) for i, byte in enumerate(b for b in range(256) if b not in plain)}
    return "".join(others.get(number, chr(number)) for number in numbers)


def _characters(texts: Iterable[str], size: int, min_count: int, specials: Sequence[str], lowercase: bool) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower() if lowercase else text)
    kept = [c for c, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= min_count]
    kept = kept[: size - len(specials)] if size else kept
    tokenizer = _of_words([*specials, *sorted(kept)], r"[\s\S]")
    tokenizer.decoder = decoders.Fuse()
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def _words(
    texts: Iterable[str],
    size: int,
    min_count: int,
    specials: Sequence[str],
    version_drift: list[normalizers.Normalizer],
    sentences: bool,
) -> Tokenizer:
    counting = _of_words([UNKNOWN], WORDS)
    normalizer = normalizers.Sequence([*version_drift, *([normalizers.Prepend(" ")] if sentences else [])])
    counting.normalizer = normalizer
    most = size - len(specials) if size else 2**31
    counting.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=most, min_frequency=min_count))
    kept = sorted(counting.get_vocab().items(), key=lambda item: item[1])
    tokenizer = _of_words([*specials, *(word for word, _ in kept)], WORDS)
    tokenizer.normalizer = normalizer
    tokenizer.decoder = _joined(decoders.Fuse(), sentences)
    return tokenizer


def _of_words(tokens: Sequence[str], pattern: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({token: code for code, token in enumerate(tokens)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return tokenizer


def _pairs(
    texts: Iterable[str],
    size: int,
    min_count: int,
    specials: Sequence[str],
    version_drift: list[normalizers.Normalizer],
    sentences: bool,
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(version_drift)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=sentences)
    tokenizer.decoder = _joined(decoders.ByteLevel(), sentences)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer makes its special tokens ones that text can spell; without this they have just a number.
    plain = {**json.loads(tokenizer.to_str()), "added_tokens": []}
    return Tokenizer.from_str(json.dumps(plain))


def _joined(decoder: decoders.Decoder, sentences: bool) -> decoders.Decoder:
    return decoders.Sequence([decoder, decoders.Strip(" ", 1, 0)]) if sentences else decoder
