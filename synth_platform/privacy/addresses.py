"""Rules for street addresses, for the languages in which a pattern is reliable.

English needs a number, capitalised words and a kind of street; German, Dutch, Nordic and Finnish a street's ending and
a number; French, Italian, Spanish, Portuguese and Polish a kind of street, capitalised words and a number. A city with
its postal code is taken along. Streets without a number are no addresses.
"""

import re

from synth_platform.privacy.rules import Hit, Rule, words

_STREETS = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Terrace|Crescent|Cres|Parkway|Pkwy|Highway"
    "|Hwy|Turnpike|Expressway|Circle|Cir|Close|Mews|Alley|Trail|Trl"
)
"""Kinds of street that are seldom anything else after a number and a name."""
_PLACES = (
    "Way|Place|Pl|Square|Sq|Plaza|Row|Walk|Grove|Gardens?|Park|Hill|Bridge|Point|Ridge|View|Run|Pass|Path|Loop|Mall"
    "|Estates?|Heights|Meadows?|Manor|Springs?|Station|Junction|Valley|Village|Ville|Harbors?|Island|Isle|Key|Lake|Mill"
    "|Mount|Mountain|Oval|Parade|Crossing|Crossroad|Course|Corner|Cove|Creek|Dale|Dam|Divide|Extension|Falls|Ferry"
    "|Field|Fields|Flats?|Ford|Fords|Forest|Forges?|Forks?|Fort|Freeway|Gateway|Glens?|Green|Greens|Hollow|Inlet|Knolls?|Land"
    "|Landing|Light|Lights|Locks?|Lodge|Motorway|Neck|Orchard|Passage|Pike|Pines?|Plains?|Port|Ports|Prairie|Radial|Ramp"
    "|Ranch|Rapids?|Rest|River|Route|Shoals?|Shores?|Skyway|Spurs?|Squares|Stravenue|Stream|Summit|Throughway|Trace"
    "|Track|Trafficway|Tunnel|Underpass|Unions?|Via|Viaduct|Vista|Wall|Wells?|Roads|Streets|Bend|Burgs?|Promenade|Esplanade|Chowk|Nagar|Marg|Cross|Branch|Brook|Burg|Bypass"
    "|Camp|Canyon|Cape|Causeway|Center|Centers|Cliffs?|Club|Common|Garden|Haven|Courts|Drives|Circles|Ways"
)
"""Kinds that are often something else: they need a flat, a city with its postal code, or a cue."""
_NAME = r"[A-Z][\w'\u2019-]*\.?"
_UNIT = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Bldg|#)\.? ?[A-Za-z0-9-]{1,6})"
_ZIP = r"(?:[A-Z]{2}|[A-Z][a-z]+)\.? [0-9]{5}(?:-[0-9]{4})?"
_UK = r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}"
_CA = r"[A-Z]{2} [A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]"
_AU = r"(?:NSW|VIC|QLD|WA|SA|TAS|ACT|NT),? [0-9]{4}"
_CITY = (
    rf"(?:,?\s{{1,2}}(?:{_NAME}[ ]?){{1,4}}(?:,?\s{{1,2}}(?:{_ZIP}|{_UK}|{_CA}|{_AU}|[0-9]{{6}})|-[0-9]{{6}})(?!\w))"
)
_CODE = r"(?:,?\s{1,2}(?:[A-Z]{1,2}-)?[0-9]{2}-?[0-9]{3}(?:-[0-9]{3})?(?![\w-])(?: [A-ZÀ-Ž][\w'\u2019-]*){1,3})"
"""A postal code of five digits (or 00-000, 00000-000) before its city."""
_CODE4 = r"(?:,?\s{1,2}(?:[A-Z]{1,2}-)?[0-9]{4}(?: ?[A-Z]{2})?(?![\w-])(?:,? [A-ZÀ-Ž][\w'\u2019-]*){1,3})"
_DOOR = r"[0-9]{1,4}(?:\s?[a-zA-Z](?!\w))?(?:[/-][0-9]{1,4}[a-z]?)?"
_CUE = words(
    r"address(?:es)?", "live[sd]?", "living", "resid\\w+", "located", "mail(?:ed|ing)?", "ship(?:ped|ping)?",
    "deliver\\w*", "home", "moved", "visit", "adresse", "wohn\\w+", "anschrift", "office",
)  # fmt: skip
_ENGLISH = re.compile(
    rf"(?<![\w.,/$€£#-])(?:(?:Flat|Unit|Suite|Studio|Apartment|Apt)\.? [0-9]{{1,4}}[A-Z]?,?\s)?"
    rf"[0-9]{{1,5}}[A-Z]?(?:[/-][0-9]{{1,4}}[A-Z]?)?,? "
    rf"(?P<name>(?:(?:[NSEW]|North|South|East|West|NE|NW|SE|SW)\.? )?"
    rf"(?:(?:{_NAME}|[0-9]{{1,3}}(?:st|nd|rd|th)|[Oo]f|[Tt]he) ){{1,4}}?)"
    rf"(?:(?P<street>{_STREETS})|(?P<place>{_PLACES}))(?P<dot>\.?)(?![\w'\u2019])"
    rf"(?: (?:NE|NW|SE|SW|[NSEW])(?!\w))?(?P<unit>{_UNIT})?(?P<city>{_CITY})?"
)
_NOT_NAMES = re.compile(
    r"^(?:The |A |An )|\b(?:Million|Billion|Percent|Years?|Days?|Hours?|Minutes?|Miles|January|February|March|April|May"
    r"|June|July|August|September|October|November|December|Star|Best|Ways|Things|Great)\b"
)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}(?![0-9])")
"""A number that is rather a year: `1995 Wall Street`, `2021 Iain Lane`."""
_PO_BOX = re.compile(rf"(?<!\w)(?:P\.? ?O\.? ?|Post Office )Box [0-9]{{1,6}}(?!\w)(?:{_CITY})?")


