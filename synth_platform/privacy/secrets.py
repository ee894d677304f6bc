"""Rules for secrets: keys and tokens by their form, passwords by where they stand, random strings only beside a cue.

The forms are those that the issuers document for secret scanning.
"""

import re

from synth_platform.privacy import validators
from synth_platform.privacy.rules import PLACEHOLDER, RESERVED, Check, Hit, Rule, words

_FORMS: tuple[tuple[str, str], ...] = (
    ("aws_access_key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    ("github_token", r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("gitlab_token", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{20,64}"),
    ("slack_token", r"xox[abeprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]+"),
    ("slack_webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,120}"),
    ("stripe_key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9]{32,}"),
    ("google_api_key", r"AIza[A-Za-z0-9_-]{35}"),
    ("google_oauth", r"ya29\.[A-Za-z0-9_-]{30,}|GOCSPX-[A-Za-z0-9_-]{28}"),
    ("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{24,}"),
    ("openai_key", r"sk-(?:proj-|svcacct-|admin-|or-v1-|None-)?[A-Za-z0-9_-]{20,}"),
    ("huggingface_token", r"hf_[A-Za-z]{34}"),
    ("sendgrid_key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("npm_token", r"npm_[A-Za-z0-9]{36}"),
    ("pypi_token", r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    ("digitalocean_token", r"do[oprt]_v1_[a-f0-9]{64}"),
    ("telegram_token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    ("azure_storage_key", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("databricks_token", r"dapi[a-f0-9]{32}"),
    ("shopify_token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("age_key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
)
"""Kind and form (regular expressions of both Rust and Python)."""
_JWT = r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
_PRIVATE_KEY = r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_NAMES = (
    r"pass(?:word|wd|phrase|code)|[a-z]+_pass|pwd|secret|api[_-]?key|apikey|auth[_-]?token|access[_-]?token|refresh[_-]?token"
    r"|token|access[_-]?key|client[_-]?secret|private[_-]?key|secret[_-]?key|encryption[_-]?key|signing[_-]?key"
    r"|credentials?|account[_-]?key|webhook[_-]?secret|bearer"
)
_PASSWORDS = re.compile(r"(?i)(?:pass(?:word|wd|phrase|code)|_pass|pwd)[\"']?$")
_CUE = words(
    r"(?:api|access|secret|private|encryption|auth|license|master|session|service|account)"
    r"[ _-]?(?:keys?|tokens?|secrets?)",
    r"keys? (?:is|are|was)", r"tokens?", r"bearer", r"secrets?", r"credentials?", r"passwords?", r"passphrase", r"pwd",
)  # fmt: skip
_HASH = words(
    r"sha-?\d*(?:sum)?", "md5(?:sum)?", "checksums?", "digests?", "hash(?:es|ed)?", "commit(?:s|ted)?", "integrity",
    "fingerprint", "etag", "uuid", "guid", "revision", "blob", "tree", "object", "cache[ _-]key", "csrf\\w*", "nonce",
)  # fmt: skip


def _formed(kind: str) -> Check:
    def check(text: str, match: re.Match[str]) -> Hit | None:
        value = match[0]
        body = re.split(r"[_.=-]", value)[-1] or value
        if kind == "openai_key" and not re.search(r"[0-9]", value[3:]):  # sk-something-in-words
            return None
        if len(set(body)) < 6 and len(body) > 8:  # xxxxxxxx stands for a key
            return None
        reserved = RESERVED if re.search(r"EXAMPLE(?:KEY)?$", value) else ""
        return Hit(kind + reserved, match.start(), match.end(), value)

    return check


def _jwt(text: str, match: re.Match[str]) -> Hit | None:
    return Hit("jwt", *match.span(), match[0]) if validators.is_jwt(match[0]) else None


def _private_key(text: str, match: re.Match[str]) -> Hit | None:
    body = re.sub(r"-----[^-\n]*-----|\s|\\n", "", match[0])
    return Hit("private_key", *match.span(), body) if len(body) >= 64 else None


def _connection(text: str, match: re.Match[str]) -> Hit | None:
    password = match["password"]
    if validators.is_filler(password) or PLACEHOLDER.search(match[0]) or password.lower() in ("pass", "pw", "pwd"):
        return None
    if password.lower() == match["user"].lower() or validators.is_reserved_domain(match["host"]):
        return Hit("connection_string" + RESERVED, match.start("user"), match.end("password"), password)
    return Hit("connection_string", match.start("user"), match.end("password"), password)


def _assigned(text: str, match: re.Match[str]) -> Hit | None:
    value = match["quoted"] or match["bare"]
    start, end = match.span("quoted" if match["quoted"] else "bare")
    if validators.is_filler(value) or PLACEHOLDER.search(value) or re.match(r"https?://|/|\./|\w+\(|&", value):
        return None
    if _PASSWORDS.search(match["name"]):
        plausible = validators.character_classes(value) >= 2 and not re.fullmatch(
            r"[a-z]+[A-Z_]\w*|[A-Za-z_.-]+", value
        )
    else:
        plausible = validators.looks_random(value)
    if not plausible:
        return None
    kind = "aws_secret_key" if re.search(r"(?i)aws\w*$|secret_?access", match["name"]) else "assigned_secret"
    return Hit(kind + (RESERVED if re.search(r"EXAMPLE(?:KEY)?$", value) else ""), start, end, value)


def _beside_cue(text: str, match: re.Match[str]) -> Hit | None:
    start, end = match.span()
    before = max(0, start - 40)
    if not _CUE.search(text, before, start) or _HASH.search(text, before, start):
        return None
    if not validators.looks_random(match[0]) or re.search(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}", match[0]):
        return None
    if re.search(r"[/._-](?:[A-Za-z]{3,}[/._-]){2,}", match[0]):  # a path or a name of several words
        return None
    return Hit("random_secret" + (RESERVED if match[0].endswith("EXAMPLEKEY") else ""), start, end, match[0])


def _spoken_password(text: str, match: re.Match[str]) -> Hit | None:
    value = match["value"].rstrip(".,;:!?)\"'")
    if (
        validators.is_filler(value)
        or PLACEHOLDER.search(value)
        or validators.character_classes(value) < 3
        or re.search(r"\(|::", value)
    ):
        return None
    return Hit("password", match.start("value"), match.start("value") + len(value), value)


_FORM_RULES = tuple(
    Rule(
        "secret",
        (kind, kind + RESERVED),
        re.compile(rf"(?<![A-Za-z0-9_])(?<!\w-)(?:{form})(?![A-Za-z0-9_])"),
        _formed(kind),
        form,
        r"A[SKBC][IC]A[A-Z0-9]{16}|gh[pousr]_|github_pat_|gl[a-z]{2,4}-|xox[abeprs]-|xapp-|hooks\.slack|[sr]k_|whsec_|AIza|ya29|GOCSPX"
        r"|sk-|hf_[A-Za-z]{34}|SG\.|npm_|pypi-Ag|do[oprt]_v1|:AA|AccountKey=|dapi|shp[acps]{2}_|AGE-SEC",
    )
    for kind, form in _FORMS
)
_CONNECTION = Rule(
    "secret",
    ("connection_string", "connection_string" + RESERVED),
    re.compile(
        r"(?<![A-Za-z])[A-Za-z][A-Za-z0-9+.-]{1,30}://(?P<user>[^\s:/@\"'<>]{0,64}):(?P<password>[^\s/@\"'<>]{3,128})@(?P<host>[\w.-]+)"
    ),
    _connection,
    r"://[^\s:/@\"'<>]{0,64}:[^\s/@\"'<>]{3,128}@",
)
RULES = (
    *_FORM_RULES,
    Rule("secret", ("jwt",), re.compile(rf"(?<![A-Za-z0-9_-]){_JWT}"), _jwt, _JWT),
    Rule(
        "secret",
        ("private_key",),
        re.compile(rf"{_PRIVATE_KEY}(?:[A-Za-z0-9+/=\s:,.\\-]|\\n)*?"
            rf"(?:-----END (?:[A-Z0-9]+ ){{0,3}}PRIVATE KEY(?: BLOCK)?-----|(?=[^A-Za-z0-9+/=\s:,.\\-])|\Z)"),
        _private_key,
        _PRIVATE_KEY,
    ),
    _CONNECTION,
    Rule(
        "secret",
        ("assigned_secret", "assigned_secret" + RESERVED, "aws_secret_key", "aws_secret_key" + RESERVED),
        re.compile(
            rf"(?i)(?P<name>(?<![A-Za-z])(?:\w*[_-])?(?:{_NAMES})(?:[_-](?:key|id|value|prod|dev|live))?[\"']?)\s{{0,3}}(?:=>|:=|=|:)\s{{0,3}}"
            r"(?:[\"'`](?P<quoted>[^\s\"'`]{6,200})[\"'`]|(?P<bare>[^\s\"'`,;()<>{}\[\]]{8,200}))"
        ),
        _assigned,
        rf"(?i)(?:{_NAMES})(?:[_-](?:key|id|value|prod|dev|live))?[\"']?\s{{0,3}}[:=]",
    ),
    Rule(
        "secret",
        ("password",),
        re.compile(r"(?i)(?<![\w])(?:pass(?:word|code|phrase)|pwd)s?\s+(?:is|was|are)\s*:?\s*[\"'`“]?(?P<value>[^\s\"'`”]{6,64})"),
        _spoken_password,
        r"(?i)(?:pass(?:word|code|phrase)|pwd)s?\s+(?:is|was|are)",
    ),
    Rule(
        "secret",
        ("random_secret", "random_secret" + RESERVED),
        re.compile(r"(?<![A-Za-z0-9+/_=.-])[A-Za-z0-9+/_-]{20,200}={0,2}(?![A-Za-z0-9+/_=-])"),
        _beside_cue,
        r"(?i)(?:key|token|secret|credential|password|passphrase|pwd|bearer)(?s:.){0,40}?[A-Za-z0-9+/_-]{20}",
    ),
)  # fmt: skip


def spelled_secret(text: str) -> str | None:
    """Kind of the first secret that a text spells out, by its form alone: no cue beside it is needed."""
    for rule in (*_FORM_RULES, _CONNECTION):
        for match in rule.pattern.finditer(text):
            hit = rule.check(text, match)
            if hit is not None and not hit.kind.endswith(RESERVED):
                return hit.kind
    return None
