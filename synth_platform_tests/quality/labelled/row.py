"""A labelled answer: what it says, what is wrong with it, and which labels may stand beside which."""

from collections.abc import Mapping
from dataclasses import dataclass

RECIPES = ("table", "math", "faq", "tutorial")
HAND, PERTURBED = "hand-written", "perturbed"

REASONS = (
    "format", "arithmetic", "refusal", "chatter", "prompt_echo", "control_tokens", "placeholder", "html", "encoding",
    "truncated", "too_short", "language", "empty", "repetition", "copied", "invented_number", "invented_date",
    "invented_name", "changed_unit",
)  # fmt: skip

MAY_ACCOMPANY: Mapping[str, frozenset[str]] = {
    "arithmetic": frozenset({"invented_number"}),
    "refusal": frozenset({"format", "chatter", "too_short"}),
    "format": frozenset({"repetition"}),
    "prompt_echo": frozenset({"format", "placeholder", "chatter"}),
    "control_tokens": frozenset({"html", "chatter", "truncated"}),
    "placeholder": frozenset({"invented_name", "format"}),
    "html": frozenset({"invented_name", "invented_number", "changed_unit"}),
    "encoding": frozenset({"invented_name", "html", "language"}),
    "truncated": frozenset({"format"}),
    "too_short": frozenset({"format", "truncated", "chatter", "arithmetic", "invented_number"}),
    "language": frozenset({"invented_name", "invented_number", "invented_date", "changed_unit"}),
    "empty": frozenset({"format", "too_short"}),
    "repetition": frozenset({"format", "truncated"}),
    "copied": frozenset({"format"}),
    "invented_number": frozenset({"arithmetic"}),
    "invented_date": frozenset({"invented_number", "invented_name"}),
    "changed_unit": frozenset({"invented_name"}),
}
"""Labels that a detector may give beside one that is right: neither hits nor false alarms. README.md says why."""


class LabelError(ValueError):
    """A row that is not what its label says."""


@dataclass(frozen=True)
class LabelledRow:
    """One answer of a model.

    Args:
        name: document, recipe and how it was made; no two rows share it.
        recipe: table, math, faq or tutorial.
        source_text: the document.
        text: the answer.
        reasons: all that is wrong with it; empty for a good answer.
        note: why it is a hard case; empty if it is none.
        kind: hand-written, or perturbed by code.
        language: of the source, ISO 639.
        status: how the generation ended.
    """

    name: str
    recipe: str
    source_text: str
    text: str
    reasons: frozenset[str] = frozenset()
    note: str = ""
    kind: str = HAND
    language: str = "en"
    status: str = "ok"

    @property
    def tolerated(self) -> frozenset[str]:
        """Labels that may be given beside its own."""
        allowed = (MAY_ACCOMPANY.get(reason, frozenset()) for reason in self.reasons)
        return frozenset().union(*allowed) - self.reasons


def require(condition: bool, row: str, problem: str) -> None:
    """Stop if a row is not what its label says.

    Raises:
        LabelError: naming the row.
    """
    if not condition:
        raise LabelError(f"{row}: {problem}")
