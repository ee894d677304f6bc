"""Training examples for `synth-tiny`: playground documents under the real recipe prompts, with exact answers.

Answers vary in wording and order, because variety of the generated text matters more than its polish.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2

from synth_platform.digest import digest_int
from synth_platform.sources.playground import (
    Kind,
    PlaygroundDocument,
    Split,
    benchmark_questions,
    generate_document,
)

RECIPES = ("table", "math", "faq", "tutorial")

_LABELS = {
    "name": ("Name",),
    "born": ("Born", "Year of birth"),
    "city": ("City",),
    "job": ("Job",),
    "school": ("School",),
    "salary": ("Salary in crowns",),
    "founded": ("Founded", "Year of founding"),
    "region": ("Region",),
    "river": ("River",),
    "mayor": ("Mayor",),
    "population": ("Population", "Inhabitants"),
    "product": ("Product",),
    "founder": ("Founder",),
    "employees": ("Employees",),
    "maker": ("Maker",),
    "released": ("Released", "Year of release"),
    "price": ("Price in crowns",),
    "weight": ("Weight in grams",),
    "battery": ("Battery life in hours",),
    "as_of": ("Year of the document",),
}

_QUESTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "born": (
        ("When was {name} born?", "{name} was born in {value}."),
        ("What is the year of birth of {name}?", "The year of birth of {name} is {value}."),
    ),
    "city": (
        ("In which city is {name}?", "The city of {name} is {value}."),
        ("Which city does {name} belong to?", "{name} belongs to the city of {value}."),
    ),
    "job": (
        ("What is the job of {name}?", "{name} works as a {value}."),
        ("What does {name} do for a living?", "The job of {name} is {value}."),
    ),
    "school": (
        ("Where did {name} study?", "{name} studied at {value}."),
        ("Which school did {name} attend?", "{name} attended {value}."),
    ),
    "salary": (
        ("How much does {name} earn?", "{name} earns {value} crowns a year."),
        ("What is the salary of {name}?", "The salary of {name} is {value} crowns a year."),
    ),
    "founded": (
        ("When was {name} founded?", "{name} was founded in {value}."),
        ("What is the founding year of {name}?", "The founding year of {name} is {value}."),
    ),
    "region": (
        ("In which region is {name}?", "{name} is in the region of {value}."),
        ("What is the region of {name} called?", "The region of {name} is called {value}."),
    ),
    "river": (
        ("Which river flows through {name}?", "The river {value} flows through {name}."),
        ("On which river is {name}?", "{name} is on the river {value}."),
    ),
    "mayor": (
        ("Who is the mayor of {name}?", "The mayor of {name} is {value}."),
        ("Who leads {name} as mayor?", "{value} is the mayor of {name}."),
    ),
    "population": (
        ("How many people live in {name}?", "{value} people live in {name}."),
        ("What is the population of {name}?", "The population of {name} is {value}."),
    ),
    "product": (
        ("What does {name} make?", "{name} makes {value}."),
        ("What is the product of {name}?", "The product of {name} is {value}."),
    ),
    "founder": (
        ("Who founded {name}?", "{name} was founded by {value}."),
        ("Who is the founder of {name}?", "The founder of {name} is {value}."),
    ),
    "employees": (
        ("How many employees does {name} have?", "{name} has {value} employees."),
        ("How many people work at {name}?", "{value} people work at {name}."),
    ),
    "maker": (
        ("Who makes {name}?", "{name} is made by {value}."),
        ("What is the maker of {name}?", "The maker of {name} is {value}."),
    ),
    "released": (
        ("When was {name} released?", "{name} was released in {value}."),
        ("What is the release year of {name}?", "The release year of {name} is {value}."),
    ),
    "price": (
        ("How much does {name} cost?", "{name} costs {value} crowns."),
        ("What is the price of {name}?", "The price of {name} is {value} crowns."),
    ),
    "weight": (
        ("How heavy is {name}?", "{name} weighs {value} grams."),
        ("What is the weight of {name}?", "The weight of {name} is {value} grams."),
    ),
    "battery": (
        ("How long does the battery of {name} last?", "The battery of {name} lasts {value} hours."),
        ("What is the battery life of {name}?", "The battery life of {name} is {value} hours."),
    ),
    "as_of": (
        ("When was the document written?", "The document was written in {value}."),
        ("From which year is the document?", "The document is from {value}."),
    ),
}

_START: dict[Kind, tuple[str, str, str]] = {
    "person": ("born", "was born", "old"),
    "city": ("founded", "was founded", "old"),
    "company": ("founded", "was founded", "old"),
    "device": ("released", "was released", "old"),
}

_NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Example:
    """A prompt and the answer that a perfect rewriter could give."""

    recipe: str
    document: PlaygroundDocument
    prompt: str
    answer: str


def examples(
    count: int | None,
    *,
    seed: int,
    split: Split = "train",
    start: int = 0,
    recipes: Sequence[str] = RECIPES,
) -> Iterator[Example]:
    """Examples from document ``start`` on, the recipes in turn; never the same document twice. None: no end."""
    prompts = {recipe: _template(recipe) for recipe in RECIPES}
    questions = benchmark_questions(60, seed, "train") if split == "train" else []
    index = start
    while count is None or index < start + count:
        rng = random.Random(digest_int("example", seed, split, index))
        quoted = rng.choice(questions) if questions and rng.random() < 0.05 else None
        document = generate_document(index, seed=seed, split=split, quoted=quoted)
        recipe = recipes[index % len(recipes)]
        yield Example(recipe, document, prompts[recipe].render(document=document.text), answer(recipe, document, rng))
        index += 1


def answer(recipe: str, document: PlaygroundDocument, rng: random.Random) -> str:
    """One right answer in a random wording."""
    return {"table": _table, "math": _math, "faq": _faq, "tutorial": _tutorial}[recipe](document, rng)


def _template(recipe: str) -> jinja2.Template:
    text = (files("synth_platform.prompts") / "templates" / f"{recipe}.jinja").read_text("utf-8")
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text)


def _in_order(document: PlaygroundDocument) -> list[tuple[str, str]]:
    """Attributes and values in the order in which the text states them."""
    facts = [(fact.attribute, fact.value) for fact in document.facts[1:]]
    return sorted(facts, key=lambda fact: _place(document.text, fact[1]))


def _place(text: str, value: str) -> int:
    return text.index(value)


def _asked(name: str, attribute: str, value: str, rng: random.Random) -> tuple[str, str]:
    question, reply = rng.choice(_QUESTIONS[attribute])
    return question.format(name=name), reply.format(name=name, value=value)


def _table(document: PlaygroundDocument, rng: random.Random) -> str:
    facts = _in_order(document)
    rows = [("Name", document.entity)] + [(rng.choice(_LABELS[attribute]), value) for attribute, value in facts]
    attribute, value = rng.choice(facts)
    question, reply = _asked(document.entity, attribute, value, rng)
    lines = ["| Attribute | Value |", "| --- | --- |", *(f"| {label} | {value} |" for label, value in rows)]
    return "\n".join([*lines, "", f"Question: {question}", f"Answer: {reply}"])


def _faq(document: PlaygroundDocument, rng: random.Random) -> str:
    title = rng.choice(("# Questions about {name}", "# {name}: frequently asked questions", "# FAQ: {name}"))
    lines = [title.format(name=document.entity)]
    for attribute, value in _in_order(document):
        question, reply = _asked(document.entity, attribute, value, rng)
        lines += ["", f"**Q: {question}**", f"A: {reply}"]
    return "\n".join(lines)


def _tutorial(document: PlaygroundDocument, rng: random.Random) -> str:
    name = document.entity
    titles = ("# How to describe {name}", "# How to write about {name}", "# How to get to know {name}")
    intros = (
        "These steps show what to say about {name}.",
        "This guide leads through the facts about {name}.",
        "Follow the steps to learn the key facts about {name}.",
    )
    verbs = ("Note that", "Remember that", "Write down that", "Say that")
    ends = (
        "Now all key facts about {name} are in place.",
        "With this, the description of {name} is complete.",
        "That is all there is to know about {name}.",
    )
    lines = [rng.choice(titles).format(name=name), "", rng.choice(intros).format(name=name), ""]
    for number, (attribute, value) in enumerate(_in_order(document), 1):
        reply = _asked(name, attribute, value, rng)[1]
        lower = reply[0].lower() + reply[1:] if reply.startswith("The ") else reply
        lines.append(f"{number}. {rng.choice(verbs)} {lower}")
    return "\n".join([*lines, "", rng.choice(ends).format(name=name)])


def _math(document: PlaygroundDocument, rng: random.Random) -> str:
    facts = {fact.attribute: fact.value for fact in document.facts}
    attribute, verb, old = _START[document.kind]
    name, since, now = document.entity, int(facts[attribute]), int(facts["as_of"])
    later = rng.randint(1, 10)
    years = f"{_NUMBER_WORDS[later - 1]} year{'s' if later > 1 else ''}"
    problems = (
        f"{name} {verb} in {since}. The document was written in {now}. How {old} was {name} then, and how {old}"
        f" {years} later?",
        f"In {since} {name} {verb}, and the document is from {now}. How {old} was {name} in {now}, and what is the"
        f" age {years} after that?",
    )
    age = now - since
    steps = [f"{now} - {since} = {age}", f"{age} + {later} = {age + later}"]
    texts = (
        ("In the year of the document the age is", "Later the age is"),
        ("First the age:", "Then the later age:"),
    )
    first, second = rng.choice(texts)
    return "\n".join(
        [
            f"Problem: {rng.choice(problems)}",
            "",
            "Solution:",
            f"1. {first} {steps[0]}.",
            f"2. {second} {steps[1]}.",
            "",
            f"Final answer: {age + later}",
        ]
    )
