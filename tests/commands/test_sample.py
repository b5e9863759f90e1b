"""`dlplug sample`, and what `info` and `list` say of own data."""

import pytest

KINDS = ("captions", "clips", "image-folder", "parallel-text", "tags", "text-file", "text-table")


def test_a_sample_is_a_new_folder_and_says_how_to_train_on_it(command, refused, tmp_path):
    result = command("sample", "parallel-text", "my pairs")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "wrote 1 files to my pairs; next:",
        "  dlplug fit --model seq2seq --data parallel-text --data.path 'my pairs/pairs.tsv'",
    ]
    lines = (tmp_path / "my pairs" / "pairs.tsv").read_text().splitlines()
    assert {line.count("\t") for line in lines} == {1}
    assert "my pairs is there already: give a new folder" in refused("sample", "tags", "my pairs")
    assert f"digits has no sample; these have: {', '.join(KINDS)}\n" in refused("sample", "digits", "new")
    assert "did you mean 'tags'?" in refused("sample", "tag", "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_own_data_draw_their_layout(kind, command):
    said = command("info", kind).stdout
    description = said.partition("models that fit: ")[2].partition("\narguments\n")[0]
    assert "Your own " in description  # the first paragraph too
    assert "\n      " in description.partition("Your own ")[2]  # drawn
    assert f"  try: dlplug sample {kind} DIR\n" in description


def test_own_data_are_listed_first(command):
    listed = [line.split()[1] for line in command("list", "data").stdout.splitlines() if line.startswith("  data ")]
    assert [name for name in listed if name in ("text-file", "parallel-text", "text-table", "bible", "tweets")] == [
        "parallel-text",
        "text-file",
        "text-table",
        "bible",
        "tweets",
    ]
