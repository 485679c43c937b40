"""Replies constrained to a JSON schema: who constrains, who refuses, who takes no notice."""

from __future__ import annotations

import pytest

from superalign.errors import PoolError
from superalign.pool.options import ScriptedOptions, TransformersOptions
from superalign.pool.scripted import ScriptedPool
from superalign.pool.transformers.pool import TransformersPool
from superalign.protocols import Sampling
from superalign.records.rollout import Message

ASKED = (Message(role="user", content="Name?"),)
SCHEMA = Sampling(json_schema={"type": "object"})


async def test_plain_transformers_says_that_it_cannot_and_what_to_do() -> None:
    with pytest.raises(PoolError, match="set the critic's format to auto or tagged"):
        await TransformersPool("nothing is loaded", TransformersOptions()).generate("base", ASKED, SCHEMA)


async def test_the_scripted_pool_takes_no_notice() -> None:
    pool = ScriptedPool(ScriptedOptions(fallback=("Jo",)))
    assert await pool.generate("base", ASKED, SCHEMA) == await pool.generate("base", ASKED, Sampling())


@pytest.mark.engine
def test_vllm_knows_the_parameter_by_which_it_is_asked() -> None:
    from vllm import sampling_params  # here, for the import takes 10 s that only a test of the engine may spend

    asked = sampling_params.StructuredOutputsParams(json=SCHEMA.json_schema)
    assert sampling_params.SamplingParams(structured_outputs=asked).structured_outputs.json == SCHEMA.json_schema
