"""Row rules, exact facts and gates: what is right passes, and each kind of wrong is found."""

import json
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.errors import SpecError
from synth_platform.pilot.corpus import Example, examples
from synth_platform.privacy.rules import ENTITIES
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.accept import accept
from synth_platform.quality.config import GateSpec, QualitySpec, with_defaults
from synth_platform.quality.conformance import COMPUTING, RULES, rule_for
from synth_platform.quality.facts import check_facts
from synth_platform.quality.gates import Gate, apply_overrides, evaluate, failing_rows
from synth_platform.quality.limits import apply_limits
from synth_platform.quality.screen import measure

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
        ("table", lambda text: text.replace("| --- | --- |\n", ""), "no_table"),
        ("table", lambda text: text.replace(" |\n\nQ", " | x |\n\nQ"), "ragged_table"),
        ("table", lambda text: re.sub(r"(?<=-- \|\n)(\|.*\n)+", "", text), "empty_table"),
        ("table", lambda text: text.split("Question")[0], "no_question"),
        ("table", lambda text: text.split("Answer")[0], "no_answer"),
        ("math", lambda text: "Solution" + text.split("Solution")[1], "no_problem"),
        ("math", lambda text: text.split("Solution")[0], "no_solution"),
        ("math", lambda text: text.rsplit("Final", 1)[0], "no_final_answer"),
        ("faq", lambda text: text.rsplit("A:", 1)[0], "question_without_answer"),
        ("faq", lambda text: "\n\n".join(text.split("\n\n")[:2]), "too_few_pairs"),
        ("faq", lambda text: text + "\n\n" + text.split("\n\n")[-1], "repeated_question"),
        ("tutorial", lambda text: text.replace("2. ", "9. "), "steps_out_of_order"),
        ("tutorial", lambda text: re.sub(r"(?m)^\d\. ", "", text), "too_few_steps"),
    ],
)
def test_broken_forms_are_named(recipe, change, problem) -> None:
    for example in [one for one in HELD_OUT if one.recipe == recipe][:5]:
        assert problem in RULES[recipe](change(example.answer)), change(example.answer)


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        ("table", "Name | Born\n:--|--:\nAda \\| Lady | 1815\n\n**Question:** When?\n**Answer:** In 1815."),
        ("faq", "### What is it?\nA bridge.\n\n### Who built it?\n\nNobody knows."),
        ("faq", "Q1: What is it?\nA1: A bridge.\nQ2: Name the builder.\nA2: Nobody knows."),
        ("faq", "1. **What is it?**\n   A bridge.\n2. **Who built it?**\n   Who knows?\n   Nobody."),
        ("tutorial", "## Step 1: Cut\nCut it.\n## Step 2: Glue\nGlue it."),
        ("tutorial", "1. Cut.\n   1. Slowly.\n1. Glue.\n1. Wait."),
        ("math", "A farmer has 3 cows and buys 4.\n\n**Solution:**\n3 + 4 = 7\nThe answer is 7."),
    ],
)
def test_forms_that_models_write_are_kept(recipe: str, text: str) -> None:
    assert RULES[recipe](text) == []


def test_a_recipe_may_bring_its_own_form() -> None:
    spec = RecipeSpec.model_validate(
        {
            "name": "letter",
            "template": "faq",
            "conformance": {
                "required": {"no_greeting": "^Dear ", "paragraphs": {"pattern": "^$", "min": 2, "max": 3}},
                "forbidden": {"signed_by_model": "Assistant$"},
            },
        }
    )
    check = rule_for(spec.conformance_rule)
    assert check("Dear Ada,\n\nhello.\n\nYours, B.") == []
    assert check("Hello,\n\nyours, Assistant") == ["no_greeting", "paragraphs", "signed_by_model"]
    assert rule_for("synth_platform.quality.conformance:check_json")("{") == ["not_json"]
    with pytest.raises(SpecError, match="cannot be imported"):
        rule_for("nowhere:nothing")
    with pytest.raises(ValueError, match="no regular expression"):
        RecipeSpec.model_validate({"name": "x", "conformance": {"forbidden": {"bad": "("}}})
    with pytest.raises(ValueError, match="there is no rule 'tabel'"):
        RecipeSpec.model_validate({"name": "x", "conformance": "tabel"})


