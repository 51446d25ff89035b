"""Word vectors: words a second and analogies answered, against gensim's word2vec on the same words of the same reviews.

    python benchmarks/word_vectors.py [--rows 5000] [--epochs 3] [--threads 1]

Both read the reviews as our tokeniser cuts them, with the same vocabulary, window, negatives and share of frequent words left
out; all words count, those left out too, in every epoch. What differs: gensim (C, threads that write into one table without
locks) updates after every word by falling rates; here a batch of 256 stretches of 16 words is one update by adagrad, words
of noise are drawn for a stretch, frequent words are left out once and not anew in each epoch. Reading, cutting and the
vocabulary are not timed. CPU seconds are told beside wall-clock ones: they hold on a machine that others use too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradus.data.load import DataSettings
from gradus.data.text.encoders import SPECIAL
from gradus.data.text.meaning import read_questions, score_analogies
from gradus.data.text.vectors import WordVectors
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import Experiment, prepare
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, TrainSettings

KINDS = {"skip-gram": "skip_gram", "CBOW": "cbow"}


@dataclass(frozen=True)
class Timed:
    wall: float
    cpu: float
    made: Any


def timed(work: Callable[[], Any]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return Timed(time.perf_counter() - wall, time.process_time() - cpu, made)


def experiment_of(model: str, arguments: argparse.Namespace) -> Experiment:
    options = {"vocabulary": 20_000, "least_count": 5, "window": 5, "negatives": 5, "subsample": 1e-3}
    recipe = Recipe(
        data=DataSettings(source="imdb", validation=0, rows=arguments.rows),
        task=TaskSettings(name="word-vectors", options=options),
        model=ModelSettings(name=model, options={"embedding_size": 100}),
        train=TrainSettings(
            epochs=arguments.epochs,
            batch_size=256,
            threads=arguments.threads,
            device="cpu",
            optimizer=OptimizerSettings(name="adagrad", learning_rate=0.2),
        ),
    )
    return prepare(recipe)


def ours(experiment: Experiment) -> Timed:
    trainer = create_trainer(experiment)
    found = timed(trainer.fit)
    model: Any = experiment.model
    return Timed(found.wall, found.cpu, model.vectors().numpy())


def gensims(sentences: list[list[str]], tokens: list[str], kind: str, arguments: argparse.Namespace) -> Timed:
    from gensim.models import Word2Vec

    model = Word2Vec(
        vector_size=100,
        window=5,
        negative=5,
        sample=1e-3,
        sg=int(kind == "skip-gram"),
        min_count=5,
        max_final_vocab=None,
        workers=arguments.threads,
        seed=0,
    )
    model.build_vocab(sentences)
    found = timed(lambda: model.train(sentences, total_examples=len(sentences), epochs=arguments.epochs))
    matrix = np.stack([model.wv[token] if token in model.wv else np.zeros(100, np.float32) for token in tokens])
    return Timed(found.wall, found.cpu, matrix)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=5_000, help="reviews (0: all 25 000)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'':24}{'words/s':>12}{'words/CPU s':>14}{'3CosAdd':>10}{'3CosMul':>10}")
    for kind, model in KINDS.items():
        experiment = experiment_of(model, arguments)
        encoder: Any = experiment.task.encoder  # type: ignore[attr-defined]
        known = set(encoder.tokens[len(SPECIAL) :])
        texts = experiment.dataset["train"]["text"]
        sentences = [[token for token in encoder.tokenizer.split(text) if token in known] for text in texts]
        words = sum(map(len, sentences)) * arguments.epochs
        tokens = list(encoder.tokens)
        for who, found in (("gradus", ours(experiment)), ("gensim", gensims(sentences, tokens, kind, arguments))):
            vectors = WordVectors(encoder.tokens, found.made, who, special=len(SPECIAL))
            scores = [score_analogies(vectors, read_questions(), method).accuracy for method in ("add", "multiply")]
            speeds = f"{words / found.wall:12,.0f}{words / found.cpu:14,.0f}"
            print(f"{kind + ', ' + who:24}{speeds}{scores[0]:10.3f}{scores[1]:10.3f}", flush=True)


if __name__ == "__main__":
    main()
