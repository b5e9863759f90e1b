import itertools
import os
import tracemalloc

import pytest
import torch

from dlplug.errors import InputError
from dlplug_sequence.data.bible import Bible
from dlplug_sequence.data.text_file import TextFile
from dlplug_sequence.data.token_stream import ContiguousSampler


def text_file(tmp_path, content, **options):
    path = tmp_path / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return TextFile(**{"path": str(path), "batch_size": 2, "seq_len": 5, **options})


def test_splits_are_contiguous_and_rows_continue(tmp_path):
    data = text_file(tmp_path, "".join(chr(0x4E00 + i) for i in range(400)))
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [360, 20, 20]
    batches = list(data.train_dataloader())
    assert all(torch.equal(tokens[:, 1:], targets[:, :-1]) for tokens, targets in batches)
    for before, after in itertools.pairwise(batches):
        assert torch.equal(before[1][:, -1], after[0][:, 0])
    assert batches[-1][1][0, -1] == batches[0][0][1, 0]  # the next row starts where a row ends
    held_out = [targets for _, targets in data.val_dataloader()]
    assert sum(targets.numel() for targets in held_out) == 18  # all but what only starts a row
    assert (torch.cat(held_out, dim=1) == 0).all()  # characters that the training text lacks


def test_rows_start_elsewhere_each_epoch_and_stay_inside():
    sampler = ContiguousSampler(103, batch_size=2, seq_len=10, random_offset=True)
    firsts = set()
    for epoch in range(20):
        sampler.set_epoch(epoch)
        positions = torch.cat(list(sampler), dim=1)
        assert positions.min() >= 0
        assert positions.max() <= 102
        firsts.add(int(positions[0, 0]))
    assert len(firsts) > 1
    sampler.set_epoch(3)
    assert torch.equal(next(iter(sampler)), next(iter(sampler)))


@pytest.mark.parametrize("limit", [3, 0.3])
def test_short_epochs_read_on_where_the_one_before_stopped(limit):
    whole, short = (ContiguousSampler(203, 2, 10, True, seed=1, limit=each) for each in (1.0, limit))
    assert len(whole) == len(short) == 10
    read = [batch for epoch in range(2) for batch in batches(whole, epoch)]
    taken = [batch for epoch in range(6) for batch in batches(short, epoch)[:3]]
    assert all(map(torch.equal, taken, read))  # beyond the end, from the start of the next reading


def batches(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def test_a_folder_is_read_in_order_and_a_wrong_encoding_is_named_by_line(tmp_path):
    folder = tmp_path / "texts"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "two.txt").write_text("zwei " * 50)
    (folder / "a.txt").write_bytes("\ufeffeins\r\n".encode() * 1 + b"mehr")
    data = TextFile(path=str(folder), batch_size=1)
    assert "".join(data.read()()).startswith("eins\nmehrzwei zwei")
    (folder / "c.txt").write_bytes(b"gut\nsch\xf6n\n")
    with pytest.raises(InputError, match=r"c\.txt, line 2: byte 4 \(0xf6\) is not UTF-8"):
        data.setup()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"path": "nowhere"}, "is not there"), ({"batch_size": 0}, "at least 1"), ({"batch_size": 900}, "too short")],
)
def test_what_cannot_be_read_is_refused(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        text_file(tmp_path, "abc\n" * 100, **options).train_dataloader()


def test_large_text_does_not_take_ten_times_its_size(tmp_path):
    data = text_file(tmp_path, "The quick brown fox jumps over the lazy dog, again.\n" * 100_000)
    tracemalloc.start()  # sees Python and NumPy; torch's own tensors are a byte a character
    data.setup()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 5_200_000 + 12_000_000


@pytest.mark.parametrize("options", [{}, {"level": "word", "min_count": 2}, {"level": "bpe", "vocabulary_size": 300}])
def test_tokens_of_a_file_are_those_of_memory_and_are_made_once(tmp_path, monkeypatch, capsys, options):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = "".join(f"{i * i}  squares\n\n and\tä {chr(0x4E00 + i)}\n" for i in range(300))
    whole, mapped = text_file(tmp_path, text, **options), text_file(tmp_path, text, **options, in_memory=0)
    whole.setup()
    assert not (tmp_path / "cache").exists()
    for data in (mapped, text_file(tmp_path, text, **options, in_memory=0, cache=0)):
        data.prepare_data()
        data.setup()
        assert data.info == whole.info
        for split, tokens in whole.splits.items():
            assert torch.equal(data.splits[split], tokens)
    assert capsys.readouterr().err.count("its tokens are written to") == 1
    [file] = (tmp_path / "cache").rglob("*.cache")
    monkeypatch.setattr("dlplug_sequence.data.token_stream.RELEASED", 1)
    monkeypatch.setattr("dlplug_sequence.data.text_file.write_tokens", None)  # nothing is written any more
    again = TextFile(path=mapped.path, **options, batch_size=2, seq_len=5, in_memory=0)
    for batch, expected in zip(again.train_dataloader(), whole.train_dataloader(), strict=True):
        assert all(map(torch.equal, batch, expected))
    (tmp_path / "text.txt").write_text(text[1:])
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    os.utime(file, (0, 0))
    TextFile(path=mapped.path, in_memory=0).setup()
    assert len([*(tmp_path / "cache").rglob("*.cache")]) == 1  # and what nobody used for a month is gone
    assert not file.exists()


@pytest.mark.slow("two processes for what Lightning promises of prepare_data")
def test_two_processes_write_tokens_once(tmp_path, fit_on_two, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text_file(tmp_path, "abc d\n" * 500)
    line = ("--model=rnn-lm", "--model.hidden_size=4", "--data=text-file", "--data.path=text.txt", "--data.in_memory=0")
    fit_on_two(*line, "--data.batch_size=2", "--trainer.max_epochs=1")
    assert fit_on_two.said.count("its tokens are written to") == 1


def test_the_bible_is_the_expected_one():
    data = Bible()
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [3_725_080, 200_000, 200_000]
    assert "67 tokens" in str(data.info)
