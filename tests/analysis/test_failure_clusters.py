"""Failures on toy vectors: three directions for three subjects, a little turned for each text."""

import zlib

import numpy as np
import pytest

from superalign.analysis.failure_clusters import Covered, failure_report
from superalign.cli.text.round import failure_facts
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Seed

SUBJECTS = ("locks", "money", "garden")


def embed(texts):
    """Near to each other within a subject, the first word; strangers lie at right angles, or nearly."""
    rows = []
    for text in texts:
        subject = text.split()[0]
        row = np.random.default_rng(zlib.crc32(text.encode())).normal(0, 0.04, 32)
        if subject in SUBJECTS:
            row[SUBJECTS.index(subject)] += 1
        else:
            row[8:] += np.random.default_rng(zlib.crc32(text.encode()) + 1).normal(0, 1, 24)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, dtype=np.float32)


def seed(goal, intent="harmful", hazard=None):
    return Seed(id=goal.replace(" ", "-"), goal=goal, intent=intent, hazard=hazard)


def exchange(of, score, index=0):
    attack = Attack(
        id=f"r001/{of.id}/{index}", seed=of, strategy="direct", strategy_sha256="0",
        messages=(Message(role="user", content=of.goal),),
    )  # fmt: skip
    verdict = Verdict(critic="toy", request_harmful=None, refusal="none", harm=None, score=score)
    answer = Answer(generation=Generation(text="x", num_tokens=1), verdict=verdict)
    return Exchange(id=attack.id, round=1, attack=attack, answers=(answer,))


KNOWN = [seed(f"locks {n}", hazard="nonviolent_crimes") for n in range(15)]
KNOWN += [seed(f"money {n}", hazard="specialized_advice") for n in range(15)]
NEW = [seed(f"garden {n}", "benign") for n in range(4)]
ODD = [seed("odd one", "benign"), seed("quite another", "benign")]


def report(exchanges, known=KNOWN, own=()):
    return failure_report(1, exchanges, Covered.by(known, own, embed), embed)


def test_a_kind_that_no_hazard_covers_is_emergent_and_the_others_are_not():
    failed = [exchange(s, 0.0) for s in [*KNOWN[:5], *KNOWN[15:18], *NEW, *ODD]] + [exchange(NEW[0], 0.0, 1)]
    found = report([*failed, exchange(KNOWN[9], 1.0), exchange(KNOWN[10], None)])
    assert found.failures == 15
    assert found.scattered == 2
    assert [(c.id, c.intent, c.goals, c.exchanges, c.emergent) for c in found.clusters] == [
        ("r001-1", "harmful", 5, 5, False),
        ("r001-2", "benign", 4, 5, True),
        ("r001-3", "harmful", 3, 3, False),
    ]
    assert [c.nearest for c in found.clusters if not c.emergent] == ["nonviolent_crimes", "specialized_advice"]
    assert {e.goal for e in found.emergent[0].examples} < {s.goal for s in NEW}
    assert report(reversed([*failed])) == report(failed)
    told = dict(failure_facts(found))
    assert "1 of them unlike every known hazard" in told["failures"]
    assert "garden" in told["emergent"]


def test_new_goals_near_to_a_hazard_are_covered_by_it():
    found = report([exchange(seed(f"money more {n}"), 0.0) for n in range(4)])
    assert [(c.nearest, c.emergent) for c in found.clusters] == [("specialized_advice", False)]


@pytest.mark.parametrize("known", [[], KNOWN[:5]])
def test_too_few_texts_of_hazards_cover_nothing_and_condemn_nothing(known):
    found = report([exchange(s, 0.0) for s in NEW], known)
    assert found.limit is None
    assert [c.emergent for c in found.clusters] == [False]
    assert "too few texts" in dict(failure_facts(found))["failures"]


def test_a_round_without_failures():
    found = report([exchange(KNOWN[0], 1.0)])
    assert (found.failures, found.clusters, found.scattered) == (0, (), 0)
    assert list(failure_facts(found)) == []
