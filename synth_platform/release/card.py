"""The dataset card: a README.md with the hub's YAML header, provenance, gates and limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from synth_platform.release.config import ReleaseSpec

_BIAS = (
    "Compared with the sources by lists of English words; a shift is a question to look at, not a verdict. What stands"
    " out:"
)


@dataclass(frozen=True)
class GateResult:
    """How a gate judged one of the release's ancestors."""

    asset: str
    gate: str
    passed: bool
    blocking: bool
    observed: str
    bounds: str


@dataclass(frozen=True)
class CardFacts:
    """Everything the card states; all of it read from snapshots and checks."""

    dataset: str
    description: str
    cycle: str | None
    rows: int
    tokens: int
    shares: Sequence[Mapping[str, Any]]
    """Per component: name, origin, rows, tokens, share, epochs."""
    sources: Sequence[Mapping[str, Any]]
    """Per source: name, type, documents, skipped, license."""
    recipes: Mapping[str, str]
    """Recipe name to its template's text."""
    model: Mapping[str, Any]
    """Model, engine, version, sampling per recipe."""
    rejected: Mapping[str, int]
    """Rejected rows by reason."""
    benchmarks: Sequence[Mapping[str, Any]]
    """Per benchmark: name, items, contaminated and suspect documents and generations found."""
    search: Sequence[str]
    """How test items were looked for, and what that finds and mistakes."""
    privacy: Mapping[str, Any] | None
    """Policies for personal data, texts that were changed, and what was not looked for; None: not known."""
    bias: str | None
    """What stands out against the source; None: not measured."""
    gates: Sequence[GateResult]
    lineage: Sequence[Mapping[str, str]]
    """Per ancestor: asset, snapshot, digest."""
    replaces: str = ""
    """Of a patch, which release it replaces and what was taken out."""
    files: Sequence[str] = field(default_factory=list)
    """Paths of the Parquet files."""


def render_card(facts: CardFacts, spec: ReleaseSpec) -> str:
    """The card as Markdown. The header lists the files by name, so nothing else in the folder is loaded."""
    title = spec.title or facts.dataset
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_header(facts, spec, title), sort_keys=False, allow_unicode=True).strip(),
            "---",
            "",
            f"# {title}",
            "",
            facts.description.strip(),
            "",
            *([facts.replaces, ""] if facts.replaces else []),
            f"{facts.rows:,} rows, {facts.tokens:,} tokens (by the generator's tokenizer)"
            + (f", cycle {facts.cycle}." if facts.cycle else "."),
            "",
            "```python",
            "from datasets import load_dataset",
            f'rows = load_dataset("path/to/this/folder", split="train")  # {facts.rows:,} rows',
            "```",
            "",
            *_section("Mixture", _table(facts.shares)),
            *_section("Sources", _table(facts.sources)),
            *_section("Generator", _table([{"what": key, "value": value} for key, value in facts.model.items()])),
            *_section("Recipes", *_recipes(facts.recipes)),
            *_section("Gates", _table([_gate_row(gate) for gate in facts.gates])),
            *_section("Rejected rows", _table([{"reason": r, "rows": n} for r, n in facts.rejected.items()])),
            *_section(
                "Contamination",
                "Source documents, prompts and generated rows were searched for the items of these benchmarks; every"
                " contaminated row was left out. " + " ".join(facts.search),
                "",
                _table(facts.benchmarks),
            ),
            *(_section("Personal data", *_personal_data(facts.privacy)) if facts.privacy else []),
            *(_section("Bias and toxicity", _BIAS, "", facts.bias) if facts.bias else []),
            *_section("Limits", *_limits(facts, spec)),
            *_section("Lineage", _table(facts.lineage)),
        ]
    )


def _header(facts: CardFacts, spec: ReleaseSpec, title: str) -> dict[str, Any]:
    return {
        "pretty_name": title,
        "license": spec.license,
        "language": spec.languages,
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "pretraining"],
        "size_categories": [_size_category(facts.rows)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": list(facts.files)}]}],
    }


def _size_category(rows: int) -> str:
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    bounds += [(10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B")]
    return next((name for bound, name in bounds if rows < bound), "n>1B")


def _section(title: str, *lines: str) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "*none*"
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _gate_row(gate: GateResult) -> dict[str, Any]:
    verdict = "passed" if gate.passed else ("FAILED" if gate.blocking else "warned")
    kind = "blocking" if gate.blocking else "warning"
    return {
        "asset": gate.asset,
        "gate": gate.gate,
        "kind": kind,
        "result": verdict,
        "observed": gate.observed,
        "bounds": gate.bounds,
    }


def _recipes(recipes: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for name, text in recipes.items():
        lines += [f"### {name}", "", "~~~jinja", text.strip(), "~~~", ""]
    return lines


def _personal_data(privacy: Mapping[str, Any]) -> list[str]:
    changed = privacy["redacted"]
    persons = f"by the model `{privacy['persons']}`" if privacy["persons"] else "not at all"
    disclosed = {"held_out": "against documents that were held out", "canaries": "by planted names"}
    measured = " and ".join(disclosed[name] for name in privacy["disclosure"])
    how = f"measured {measured}" if measured else "not measured"
    return [
        "Looked for by patterns and checksums, which miss what has another form; names of persons"
        f" {persons}. Something was replaced by a placeholder in {changed['documents']:,} source documents and"
        f" {changed['accepted']:,} generated texts; rejected ones are among the rejected rows as `privacy:...`."
        f" How much of the sources the generated texts disclose was {how}.",
        "",
        _table(privacy["policies"]),
    ]


def _limits(facts: CardFacts, spec: ReleaseSpec) -> list[str]:
    lines = [f"- {line}" for line in spec.limits.strip().splitlines() if line.strip()]
    lines += [
        "- Contamination: rewordings are found as far as measured above; translations into other languages only if"
        " the encoder is multilingual; questions of fewer than eight words only beside their choices or answer;"
        " programs of a few operations not at all.",
    ]
    if facts.privacy is None:
        lines.append("- Personal data is not measured.")
    if facts.bias is None:
        lines.append("- Bias and toxicity are not measured.")
    if not facts.benchmarks:
        lines.append("- No benchmark was named, so contamination was not checked at all.")
    return lines
