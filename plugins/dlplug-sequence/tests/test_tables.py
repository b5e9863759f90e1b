"""Tables and lines that people bring: what is read, what is refused and by which line, what is warned of."""

import pytest
import torch

from dlplug.errors import InputError
from dlplug_sequence.data.padded import from_utf8
from dlplug_sequence.data.parallel_text import ParallelText
from dlplug_sequence.data.text_file import TextFile
from dlplug_sequence.data.text_table import TextTable
from dlplug_sequence.data.vocabulary import Vocabulary

ROWS = [(f"{('bad', 'good')[i % 2]} day number {i}", ("neg", "pos")[i % 2]) for i in range(60)]


def table(path, rows=ROWS, end="\n", between=",", header="text,label"):
    lines = [header.replace(",", between), *(row if isinstance(row, str) else between.join(row) for row in rows)]
    path.write_bytes((end.join(lines) + end).encode("utf-8", "surrogateescape"))
    return path


def read(path, **options):
    return TextTable(str(path), **options).read()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("name", "between"), [("t.csv", ","), ("t.tsv", "\t"), ("t.TAB", "\t")])
def test_all_kinds_of_line_ends(tmp_path, name, between, end):
    assert read(table(tmp_path / name, end=end, between=between)) == ROWS
    assert read(table(tmp_path / name, end=end + end, between=between)) == ROWS  # with empty rows between


def test_quotes_do_not_count_in_tsv(tmp_path):
    rows = list(ROWS)
    rows[20], rows[40] = ('"we met at noon', "neg"), ('said "so" and "so on', "pos")
    assert read(table(tmp_path / "t.tsv", rows, between="\t")) == rows


def test_a_stray_quote_costs_its_own_row_alone(tmp_path, capsys):
    rows = list(ROWS)
    rows[20], rows[40], rows[50] = '"we met at noon,neg', '"bad again,neg', r'"he said \\"hi\\"",pos'
    path = table(tmp_path / "t.csv", rows)
    with pytest.raises(ValueError, match=r"t.csv, line 22: a stray quote .*; line 42: .*; line 52: .*skip_bad true"):
        read(path)
    assert read(path, skip_bad=True) == [row for row in ROWS if row not in (ROWS[20], ROWS[40], ROWS[50])]
    assert "left out, since they are bad, 3 rows of" in capsys.readouterr().err
    rows = list(ROWS)
    rows[20], rows[30] = '"we met at noon,neg', 'bad again",neg'  # which a reader of CSV takes for one cell
    with pytest.raises(ValueError, match="line 22: a stray quote"):
        read(table(path, rows))
    assert len(read(path, skip_bad=True)) == 59
    poem = "roses are red,\nviolets blue\n\nsugar, they said,\n\nis sweet"
    assert read(table(path, [*ROWS, f'"{poem}",pos']))[-1] == (poem, "pos")
    assert "1 rows go on over the ends of lines, in quotes, the first from line 62" in capsys.readouterr().err


def test_long_cells_are_read(tmp_path):
    rows = [*ROWS, ("x " * 70_000, "pos")]
    for name, between in (("t.csv", ","), ("t.tsv", "\t")):
        assert read(table(tmp_path / name, rows, between=between)) == rows


def test_all_bad_rows_are_named_at_once(tmp_path, capsys):
    rows = [*ROWS, "well, awful,neg", "caf\udce9,neg", "no label", ",pos", "  ,pos", "tw\ro,pos", *["text,"] * 20]
    path = table(tmp_path / "t.csv", rows)
    with pytest.raises(ValueError, match="skip_bad") as error:
        read(path)
    assert str(error.value).removeprefix(f"{path}, ").split("; ") == [
        "line 62: more columns than the first line names",
        "line 63: not UTF-8 (byte 0xe9)",
        "line 64: the class is missing",
        "line 65: the text is missing",
        "line 66: the text is missing",
        "line 67: a stray quote or carriage return",
        "line 68: the class is missing",
        "line 69: the class is missing",
        "line 70: the class is missing",
        "line 71: the class is missing",
        "and 16 more (--data.skip_bad true leaves such rows out)",
    ]
    assert read(path, skip_bad=True) == ROWS
    assert f"left out, since they are bad, 26 rows of {path}, line 62: more columns" in capsys.readouterr().err


