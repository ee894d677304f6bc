"""Splits a text into what equations consist of: numerals, signs, words and breaks."""

import re

_LONGEST_LINE = 20_000
TIMES_SIGN, DASHES = "\u00d7", "\u2212\u2013"  # multiplication sign; minus sign and en dash
TOKEN = re.compile(
    rf"""
    (?=[A-Za-z]) (?:
        (?: plus | minus | times | equals | divided[ ]by | multiplied[ ]by | is[ ]equal[ ]to )[ ]
            (?= [$€£(]{{0,6}}\.?\d )
        | (?: lbs? | oz | ft | sq | hrs? | mins? | yds? | gal | kg | km | cm )\. (?=[ ][a-z])
        | [A-Za-z]{{4,}}+ (?=\d)
        | [A-Za-z] [\w'\u2019]*+ (?: -[A-Za-z]\w*+ )*+
    )
    | (?=[\d.]) (?:
        (?:19|20)\d\d-\d\d-\d\d\b | \d\d?/\d\d?/(?:19|20)\d\d\b | 97[89](?:-\d++)+ | \d{{3}}-\d{{4}}\b  # dates, codes
        | \d++ (?: (?::\d++)++ (?! [ ]?[*/\u00d7÷] | [-+]\d++(?!:) )                               # 5:00
                 | (?:\.\d++){{2,}}+ | (?:st|nd|rd|th)\b )                                        # 1.2.3 and 2nd
        | (?: \d{{1,4}}[ ](?:and[ ])?(?=\d{{1,2}}/\d) )? \d++/\d++ (?! [./:,-]?\d )                 # 1/2 and 2 1/2
        | \d{{1,3}} (?: [ ]\d{{3}} )++ (?! [.,]?\d )                                              # 10 000
        | \d++ (?: [A-Za-z]\b | (?: ,\d++ )*+ (?: \.\d++ )?+ ) | \.\d++                            # 2x and 1,000.50
        | \. (?! [ ]{{0,2}}[-+*/\u00d7÷=] )
    )
    | \n (?: [ \t]{{0,9}} (?: [-*+•\u2013] | \d{{1,3}}[.)] ) (?=[ \t]) | (?! [ \t]{{0,20}} &? = ) )    # not before "="
    | (?<=\S)[ ]\((?=[A-Za-z]{{2}})                                                                # (a remark)
    | ==+ | => | = | ~= | [≈≃≅] | [!<>:+*]= | -(?: [>=] | (?<=\d-)[a-z]\w++ )? | /(?: = | (?<=[\w)]/)[A-Za-z]\w++ )?
    | [+*\u00d7÷·⋅∙{DASHES}^()\[\]{{}}%¢√²³;:,!?|<>\u2014…] | &(?![ ]?=)
    | [^\W\d] [\w'\u2019]*+
    """,
    re.VERBOSE,
)
_TIMES = re.compile(r"(?<![A-Za-z])[xX](?=[$€£( \t]{0,6}\.?\d)")
_POWER_STARS = re.compile(r"(?<=[\d)])\*\*(?=[\d(])")
_CHARACTERS = str.maketrans(
    {
        "½": " 1/2",
        "⅓": " 1/3",
        "⅔": " 2/3",
        "¼": " 1/4",
        "¾": " 3/4",
        "⅕": " 1/5",
        "⅛": " 1/8",
        "\xa0": " ",
        "\u202f": " ",
    }
)
_LATEX = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[dt]?frac\s*\{([^{}]{0,200})\}\s*\{([^{}]{0,200})\}", r"((\1)/(\2))"),
        (r"\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]{0,200})\}", r" \1 "),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])", f" {TIMES_SIGN} "),
        (r"\\div(?![A-Za-z])", " ÷ "),
        (r"\\(?:approx|simeq|cong)(?![A-Za-z])", " ≈ "),
        (r"\\(?:left|right|quad|qquad|displaystyle|boxed)(?![A-Za-z])|\\[,;! $]", " "),
        (r"\\\\|\\[\[\]()]", "\n"),
        (r"\{,\}", ","),
        (r"\\%", "%"),
        (r"\\[A-Za-z]+", " unknown "),
    )
)
CLAUSES = "because so since thus therefore then which means gives is are was were if that when or"
BREAKS = [
    *";:,!?|<>&.…\u2014",
    "=>",
    "->",
    "!=",
    "<=",
    ">=",
    ":=",
    "+=",
    "*=",
    "/=",
    "-=",
    *("=" * n for n in range(2, 9)),
]


def plain_text(text: str) -> str:
    """The text without LaTeX, bold marks and overlong lines."""
    if len(text) > _LONGEST_LINE:
        text = "\n".join(line for line in text.split("\n") if len(line) <= _LONGEST_LINE)
    if "**" in text:
        text = _POWER_STARS.sub("^", text).replace("**", "")
    if "\\" in text:
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    if not text.isascii():
        text = text.translate(_CHARACTERS)
    return "\n" + _TIMES.sub(TIMES_SIGN, text)
