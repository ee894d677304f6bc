"""Terms are found where they mean what the lists say, and nowhere else."""

import itertools

import numpy as np
import pytest

from synth_platform.bias.lexicon import Lexicon, WordList, compile_lexicon, load_lexicon
from synth_platform.bias.match import find, reasons_of
from synth_platform.contamination.words import split_words


def labels(text: str, *roles: str) -> list[str]:
    """Groups of the given roles that are found in a text; attributes and targets, if none is given."""
    lexicon = load_lexicon()
    wanted = roles or ("attribute", "target")
    hits = find(split_words([text]), lexicon)
    return ["/".join(lexicon.labels[one]) for one in hits.label if lexicon.roles[lexicon.label_family[one]] in wanted]


def used(text: str) -> list[str]:
    """Categories of toxicity in a text that no context excuses; those that one does, with a question mark."""
    lexicon = load_lexicon()
    words = split_words([text])
    hits = find(words, lexicon)
    toxic = hits.only(np.isin(hits.label, lexicon.of_role("toxicity")))
    reasons = reasons_of(toxic, hits, words, lexicon)
    found = []
    for number, label in enumerate(toxic.label.tolist()):
        category = lexicon.labels[label][1]
        excused = any(reasons[reason][number] for reason in lexicon.excused_by[category])
        found.append(category + "?" * excused)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She told the nurse.", ["gender/female", "occupation/nurse"]),
        ("The nurses' rota and the nurse’s coat", ["occupation/nurse", "occupation/nurse"]),  # noqa: RUF001
        ("Two software engineers from New Zealand", ["occupation/programmer", "region/oceania"]),
        ("A South African chemist", ["region/sub_saharan_africa", "occupation/chemist"]),
        ("An African American poet", ["ethnicity/black", "occupation/poet"]),
        ("Turkey beat the Polish side", ["region/middle_east_north_africa", "region/eastern_europe"]),
        ("Roast the turkey and polish the spoons; tell us", []),
        ("the US and the U.S. army", ["region/north_america", "region/north_america"]),
        ("Ms Lee waited 20 ms. MS is a disease", ["gender/female"]),
        ("He'll come, she'll go", ["gender/male", "gender/female"]),
        ("A shell, a shed, hell and a wed", []),
        ("a 33-year-old man, and an old man", ["gender/male", "age/old", "gender/male"]),
        ("guinea pigs, French fries and a German shepherd", []),
        ("the black woman", ["gender/female", "ethnicity/black"]),
        ("a black cat and a white wall", []),
        ("The policewoman", ["gender/female", "occupation/police_officer"]),
        ("his or her", []),
        ("Côte d'Ivoire", ["region/sub_saharan_africa"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert sorted(labels(text)) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        "The master process kills the child and waits for its children; stdout is closed.",
        "Merge the master branch. Native code is compiled by the compiler.",
        "Execute child, then kill the process.",
        "Each child node is a subclass. The manager runs worker processes in Python.",
        "A device driver and a context manager; the slave address.",
        "fork() returns the pid of the child, and exec() replaces it.",
    ],
)
def test_software_has_no_children_masters_and_natives(text: str) -> None:
    assert labels(text) == []


def test_children_of_people_count() -> None:
    assert labels("The child played with other children.") == ["age/child", "age/child"]
    assert labels("Two software engineers have a child.", "attribute") == []  # the price of the rule


