"""Row rules, exact facts and gates: what is right passes, and each kind of wrong is found."""

import json
import re

import polars as pl
import pytest

from synth_platform.pilot.corpus import Example, examples
from synth_platform.quality import detectors
from synth_platform.quality.accept import accept
from synth_platform.quality.assess import assess_row
from synth_platform.quality.config import GateSpec, QualitySpec
from synth_platform.quality.conformance import RULES, rule_for
from synth_platform.quality.facts import check_facts
from synth_platform.quality.gates import Gate, apply_overrides, evaluate, failing_rows

HELD_OUT = list(examples(120, seed=5, split="documents"))


def check(example: Example, text: str):
    found = check_facts(text, example.document.text, example.document.metadata())
    assert found is not None
    return found


@pytest.mark.parametrize("recipe", ["table", "math", "faq", "tutorial"])
def test_right_answers_keep_the_format_and_state_only_facts(recipe: str) -> None:
    for example in (one for one in HELD_OUT if one.recipe == recipe):
        assert RULES[recipe](example.answer) == [], example.answer
        facts = check(example, example.answer)
        assert facts.wrong == (), (example.answer, facts.wrong)
        assert facts.correct
        if recipe != "math":
            assert facts.missing == (), (example.answer, facts.missing)


def test_one_wrong_digit_is_a_wrong_statement() -> None:
    for example in HELD_OUT:
        fact = next(fact for fact in example.document.facts if fact.attribute in ("born", "founded", "released"))
        if fact.value not in example.answer:
            continue
        changed = fact.value[:3] + str((int(fact.value[3]) + 1) % 10)
        assert check(example, example.answer.replace(fact.value, changed)).wrong, example.answer


def test_one_wrong_letter_in_a_name_is_a_wrong_statement() -> None:
    for example in HELD_OUT:
        names = [fact for fact in example.document.facts[1:] if re.fullmatch(r"[A-Z][a-z]+", fact.value)]
        if example.recipe == "math" or not names:
            continue
        name = names[0].value
        assert check(example, example.answer.replace(name, name[:-1] + "q")).wrong, example.answer


@pytest.mark.parametrize(
    ("recipe", "change", "problem"),
    [
        ("table", lambda text: text.replace("| --- | --- |\n", ""), "no_table_header"),
        ("table", lambda text: text.replace(" |\n\nQ", " | x |\n\nQ"), "ragged_table"),
        ("table", lambda text: text.split("Question")[0], "no_question"),
        ("table", lambda text: text.split("Answer")[0], "no_answer"),
        ("math", lambda text: text.removeprefix("Problem:"), "no_problem"),
        ("math", lambda text: re.sub(r"= (\d+)", "= 1", text, count=1), "wrong_arithmetic"),
        ("math", lambda text: text.rsplit("Final", 1)[0], "no_final_answer"),
        ("math", lambda text: re.sub(r"Final answer: \d+", "Final answer: 7777", text), "final_answer_differs"),
        ("faq", lambda text: text.lstrip("# "), "no_title"),
        ("faq", lambda text: text.rsplit("A:", 1)[0], "question_without_answer"),
        ("faq", lambda text: text.replace("?**", "**"), "question_without_mark"),
        ("tutorial", lambda text: text.replace("# How to", "# Why"), "no_title"),
        ("tutorial", lambda text: text.replace("2. ", "9. "), "steps_out_of_order"),
        ("tutorial", lambda text: text.rsplit("\n\n", 1)[0], "no_closing_sentence"),
    ],
)
def test_broken_formats_are_named(recipe, change, problem) -> None:
    for example in [one for one in HELD_OUT if one.recipe == recipe][:5]:
        assert problem in RULES[recipe](change(example.answer)), change(example.answer)


def test_detectors_find_what_they_are_for_and_nothing_else() -> None:
    plain = HELD_OUT[2].answer
    for detector, bad in (
        (detectors.is_refusal, "I'm sorry, but I cannot help with that."),
        (detectors.is_refusal, "As an AI language model I do not have"),
        (detectors.has_chatter, "Sure, here is the table you asked for:\n| a |"),
        (detectors.has_chatter, "| a | b |\nI hope this helps!"),
        (detectors.has_control_tokens, "text <|im_end|> more"),
        (detectors.has_placeholder, "Written by [insert name]"),
    ):
        assert detector(bad)
        assert not detector(plain)
    assert detectors.duplicate_ngrams("one two three four five six seven eight " * 20) > 0.8
    assert detectors.compression_ratio("loop " * 500) < 0.05 < detectors.compression_ratio(plain)
    source = HELD_OUT[0].document.text
    assert detectors.copied_share(source, source) == 1.0
    assert detectors.copied_share(plain, source) == 0.0


