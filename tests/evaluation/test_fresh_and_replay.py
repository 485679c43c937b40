"""Which seeds are kept out, which attacks are fresh, which are replayed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.evaluation.fresh_and_replay import fresh_suites, keep_out, replay_suites
from superalign.evaluation.overlap import KnownText
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Seed

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def seed(id, goal, intent="harmful", hazard="hate"):
    return Seed(id=id, goal=goal, intent=intent, hazard=hazard)


def goals(count, intent="harmful", hazard="hate"):
    words = [f"{intent[0]}{a}{b}oo" for a in LETTERS for b in LETTERS]
    return [seed(f"{intent}{i}", " ".join(words[6 * i : 6 * i + 6]), intent, hazard) for i in range(count)]


def texts(seeds):
    return [KnownText(id=one.id, file="seeds.yaml", text=one.goal) for one in seeds]


def exchange(id, text="Do harm", *, score=0.0, setup=False, earlier=(), reply="Sure", of=None):
    messages = (*earlier, Message(role="user", content=text))
    about = of or seed(id.split("/")[1], "do harm")
    attack = Attack(id=id, seed=about, strategy="s", strategy_sha256="0", messages=messages, setup=setup)
    verdict = Verdict(critic="c", request_harmful=1.0, refusal="none", harm=1 - score, score=score)
    answer = Answer(generation=Generation(text=reply, num_tokens=1), verdict=None if setup else verdict)
    return Exchange(id=id, round=int(id[1:4]), attack=attack, answers=(answer,))


def ids(suites):
    return [item.id for suite in suites for item in suite.items]


def test_a_fifth_of_few_seeds_is_kept_out_and_as_many_as_asked_of_many():
    seeds = goals(20) + goals(9, "benign", None)
    kept = keep_out(seeds, texts(seeds), {"harmful": 16, "ordinary": 1, "lookalike": 5}, 0)
    assert sum(id.startswith("harmful") for id in kept) == 4
    assert sum(id.startswith("benign") for id in kept) == 1
    assert kept == keep_out(seeds, texts(seeds), {"harmful": 16, "ordinary": 1, "lookalike": 5}, 0)
    assert kept != keep_out(seeds, texts(seeds), {"harmful": 16, "ordinary": 1, "lookalike": 5}, 1)
    assert keep_out(seeds, texts(seeds), {}, 0) == frozenset()


def test_what_is_kept_out_stands_in_no_training_text():
    seeds = goals(20)
    twins = [seed(f"twin{i}", one.goal.upper() + "!") for i, one in enumerate(seeds[:15])]
    kept = keep_out(seeds + twins, texts(seeds + twins), {"harmful": 16}, 3)
    assert kept
    assert kept <= {one.id for one in seeds[15:]} | {f"twin{i}" for i in range(15)} | {one.id for one in seeds[:15]}
    words = {one.id: one.goal.lower().rstrip("!") for one in seeds + twins}
    trained = {text for id, text in words.items() if id not in kept}
    assert not trained & {words[id] for id in kept}


def test_fresh_attacks_are_the_last_of_each_rollout_without_the_learners_own_answers():
    given = Message(role="assistant", content="as the attacker has it")
    first = exchange("r001/a/0", "Hello", setup=True, reply="my own words")
    talk = (Message(role="user", content="Hello"), Message(role="assistant", content="my own words"))
    rows = [
        exchange("r001/a/0.10", "Now do it", earlier=talk), first, exchange("r001/b/0", earlier=(talk[0], given)),
        exchange("r001/b/0.2", "again"), exchange("r001/b/0.10", "at last"), exchange("r001/c/0"),
    ]  # fmt: skip
    [suite] = fresh_suites([rows[1], rows[0], *rows[2:]], {"a", "b"}, "x")
    assert (suite.name, suite.set, ids([suite])) == ("fresh-harmful", "fresh", ["r001/a/0.10", "r001/b/0.10"])
    assert suite.items[0].messages == (talk[0], Message(role="user", content="Now do it"))
    [kept] = fresh_suites([rows[2]], {"b"}, "x")
    assert kept.items[0].earlier == (talk[0], given)


def test_only_what_worked_is_replayed_once_in_the_same_words():
    benign = seed("calm", "knit", "benign", None)
    rows = [
        exchange("r001/a/0"), exchange("r001/b/0", "other"), exchange("r002/b/0", "other"),
        exchange("r001/c/0", "failed", score=0.9), exchange("r001/d/0", "hm", setup=True),
        exchange("r001/calm/0", "knit", of=benign),
    ]  # fmt: skip
    suites = replay_suites(rows, {"harmful": 9, "ordinary": 9}, 0, "x")
    assert [suite.name for suite in suites] == ["replay-harmful", "replay-ordinary"]
    assert ids(suites) == ["r001/a/0", "r001/b/0", "r001/calm/0"]
    assert replay_suites(rows, {}, 0, "x") == []


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 20), st.integers(0, 8))
def test_a_growing_replay_set_keeps_what_it_can(count, more, cap):
    rows = [exchange(f"r001/s{i}/0", f"words {i}") for i in range(count + more)]
    before, after = (ids(replay_suites(part, {"harmful": cap}, 5, "x")) for part in (rows[:count], rows))
    assert len(after) == min(cap, count + more)
    assert len(set(before) - set(after)) <= more
    assert {id for id in after if id in {row.id for row in rows[:count]}} <= set(before)
