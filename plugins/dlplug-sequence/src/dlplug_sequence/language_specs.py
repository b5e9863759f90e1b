"""Language models, their data and their claims."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec


def _claim(name: str, function: str, sentence: str, lecture: str, *models: str) -> Spec:
    return ClaimSpec(name, f"dlplug_sequence.claims.{function}", sentence, lecture=lecture, models=models)


MIXES = "it mixes two runs that are there already"
TRAINING = ("trains", "sizes", "tests", "reloads", "repeats", "pickles", "traces", "bf16", "processes")
NEEDS_FILES = dict.fromkeys(("loads", "traces"), "it reads files that have to be there first")

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
        exempt={"processes": "it counts on one process", "bf16": "it counts"},
    ),
    ModelSpec(
        "rnn-lm",
        "dlplug_sequence.rnn_lm:RNNLM",
        "Reads and writes text with recurrent cells: rnn, gru, lstm, irnn.",
        lecture="2.2",
        tags=("text", "language model", "recurrent", "lstm", "gru", "generation"),
        takes="text",
        data="bible",
        recipe={"trainer.max_epochs": 4, "trainer.gradient_clip_val": 1.0},
        learning="unsupervised",
    ),
    ModelSpec(
        "transformer-lm",
        "dlplug_sequence.transformer_lm:TransformerLM",
        "Reads and writes text with attention to all tokens before: today's reference.",
        lecture="2.9",
        tags=("text", "language model", "attention", "transformer", "gpt", "generation"),
        takes="text",
        data="bible",
        recipe={
            "trainer.max_epochs": 2,
            "trainer.gradient_clip_val": 1.0,
            "data.length": 128,
            "data.batch_size": 16,
        },
        learning="unsupervised",
    ),
    ModelSpec(
        "mixture",
        "dlplug_sequence.mixture:Mixture",
        "The weighted mean of two trained language models, such as rnn-lm and markov.",
        lecture="2.4",
        tags=("text", "language model", "interpolation", "ensemble"),
        takes="text",
        data="bible",
        exempt=dict.fromkeys((*TRAINING, "shows", "generates", "panels"), MIXES),
        recipe={"trainer.max_epochs": 1, "trainer.limit_train_batches": 1},
        learning="unsupervised",
    ),
    ModelSpec(
        "rnn-regressor",
        "dlplug_sequence.rnn_regressor:RNNRegressor",
        "Reads a sequence of numbers with recurrent cells and gives one number at its end.",
        lecture="2.7",
        tags=("recurrent", "memory", "lstm", "irnn"),
        takes="number sequences",
        data="adding-problem",
        recipe={"trainer.max_epochs": 8, "trainer.gradient_clip_val": 1.0},
        learning="supervised",
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
        exempt=NEEDS_FILES,
    ),
    DataSpec(
        "adding-problem",
        "dlplug_sequence.adding_problem:AddingProblem",
        "Two marked numbers in a long sequence, to be added: a test of memory.",
        lecture="2.7",
        tags=("memory", "synthetic"),
        gives="number sequences",
    ),
    _claim(
        "context-saves-bits",
        "context:orders",
        "The few characters before save more than a bit; an n-gram gains little from more of them.",
        "2.1",
        "markov",
    ),
    _claim(
        "markov-is-short-sighted",
        "context:far_dependency",
        "What an n-gram of order 5 cannot see 20 characters back, an LSTM learns.",
        "2.1",
        "markov",
        "rnn-lm",
    ),
    _claim(
        "weights-are-shared",
        "recurrence:shared_weights",
        "W and U are shared across the sequence: longer texts need no more of them.",
        "2.2",
        "rnn-lm",
    ),
    _claim(
        "state-remembers",
        "recurrence:remembered",
        "s_n can contain information from all past timesteps.",
        "2.2",
        "rnn-lm",
    ),
    _claim(
        "gradient-by-hand",
        "recurrence:chain_rule",
        "There is a loss at each timestep, and the chain rule goes back through all states that depend on W.",
        "2.6",
        "rnn-lm",
    ),
    _claim(
        "gradients-vanish",
        "memory:vanishing",
        "A tanh-RNN's gradient vanishes with the lag; an LSTM's and an IRNN's lasts.",
        "2.7",
        "rnn-lm",
        "rnn-regressor",
    ),
    _claim(
        "short-term-bias",
        "memory:short_term",
        "A tanh-RNN learns the near one of two dependencies that are worth the same.",
        "2.7",
        "rnn-lm",
    ),
    _claim(
        "two-repairs",
        "memory:two_repairs",
        "Activation and initialisation each repair a part of the vanishing gradient.",
        "2.8",
        "rnn-lm",
        "rnn-regressor",
    ),
    _claim(
        "gates-remember",
        "memory:adding",
        "LSTM and IRNN add two numbers that a tanh-RNN has forgotten.",
        "2.8",
        "rnn-regressor",
    ),
]
