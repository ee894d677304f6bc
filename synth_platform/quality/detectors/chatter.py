"""Talk to the user: what a chat model says before and after the text that it was asked for."""

import polars as pl

from synth_platform.patterns import fast

_APO = r"['\u2019]?"
_BLANK = r"[\s*_#>-]*"
_LINE = r"[^\n\"\u201d\u00bb]"
"""A character of the same line; what a quotation mark follows is somebody else's words."""
_WORK = (
    "(?:document|text|passage|article|content|request|instructions?|requirements|guidelines|format|template|prompt|version"
    "|table|faqs?|tutorial|response|answer|output|rewrite|summary|attempt|results?)"
)
_DONE = (
    "(?:rewritten|rewrote|created|written|wrote|prepared|converted|generated|analy[sz]ed|summari[sz]ed|reviewed"
    "|followed|tried|kept|left|omitted|used|based|included|added|made|assumed|changed|simplified|formatted"
    "|turned|transformed|organi[sz]ed|structured)"
)
_TASK = "(?:rewrite|create|write|convert|generate|prepare|summari[sz]e|turn|transform|help|do my best|try|start|begin)"
_GAVE = "(?:provided|shared|gave|sent|uploaded|pasted|requested|asked|specified|described|mentioned)"

_OPENINGS = (
    # "Sure!", "Got it.", "Thanks,"
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|al+ ?right|great question|understood|got it|no problem"
    r"|no worries|gladly|with pleasure|my pleasure|thanks|thank you|hello|hi(?: there)?|hey)"
    r"(?:\s*[!,.:\u2013\u2014]| -)|(?:great|perfect|wonderful)[!.]"
    rf"|(?:sure|okay|ok|al+ ?right|yes|great),? (?:here|i(?:{_APO}ll| will| can|{_APO}ve| have))\b",
    rf"(?:thank you|thanks) for {_LINE}{{0,20}}\b(?:your|{_WORK}|information)\b",
    # "Here is the table:", "Below is your FAQ:"
    rf"(?:here(?:{_APO}s| is| are)|below is|below are|the following is) (?:an?|the|your|my|some|what i|how i)\b"
    r"[^\n]{0,100}:[*_]*\s*(?:\n|\z)",
    rf"(?:here(?:{_APO}s| is| are)|below is|below are) (?:your|my|the (?:rewritten|requested|converted|final))\b"
    r"|here you (?:go|are)[!.:]",
    # "As requested,", "Based on the document you provided,"
    r"(?:as (?:you )?(?:have )?(?:requested|asked|instructed)|(?:as )?per your"
    r"|in response to your|following your (?:request|instructions))\b",
    rf"(?:based on|from|using|according to) (?:your|the (?:provided|given)) {_WORK}, (?:here|i|below)\b",
    rf"{_LINE}{{0,40}}\b{_WORK} (?:that )?you(?:{_APO}ve| have)? {_GAVE}\b",
    r"to (?:complete|fulfil+|address) (?:this|the|your) (?:task|request)\b",
    # "I have rewritten", "I'll create", "I'd be happy to", "Let me rewrite"
    rf"i(?:{_APO}ve| have)? (?:carefully )?(?:read|{_DONE})\b{_LINE}{{0,40}}\b{_WORK}\b",
    rf"i(?:{_APO}ve| have) (?:rewritten|created|prepared|converted|generated)\b",
    rf"i(?:{_APO}d| would) be (?:happy|glad|delighted)\b",
    rf"(?:i(?:{_APO}ll| will)|i(?:{_APO}m| am) going to|let me|allow me to) {_TASK}\b",
    rf"let me know\b|let{_APO}s (?:break (?:this|it) down|rewrite|convert|turn (?:this|the))\b",
    # German, French, Spanish
    r"(?:nat\u00fcrlich|gerne?|selbstverst\u00e4ndlich|bien s\u00fbr|volontiers|con gusto"
    r"|\u00a1?(?:claro(?: que s\u00ed)?|por supuesto))\s*[!,.:]"
    r"|(?:hier (?:ist|sind)|voici|aqu\u00ed (?:tienes|tiene|est\u00e1n?))\b[^\n]{0,100}:[*_]*\s*(?:\n|\z)",
)
_REST = r"[^\n.!?\"\u201d\u00bb]*"
_SENTENCE = r"(?:\A|[.!?,;)] )[\s*_>(\[-]*(?:please |and |but |so )?"
_CLOSINGS = (
    # "I hope this helps", "Hope that is useful"
    r"(?:i )?(?:really |sincerely )?hope (?:you (?:find|like)|(?:this|that|it|these|my|the (?:above|[a-z]{2,10}))"
    r" (?:[a-z]{4,12} )?(?:helps?|meets|works|fits your|suits your|satisfies"
    r"|(?:is|are|was|were) (?:[a-z]{4,12} )?(?:helpful|useful|clear|what you|to your|ok|okay|in line)))\b",
    # "Let me know if", "Feel free to ask", "Don't hesitate to contact me"
    r"let me know\b",
    rf"feel free to (?:ask(?: me\b| away\b| (?:any )?(?:more |further |other )?questions| if you\b"
    r"| for (?:any |more |further |some )?(?:changes?|edits?|help|clarification|adjustments?|details?)\b"
    rf"|[!.]|\s*\z)|let me|reach out|share|send|(?:adjust|modify|edit|change|use) (?:this|the) {_WORK})",
    rf"(?:do not|don{_APO}t) hesitate to (?:let me|reach out|ask(?: me\b|[!.])|contact me)",
    # "Would you like me to", "Is there anything else", "I'm happy to help"
    r"(?:would you like|do you want|do you need) (?:me to|another|a different)\b"
    r"|(?:how )?(?:shall|should|can|may) i (?:help|assist|create|continue|add|do)\b"
    r"|do(?:es)? (?:this|these) (?:meet|look|work|help|answer|suit)\b|is there anything (?:else|more)\b",
    rf"i(?:{_APO}m| am|{_APO}d be| would be|{_APO}ll be| will be) (?:always |still |more than )?"
    r"(?:happy|glad|here|ready|learning|open)"
    r" (?:to (?:help|assist|answer|provide|create|make|rewrite)|for you|if you|and may|i could)",
    r"(?:happy|glad) to (?:help|assist|revise|adjust|explain|clarify|provide)\b",
    rf"if you(?: would|{_APO}d) like me to\b|if you (?:have|need|want|would like|{_APO}d like) {_REST}[ ,]"
    rf"(?:i(?:{_APO}ll| will| can| am|{_APO}m|{_APO}d)|(?:with|tell|ask|let|to) me)\b",
    # "I followed the format", "as you requested"
    rf"i(?:{_APO}ve| have)? (?:also |only |carefully )?{_DONE}\b(?:{_REST}\b(?:{_WORK}|facts)\b"
    rf"|{_REST}\bas (?:you )?requested)",
    rf"(?:this|the) {_REST}\b(?:as|that) you(?:{_APO}ve| have)? (?:requested|asked for|wanted)\b",
    r"note that i(?:['\u2019]m| am| have| was| cannot| did)\b",
    r"(?:thank you|thanks) for (?:sharing|providing|the opportunity|your (?:request|question|patience|input))\b",
)
_NOTES = (
    # "(Note: The document does not state the price, so I left it out.)"
    rf"\(?[*_]*(?:please )?(?:note|disclaimer)\b:?[*_]* (?:that )?(?:"
    r"i\b|this (?:response|answer|text|table|rewrite|faq|tutorial) (?:was|is|has been)\b"
    r"|this is (?:an?|only|just) (?:[a-z]{4,12} )?(?:version|summary|rewrite|draft|example)\b|the above\b"
    r"|the (?:[a-z]{4,12} )?(?:document|text|passage|article|source|input)"
    rf" (?:does|did|do|doesn{_APO}t|didn{_APO}t|has no|only)\b"
    rf"|{_LINE}{{0,80}}[ ,]i (?:have|left|did|used|assumed|added|omitted|could|made|was)\b)"
)
_OPENING = fast(rf"(?i)\A{_BLANK}(?:{'|'.join(_OPENINGS)})")
_CLOSING = fast(
    rf"(?i){_SENTENCE}(?:{'|'.join(_CLOSINGS)}){_LINE}*\z"
    # "This table was made from the document you provided."
    rf"|\A[^\"\u201d\u00bb:|]*\b{_WORK} (?:that )?you(?:{_APO}ve| have)? {_GAVE}\b{_LINE}*\z"
)
_NOTE = fast(rf"(?i)(?:\A|\n)\s*{_NOTES}")
_HEAD = 250
"""Characters; what opens an answer needs no more."""
_LAST_LINE = r"([^\n]+)\z"


def talks(texts: pl.Series) -> pl.Series:
    """Whether each text opens or closes with talk to the user. The patterns for the end see the last line only, which
    may be followed by a rule: over whole texts they are 30 times slower."""
    last = texts.str.strip_chars_end(" \n\r\t*_-").str.tail(2 * _HEAD).str.extract(_LAST_LINE).fill_null("")
    return texts.str.head(_HEAD).str.contains(_OPENING) | last.str.contains(_CLOSING) | texts.str.contains(_NOTE)
