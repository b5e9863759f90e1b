"""Phrases that need more than a dictionary: dates, times, numbers, units, money and lists, in two languages."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal

from babel import Locale, UnknownLocaleError, dates, lists, numbers, units

from dlplug_sequence.data.padded import normal_form
from dlplug_sequence.data.text_pairs import Pair, PairData
from dlplug_sequence.data.vocabulary import Level

Say = Callable[[Locale], str]  # says one phrase in a language
SPLITS = {"train": 0.9, "val": 0.03, "test": 0.07}
JOIN = "; "
UNITS = (
    *("length-kilometer", "length-meter", "length-centimeter", "length-mile", "length-foot", "length-light-year"),
    *("mass-kilogram", "mass-gram", "mass-tonne", "mass-pound", "volume-liter", "volume-milliliter", "volume-cup"),
    *("duration-year", "duration-month", "duration-week", "duration-day", "duration-hour", "duration-minute"),
    *("duration-second", "area-hectare", "area-square-meter", "area-square-kilometer", "digital-megabyte"),
    *("speed-kilometer-per-hour", "speed-meter-per-second", "speed-knot", "temperature-celsius", "power-kilowatt"),
    *("energy-kilocalorie", "energy-kilowatt-hour", "frequency-hertz", "pressure-hectopascal", "angle-degree"),
)
CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "CAD", "AUD", "CNY", "INR", "BRL", "MXN", "SEK", "PLN", "TRY", "ZAR")
COUNTRIES = (
    *("FR", "DE", "IT", "ES", "PT", "GB", "IE", "NL", "BE", "CH", "AT", "PL", "CZ", "SE", "NO", "DK", "FI", "GR"),
    *("TR", "RU", "UA", "US", "CA", "MX", "BR", "AR", "CL", "PE", "CO", "CN", "JP", "KR", "IN", "TH", "VN", "ID"),
    *("AU", "NZ", "EG", "MA", "DZ", "TN", "SN", "NG", "KE", "ZA", "CM", "MG", "IL", "SA", "IR", "IQ"),
)
LANGUAGES = ("fr", "de", "it", "es", "pt", "en", "nl", "pl", "sv", "da", "el", "tr", "ru", "ar", "zh", "ja", "ko", "hi")


class Phrases(PairData):
    """Phrases as a person writes them in two languages, generated from the Unicode CLDR.

    Dates ("Friday, March 2, 2018" is "vendredi 2 mars 2018"), times, relative times, numbers, measures, sums of money,
    lists. Words change their order, and digits, a token each, have to be copied. By the package ``babel`` (BSD; CLDR:
    Unicode licence). No phrase is in two of the splits, nor is 586 where 586% is in training, and joined
    phrases are of one split.

    Args:
        source: Language of the texts, such as ``en`` or ``pt_BR``.
        target: Language of the translations.
        size: Pairs to train on.
        fewest: Minimum number of phrases in a text, joined by ``"; "``.
        most: Maximum number of phrases in a text.
        kinds: Kinds of phrases, of ``date``, ``time``, ``moment``, ``relative``, ``number``, ``unit``, ``money`` and
            ``list``; all where empty.
    """

    def __init__(
        self,
        source: str = "en",
        target: str = "fr",
        size: int = 40_000,
        fewest: int = 1,
        most: int = 2,
        kinds: Sequence[str] = (),
        level: Level = "word",
        batch_size: int = 64,
    ) -> None:
        super().__init__(level, batch_size=batch_size)
        self.source, self.target, self.size = source, target, size
        self.fewest, self.most, self.kinds = fewest, most, kinds

    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return the pairs by split."""
        if self.size < 20 or not 1 <= self.fewest <= self.most:
            raise ValueError(
                "size must be at least 20, fewest at least 1 and most not below it, not "
                f"{self.size}, {self.fewest} and {self.most}"
            )
        if unknown := set(self.kinds) - KINDS.keys():
            raise ValueError(f"there are no phrases of kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
        phrases = self._phrases(Random(0))
        pairs = {}
        start = 0
        for split, share in SPLITS.items():
            part = phrases[start : start + max(2, int(share * len(phrases)))]
            start += len(part)
            if not part:
                raise ValueError(f"size {self.size} gives too few different phrases to split")
            count = self.size if split == "train" else max(10, int(share * self.size))
            pairs[split] = self._joined(part, count, Random(1))
        known = {normal_form(text) for text, _ in pairs["train"]}
        for split in ("val", "test"):
            pairs[split] = [pair for pair in pairs[split] if normal_form(pair[0]) not in known]
        return pairs

    def _phrases(self, rng: "Random") -> list[Pair]:
        source, target = (_locale(name) for name in (self.source, self.target))
        kinds = [KINDS[kind] for kind in self.kinds or KINDS]
        found: dict[str, str] = {}
        for _ in range(self.size):
            say = rng.choice(kinds)(rng)
            found.setdefault(say(source), say(target))
        phrases = list(found.items())
        rng.shuffle(phrases)  # otherwise the splits would differ: phrases of kinds that have few come first
        return phrases

    def _joined(self, phrases: Sequence[Pair], count: int, rng: "Random") -> list[Pair]:
        joined: dict[str, str] = {}
        if self.most == 1:
            return list(phrases[:count])
        deck: list[Pair] = []
        for _ in range(count):
            wanted = rng.randint(self.fewest, self.most)
            while len(deck) < wanted:
                # All come equally often: drawn at random, an eighth of them never came.
                deck = rng.sample(phrases, len(phrases)) + deck
            chosen = [deck.pop() for _ in range(wanted)]
            text, translation = (JOIN.join(pair[side] for pair in chosen) for side in (0, 1))
            joined[text] = translation
        return list(joined.items())


def draw_phrases(count: int, *kinds: str) -> Sequence[Pair]:
    """Return so many English phrases of some kinds, of all kinds if none, and their French translations."""
    return Phrases(size=10 * count, most=1, kinds=kinds).pairs()["train"][:count]


class Random(random.Random):
    """Random numbers of the kinds that phrases need."""

    def day(self) -> date:
        """Return a day within a hundred years, so that two digits of the year are enough."""
        return date(1950, 1, 1) + timedelta(self.randrange(36_500))

    def clock(self) -> time:
        """Return a time of the day."""
        return time(self.randrange(24), self.randrange(60), self.randrange(60))

    def amount(self) -> float:
        """Return a number of one to six digits, half of them with decimals."""
        whole = self.randrange(10 ** self.randint(1, 6))
        return whole if self.random() < 0.5 else whole + self.randrange(100) / 100


def _date(rng: Random) -> Say:
    day, style = rng.day(), rng.choice(("short", "medium", "long", "full"))
    return lambda locale: dates.format_date(day, style, locale=locale)


def _time(rng: Random) -> Say:
    clock, style = rng.clock(), rng.choice(("short", "medium"))
    return lambda locale: dates.format_time(clock, style, locale=locale)


def _moment(rng: Random) -> Say:
    moment, style = datetime.combine(rng.day(), rng.clock()), rng.choice(("short", "medium"))
    return lambda locale: dates.format_datetime(moment, style, locale=locale)


def _relative(rng: Random) -> Say:
    unit, most = rng.choice((("seconds", 59), ("minutes", 59), ("hours", 23), ("days", 6), ("weeks", 3)))
    delta = timedelta(**{unit: rng.choice((-1, 1)) * rng.randint(1, most)})
    return lambda locale: dates.format_timedelta(delta, threshold=1, add_direction=True, locale=locale)


def _number(rng: Random) -> Say:
    amount = rng.amount()
    if rng.random() < 0.3:
        return lambda locale: numbers.format_percent(amount / 1000, locale=locale)
    return lambda locale: numbers.format_decimal(amount, locale=locale)


def _unit(rng: Random) -> Say:
    lengths: tuple[Literal["long", "short"], ...] = ("long", "short")
    unit, amount, length = rng.choice(UNITS), rng.amount(), rng.choice(lengths)
    return lambda locale: units.format_unit(amount, unit, length, locale=locale)


def _money(rng: Random) -> Say:
    currency, amount = rng.choice(CURRENCIES), rng.amount()
    styles: tuple[Literal["standard", "name"], ...] = ("standard", "name")
    style = rng.choice(styles)
    return lambda locale: numbers.format_currency(amount, currency, format_type=style, locale=locale)


def _list(rng: Random) -> Say:
    styles: tuple[Literal["standard", "or"], ...] = ("standard", "or")
    style = rng.choice(styles)
    if rng.random() < 0.7:
        countries = rng.sample(COUNTRIES, rng.randint(2, 4))
        return lambda locale: lists.format_list([locale.territories[code] for code in countries], style, locale)
    languages = rng.sample(LANGUAGES, rng.randint(2, 4))
    return lambda locale: lists.format_list([locale.languages[code] for code in languages], style, locale)


KINDS: dict[str, Callable[[Random], Say]] = dict(
    date=_date, time=_time, moment=_moment, relative=_relative, number=_number, unit=_unit, money=_money, list=_list
)


def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(f"there is no locale {name!r}: name one like en, fr, pt_BR or zh") from error
