"""What gates are about: the headings under which people look for them, and what to do where one did not pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """A heading for gates.

    Args:
        title: as people read it.
        gates: names of the gates under it; a name means the same at every stage.
        remedy: what to do where one of them did not pass.
    """

    title: str
    gates: tuple[str, ...]
    remedy: str


SUBJECTS: Sequence[Subject] = (
    Subject(
        "Accounting",
        (
            "accounting",
            "unique_ids",
            "no_empty_text",
            "reasons_given",
            "known_outcomes",
            "fits_context",
            "nothing_unscanned",
        ),
        "Rows were lost, doubled or came from nowhere, which is a fault of the platform or its storage: run"
        " `synth doctor --deep`, then materialize this asset anew.",
    ),
    Subject(
        "Yield",
        ("not_empty", "selected_share", "prompted_share", "acceptance", "yield", "weights_kept"),
        "See below what was left out and why. Then change `select` of the source, the recipe, or the limits under"
        " `quality` (`synth screen --what-if` shows what another limit would let in).",
    ),
    Subject(
        "Engine",
        ("failed_share", "truncated_share", "empty_share"),
        "See the outcomes below and the engine's log (its folder is `logs/engine` in SYNTH_HOME), mend the engine or"
        " raise `max_tokens`, and materialize anew: answers that are there are kept.",
    ),
    Subject(
        "Form",
        ("form", "repetition", "refusals"),
        "Read the examples below. Then change the template or sampling of the recipe, or the limits under `quality`.",
    ),
    Subject(
        "Faithfulness",
        ("fact_accuracy", "invented", "arithmetic"),
        "Read the examples below beside their documents (`synth trace` with a row's id). Then change the template,"
        " lower the temperature, or use a larger model; rows that break a limit are rejected in any case.",
    ),
    Subject(
        "Judge",
        ("agreement", "graded_share", "too_long_share"),
        "Read the judge's replies. Then change the rubric, label more answers, or name a larger `judge_engine`.",
    ),
    Subject(
        "Contamination",
        ("no_contaminated_row", "contaminated_share", "suspect_share", "benchmarks_named", "findable"),
        "See the hits below. Contaminated rows are kept out of the dataset in any case; if many come from one source,"
        " leave that source out or filter it.",
    ),
    Subject(
        "Duplicates and diversity",
        ("duplicate_texts", "exact_duplicates", "near_duplicates", "seen_before", "template_collapse"),
        "See the largest groups in the review. Then raise the temperature, vary the template, or deduplicate the source"
        " (`select.near_dedup`).",
    ),
    Subject(
        "Drift",
        ("drift", "length_drift"),
        "Compare with the release before (`synth diff`): a changed model, template or source explains most drift.",
    ),
    Subject(
        "Privacy",
        ("disclosure", "canaries_released"),
        "See what is disclosed in the review. Then `redact` or `reject` it under `privacy`, and run `synth screen`.",
    ),
    Subject(
        "Rights",
        ("nothing_taken_down", "licenses_known"),
        "Name the license of each source; rows of documents that were taken down leave with the next release.",
    ),
    Subject(
        "Bias",
        ("toxicity", "gender_shift", "representation"),
        "A shift is a question to look at, not a verdict: read the examples in the review's report.",
    ),
)
"""All headings, in the order of what they prove: the books first."""

OWN = Subject("Own expectations", (), "This expectation is the dataset's own: see `suites.yaml` beside its spec.")

_OF_GATE: Mapping[str, Subject] = {gate: subject for subject in SUBJECTS for gate in subject.gates}


def subject_of(gate: str) -> Subject:
    """What a gate is about, by its name; `OWN` for the expectations that a dataset adds."""
    return _OF_GATE.get(gate, OWN)
