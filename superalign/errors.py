"""Errors a person can act on: what went wrong, where, and the cure.

SuperalignError
├── RecipeError        a recipe, and every fault in it at once
├── PromptFileError    a prompt, seed, suite or constitution file
├── ModelError         a model that is missing, damaged or of the wrong kind
├── PoolError          the inference pool: engine start, adapter swap, canary
│   └── PromptTooLongError   a prompt that leaves no room for an answer
├── TrainingError      the training child: preflight, divergence, crash; the round is lost
├── TrainingStopped    the training child was killed; resume goes on
├── RunFolderError     the run folder: lock, chain, missing or altered artefact
└── ExportError        an export that would not be the model that was evaluated
"""


class SuperalignError(Exception):
    """Base of every expected fault; the CLI prints it without a traceback and exits with 1."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        between = "\n" if "\n" in self.what else "; "
        return f"{self.what.rstrip()}{between}{self.hint}" if self.hint else self.what


class RecipeError(SuperalignError):
    """Every fault of one recipe, a line each: `file:line: field: what; cure`."""


class PromptFileError(SuperalignError):
    """A prompt, seed, suite, expert or constitution file that can't be used, with file and line."""


class ModelError(SuperalignError):
    """A model that is not there, is damaged, or has no chat template."""


class PoolError(SuperalignError):
    """The engine did not start, a swap failed, or a canary did not sing."""


class PromptTooLongError(PoolError):
    """A prompt that leaves no room for an answer; a critic gives no verdict then, any other role ends the run."""


class TrainingError(SuperalignError):
    """Training refused to start (preflight), diverged, or its process died; the incumbent is kept."""


class TrainingStopped(SuperalignError):  # noqa: N818 - nothing is wrong with the training
    """The training process was killed from outside; its saved state is there, so the run stops and can be resumed."""


class RunFolderError(SuperalignError):
    """The run folder is locked, altered, incomplete or of another recipe."""


class ExportError(SuperalignError):
    """The export failed or did not match the evaluated model; nothing was left half-written."""