def test_columns_in_doubt_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has two columns 'text'; it has text, label, text"):
        read(table(tmp_path / "t.csv", header="text,label,text"))
    with pytest.raises(ValueError, match="line 1: a stray quote"):
        read(table(tmp_path / "t.csv", header='"text"x,label'))
    assert read(table(tmp_path / "t.csv", header="text, label")) == ROWS


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (
            lambda i: f"name {i}",
            "the classes are 60 in 60 rows (name 0, name 1, name 10, …); --data.target labels or number takes them so",
        ),
        (lambda i: f"{i % 5 + 1}", "look like numbers, whose order is not used (1, 2, 3"),
        (lambda i: f"{i % 3 - 0.5}", "t.csv: each item has numbers (label): --data.target number"),
        (lambda i: f"{i % 21}", "each item has numbers"),
        (
            lambda i: f"\"['{'ab'[i % 2]}', 'c']\"",
            "the classes look like lists or hold quotes (['a', 'c'], ['b', 'c'], …)",
        ),
        (lambda i: f"{'ab'[i % 2]}|c", "look like lists"),
        (lambda i: f' "{"ab"[i % 2]}"', "look like lists or hold quotes"),
        (lambda i: "ab"[i % 2], ""),
    ],
)
def test_labels_that_may_be_none_are_warned_of(tmp_path, capsys, label, said):
    read(table(tmp_path / "t.csv", [f"text {i},{label(i)}" for i in range(60)]))
    err = capsys.readouterr().err
    assert said in err
    assert bool(err) == bool(said)


def test_texts_of_two_classes_are_said(tmp_path, capsys):
    read(table(tmp_path / "t.csv", [*ROWS, (ROWS[0][0], "pos")]))
    assert "the classes differ where texts are equal, of which the first counts" in capsys.readouterr().err


def test_many_unknown_words_are_warned_of(tmp_path, capsys):
    path = str(
        table(tmp_path / "t.csv", [(f"word{chr(97 + i % 26)}{chr(97 + i // 26)} here", "ab"[i % 2]) for i in range(60)])
    )
    TextTable(path).setup()
    advice = "lower --data.min_count, a larger --data.vocabulary_size or --data.level bpe makes them fewer"
    said = f"50% of the word tokens of the validation texts are unknown to the vocabulary: {advice}\n"
    assert capsys.readouterr().err == said
    for level in ("bpe", "character"):
        TextTable(path, level=level).setup()
        assert not capsys.readouterr().err
    (tmp_path / "pairs.tsv").write_text("".join(f"a word{chr(97 + i)}\tun mot\n" for i in range(20)))
    ParallelText(str(tmp_path / "pairs.tsv")).setup()
    assert "50% of the word tokens of the validation texts are unknown" in capsys.readouterr().err
    (tmp_path / "text.txt").write_text(" ".join(map(str, range(100, 4000))))
    TextFile(str(tmp_path / "text.txt"), level="word", min_count=2).setup()
    assert "unknown" not in capsys.readouterr().err  # digits are words of their own


def test_references_are_the_true_text(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"number {i}\tle mot{chr(97 + i)} « {i} »\n" for i in range(20)))
    data = ParallelText(str(path))
    pairs = data.pairs()
    data.setup()
    assert len(data.splits["train"]) == 2
    for split in ("val", "test"):
        *_, references, texts = data.splits[split]
        assert from_utf8(texts[torch.arange(len(texts))]) == [text for text, _ in pairs[split]]
        assert from_utf8(references[torch.arange(len(references))]) == [translation for _, translation in pairs[split]]


def test_bad_lines_of_translations(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"".join(b"text %d\n" % i for i in range(20)) + b"\xe9\n\nb\n")
    two.write_bytes(b"".join(b"texte %d\n" % i for i in range(20)) + b"a\nb\n\xff\n")
    with pytest.raises(InputError) as error:
        ParallelText(str(one), str(two)).setup()
    reasons = f"line 21: not UTF-8 (byte 0xe9); line 22: the text is empty; line 23: not UTF-8 (byte 0xff) in {two}"
    assert reasons in str(error.value)
    assert sum(map(len, ParallelText(str(one), str(two), skip_bad=True).pairs().values())) == 20


def test_text_of_a_folder_without_hidden_copies(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\rtwo\rthree\r\n")
    for name in ("._a.txt", ".ipynb_checkpoints/a-checkpoint.txt", "__MACOSX/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff")
    assert "".join(TextFile(str(tmp_path)).read()()) == "one\ntwo\nthree\n"


@pytest.mark.parametrize(("count", "known"), [(200, True), (14_000, False)])
def test_a_word_seen_once_is_known_where_there_are_few_texts(tmp_path, count, known):
    words = ["".join(chr(97 + int(digit)) for digit in str(i)) for i in range(count)]
    data = TextTable(str(table(tmp_path / "table.csv", [(word, "yn"[len(word) % 2]) for word in words])))
    if known:
        data.setup()
        assert len(Vocabulary.from_json(data.info.vocabulary)) > 100
    else:
        with pytest.raises(InputError, match="the training text holds no token for the vocabulary"):
            data.setup()