def _english(text: str, match: re.Match[str]) -> Hit | None:
    extra = match["unit"] or match["city"]
    if not extra and _YEAR.match(match[0]):
        return None
    cued = _CUE.search(text, max(0, match.start() - 40), match.start())
    named = not _NOT_NAMES.search(match["name"])
    at = text[max(0, match.start() - 4) : match.start()].lower().endswith(" at ")
    if not extra and not cued and not (named and (match["street"] or at)):
        return None
    end = match.end()
    if match["dot"] and not extra and match["street"] not in ("St", "Ave", "Rd", "Blvd", "Ln", "Dr", "Ct", "Hwy", "Pl"):
        end -= 1  # the full stop is the sentence's
    return _hit("street_address", text, match.start(), end)


def _hit(kind: str, text: str, start: int, end: int) -> Hit:
    return Hit(kind, start, end, re.sub(r"[\W_]+", " ", text[start:end]).strip().lower())


def _plain(text: str, match: re.Match[str]) -> Hit | None:
    return _hit("street_address", text, *match.span())


def _box(text: str, match: re.Match[str]) -> Hit | None:
    return _hit("po_box", text, *match.span())


def _if_named(text: str, match: re.Match[str]) -> Hit | None:
    """Kinds of street that other languages use in lower case need the postal code too."""
    if match["kind"] in ("via", "corso", "largo", "camino", "ronda", "plaza", "strada", "cuesta") and not match["code"]:
        return None
    return None if not match["code"] and _YEAR.search(match["door"]) else _plain(text, match)


def _if_street(text: str, match: re.Match[str]) -> Hit | None:
    """Endings that other words share need the postal code."""
    word = re.split(r"[\s-]", match[0].rstrip("0123456789/ -"))[-1].lower()
    return None if (match["weak"] and not match["code"]) or word in _NO_STREETS else _plain(text, match)


def _if_french(text: str, match: re.Match[str]) -> Hit | None:
    """`12 rue de X` stands by itself; the rarer kinds (place, cours, route) are words of prose without the code."""
    sure = match["code"] or (match["number"] and match["kind"].lower() in _FRENCH_SURE)
    return _plain(text, match) if sure else None


