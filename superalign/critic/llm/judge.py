"""An exchange and a prompt file -> a verdict that a model wrote: what rubric, debate and second look have in common."""

from __future__ import annotations

from dataclasses import dataclass

from superalign.critic.constitution import Constitution
from superalign.critic.llm.ask import Asker
from superalign.critic.llm.fence import conversation_text, fence
from superalign.critic.llm.parse_verdict import read_json, read_tagged, schema_of
from superalign.critic.model_options import Combine
from superalign.files.templates import PromptTemplate
from superalign.records.exchange import Verdict
from superalign.records.rollout import Response


@dataclass(frozen=True)
class Judge:
    """Asks for verdicts in one form."""

    asker: Asker
    form: PromptTemplate
    """What every prompt ends with: how the verdict is to be written."""
    constitution: Constitution
    combine: Combine | None

    async def verdict(
        self, critic: str, template: PromptTemplate, response: Response, step: str, **more: str
    ) -> Verdict:
        """A verdict of the response; raises DropError when two tries gave none.

        critic: whose name it bears; step: which of its requests this is; more: further slots, fenced like the texts.
        """
        constitution = self.constitution.applying_to(response.attack.seed)
        said, reply = conversation_text(response.attack.messages), response.generation.text
        mark = fence(self.asker.run_seed, said, reply, *more.values())
        structured, vector = self.asker.structured, self.combine is not None
        read = read_json if structured else read_tagged
        messages = template.messages(
            constitution=listed(constitution),
            conversation=mark.around(said),
            reply=mark.around(reply),
            mark=mark.mark,
            form=self.form.render(json=structured, vector=vector),
            **{slot: mark.around(text) for slot, text in more.items()},
        )
        schema = None
        if structured:
            schema = schema_of(constitution, reply, vector=vector, max_tokens=self.asker.max_tokens)
        return await self.asker.ask(
            messages,
            lambda text: read(text, reply, constitution, critic, self.combine),
            response.attack.id, step, response.index,
            schema=schema,
        )  # fmt: skip


def listed(constitution: Constitution) -> list[dict[str, str]]:
    """The principles as prompts read them."""
    return [
        {
            "id": principle.id,
            "text": principle.text,
            "examples": " / ".join(principle.examples),
            "counter_examples": " / ".join(principle.counter_examples),
        }
        for principle in constitution.principles
    ]
