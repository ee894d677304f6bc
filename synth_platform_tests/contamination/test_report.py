"""Where an item came from is told apart, and what was found is shown without giving the test set away."""

import polars as pl

from synth_platform.contamination.origin import found_items, with_origin
from synth_platform.contamination.report import describe_hits, hits_by_benchmark, worst_verdicts
from synth_platform.contamination.schema import CONTAMINATION
from synth_platform.plots import heat_map


def hits(*rows: tuple[str, str | None, str | None, str]) -> pl.DataFrame:
    named = [dict(zip(("row_id", "eval", "eval_id", "verdict"), row, strict=True)) for row in rows]
    texts = {"method": "exact", "score": 0.9, "span": "a | b " * 100, "eval_span": "c" * 200}
    return pl.DataFrame([{**row, **(texts if row["eval"] else {})} for row in named], schema=CONTAMINATION)


def test_source_prompt_and_memory_are_told_apart() -> None:
    made = hits(
        ("g1", "exam", "q1", "contaminated"),
        ("g2", "exam", "q2", "contaminated"),
        ("g3", "exam", "q3", "suspect"),
        ("g4", None, None, "clean"),
    )
    documents = found_items([hits(("d1", "exam", "q1", "suspect"), ("d3", "exam", "q9", "contaminated"))])
    prompts = found_items([hits(("p1", "exam", "q1", "suspect"), ("p2", "exam", "q2", "contaminated"))])
    prompt_of = {"g1": "p1", "g2": "p2", "g3": "p3", "g4": "p4"}
    document_of = {"p1": "d1", "p2": "d2", "p3": "d3", "p4": "d4"}
    found = with_origin(made, prompt_of, document_of, prompts, documents)
    assert found["origin"].to_list() == ["document", "prompt", "generator", None]


def test_reports_count_texts_and_cut_what_they_quote() -> None:
    rows = hits(
        ("a", "exam", "q1", "contaminated"),
        ("a", "exam", "q2", "suspect"),
        ("b", "other", "q1", "suspect"),
        ("c", None, None, "clean"),
    ).lazy()
    assert worst_verdicts(rows) == {"clean": 1, "suspect": 1, "contaminated": 1}
    assert hits_by_benchmark(rows) == {"exam": 1}
    assert hits_by_benchmark(rows, "suspect") == {"exam": 1, "other": 1}
    shown = describe_hits(rows)
    assert shown.count("\n") == 4 and "c" * 81 not in shown and "a \\| b" in shown
    assert max(len(line) for line in shown.splitlines()) < 400
    assert describe_hits(rows.filter(pl.col("verdict") == "clean")) == "*nothing found*"


def test_a_heat_map_is_a_picture_or_says_why_not() -> None:
    assert heat_map([[0.0, 3.0]], ["exam"], ["documents", "faq"], title="Found").startswith("![Found](data:image/png")
    assert heat_map([], [], [], title="Found") == "*Found: nothing to show*"