_GERMANIC = (
    r"straße|strasse|str\.|weg|platz|allee|gasse|damm|ufer|chaussee|straat|laan|plein|gracht|kade|dijk|singel|dreef"
    r"|steeg|gatan|gata|vägen|gränd|torget|stigen|allén|vej|gade|veien|vegen|stræde|katu|polku|bulevardi|kuja"
)
_WEAK = r"ring|hof|pad|baan|tie|markt|park|boulevard|berg|feld|kamp|wiese"
"""Endings that other words have too: they need the postal code."""
_NO_STREETS = frozenset(("brigade", "decade", "renegade"))
_SEPARATE = r"Straße|Strasse|Str\.|Weg|Platz|Allee|Gasse|Ring|Damm|Ufer|Chaussee|Allé|Plads"
_ROMANCE = (
    r"[Vv]ia|[Vv]iale|[Cc]orso|[Pp]iazza|[Vv]icolo|[Bb]orgo|[Cc]ontrada|[Ss]trada|[Ll]argo|[Cc]alle|C/|[Aa]venida|Avda\.|Av\.|[Pp]aseo|[Pp]laza|[Cc]arretera|[Rr]ambla|[Cc]amino|[Pp]asaje|[Gg]lorieta|[Cc]uesta|[Cc]añada|[Cc]allejón|[Pp]asadizo"
    r"|[Rr]onda|[Rr]ua|R\.|[Tt]ravessa|[Aa]lameda|[Pp]raça|[Rr]odovia|[Ee]strada|[Ee]splanada|[Ll]adeira|[Qq]uadra|[Tt]recho|ul\.|[Uu]lica|al\.|[Aa]leja|os\.|pl\.|[Pp]lac"
)
_FRENCH = r"rue|avenue|av\.|boulevard|bd|place|chemin|impasse|allée|quai|route|cours|square|passage"
_FRENCH_SURE = ("rue", "avenue", "av.", "boulevard", "bd", "chemin", "impasse", "allée", "quai")
_PARTICLES = r"(?:(?:de|del|della|dei|delle|di|da|do|dos|das|la|las|los|el|y|e) |d['\u2019]|dell['\u2019])"
_UPPER = r"[A-ZÀ-ŽĄĆĘŁŃÓŚŹŻ0-9][\w'\u2019.-]*"
RULES = (
    Rule(
        "address",
        ("street_address",),
        _ENGLISH,
        _english,
        rf"[0-9][A-Z]?,? (?:[A-Z0-9oOtT][\w'\u2019.-]* ){{1,6}}(?:{_STREETS}|{_PLACES})(?-u:\b)",
        r"[0-9][A-Z]?,? [A-Z0-9][\w'\u2019.-]* [A-Z0-9oOtT]",
    ),
    Rule("address", ("po_box",), _PO_BOX, _box, r"Box [0-9]"),
    Rule(
        "address",
        ("street_address",),
        re.compile(
            rf"(?<![\w-])(?:[A-ZÄÖÜÅÆØ][\wäöüßåæø.'\u2019-]{{0,24}}[ -]){{0,3}}?"
            rf"(?:[A-ZÄÖÜÅÆØ][\w.'\u2019-]{{0,30}}?(?:{_GERMANIC}|(?P<weak>{_WEAK}))"
            rf"|[A-ZÄÖÜÅÆØ][\w.'\u2019-]*[ -](?:{_SEPARATE}))"
            rf" {_DOOR}(?![\w]|[.,:][0-9])(?P<code>{_CODE}|{_CODE4})?"
        ),
        _if_street,
        rf"(?:{_GERMANIC}|{_WEAK}|[ -](?:{_SEPARATE})) [0-9]",
    ),
    Rule(
        "address",
        ("street_address",),
        re.compile(
            rf"(?<![\w/-])(?P<kind>{_ROMANCE})(?:\s|(?<=/))(?:{_PARTICLES}{{0,3}}{_UPPER} ?){{1,4}}?"
            rf"(?:,? (?:n[º°.]{{0,2}} ?|nº ?)?|, ?)(?P<door>{_DOOR})"
            rf"(?![\w]|[.,:/][0-9])(?P<code>{_CODE})?"
        ),
        _if_named,
        rf"(?:{_ROMANCE})\s?(?:\w{{1,5}}['\u2019 ]){{0,3}}{_UPPER}[^\n]{{0,60}}[0-9]",
    ),
    Rule(
        "address",
        ("street_address",),
        re.compile(
            rf"(?i)(?<![\w.,/-])(?P<number>[0-9]{{1,4}}(?: ?(?:bis|ter|quater))?,? )?(?P<kind>{_FRENCH})"
            r" (?:(?:de la|de l['\u2019]|des|du|de|d['\u2019]|la|le|les) ?)?"
            rf"(?-i:[A-ZÀ-Ž][\w'\u2019-]*)(?:[ -](?-i:[A-ZÀ-Ž])[\w'\u2019-]*){{0,3}}(?P<code>{_CODE})?"
        ),
        _if_french,
        rf"[0-9] ?(?:bis|ter|quater)?,? (?i:{_FRENCH}) |(?i:{_FRENCH}) [^\n]{{0,70}}[0-9]{{5}}",
    ),
)
