"""Judges classifiers of tweets and translators of phrases against what is simple: `python benchmarks/text_quality.py`.

    python benchmarks/text_quality.py [RUN ...]

Without runs it prints the baselines alone. Train the runs first, such as `dlplug fit --model rnn-classifier` and
`dlplug fit --model seq2seq`; a run of rnn-classifier or bag-of-words is tested on the tweets of the default split, one
of seq2seq or transformer on phrases alone, two joined, and three joined, which is longer than in training.
"""

import argparse
from collections import Counter
from pathlib import Path

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score

from dlplug_sequence.data.phrases import Phrases
from dlplug_sequence.data.tweets import Tweets
from dlplug_sequence.models.bag_of_words import BagOfWords
from dlplug_sequence.models.rnn_classifier import RNNClassifier
from dlplug_sequence.models.seq2seq import Seq2Seq
from dlplug_sequence.models.transformer import Transformer
from dlplug_sequence.models.translator import Translator

MODELS = {"bag-of-words": BagOfWords, "rnn-classifier": RNNClassifier, "seq2seq": Seq2Seq, "transformer": Transformer}


def show(name: str, given: list[str], true: list[str]) -> None:
    recall = recall_score(true, given, average="macro")
    print(f"  {name:44} accuracy {accuracy_score(true, given):.3f}   macro-recall {recall:.3f}", flush=True)


def judge_tweets(runs: list[Path]) -> None:
    parts = Tweets().texts()
    texts, labels = zip(*parts["train"], strict=True)
    tested, true = (list(column) for column in zip(*parts["test"], strict=True))
    print("tweets, test")
    show("majority", [Counter(labels).most_common(1)[0][0]] * len(true), true)
    validated, answers = zip(*parts["val"], strict=True)
    kinds = {
        "one and two words": TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        "2 to 5 characters": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True),
    }
    for kind, vectorizer in kinds.items():
        known = vectorizer.fit_transform(texts)
        models = [LogisticRegression(C=c, max_iter=500).fit(known, labels) for c in (1, 3, 10)]
        best = max(models, key=lambda model: model.score(vectorizer.transform(validated), answers))
        show(
            f"TF-IDF of {kind}, logistic regression (C {best.C})",
            list(best.predict(vectorizer.transform(tested))),
            true,
        )
    for run in runs:
        model = MODELS[run.parent.name].load_from_checkpoint(run / "checkpoints" / "best.ckpt").eval()
        data = Tweets()
        data.setup()
        with torch.no_grad():
            guesses = torch.cat([model(tokens).argmax(1) for tokens, *_ in data.test_dataloader()])
        show(str(run)[-44:], [model.labels[guess] for guess in guesses.tolist()], true)


def judge_phrases(runs: list[Path]) -> None:
    tests = {count: Phrases(fewest=count, most=count).pairs()["test"] for count in (1, 2, 3)}
    train = dict(Phrases().pairs()["train"])
    print(f"phrases en to fr, test: {', '.join(f'{len(rows)} of {count}' for count, rows in tests.items())}")

    def report(name: str, count: int, outputs: list[str]) -> None:
        rows = tests[count][: len(outputs)]
        found = Translator.score([(*pair, output) for pair, output in zip(rows, outputs, strict=True)])
        figures = "   ".join(
            f"{key} {value:.3f}" if key == "exact_match" else f"{key} {value:.1f}" for key, value in found.items()
        )
        print(f"  {name:40} {count} joined   {figures}", flush=True)

    report("copy", 1, [text for text, _ in tests[1]])
    letters = TfidfVectorizer(analyzer="char", ngram_range=(1, 4))
    known, asked = letters.fit_transform(train), letters.transform(text for text, _ in tests[1])
    answers = list(train.values())
    report("nearest training text (TF-IDF of letters)", 1, [answers[i] for i in (asked @ known.T).argmax(1).A1])
    for run in runs:
        model: Translator = MODELS[run.parent.name].load_from_checkpoint(run / "checkpoints" / "best.ckpt").eval()
        for count, rows in tests.items():
            for beams in (1, 5):
                outputs = model.translate_texts([text for text, _ in rows], beams)
                report(f"{str(run)[-32:]}, num_beams {beams}", count, outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    runs = parser.parse_args().runs
    for run in runs:
        if run.parent.name not in MODELS:
            parser.error(f"{run} is no run of {', '.join(MODELS)}")
    judge_tweets([run for run in runs if run.parent.name in ("bag-of-words", "rnn-classifier")])
    judge_phrases([run for run in runs if run.parent.name in ("seq2seq", "transformer")])


if __name__ == "__main__":
    main()
