"""Refusals: an answer, or a part of one, that says that the model will not or cannot give it.

Only what opens a sentence, a cell or a labelled answer is looked at. What stands in quotes is somebody else's words.
"""

import polars as pl

from synth_platform.patterns import fast

_APO = r"['\u2019]?"
_START = r"(?:\A|[\n.!?:|])[\s*_#>-]*"
_INSIDE = r"[^\n.!?:|\"\u201c\u201d]"
"""A character of the same sentence, outside quotes."""
_I_AM = rf"i(?:{_APO}m| am)"
_MAYBE_HOW = r"(?:in good conscience |[a-z]{2,12} )?"
_CANNOT = (
    rf"(?:i (?:can ?not|can{_APO}t|could not|couldn{_APO}t|will not|won{_APO}t)(?: be able to)?"
    rf"|{_I_AM} (?:unable|not able|not allowed|not permitted|not programmed|not designed) to)"
)
_AI = (
    r"an? (?:[a-z]{4,12} )?(?:ai|artificial intelligence|language model)"
    r"(?: language)?(?: model| assistant| system| program| chatbot)?"
)
_SERVE = (
    "(?:assist|help|comply|provide|fulfil+|generate|create|write|rewrite|answer|do|discuss|complete|produce|process"
    "|access|determine|find|give|offer|make|share|continue|engage|summari[sz]e|convert|translate|respond|tell|see|view"
    "|open|browse|read|verify|promote|support|perform)"
)
_SERVING = "(?:writing|creating|answering|discussing|providing|generating|helping|rewriting|producing|giving|engaging)"
_WORK = (
    "(?:request|question|information|task|document|text|passage|article|content|topic|subject|material|table|tutorial|faq|problem|summary|answer|response"
    "|details?|data|prompt|instructions?|links?|files?|images?|websites?)"
)

_REFUSALS = (
    # "I'm sorry, but I cannot answer", "Unfortunately I am unable to", "My apologies, but the document"
    rf"(?:{_I_AM} {_MAYBE_HOW}(?:sorry|afraid)|sorry|my (?:sincere )?apologies|i apologi[sz]e|i regret|unfortunately"
    rf"|regrettably){_INSIDE}{{0,40}}(?:\b{_CANNOT} {_MAYBE_HOW}{_SERVE}"
    rf"|\bi (?:do not|don{_APO}t) (?:know|have|see|understand)\b|\bbut there (?:is|are) (?:no|not)\b"
    rf"|\b(?:the|your|this) {_MAYBE_HOW}{_WORK} (?:does|is|was|do))",
    # "I cannot help with"
    rf"{_CANNOT} {_MAYBE_HOW}(?:assist|comply|fulfil+|help (?:you|with))\b",
    # "I am unable to answer this", "I won't be able to produce a table"
    rf"{_CANNOT} {_MAYBE_HOW}{_SERVE} (?:with )?(?:it|this|that|so)[ .,!]",
    rf"{_CANNOT} {_MAYBE_HOW}{_SERVE} {_INSIDE}{{0,25}}\b{_WORK}s?\b",
    rf"{_CANNOT} {_MAYBE_HOW}(?:give|provide|offer) {_INSIDE}{{0,25}}\badvice\b",
    # "I don't have access to that information", "I do not have enough context"
    rf"i (?:do not|don{_APO}t) have (?:the )?(?:ability|capability|capacity|permission)\b",
    rf"i (?:do not|don{_APO}t) have (?:access to |enough |sufficient |any |the )"
    rf"{_INSIDE}{{0,20}}\b(?:{_WORK}|context|internet|knowledge)\b",
    # "I must respectfully decline", "I refuse to write"
    rf"i (?:must|have to|will have to|need to) {_MAYBE_HOW}decline\b",
    rf"i {_MAYBE_HOW}(?:decline|refuse) to {_SERVE}\b",
    # "I don't feel comfortable writing", "I'd rather not discuss"
    rf"(?:i (?:do not|don{_APO}t|would not|wouldn{_APO}t) feel|{_I_AM} not) comfortable (?:with )?{_SERVING}\b",
    rf"i(?:{_APO}d| would) (?:rather|prefer) not (?:to )?{_SERVE}\b",
    rf"(?:this|that|it) (?:is not|isn{_APO}t) something (?:that )?i can\b"
    rf"|it would be (?:inappropriate|unethical|irresponsible|wrong) (?:for me )?to {_SERVE}\b",
    # "It is against my guidelines", "My programming does not allow"
    rf"(?:it|this|that|your|the)\b{_INSIDE}{{0,30}}\b(?:against|violates?|goes beyond|outside) my "
    r"(?:[a-z]{4,12} )?(?:guidelines|policy|policies|programming|principles|rules|training|capabilities)\b",
    rf"my (?:guidelines|policies|programming|training|instructions) (?:do(?:es)? not|don{_APO}t|prevents?|prohibits?)",
    # "As an AI language model, I", "My apologies, but as an AI assistant I", "I am just an AI"
    rf"(?:{_INSIDE}{{0,25}}[ ,])?as {_AI},? (?:i|my|it is|it{_APO}s)\b",
    rf"{_I_AM} {_MAYBE_HOW}{_AI}\b",
    rf"{_I_AM} (?:only )?(?:programmed|trained) (?:not )?to\b",
    # "No document was provided", "Please provide the document, so that I can help"
    r"(?:it (?:seems|looks|appears) (?:like |that )?)?(?:there (?:is|was) )?no (?:document|text|passage|article)"
    r" (?:is |was |has been )?(?:provided|given|attached|shared|included)"
    r"(?:[.,!]| (?:in your|to me|for me|with your)\b)",
    rf"please (?:provide|share|send|paste|upload) {_INSIDE}{{0,50}}"
    rf" (?:so (?:that )?i can|and i(?:{_APO}ll| will| can))\b",
    rf"(?:if|once) you (?:provide|share|send|paste|upload) {_INSIDE}{{0,50}}, i(?:{_APO}ll| will| can| would)\b",
)
_OPENINGS = (
    # nothing but an apology, or one that goes on in a way not listed above
    rf"(?:{_I_AM} {_MAYBE_HOW}sorry|i apologi[sz]e|my apologies)(?:[.!]|,? (?:but|i|for (?:the|any))\b)",
    r"unfortunately,? i\b",
    # German, French, Spanish
    r"es tut mir (?:sehr )?leid,? (?:aber|ich)\b|als (?:ki|k\u00fcnstliche intelligenz|sprachmodell)\b"
    r"|je suis (?:vraiment )?d\u00e9sol\u00e9e?,? (?:mais|je)\b|en tant qu(?:['\u2019]ia|e mod\u00e8le de langage)\b"
    r"|lo siento,? (?:pero|no)\b|como (?:ia|modelo de lenguaje|inteligencia artificial)\b",
)
# "The text is empty, so I cannot create a table"
_THEREFORE = rf", (?:so|therefore|thus|hence),? {_CANNOT} {_SERVE} {_INSIDE}{{0,25}}\b{_WORK}\b"
_REFUSAL = fast(rf"(?i){_START}(?:{'|'.join(_REFUSALS)})|{_THEREFORE}|\A[\s*_#>-]*(?:{'|'.join(_OPENINGS)})")


def refuses(texts: pl.Series) -> pl.Series:
    """Whether each text refuses, in whole or in part."""
    return texts.str.contains(_REFUSAL)
