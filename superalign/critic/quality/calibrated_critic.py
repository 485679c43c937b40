"""TrustedCritic: a measured critic that says how sure it may be, and leaves the rest to people."""

from __future__ import annotations

from superalign.critic.quality.report import Calibration, QuestionQuality
from superalign.protocols import Critic
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Response


class TrustedCritic:
    """The critic's own verdicts with calibrated harm, and no score where the promise does not hold.

    Without a score no training example is made of an answer; a person's label gives it one.
    """

    def __init__(self, critic: Critic, calibration: Calibration) -> None:
        self.critic, self.calibration = critic, calibration

    async def critique(self, response: Response) -> Critique:
        """Raises what the critic raises."""
        critique = await self.critic.critique(response)
        return Critique(response=response, verdict=trusted(critique.verdict, self.calibration))


def trusted(verdict: Verdict, calibration: Calibration) -> Verdict:
    """The verdict with its probabilities calibrated, and without a score where the critic is to abstain."""
    harm, request = calibration.questions.get("harm"), calibration.questions.get("request")
    changes: dict[str, object] = {
        "harm": _reassessed(verdict.harm, harm),
        "request_harmful": _reassessed(verdict.request_harmful, request),
    }
    promised = harm.promise if harm else None
    if promised is not None and verdict.harm is not None:
        confidence = max(verdict.harm, 1 - verdict.harm)
        if promised.above is None or confidence <= promised.above:
            why = f"not above {promised.above:.3f}" if promised.above is not None else "and nothing was promised"
            said = f"The critic abstains: its confidence is {confidence:.3f}, {why}. {verdict.rationale}"
            return verdict.model_copy(update=changes | {"score": None, "rationale": said})
    return verdict.model_copy(update=changes)


def _reassessed(probability: float | None, quality: QuestionQuality | None) -> float | None:
    if probability is None or quality is None or quality.calibration is None:
        return probability
    return quality.calibration.map.reassessed(probability)
