"""superalign: a self-closing alignment loop of attacker, learner and critic.

`__all__` is the public API. Every name is imported when it is first used, so that `import superalign` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from superalign.api.run_view import Round, Run, open_run
    from superalign.api.verbs import (
        EvaluationRequest,
        attack,
        calibrate,
        compare,
        decide,
        evaluate,
        export_model,
        load_recipe,
        resume,
        run,
    )
    from superalign.cli.progress import ProgressLines
    from superalign.config.recipe import Recipe
    from superalign.critic.quality.report import Calibration
    from superalign.errors import (
        ExportError,
        ModelError,
        PoolError,
        PromptFileError,
        PromptTooLongError,
        RecipeError,
        RunFolderError,
        SuperalignError,
        TrainingError,
        TrainingStopped,
    )
    from superalign.evaluation.options import SuiteSource
    from superalign.evaluation.paired_comparison import Compared, Contrast
    from superalign.export.export import ExportReport
    from superalign.gate.decide import GateOptions
    from superalign.protocols import (
        Attacker,
        Comparer,
        Critic,
        DropError,
        Evaluator,
        InferencePool,
        Learner,
        Observer,
        PoolStats,
        Sampling,
        Score,
        Silent,
        Trainer,
    )
    from superalign.records.evaluation import Check, Evaluation, Interval, ItemResult, Promotion, SuiteResult
    from superalign.records.exchange import Answer, Critique, Dropped, Exchange, Revision, Verdict
    from superalign.records.rollout import Attack, Generation, Message, Response, Rollout, Seed
    from superalign.records.training import Checkpoint, Demonstration, PreferencePair, Target
    from superalign.standalone.evaluate_models import Subject

__version__ = "0.1.0"

__all__ = [
    "Answer", "Attack", "Attacker", "Calibration", "Check", "Checkpoint", "Compared", "Comparer", "Contrast",
    "Critic", "Critique", "Demonstration", "DropError", "Dropped", "Evaluation", "EvaluationRequest", "Evaluator",
    "Exchange", "ExportError", "ExportReport", "GateOptions", "Generation", "InferencePool", "Interval",
    "ItemResult", "Learner", "Message", "ModelError", "Observer", "PoolError", "PoolStats", "PreferencePair",
    "ProgressLines", "Promotion", "PromptFileError", "PromptTooLongError", "Recipe", "RecipeError", "Response",
    "Revision", "Rollout", "Round", "Run", "RunFolderError", "Sampling", "Score", "Seed", "Silent", "Subject",
    "SuiteResult", "SuiteSource", "SuperalignError", "Target", "Trainer", "TrainingError", "TrainingStopped",
    "Verdict", "__version__", "attack", "calibrate", "compare", "decide", "evaluate", "export_model", "load_recipe",
    "open_run", "resume", "run",
]  # fmt: skip

_MODULES = {
    "api.run_view": "Round Run open_run",
    "api.verbs": "EvaluationRequest attack calibrate compare decide evaluate export_model load_recipe resume run",
    "cli.progress": "ProgressLines",
    "config.recipe": "Recipe",
    "critic.quality.report": "Calibration",
    "errors": "ExportError ModelError PoolError PromptFileError PromptTooLongError RecipeError RunFolderError "
    "SuperalignError TrainingError TrainingStopped",
    "evaluation.options": "SuiteSource",
    "evaluation.paired_comparison": "Compared Contrast",
    "export.export": "ExportReport",
    "gate.decide": "GateOptions",
    "protocols": "Attacker Comparer Critic DropError Evaluator InferencePool Learner Observer PoolStats Sampling Score "
    "Silent Trainer",
    "records.evaluation": "Check Evaluation Interval ItemResult Promotion SuiteResult",
    "records.exchange": "Answer Critique Dropped Exchange Revision Verdict",
    "records.rollout": "Attack Generation Message Response Rollout Seed",
    "records.training": "Checkpoint Demonstration PreferencePair Target",
    "standalone.evaluate_models": "Subject",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"superalign.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