def screened(rows: list[dict[str, object]], recipe: str, spec: QualitySpec | None = None) -> pl.DataFrame:
    measured = measure(pl.DataFrame(rows), RULES[recipe], computes=recipe in COMPUTING)
    return apply_limits(measured, with_defaults(spec or QualitySpec(), recipe))


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


@pytest.mark.parametrize("recipe", ["table", "math", "faq", "tutorial"])
def test_right_answers_are_accepted(recipe: str) -> None:
    judged = screened([row(one) for one in HELD_OUT if one.recipe == recipe], recipe)
    wrong = judged.filter(pl.col("verdict") != "accepted").select("reasons", "invented").to_dicts()
    assert wrong == []


def test_each_reason_is_given() -> None:
    example = HELD_OUT[2]
    source = example.document.text
    answer = example.answer
    cases: list[tuple[dict[str, object], str]] = [
        ({"status": "truncated"}, "truncated"),
        ({"status": "failed", "text": ""}, "failed"),
        ({"status": "empty", "text": ""}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"text": None, "status": "failed"}, "failed"),
        ({"text": "Sure, here is your answer:"}, "chatter"),
        ({"text": answer + "\nI hope this helps!"}, "chatter"),
        ({"text": "I'm sorry, but I cannot help with that."}, "refusal"),
        ({"text": answer + " <|im_end|>"}, "control_tokens"),
        ({"text": "Written by [insert name]. " + answer}, "placeholder"),
        ({"text": answer + "<br/>"}, "html"),
        ({"text": answer + " cafÃ©"}, "encoding"),
        ({"text": answer + "\nThis sentence goes on and on until it stops at the"}, "truncated"),
        ({"text": "Yes, it is."}, "too_short"),
        ({"text": source}, "copied"),
        ({"text": example.prompt.split("Document:")[0]}, "prompt_echo"),
        ({"text": "no " * 3000}, "repetition:compression"),
        ({"text": "one two three four five six seven eight " * 20}, "repetition:ngrams"),
        ({"text": "again\n" * 30}, "repetition:lines"),
        (
            {"text": "Das Dokument handelt von einer Stadt, die vor langer Zeit an einem Fluss gebaut wurde."},
            "language",
        ),
        ({"text": answer + "\nIt has 777 towers."}, "invented:numbers"),
        ({"text": answer + "\nIt was built by Leonardo."}, "invented:names"),
        ({"text": answer + "\nThat was on March 3, 1912."}, "invented:dates"),
        ({"text": answer.replace(example.document.facts[1].value, "Nothing")}, "wrong_facts"),
    ]
    judged = screened([row(example, generation_id=str(n), **changes) for n, (changes, _) in enumerate(cases)], "table")
    for (changes, reason), found in zip(cases, judged["reasons"], strict=True):
        assert reason in found, (changes, reason, found.to_list() if hasattr(found, "to_list") else found)


def test_what_shows_a_planted_name_is_rejected_whatever_the_policies() -> None:
    example = HELD_OUT[2]
    texts = [example.answer, f"{example.answer}\nIt is on file for BADOFIMUKEPO's heirs."]
    off = QualitySpec(max_invented_names=None, max_invented_numbers=None, min_fact_accuracy=None)
    rows = pl.DataFrame([row(example, text=text, metadata=None) for text in texts])
    measured = measure(rows, RULES["none"], canaries=["Badofimukepo", "Zulisorakeda"])
    reasons = apply_limits(measured, off, dict.fromkeys(ENTITIES, "keep"))["reasons"].to_list()
    assert reasons == [[], ["privacy:canary"]]
    assert not measure(rows, RULES["none"])["canary"].any(), "nothing was planted"


