"""The gates of every stage, as a spec changes them, and the expectations that it adds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from synth_platform.config import KeyMistake
from synth_platform.contamination import checks as contamination_checks
from synth_platform.errors import SpecError
from synth_platform.generation import checks as generation_checks
from synth_platform.judging import checks as judging_checks
from synth_platform.mixing import checks as mixing_checks
from synth_platform.prompts import checks as prompt_checks
from synth_platform.quality import checks as quality_checks
from synth_platform.quality.config import GateSpec
from synth_platform.quality.gates import Gate, apply_overrides
from synth_platform.quality.suites import Suites, load_suites
from synth_platform.release import checks as release_checks
from synth_platform.review import checks as review_checks
from synth_platform.sources import checks as source_checks

STAGE_GATES: Mapping[str, Sequence[Gate]] = {
    "documents": source_checks.GATES,
    "prompts": prompt_checks.GATES,
    "generations": generation_checks.GATES,
    "judge_prompts": judging_checks.PROMPT_GATES,
    "judgements": judging_checks.GATES,
    "quality": quality_checks.QUALITY_GATES,
    "index": contamination_checks.INDEX_GATES,
    "contamination": contamination_checks.SCAN_GATES,
    "accepted": quality_checks.ACCEPTED_GATES,
    "mixture": mixing_checks.GATES,
    "review": review_checks.GATES,
    "release": release_checks.GATES,
}
"""Gates by the stage names that `gates` of a spec uses."""


def own_suites(path: Path, gates: Mapping[str, Sequence[Gate]]) -> Suites:
    """A dataset's own expectations by stage.

    Args:
        path: of their file, which need not exist.
        gates: those that the stages have already.

    Raises:
        SpecError: the file is wrong, or an expectation is called like a gate of its stage.
    """
    suites = load_suites(path, list(STAGE_GATES))
    for stage, suite in suites.items():
        if taken := sorted({one.name for one in suite} & {gate.name for gate in gates[stage]}):
            raise SpecError(
                f"{stage} has a gate {taken[0]!r} already", where=str(path), fix="give the expectation another name"
            )
    return suites


def stage_gates(changes: Mapping[str, Mapping[str, GateSpec]]) -> dict[str, Sequence[Gate]]:
    """Gates of each stage, with a spec's changes by stage.

    Raises:
        KeyMistake: a stage or gate does not exist, or may not be changed.
    """
    for stage in changes:
        if stage not in STAGE_GATES:
            what = f"gates names the stage {stage!r}, which does not exist; use one of: {', '.join(STAGE_GATES)}"
            raise KeyMistake([stage], what)
    changed: dict[str, Sequence[Gate]] = {}
    for stage, gates in STAGE_GATES.items():
        try:
            changed[stage] = apply_overrides(gates, changes.get(stage, {}))
        except KeyMistake as error:
            raise KeyMistake([stage, *error.keys], f"gates.{stage}: {error}") from None
    return changed
