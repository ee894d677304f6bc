"""The labels of an answer's parts (question, answer, problem, solution, final answer, step), however they are written.

Models write the same label as ``Question: ...``, as ``**Question 1:** ...``, as a heading above its text, or in the
language of their source. Here all become one form, so that what reads answers need know no other.
"""

import re
from collections.abc import Iterator, Mapping

_WORDS: Mapping[str, str] = {
    "Final answer": (
        "final answer|final result|endergebnis|schlussergebnis|endgültige antwort|réponse finale|résultat final"
        "|respuesta final|resultado final"
    ),
    "Question": "question|frage|pregunta",
    "Answer": "answer|antwort|réponse|reponse|respuesta",
    "Problem": (
        "(?:math )?(?:word )?problem(?: statement)?|aufgabe|problème|probleme|exercice|énoncé|problema|ejercicio"
    ),
    "Solution": (
        "(?:step-by-step )?solution(?: steps)?|(?:step-by-step )?explanation|lösung|lösungsweg|erklärung|rechnung"
        "|explication|solución|solucion|explicación"
    ),
    "Step": "step|schritt|étape|etape|paso",
}
"""English labels, and the patterns of what they are called: English, German, French and Spanish."""
_LETTERS: Mapping[str, str] = {"Question": "QFP", "Answer": "AR"}
"""Labels of one letter: question, Frage, pregunta; answer or Antwort, réponse or respuesta."""
_WORD_GROUPS = "|".join(f"(?P<{name.split()[0]}>{words})" for name, words in _WORDS.items())
_LETTER_GROUPS = "|".join(f"(?P<{name}_letter>[{letters}])" for name, letters in _LETTERS.items())
_NAMES: Mapping[str, str] = {
    **{name.split()[0]: name for name in _WORDS},
    **{f"{name}_letter": name for name in _LETTERS},
}
_LABEL = re.compile(
    rf"(?P<indent>[ \t]*+)(?P<mark>[>#*_\-\u2022 \t]*+)(?P<item>\d{{1,3}}[.)][ \t]++)?(?P<type>[*_]*+)"
    rf"(?:(?i:{_WORD_GROUPS})|{_LETTER_GROUPS})(?![^\W\d_])"
    r"[ \t]*(?P<number>\d{0,3})(?![\d,]|\.\d)(?:[ \t]*\([^()\n]{1,40}\))?"
    r"(?P<after>[ \t]*[*_]*[ \t]*(?P<close>[:.\uff1a]|[-\u2013\u2014](?=[ \t]))?[ \t]*[*_]*)[ \t]*(?P<said>.*)"
)
_FIRST_WORD = re.compile(r"[>#*_\-\u2022 \t]*+(?:\d{1,3}[.)][ \t]++[*_]*+)?([^\W\d_]+)")
_FIRST_WORDS = frozenset(
    """
    final endergebnis schlussergebnis endgültige réponse résultat respuesta resultado question frage pregunta answer
    antwort reponse math word problem aufgabe problème probleme exercice énoncé problema ejercicio step solution
    explanation lösung lösungsweg erklärung rechnung explication solución solucion explicación schritt étape etape
    paso q f p a r
    """.split()
)
"""How labels begin: most lines have none, and a look at their first word is cheap."""
_ANY_ANSWER = rf"(?:(?i:{_WORDS['Answer']})|[{_LETTERS['Answer']}])"
_SECOND_ON_LINE = re.compile(rf"([?*_])[ \t]++(?=[*_]*{_ANY_ANSWER}[ \t]*\d{{0,3}}[*_]*[ \t]*:)")
_SENTENCES = re.compile(
    r"\b(?:die (?:endgültige )?antwort (?:ist|lautet)|(?:das )?(?:end)?ergebnis (?:ist|lautet|beträgt)"
    r"|la réponse (?:finale )?est|la respuesta (?:final )?es)\b",
    re.IGNORECASE,
)
_SENTENCE_WORDS = ("ntwort", "rgebnis", "réponse", "respuesta")


def with_plain_labels(text: str) -> str:
    """The text with each labelled part on a line of its own that begins with its label in English.

    ``## Paso 2`` above its text becomes ``Step 2: `` before it. Numbers of list items and blanks before a label stay,
    since they tell the order; other markup of labels goes. A label that has no text stays alone, and so does that of a
    solution, whose steps have lines of their own.
    """
    split = _SECOND_ON_LINE.sub(r"\1\n", text)
    plain = "\n".join(_joined(split.split("\n")))
    return _SENTENCES.sub("The answer is", plain) if any(word in plain for word in _SENTENCE_WORDS) else plain


def label_of(line: str) -> tuple[str, str] | None:
    """The English label of a line, and what the line says after it; None if it has none."""
    found = _read(line)
    return (found[1], found[3]) if found else None


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines with their labels in English; those that are only a label with the next line that says something."""
    alone = ""
    for line in lines:
        found = _read(line)
        if alone:
            if not line.strip():
                continue
            if found is None and not line.lstrip().startswith(("#", "|")):
                yield f"{alone} {line.strip()}"
                alone = ""
                continue
            yield alone
            alone = ""
        if found is None:
            yield line
            continue
        before, name, number, said = found
        label = f"{before}{name}{' ' if number else ''}{number}:"
        if said or name == "Solution":
            yield f"{label} {said}".rstrip()
        else:
            alone = label
    if alone:
        yield alone


def _read(line: str) -> tuple[str, str, str, str] | None:
    """What stands before the label (blanks, item's number), its English name, its number, and what is said."""
    first = _FIRST_WORD.match(line)
    if not first or first[1].lower() not in _FIRST_WORDS:
        return None
    found = _LABEL.match(line)
    if not found or not _closes(found):
        return None
    name = next(name for group, name in _NAMES.items() if found[group])
    said = found["said"].strip()
    return f"{found['indent']}{found['item'] or ''}", name, found["number"], said if said.strip("*_") else ""


def _closes(found: re.Match[str]) -> bool:
    """Whether this is a label and not the first word of a sentence."""
    letter = any(found[f"{name}_letter"] for name in _LETTERS)
    close, said = found["close"], found["said"].strip("*_ \t")
    if found["Step"] and not found["number"]:
        return False
    if letter:
        return close in (":", "\uff1a") or (
            close == "." and (found["Question_letter"] or found["Answer_letter"]) in "QA"
        )
    if close in (":", "\uff1a", "."):
        return True
    marked = "#" in found["mark"] or "*" in found["mark"] + found["type"]
    if found["Step"]:
        return not said or close is not None or marked
    return not said and (marked or not found["item"])