def test_a_solution_is_computed_again() -> None:
    text = "Problem: A man has 12 hens and buys 30 more. How many?\n\nSolution:\n1. 12 + 30 = {}\n\nFinal answer: {}"
    source = "A man has 12 hens. At the market he buys 30 more of them, for he likes eggs."
    rows = [
        {**row(HELD_OUT[0]), "source_text": source, "metadata": None, "text": text.format(*pair)}
        for pair in ((42, 42), (43, 43), (42, 44))
    ]
    first, second, third = screened(rows, "math")["reasons"].to_list()
    assert first == []
    assert "arithmetic:step" in second
    assert third == ["arithmetic:final_answer"]


def test_numbers_are_compared_by_what_they_say() -> None:
    source = (
        "The tower was finished on 3 March 1999. It cost 2,500,000 dollars, weighs 2,987 kg, is 25 percent taller than"
        " the old one and has three hundred steps. Sixty masons worked on it for five years, says Anna Brandt of Ulm."
    )
    same = (
        "On March 3, 1999 the tower was finished, for $2.5 million. It weighs about 3,000 kilograms, has 300 steps and"
        " is 25% taller; 60 masons built it in 5 years, as Anna Brandt told."
    )
    rows = [
        {**row(HELD_OUT[0]), "source_text": source, "metadata": None, "text": text}
        for text in (
            same,
            same.replace("about 3,000 kilograms", "2,987 tonnes"),
            same.replace("March 3", "March 5"),
            same + " It has 4 km.",
        )
    ]
    measured = measure(pl.DataFrame(rows), RULES["none"])
    assert measured["invented"].to_list()[0] == []
    assert measured["changed_units"].to_list()[:3] == [0, 1, 0]
    assert measured["invented_dates"].to_list()[:3] == [0, 0, 1]
    assert measured["invented_numbers"].to_list() == [0, 0, 0, 1]
    assert measured["kept_numbers"].to_list()[0] is not None


def test_limits_decide_and_metrics_stay() -> None:
    example = HELD_OUT[2]
    rows = [
        row(example, text=text, metadata=None) for text in (example.answer, example.answer + "\nIt has 777 towers.")
    ]
    measured = measure(pl.DataFrame(rows), RULES[example.recipe])
    strict, loose = apply_limits(measured, QualitySpec()), apply_limits(measured, QualitySpec(max_invented_numbers=1))
    assert strict["verdict"].to_list() == ["accepted", "rejected"] and loose["verdict"].to_list() == ["accepted"] * 2
    assert strict.drop("verdict", "reasons").equals(loose.drop("verdict", "reasons"))


@settings(max_examples=25)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=6), st.text(max_size=300), st.integers(1, 3))
def test_any_text_is_measured_alone_as_in_a_block(texts: list[str], source: str, split: int) -> None:
    rows = [{**row(HELD_OUT[0]), "generation_id": str(n), "text": text, "source_text": source, "metadata": None}
            for n, text in enumerate(texts)]  # fmt: skip
    together = apply_limits(measure(pl.DataFrame(rows), RULES["faq"], computes=True), QualitySpec())
    apart = [apply_limits(measure(pl.DataFrame(rows[at : at + split]), RULES["faq"], computes=True), QualitySpec())
             for at in range(0, len(rows), split)]  # fmt: skip
    assert together.equals(pl.concat(apart))
    assert all(
        bool(reasons) == (verdict == "rejected")
        for reasons, verdict in together.select("reasons", "verdict").iter_rows()
    )


def test_contaminated_rows_are_rejected_with_all_their_reasons() -> None:
    prompts = pl.DataFrame(
        {"id": ["p1", "p2", "p3"], "document_id": ["d1", "d2", "d3"], "recipe": "faq", "source": "s", "url": "u"}
    ).with_columns(pl.lit("l").alias("license"))
    generations = pl.DataFrame(
        {"id": ["g1", "g2", "g3"], "prompt_id": ["p1", "p2", "p3"], "text": "t", "status": "ok", "prompt_tokens": 1}
    ).with_columns(pl.lit(2).alias("completion_tokens"))
    quality = pl.DataFrame(
        {"generation_id": ["g1", "g2", "g3"], "verdict": ["accepted", "rejected", "accepted"]}
    ).with_columns(
        pl.Series("reasons", [[], ["copied"], []], dtype=pl.List(pl.String)),
        pl.Series("personal_data", [[], [], []], dtype=pl.List(pl.String)),
    )
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
