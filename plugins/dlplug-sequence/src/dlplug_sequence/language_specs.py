"""Language models, their data and their claims."""

from dlplug import DataSpec, ModelSpec, Spec

SPECS: list[Spec] = [
    ModelSpec(
        "markov",
        "dlplug_sequence.markov:Markov",
        "Guesses the next token from the few before it, by counting: an n-gram model.",
        lecture="2.1",
        tags=("text", "language model", "n-gram", "kneser-ney", "witten-bell", "generation"),
        takes="text",
        data="bible",
        recipe={"trainer.max_epochs": 1},
        learning="unsupervised",
    ),
    ModelSpec(
        "rnn-lm",
        "dlplug_sequence.rnn_lm:RNNLM",
        "Reads and writes text with recurrent cells: rnn, gru, lstm, irnn.",
        lecture="2.2",
        tags=("text", "language model", "recurrent", "lstm", "gru", "generation"),
        takes="text",
        data="bible",
        recipe={"trainer.max_epochs": 3, "trainer.gradient_clip_val": 1.0},
        learning="unsupervised",
    ),
    DataSpec(
        "bible",
        "dlplug_sequence.bible:Bible",
        "The King James Bible, 4.1 million characters.",
        lecture="2.4",
        tags=("text", "english"),
        gives="text",
    ),
    DataSpec(
        "text-file",
        "dlplug_sequence.text_file:TextFile",
        "Text of your own: a UTF-8 file or a folder of such.",
        lecture="2.4",
        tags=("text", "own"),
        gives="text",
    ),
]
