"""What does not belong into an answer, by examples: each detector finds its kind, and leaves its look-alikes alone."""

import polars as pl
import pytest

from synth_platform.quality.detectors import Rows
from synth_platform.quality.detectors.chatter import talks
from synth_platform.quality.detectors.gaps import has_gap
from synth_platform.quality.detectors.leftovers import measure_leftovers
from synth_platform.quality.detectors.mojibake import count_damage
from synth_platform.quality.detectors.refusals import refuses
from synth_platform.quality.part_labels import label_of, with_plain_labels


def one(text: str) -> pl.Series:
    return pl.Series([text])


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I cannot assist with this request.", True),
        ("As an AI language model, I do not have opinions.", True),
        ("**Answer:** I am unable to answer this question.", True),
        ("| Name | Born |\n|---|---|\n| Ada | Unfortunately, I cannot provide this information. |", True),
        ("I must respectfully decline.", True),
        ("No document was provided.", True),
        ("Please provide the document so that I can write the tutorial.", True),
        ("Es tut mir leid, aber das geht nicht.", True),
        ("Je suis désolé, mais je ne peux pas.", True),
        ('She wrote: "I cannot help you with this request."', False),
        ("I cannot swim, said the knight, and sank.", False),
        ("The bridge cannot be crossed in winter.", False),
        ("Unfortunately, the mill burned down in 1801.", False),
        ("He was sorry that he had not come.", False),
        ("An AI language model predicts the next word.", False),
        ("The committee declined to answer the question.", False),
        ("", False),
    ],
)
def test_refusals(text: str, refusal: bool) -> None:
    assert refuses(one(text)).to_list() == [refusal]


@pytest.mark.parametrize(
    ("text", "chatter"),
    [
        ("Sure! Here is the table:\n\n| a |\n|---|\n| 1 |", True),
        ("Certainly, here's your FAQ.\n\nQ: What?\nA: That.", True),
        ("Here is the rewritten text:\n\nThe mill stood by the river.", True),
        ("Q: What?\nA: That.\n\nI hope this helps!", True),
        ("The mill burned.\n\nLet me know if you have any questions.", True),
        ("1. Cut.\n2. Glue.\n\nFeel free to ask for changes!", True),
        ("Sure of his aim, he let go.", False),
        ("Certainly the mill is older than the bridge.", False),
        ("Here is where the river meets the sea.", False),
        ('"Sure! Here is the money," said the miller.', False),
        ("The host lets guests know if dinner is late.", False),
        ("", False),
    ],
)
def test_talk_to_the_user(text: str, chatter: bool) -> None:
    assert talks(one(text)).to_list() == [chatter]


@pytest.mark.parametrize(
    ("text", "source", "gap"),
    [
        ("The mill was built by [insert name].", "", True),
        ("Dear [Your Name],\nwelcome.", "", True),
        ("Answer: [Answer]", "", True),
        ("Answer: ...", "", True),
        ("Born: TBD", "", True),
        ("Lorem ipsum dolor.", "", True),
        ("The price is <insert price>.", "", True),
        ("Write {name} here.", "", True),
        ("Put your name at [Your Name].", "A form has the field [Your Name].", False),
        ("See [the mill](https://example.com/mill).", "", False),
        ("He waited ... and left.", "", False),
        ("The set [1, 2] is closed.", "", False),
        ("`f'{name}'` is a template.", "", False),
        ("Todo el mundo lo sabe.", "", False),
        ("", "", False),
    ],
)
def test_gaps(text: str, source: str, gap: bool) -> None:
    measured = measure_leftovers(rows(text, source))["placeholder"]
    assert measured.to_list() == [gap]
    assert has_gap(one(text), one(source), one("")).dtype == pl.Boolean()


@pytest.mark.parametrize(
    "text", ["café \u2013 \u201cquoted\u201d naïve", "škoda, žaba, příliš", "Ελλάδα", "Привет", "日本語", "🙂"]
)
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_broken_encoding(text: str, encoding: str) -> None:
    assert count_damage(one(text)).to_list() == [0]
    try:
        broken = text.encode().decode(encoding)
    except UnicodeDecodeError:
        pytest.skip(f"{encoding} has no character for one of its bytes")
    assert count_damage(one(broken)).item() >= 1, broken


@pytest.mark.parametrize("text", ["a \ufffd b", "a \x00 b", "a \x1b[0m b"])
def test_characters_that_no_text_has(text: str) -> None:
    assert count_damage(one(text)).item() == 1


@pytest.mark.parametrize(
    ("text", "html", "control"),
    [
        ("<div class='x'>Mill</div>", 2, False),
        ("A&nbsp;B &amp; C<br/>", 3, False),
        ("In code, `<div>` opens a block:\n```html\n<p>x</p>\n```", 0, False),
        ("if a <b and c> d", 0, False),
        ("AT&T; R&D", 0, False),
        ("<|im_end|>", 0, True),
        ("[INST] Go on [/INST]", 0, True),
        ("<think>Well</think>", 0, True),
        ("<|x|", 0, False),
    ],
)
def test_markup_and_control_tokens(text: str, html: int, control: bool) -> None:
    measured = measure_leftovers(rows(text, ""))
    assert (measured["html"].item(), measured["control_tokens"].item()) == (html, control)


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("Question: When?", ("Question", "When?")),
        ("**Question 2:** When?", ("Question", "When?")),
        ("## Respuesta final", ("Final answer", "")),
        ("Q1. When?", ("Question", "When?")),
        ("A: In 1801.", ("Answer", "In 1801.")),
        ("Schritt 3 - Leim auftragen", ("Step", "Leim auftragen")),
        ("Question marks are small.", None),
        ("A mill stood here.", None),
        ("Step by step he went on.", None),
        ("", None),
    ],
)
def test_labels_of_lines(line: str, label: tuple[str, str] | None) -> None:
    assert label_of(line) == label


def test_labels_become_one_form() -> None:
    text = "**Frage 1**\nWann?\n\n**Antwort:** 1801.\n\n### Lösung\n2 + 2 = 4\nDie Antwort ist 4."
    assert with_plain_labels(text).split("\n") == [
        "Question 1: Wann?", "", "Answer: 1801.", "", "Solution:", "2 + 2 = 4", "The answer is 4.",
    ]  # fmt: skip
    plain = "The mill burned.\n\nNobody knows why."
    assert with_plain_labels(plain) == plain


def rows(text: str, source: str) -> Rows:
    given = {"text": [text], "source_text": [source], "messages": ["[]"], "metadata": [None]}
    frame = pl.DataFrame({**given, "generation_id": ["g"], "status": ["ok"], "prompt_tokens": [10]})
    return Rows(frame, computes=False)
