"""Fits the probe's classifiers: does the request ask for harm, does the reply refuse, does it do what was asked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from superalign.critic.probe.examples import Labelled
from superalign.critic.probe.features import opening, pair_cues, passages, reply_cues
from superalign.files.demonstrations import ExpertExample
from superalign.records.exchange import Refusal

Vectors = NDArray[np.float32]
_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_CUT_WORDS = 14
"""Words of the openings of long replies that are added as examples of short replies."""
_STRANGERS = 2
"""Other requests paired with each answer, as examples of replies that miss the subject."""


class Embeds(Protocol):
    """The embedder that the probe calls."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, dim), rows of length 1."""
        ...

    async def aembed(self, texts: Sequence[str]) -> Vectors:
        """The same without blocking the event loop."""
        ...


@dataclass(frozen=True)
class Fit:
    """A fitted logistic regression with its cross-validated quality."""

    model: LogisticRegression
    strength: float
    """Inverse of the L2 penalty, chosen by log loss over five folds, which also keeps the probabilities honest."""
    accuracy: float
    log_loss: float
    """Nats per example; ln 2 = 0.69 is chance."""


@dataclass(frozen=True)
class Case:
    """A reply to a request, as an example."""

    request: str
    reply: str
    refusal: Refusal
    fulfils: bool | None


def fit(features: NDArray[Any], labels: Sequence[Any]) -> Fit:
    """Logistic regression with a cross-validated penalty. features: (n, dim); labels: (n,), five or more of each."""
    with threadpool_limits(limits=1):  # the problem is too small for threads
        return _fit(features, np.asarray(labels))


def _fit(features: NDArray[Any], targets: NDArray[Any]) -> Fit:
    classes = np.unique(targets)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    fits = []
    for strength in _STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=2000)
        guessed = cross_val_predict(model, features, targets, cv=folds, method="predict_proba")  # (n, classes)
        right = guessed[np.arange(len(targets)), np.searchsorted(classes, targets)]
        loss = float(-np.log(np.clip(right, 1e-9, 1)).mean())
        fits.append((loss, strength, float((classes[guessed.argmax(1)] == targets).mean())))
    loss, strength, accuracy = min(fits)
    return Fit(LogisticRegression(C=strength, max_iter=2000).fit(features, targets), strength, accuracy, loss)


def fit_requests(embedder: Embeds, requests: Sequence[tuple[str, bool]]) -> Fit:
    """Whether a request asks for harm, from its embedding."""
    return fit(embedder.embed([text for text, _ in requests]), [harmful for _, harmful in requests])


def refusal_features(openings: Vectors, replies: Sequence[str]) -> NDArray[Any]:
    """(n, dim + 15): the opening's embedding, and the cues."""
    return np.hstack([openings, np.stack([reply_cues(reply) for reply in replies])])


def fit_refusals(embedder: Embeds, labelled: Labelled, cases: Sequence[Case]) -> Fit:
    """How far a reply refuses, from its opening and its cues."""
    rows = [(r.text, r.refusal) for r in labelled.replies] + [(case.reply, case.refusal) for case in cases]
    texts = [text for text, _ in rows]
    openings = embedder.embed([opening(text) for text in texts])
    return fit(refusal_features(openings, texts), [refusal for _, refusal in rows])


def deed_features(
    harm: LogisticRegression, requests: Vectors, replies: Vectors, pairs: Sequence[tuple[str, str]]
) -> NDArray[Any]:
    """(n, 22): cues of passage and pair, how near the two are, and how harmful each sounds.

    requests, replies: embeddings of both parts of the pairs (request, passage), each (n, dim). A reply that turns a
    harmful request into something harmless sounds less harmful than the request.
    """
    asked, answered = harm.decision_function(requests) / 4, harm.decision_function(replies) / 4
    near = np.einsum("nd,nd->n", requests, replies)
    cues = np.stack([np.concatenate([reply_cues(passage), pair_cues(request, passage)]) for request, passage in pairs])
    return np.hstack([cues, np.stack([near, asked, answered, answered - asked], axis=1)])


def fit_deeds(embedder: Embeds, harm: LogisticRegression, cases: Sequence[Case]) -> GradientBoostingClassifier | None:
    """Whether a passage does what its request asks; None without examples of both."""
    labelled = [case for case in [*cases, *_strangers(cases)] if case.fulfils is not None]
    rows = [(case.request, passage, case.fulfils) for case in labelled for passage in passages(case.reply)]
    labels = np.asarray([fulfils for *_, fulfils in rows], dtype=bool)
    if len(np.unique(labels)) < 2:
        return None
    pairs = [(request, passage) for request, passage, _ in rows]
    requests, replies = (embedder.embed([pair[part] for pair in pairs]) for part in (0, 1))
    # trees, since an answer is near its request, but no echo, and does not decline: no sum of cues can tell
    model = GradientBoostingClassifier(
        n_estimators=300, max_depth=4, learning_rate=0.03, subsample=0.6, max_features=0.4, random_state=0
    )
    return model.fit(
        deed_features(harm, requests, replies, pairs), labels, sample_weight=compute_sample_weight("balanced", labels)
    )


def cases_of(labelled: Labelled, experts: Sequence[ExpertExample]) -> list[Case]:
    """All labelled and expert replies to a request, and the openings of long ones as further cases."""
    cases = [Case(pair.request, *reply) for pair in labelled.pairs for reply in pair.replies()]
    for expert in experts:
        harmful = expert.intent == "harmful"
        cases.append(Case(expert.prompt, expert.reply, "full" if harmful else "none", not harmful))
    return cases + [_cut(case) for case in cases if _tells_early(case)]


def _tells_early(case: Case) -> bool:
    long = len(case.reply.split(" ")) > 1.5 * _CUT_WORDS
    return long and (case.refusal == "full" or (case.refusal == "none" and case.fulfils is True))


def _cut(case: Case) -> Case:
    return Case(case.request, " ".join(case.reply.split(" ")[:_CUT_WORDS]), case.refusal, case.fulfils)


def _strangers(cases: Sequence[Case]) -> list[Case]:
    """Answers paired with requests that they do not answer."""
    requests, draw = list(dict.fromkeys(case.request for case in cases)), random.Random(0)
    return [
        Case(other, case.reply, case.refusal, False)
        for case in cases
        if case.fulfils
        for other in draw.sample(requests, min(_STRANGERS, len(requests)))
        if other != case.request
    ]
