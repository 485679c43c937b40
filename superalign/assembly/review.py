"""Recipe -> how people take part: as plan.py does for the other roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.critic.options import ProbeOptions, within
from superalign.critic.probe.examples import Labelled, LabelledPair, LabelledReply, LabelledRequest
from superalign.loop.phases.human_review import ReviewPlan
from superalign.review.label_value import Embed, request_of
from superalign.review.labels import Taught


def review_plan(
    recipe: Recipe, teach: Callable[[Sequence[Taught]], Awaitable[None]], embed: Embed | None
) -> ReviewPlan | None:
    """None: the recipe leaves people out. teach: builds the critic anew, which only a probe gains from."""
    if recipe.review.mode == "off":
        return None
    learns = any(isinstance(options, ProbeOptions) for options in within(recipe.critic))
    return ReviewPlan(recipe.review, recipe.pairing, teach if learns else None, embed)


def with_labels(inputs: Inputs, taught: Sequence[Taught]) -> Inputs:
    """The inputs with what people said among the labelled examples that probes are fitted on."""
    return replace(inputs, labelled={name: extended(known, taught) for name, known in inputs.labelled.items()})


def extended(known: Labelled, taught: Sequence[Taught]) -> Labelled:
    """Labelled examples and what people said; a text that is there already keeps its label."""
    requests = {text for text, _ in known.all_requests()}
    replies = {text for text, _ in known.all_replies()}
    pairs, alone, asked = list(known.pairs), list(known.replies), list(known.requests)
    for row in taught:
        request = request_of(row.prompt)
        fresh = bool(row.reply.strip()) and row.reply not in replies
        if fresh and row.harmful is not None and row.harmful_reply is not None and request not in requests:
            pairs.append(
                LabelledPair.model_validate({"request": request, "harmful": row.harmful, _place(row): (row.reply,)})
            )
        else:
            if fresh:
                alone.append(LabelledReply(text=row.reply, refusal=row.refusal))
            if row.harmful is not None and request not in requests:
                asked.append(LabelledRequest(text=request, harmful=row.harmful))
        requests.add(request)
        replies.add(row.reply)
    return Labelled(requests=tuple(asked), replies=tuple(alone), pairs=tuple(pairs))


def _place(row: Taught) -> str:
    """Under which name of a `LabelledPair` the reply belongs."""
    if row.refusal == "full":
        return "full"
    if row.refusal == "partial":
        return "warns" if row.harmful_reply else "partial"
    return "misses" if row.harmful and not row.harmful_reply else "does"
