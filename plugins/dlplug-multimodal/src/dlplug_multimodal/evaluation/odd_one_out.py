"""Which word does not belong: a test of word vectors, over words of the King James Bible."""

import random
from typing import Literal

# Written down before any vectors were looked at; each word occurs at least twenty times in the text.
VAL_CATEGORIES = {
    "offices": "priest captain judge ruler elders princes scribes governor",
    "directions": "north south east west northward southward eastward",
    "waters": "river sea brook well fountain waters pool",
    "gems and dress": "garment robe linen purple scarlet girdle ephod",
    "wrongs": "adultery wickedness evil whoredom iniquity sin transgression",
    "speech": "said answered spake cried saying told asked",
}
TEST_CATEGORIES = {
    "kin": "father mother brother sister son daughter wife husband",
    "animals": "ox ass sheep goat lamb ram bullock horse",
    "body": "hand foot head eye ear mouth arm hair tongue",
    "numbers": "two three four five six seven eight nine ten",
    "metals": "gold silver brass iron lead",
    "lands": "egypt syria babylon moab edom assyria judah",
    "patriarchs": "abraham isaac jacob joseph moses aaron joshua",
    "time": "day night morning evening month year hour",
    "crops": "corn wine oil wheat barley bread figs",
    "sky": "rain snow hail dew wind clouds whirlwind",
    "arms": "sword spear bow shield arrows",
    "buildings": "house temple city gate wall tower palace",
    "tribes": "reuben simeon gad asher naphtali dan zebulun",
    "feelings": "joy sorrow fear anger love wrath grief",
    "trees": "cedar fig olive vine fir palm",
    "apostles": "peter james john philip paul barnabas",
}
PER_CATEGORY = {"val": 16, "test": 6}  # items
MEMBERS = 4  # words of one category in an item; the odd one is of another


def odd_items(split: Literal["val", "test"] = "test") -> list[tuple[tuple[str, ...], int]]:
    """Return items of five words, four of one category and one of another, with the odd one's place.

    96 items over 16 categories to report, or as many over 6 other ones to choose by. Chance is a fifth.

    Args:
        split: ``test`` to report, ``val`` to choose by.
    """
    categories = TEST_CATEGORIES if split == "test" else VAL_CATEGORIES
    members = {name: words.split() for name, words in categories.items()}
    rng = random.Random(0)
    items = []
    for name, words in members.items():
        for _ in range(PER_CATEGORY[split]):
            other = rng.choice([category for category in members if category != name])
            item, place = rng.sample(words, MEMBERS), rng.randrange(MEMBERS + 1)
            item.insert(place, rng.choice(members[other]))
            items.append((tuple(item), place))
    return items
