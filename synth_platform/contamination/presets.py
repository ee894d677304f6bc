"""Where the field's usual test sets are on the Hugging Face hub, and how their columns are called."""

from collections.abc import Mapping
from typing import Any

_HUB = "hf://datasets/"
_CHOICES = {"choices": "choices.text", "answer": "answerKey"}


def _preset(path: str, description: str, keep: str = "text", **columns: Any) -> dict[str, Any]:
    return {"path": _HUB + path, "description": description, "columns": columns, "keep": keep}


PRESETS: Mapping[str, dict[str, Any]] = {
    "gsm8k": _preset("openai/gsm8k/main/test-*.parquet", "GSM8K, test"),
    "mmlu": _preset("cais/mmlu/all/test-*.parquet", "MMLU, test"),
    "mmlu_redux": _preset("edinburgh-dawg/mmlu-redux-2.0/*/test-*.parquet", "MMLU-Redux 2.0"),
    "mmlu_pro": _preset("TIGER-Lab/MMLU-Pro/data/test-*.parquet", "MMLU-Pro, test", choices="options"),
    "arc_easy": _preset("allenai/ai2_arc/ARC-Easy/test-*.parquet", "ARC-Easy, test", **_CHOICES),
    "arc_challenge": _preset("allenai/ai2_arc/ARC-Challenge/test-*.parquet", "ARC-Challenge, test", **_CHOICES),
    "hellaswag": _preset(
        "Rowan/hellaswag/data/validation-*.parquet",
        "HellaSwag, validation",
        question="ctx",
        choices="endings",
        answer="label",
    ),
    "piqa": _preset(
        "ybisk/piqa/plain_text/validation-*.parquet",
        "PIQA, validation",
        question="goal",
        choices=["sol1", "sol2"],
        answer="label",
    ),
    "boolq": _preset("google/boolq/data/validation-*.parquet", "BoolQ, validation"),
    "openbookqa": _preset(
        "allenai/openbookqa/main/test-*.parquet", "OpenBookQA, test", question="question_stem", **_CHOICES
    ),
    "commonsenseqa": _preset(
        "tau/commonsense_qa/data/validation-*.parquet", "CommonsenseQA, validation", **_CHOICES
    ),
    "winogrande": _preset(
        "allenai/winogrande/winogrande_xl/validation-*.parquet",
        "WinoGrande XL, validation",
        question="sentence",
        choices=["option1", "option2"],
    ),
    "squad": _preset(
        "rajpurkar/squad/plain_text/validation-*.parquet",
        "SQuAD 1.1, validation",
        passage="context",
        answer="answers.text",
    ),
    "squad_v2": _preset(
        "rajpurkar/squad_v2/squad_v2/validation-*.parquet",
        "SQuAD 2.0, validation",
        passage="context",
        answer="answers.text",
    ),
    "drop": _preset(
        "ucinlp/drop/data/validation-*.parquet", "DROP, validation", id="query_id", answer="answers_spans.spans"
    ),
    "triviaqa": _preset(
        "mandarjoshi/trivia_qa/rc.nocontext/validation-*.parquet",
        "TriviaQA, validation",
        id="question_id",
        answer="answer.value",
    ),
    "wikitablequestions": _preset(
        "stanfordnlp/wikitablequestions/*/test-*.parquet", "WikiTableQuestions, test", answer="answers"
    ),
    "xcsqa": _preset(
        "INK-USC/xcsr/X-CSQA-en/validation-*.parquet", "X-CSQA, English", question="question.stem",
        choices="question.choices.text", answer="answerKey",
    ),
    "humaneval": _preset(
        "openai/openai_humaneval/openai_humaneval/test-*.parquet",
        "HumanEval",
        id="task_id",
        question="prompt",
        answer="canonical_solution",
    ),
    "mbpp": _preset(
        "google-research-datasets/mbpp/full/test-*.parquet", "MBPP, test", id="task_id", question="text|prompt",
        answer="code",
    ),
    "math": _preset(
        "EleutherAI/hendrycks_math/*/test-*.parquet", "MATH, test", question="problem", answer="solution"
    ),
    "math500": _preset("HuggingFaceH4/MATH-500/test.jsonl", "MATH-500", question="problem", answer="solution"),
    "aime": _preset(
        "HuggingFaceH4/aime_2024/data/train-*.parquet",
        "AIME 2024",
        question="problem|Problem",
        answer="solution|Answer",
    ),
    "gpqa": _preset(
        "Idavidrein/gpqa/gpqa_diamond.csv",
        "GPQA Diamond, kept as hashes as its authors ask",
        keep="hashes",
        id="Record ID",
        question="Question",
        answer="Correct Answer",
        choices=["Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"],
    ),
    "truthfulqa": _preset(
        "truthfulqa/truthful_qa/multiple_choice/validation-*.parquet",
        "TruthfulQA, multiple choice",
        choices="mc1_targets.choices",
    ),
}  # fmt: skip
