"""What this plugin offers: language models, models of sentences, what they read, and claims."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec, hookimpl

UNTRAINED = "it combines two runs that exist already"
TRAINING = ("trains", "sizes", "tests", "reloads", "repeats", "pickles", "traces", "bf16", "processes")
CLIPPED = {"trainer.gradient_clip_val": 1.0}  # gradients through many time steps can explode
CHECK_TEXT = {"generate.text": "a fine day"}
CHECK_PAIRS = {"data.size": 600, "generate.text": "two days ago"}

MODELS: list[Spec] = [
    ModelSpec(
        "markov",
        "dlplug_sequence.models.markov:Markov",
        "Predicts the next token from the few before it, by counting: an n-gram model.",
        lecture="2.1",
        tags=("text", "language model", "n-gram", "kneser-ney", "witten-bell", "generation"),
        takes="text",
        data="bible",
        recipe={"trainer.max_epochs": 1},
        learning="unsupervised",
        skip_checks={"processes": "it counts on one process", "bf16": "it counts"},
    ),
    ModelSpec(
        "rnn-lm",
        "dlplug_sequence.models.rnn_lm:RNNLM",
        "A recurrent language model: rnn, gru, lstm, irnn.",
        lecture="2.2",
        tags=("text", "language model", "recurrent", "lstm", "gru", "generation"),
        takes="text",
        data="bible",
        # Four epochs (1.703 bits per character) beat the best n-gram model (1.711); three (1.716) do not.
        recipe={"trainer.max_epochs": 4, **CLIPPED},
        learning="unsupervised",
    ),
    ModelSpec(
        "transformer-lm",
        "dlplug_sequence.models.transformer_lm:TransformerLM",
        "A transformer language model, with attention to all tokens before: today's reference.",
        lecture="2.9",
        tags=("text", "language model", "attention", "transformer", "gpt", "generation"),
        takes="text",
        data="bible",
        # Rows as long as the default context_length, which is what it attends to in training.
        recipe={"trainer.max_epochs": 2, **CLIPPED, "data.seq_len": 128, "data.batch_size": 16},
        learning="unsupervised",
    ),
    ModelSpec(
        "mixture",
        "dlplug_sequence.models.interpolated_lm:InterpolatedLM",
        "The weighted mean of two trained language models, such as rnn-lm and markov.",
        lecture="2.4",
        tags=("text", "language model", "interpolation", "ensemble"),
        takes="text",
        data="bible",
        recipe={"trainer.max_epochs": 1, "trainer.limit_train_batches": 1},
        learning="unsupervised",
        skip_checks=dict.fromkeys((*TRAINING, "shows", "generates", "panels"), UNTRAINED),
    ),
    ModelSpec(
        "rnn-regressor",
        "dlplug_sequence.models.rnn_regressor:RNNRegressor",
        "Reads a sequence of numbers with recurrent cells and predicts one number at its end.",
        lecture="2.7",
        tags=("recurrent", "memory", "lstm", "irnn"),
        takes="number sequences",
        data="adding-problem",
        recipe={"trainer.max_epochs": 8, **CLIPPED},
        learning="supervised",
    ),
    ModelSpec(
        "bag-of-words",
        "dlplug_sequence.models.bag_of_words:BagOfWords",
        "Classifies texts by their words, whatever their order.",
        lecture="2.1",
        tags=("text", "classification", "sentiment"),
        takes="labelled text",
        data="tweets",
        recipe={"trainer.max_epochs": 5},
        learning="supervised",
        check_options=CHECK_TEXT,
    ),
    ModelSpec(
        "rnn-classifier",
        "dlplug_sequence.models.rnn_classifier:RNNClassifier",
        "Classifies texts with recurrent cells: rnn, gru, lstm, irnn.",
        lecture="2.4",
        tags=("text", "classification", "sentiment", "recurrent", "lstm", "gru"),
        takes="labelled text",
        data="tweets",
        recipe={"trainer.max_epochs": 3, **CLIPPED},
        learning="supervised",
        check_options=CHECK_TEXT,
    ),
    ModelSpec(
        "seq2seq",
        "dlplug_sequence.models.seq2seq:Seq2Seq",
        "Translates with a recurrent encoder and decoder, with or without attention.",
        lecture="2.4",
        tags=("text", "translation", "recurrent", "attention", "encoder-decoder", "beam search"),
        takes="text pairs",
        data="phrases",
        recipe={"trainer.max_epochs": 6, **CLIPPED},  # as many as take four minutes on one thread
        learning="supervised",
        check_options=CHECK_PAIRS,
    ),
    ModelSpec(
        "transformer",
        "dlplug_sequence.models.transformer:Transformer",
        "Translates by attention alone: today's reference.",
        lecture="2.9",
        tags=("text", "translation", "attention", "transformer", "encoder-decoder", "beam search"),
        takes="text pairs",
        data="phrases",
        recipe={"trainer.max_epochs": 10, **CLIPPED},
        learning="supervised",
        check_options=CHECK_PAIRS,
    ),
]

DATA: list[Spec] = [
    DataSpec(
        "bible",
        "dlplug_sequence.data.bible:Bible",
        "The King James Bible, 4.1 million characters.",
        lecture="2.4",
        tags=("text", "english"),
        gives="text",
    ),
    DataSpec(
        "text-file",
        "dlplug_sequence.data.text_file:TextFile",
        "Your own text: a UTF-8 file or a folder of such files.",
        lecture="2.4",
        tags=("text", "own"),
        gives="text",
        needs_files=True,
    ),
    DataSpec(
        "adding-problem",
        "dlplug_sequence.data.adding_problem:AddingProblem",
        "Two marked numbers in a long sequence, to be added: a test of memory.",
        lecture="2.7",
        tags=("memory", "synthetic"),
        gives="number sequences",
    ),
    DataSpec(
        "tweets",
        "dlplug_sequence.data.tweets:Tweets",
        "37,243 tweets: negative, neutral or positive.",
        lecture="2.4",
        tags=("text", "english", "sentiment", "label"),
        gives="labelled text",
    ),
    DataSpec(
        "text-table",
        "dlplug_sequence.data.text_table:TextTable",
        "Your own texts with classes, labels or numbers: a CSV or TSV file with named columns.",
        lecture="2.4",
        tags=("text", "own", "label"),
        gives="labelled text",
        check_options={"data.path": "texts.tsv"},
        needs_files=True,
    ),
    DataSpec(
        "phrases",
        "dlplug_sequence.data.phrases:Phrases",
        "Dates, times, numbers, money, measures and lists in two languages, en to fr or any others.",
        lecture="2.4",
        tags=("text", "translation", "dates", "cldr"),
        gives="text pairs",
    ),
    DataSpec(
        "parallel-text",
        "dlplug_sequence.data.parallel_text:ParallelText",
        "Your own translations: a TSV file, or two files line by line.",
        lecture="2.4",
        tags=("text", "translation", "own"),
        gives="text pairs",
        check_options={"data.path": "texts.tsv"},
        needs_files=True,
    ),
    DataSpec(
        "ui-strings",
        "dlplug_sequence.data.ui_strings:UIStrings",
        "3,000 texts of user interfaces in English and French; needs dlplug-sequence[ui].",
        lecture="2.4",
        tags=("text", "translation", "english", "french"),
        gives="text pairs",
        skip_checks=dict.fromkeys(("loads", "traces"), "its texts come with the extra dlplug-sequence[ui]"),
    ),
]


CLAIMS: list[Spec] = [
    ClaimSpec(
        "bag-of-words-ignores-order",
        "dlplug_sequence.claims.order:shuffling",
        "A bag of words cannot represent the order of words; a recurrent network depends on it.",
        lecture="2.1",
        models=(
            "bag-of-words",
            "rnn-classifier",
        ),
        notes=("2.1 A bag of words is no sequence: it cannot represent the order of words.",),
    ),
    ClaimSpec(
        "order-decides",
        "dlplug_sequence.claims.order:probe",
        "Where order alone decides, a bag of words is at chance and a recurrent network is right.",
        lecture="2.1",
        models=(
            "bag-of-words",
            "rnn-classifier",
        ),
        notes=("2.1 (implied: order matters)",),
    ),
    ClaimSpec(
        "context-saves-bits",
        "dlplug_sequence.claims.context:orders",
        "The few characters before save more than a bit; an n-gram gains little from more of them.",
        lecture="2.1",
        models=("markov",),
        notes=("2.1 Markov assumption: each state depends only on the last; not enough.",),
    ),
    ClaimSpec(
        "markov-is-short-sighted",
        "dlplug_sequence.claims.context:far_dependency",
        "What an n-gram of order 5 cannot see 20 characters back, an LSTM learns.",
        lecture="2.1",
        models=(
            "markov",
            "rnn-lm",
        ),
        notes=(
            "2.1 What comes from the far past is needed to guess the word, so that Markov does not work.",
            "2.2 Long-term dependencies are kept track of.",
        ),
    ),
    ClaimSpec(
        "weights-are-shared",
        "dlplug_sequence.claims.recurrence:shared_weights",
        "W and U are shared across the sequence: longer texts need no more of them.",
        lecture="2.2",
        models=("rnn-lm",),
        notes=("2.2 W and U are shared across the sequence.",),
    ),
    ClaimSpec(
        "hidden-state-keeps-history",
        "dlplug_sequence.claims.recurrence:history",
        "s_n can contain information from all past timesteps.",
        lecture="2.2",
        models=("rnn-lm",),
        notes=("2.2 s_n can contain information from all past timesteps.",),
    ),
    ClaimSpec(
        "gradient-by-hand",
        "dlplug_sequence.claims.recurrence:chain_rule",
        "There is a loss at each timestep, and the chain rule goes back through all states that depend on W.",
        lecture="2.6",
        models=("rnn-lm",),
        notes=("2.6 A loss at each timestep; the chain rule, where s_2 depends on W.",),
    ),
    ClaimSpec(
        "gradients-vanish",
        "dlplug_sequence.claims.memory:vanishing",
        "A tanh-RNN's gradient vanishes with the lag; an LSTM's and an IRNN's lasts.",
        lecture="2.7",
        models=(
            "rnn-lm",
            "rnn-regressor",
        ),
        notes=("2.7 Because of the chain rule the gradient vanishes.",),
    ),
    ClaimSpec(
        "short-term-bias",
        "dlplug_sequence.claims.memory:short_term",
        "A tanh-RNN learns the near one of two dependencies that are worth the same.",
        lecture="2.7",
        models=("rnn-lm",),
        notes=("2.7 Parameters become biased to capture shorter-term dependencies.",),
    ),
    ClaimSpec(
        "activation-and-init-fix-vanishing",
        "dlplug_sequence.claims.memory:activation_and_init",
        "Activation and initialisation each fix a part of the vanishing gradient.",
        lecture="2.8",
        models=(
            "rnn-lm",
            "rnn-regressor",
        ),
        notes=("2.8 Activation function; initialisation (W to I).",),
    ),
    ClaimSpec(
        "gates-remember",
        "dlplug_sequence.claims.memory:adding",
        "LSTM and IRNN add two numbers that a tanh-RNN has forgotten.",
        lecture="2.8",
        models=("rnn-regressor",),
        notes=("2.8 Gated cells lead to the LSTM.",),
    ),
    ClaimSpec(
        "attention-helps",
        "dlplug_sequence.claims.translation:attention",
        "It helps to give the decoder part of the encoder's states, and it attends to the words that it translates.",
        lecture="2.9",
        models=("seq2seq",),
        notes=("2.9 Give part of the output states of the encoder to the decoder: like attention.",),
    ),
]


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return [*MODELS, *DATA, *CLAIMS]