def row(example: Example, **changes: object) -> dict[str, object]:
    return {
        "generation_id": "g",
        "text": example.answer,
        "status": "ok",
        "source_text": example.document.text,
        "messages": json.dumps([{"role": "user", "content": example.prompt}]),
        "metadata": json.dumps(example.document.metadata()),
        **changes,
    }


def test_each_reason_is_given() -> None:
    example, spec = HELD_OUT[2], QualitySpec()
    rule = rule_for(example.recipe)
    assert assess_row(row(example), spec, rule)["verdict"] == "accepted"
    for changes, reason in (
        ({"status": "truncated"}, "truncated"),
        ({"status": "failed", "text": ""}, "failed"),
        ({"status": "empty", "text": ""}, "empty"),
        ({"text": "Sure, here is your answer:"}, "chatter"),
        ({"text": example.document.text}, "copied"),
        ({"text": example.prompt.split("Document:")[0]}, "prompt_echo"),
        ({"text": "no " * 3000}, "repetition:compression"),
        ({"text": example.answer.replace(example.document.facts[1].value, "Nothing")}, "wrong_facts"),
    ):
        judged = assess_row(row(example, **changes), spec, rule)
        assert judged["verdict"] == "rejected" and reason in judged["reasons"], (reason, judged["reasons"])


def test_contaminated_rows_are_rejected_with_all_their_reasons() -> None:
    prompts = pl.DataFrame(
        {"id": ["p1", "p2", "p3"], "document_id": ["d1", "d2", "d3"], "recipe": "faq", "source": "s", "url": "u"}
    ).with_columns(pl.lit("l").alias("license"))
    generations = pl.DataFrame(
        {"id": ["g1", "g2", "g3"], "prompt_id": ["p1", "p2", "p3"], "text": "t", "status": "ok", "prompt_tokens": 1}
    ).with_columns(pl.lit(2).alias("completion_tokens"))
    quality = pl.DataFrame(
        {"generation_id": ["g1", "g2", "g3"], "verdict": ["accepted", "rejected", "accepted"]}
    ).with_columns(pl.Series("reasons", [[], ["copied"], []], dtype=pl.List(pl.String)))
    tables: dict[str, pl.DataFrame] = dict(
        accept(
            [prompts],
            [generations],
            [quality],
            contaminated_generations={"g2": "mmlu"},
            contaminated_prompts={"p3": "drop"},
            contaminated_documents={"d2": "gsm8k", "d3": "gsm8k"},
        )
    )
    assert tables["accepted"]["generation_id"].to_list() == ["g1"]
    assert tables["rejected"]["reasons"].to_list() == [
        ["copied", "contaminated:mmlu", "contaminated_source:gsm8k"],
        ["contaminated_prompt:drop", "contaminated_source:gsm8k"],
    ]


GATE = Gate("share", "share", 0.2, 0.8, "warning", "A share")


@pytest.mark.parametrize(("value", "passed"), [(0.5, True), (0.2, True), (0.1, False), (0.9, False)])
def test_gates_keep_their_bounds(value: float, passed: bool) -> None:
    outcome = evaluate({"share": value}, [GATE])[0]
    assert (outcome.passed, outcome.severity, outcome.observed) == (passed, "warning", value)


@pytest.mark.parametrize("metrics", [{}, {"share": float("nan")}, {"share": None}, {"share": "many"}])
def test_what_cannot_be_judged_fails_and_blocks(metrics) -> None:
    outcome = evaluate(metrics, [GATE])[0]
    assert not outcome.passed and outcome.severity == "critical" and outcome.error


def test_gates_are_matched_by_name_and_changed_by_name() -> None:
    gates = [Gate(f"g{n}", f"m{n}", n, n, "critical", "") for n in range(6)]
    outcomes = evaluate({f"m{n}": float(n if n % 2 else -1) for n in range(6)}, gates)
    assert [outcome.passed for outcome in outcomes] == [False, True] * 3
    changed = apply_overrides([GATE], {"share": GateSpec(min=0.9, max=None, severity="critical")})
    assert (changed[0].min, changed[0].max, changed[0].severity) == (0.9, None, "critical")
    assert apply_overrides([GATE], {"share": GateSpec(enabled=False)}) == ()
    with pytest.raises(ValueError, match="there is no gate 'other'"):
        apply_overrides([GATE], {"other": GateSpec()})
    with pytest.raises(ValueError, match="cannot be changed"):
        apply_overrides([Gate("accounting", "x", 0, 0, "critical", "")], {"accounting": GateSpec(max=5)})


def test_failing_rows_are_found_by_position() -> None:
    assert failing_rows(pl.DataFrame({"x": [1.0, 0.2, None, 0.1]}), "x", 0.5, None) == [1, 3]