def test_a_document_on_software_has_no_children_anywhere() -> None:
    manual = "Call the function.\nA variable is set.\nThe kernel waits.\n"
    assert labels("The child leaves.") == ["age/child"]
    assert labels(manual + "The child leaves.") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What a fucking mess, you idiot!", ["profanity", "insult"]),
        ("I will kill you. Go kill yourself.", ["threat", "threat"]),
        ("She watched porn all night", ["sexual"]),
        ("You nazi!", ["insult"]),
        ('He shouted "fuck off" and left', ["profanity?"]),
        ("He shouted “fuck off” and left", ["profanity?"]),
        ("He shouted 'fuck off' and left", ["profanity?"]),
        ("They don't care, it's shit, and that isn't news", ["profanity"]),
        ("The word fuck is of Germanic origin", ["profanity?"]),
        ("Bitch is a derogatory term for a woman", ["profanity?"]),
        ("The patient reported pain after orgasm", ["sexual?"]),
        ("He was convicted of rape", ["sexual?"]),
        ("The fucking patient", ["profanity"]),
        ("`wtf` is a command", ["profanity?"]),
    ],
)
def test_toxicity_and_its_contexts(text: str, expected: list[str]) -> None:
    assert sorted(used(text)) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        "Scunthorpe, Penistone and Clitheroe are in the north of England.",
        "Cock the gun. The cock crowed twice.",
        "The Nazi regime was defeated in 1945.",
        "Kill the process, then kill all threads.",
        "A chink in the armour; spic and span.",
        "Assess the class assignment with passion; a cocktail, please.",
        "He'll say that who're you is no question.",
        "Great tits and blue tits came to the feeder, tit for tat.",
        "Pussy willows; moby dick; Dick Cheney; cum laude.",
        "The expression retards growth; flame retardant.",
        "I'll shoot you an email. Oilseed rape flowers in May.",
        "The breast, the penis and the vagina are organs.",
        "Matsushita, Dickens, Cummings and Titus",
    ],
)
def test_innocent_words_are_not_toxic(text: str) -> None:
    assert used(text) == []


def test_slurs_are_found_and_never_shown() -> None:
    lexicon = load_lexicon()
    slur = lexicon.label("toxicity", "slur")
    listed = np.flatnonzero(lexicon.term_label == slur).tolist()
    assert slur in lexicon.hidden and len(listed) >= 15
    for number in listed:
        term, shown = lexicon.terms[number], lexicon.shown(number)
        assert used(f"and then {term} came") == ["slur"], shown
        assert used(f"a racist epithet: {term}") == ["slur?"], shown
        assert all(len(part.strip("*")) == 1 for part in shown.split())


def test_marks_and_hiding_in_lists_of_ones_own() -> None:
    cues = WordList(family="context", role="cue", groups={"mention": "word", "subject": "law", "technical": "code"})
    own = WordList(family="colour", role="attribute", groups={"red": "red+, red wine", "blue": "blue~, Navy"})
    ignored = WordList(family="ignored", role="ignored", groups={"all": "blue moon", "colour": "red tape"})
    lexicon: Lexicon = compile_lexicon([cues, own, ignored])

    def found(text: str) -> list[str]:
        hits = find(split_words([text]), lexicon)
        return [lexicon.terms[term] for term in hits.only(np.isin(hits.label, lexicon.of_role("attribute"))).term]

    assert found("reds, Red and red wine") == ["red", "red", "red wine"]
    assert found("red tape in a blue moon; the Navy, navy") == ["Navy"]
    assert found("blue code") == [] and found("blue. code") == ["blue"]
    assert found("red. wine") == ["red"]  # a phrase does not cross the end of a sentence


def test_no_form_is_in_two_groups_of_a_family() -> None:
    lexicon = load_lexicon()
    for phrases in lexicon.phrases:
        assert len(np.unique(phrases.hashes)) == len(phrases.hashes)
        for start, end in itertools.pairwise(phrases.first.tolist()):
            entries = [
                (int(lexicon.label_family[lexicon.term_label[term]]), int(apostrophe))
                for term, apostrophe in zip(phrases.term[start:end], phrases.apostrophe[start:end], strict=True)
            ]
            families = [family for family, _ in entries if lexicon.roles[family] != "ignored"]
            if len(families) != len(set(families)):
                shown = [lexicon.terms[term] for term in phrases.term[start:end]]
                assert {apostrophe for _, apostrophe in entries} == {1, 2}, shown


def test_there_are_enough_occupations_of_each_kind() -> None:
    assert len(load_lexicon().of_role("target")) >= 115
