"""Texts that look like personal data and hold none: numbers of things, versions, hashes, coordinates, code."""

import importlib
import uuid
from collections.abc import Callable

from synth_platform_tests.privacy.made import Maker
from synth_platform_tests.privacy.made_ids import grouped


def negative(maker: Maker) -> tuple[str, str]:
    """A text that looks like personal data and holds none, and what it is."""
    name = maker.rng.choice(tuple(NEGATIVES))
    return NEGATIVES[name](maker), name


def _isbn(maker: Maker) -> str:
    body = "978" + maker.digits(9)
    check = (10 - sum(int(d) * (1, 3)[i % 2] for i, d in enumerate(body))) % 10
    value = body + str(check)
    return maker.rng.choice((f"ISBN {grouped(value, 3, 1, 2, 6, 1, mark='-')}", f"ISBN-13: {value}", f"EAN {value}"))


def _luhn_order(maker: Maker) -> str:
    body = "4" + maker.digits(14)
    check = importlib.import_module("stdnum.luhn").calc_check_digit(body)
    return f"Order number {body}{check} was sent on Monday."


def _group(maker: Maker, *sizes: int, mark: str) -> str:
    return mark.join(maker.digits(size) for size in sizes)


NEGATIVES: dict[str, Callable[[Maker], str]] = {
    "isbn": _isbn,
    "luhn order": _luhn_order,
    "order": lambda m: f"Your order #{_group(m, 3, 7, 7, mark='-')} has been shipped.",
    "ticket": lambda m: f"See ticket {m.digits(9)} and case no. {_group(m, 3, 3, 4, mark='-')}.",
    "version": lambda m: (
        f"Upgrade to version {m.number(1, 30)}.{m.number(30)}.{m.number(30)}.{m.number(300)} of the driver."
    ),
    "pin": lambda m: f"package=={m.number(1, 99)}.{m.number(99)}.{m.number(99)}.{m.number(99)}",
    "user agent": lambda m: (
        f"Mozilla/5.0 (X11; Linux x86_64) "
        f"Chrome/{m.number(90, 130)}.0.{m.number(1, 255)}.{m.number(1, 250)} Safari/537.36"
    ),
    "heading": lambda m: (
        f"{m.number(1, 20)}.{m.number(1, 20)}.{m.number(1, 20)}.{m.number(1, 9)} Results of the second trial"
    ),
    "sha": lambda m: f"commit {m.characters(40, '0123456789abcdef')}\nfix the parser",
    "md5": lambda m: f"The file's md5 checksum is {m.characters(32, '0123456789abcdef')}.",
    "sri": lambda m: f'"integrity": "sha512-{m.characters(86)}=="',
    "uuid": lambda m: f"request id {uuid.UUID(int=m.rng.getrandbits(128))} failed",
    "timestamp": lambda m: (
        f"2024-{m.number(1, 13):02d}-{m.number(1, 29):02d}T{m.number(24):02d}:{m.number(60):02d}:{m.number(60):02d}"
        f".{m.digits(6)}Z started"
    ),
    "epoch": lambda m: f"ts=17{m.digits(8)} dur=17{m.digits(11)} us",
    "date range": lambda m: (
        f"Open from 0{m.number(1, 10)}.{m.number(10, 13)}.2023 to 2024-0{m.number(1, 10)}-{m.number(10, 29)}."
    ),
    "math": lambda m: f"{m.digits(4)} + {m.digits(4)} * {m.digits(3)} - {m.digits(5)} = {m.digits(7)}",
    "decimal": lambda m: f"pi is about 3.{m.digits(16)} and e 2.{m.digits(12)}",
    "table": lambda m: "\n".join(" ".join(str(m.number(100, 9999)) for _ in range(6)) for _ in range(3)),
    "csv": lambda m: "\n".join(",".join(f"{m.rng.random() * 1000:.3f}" for _ in range(5)) for _ in range(3)),
    "matrix": lambda m: (
        f"[[{m.number(10)} {m.number(10)} {m.number(10)}] [0 1 {m.number(10)} 2] [0 0 {m.number(10)} 1]]"
    ),
    "list": lambda m: "Lottery numbers: " + " ".join(f"{n:02d}" for n in sorted(m.rng.sample(range(1, 50), 6))),
    "ssh": lambda m: (
        f"ssh {m.characters(5, 'abcdef')}@web{m.number(9)} then git clone git@github.com:org{m.number(99)}/repo.git"
    ),
    "decorator": lambda m: f"@app.route('/x{m.number(99)}')\n@functools.lru_cache\ndef f(x): return x @ y.T",
    "matmul": lambda m: f"loss = (w{m.number(9)}@self.weights + x@model.bias).sum()",
    "npm": lambda m: f"npm i lodash@4.17.{m.number(30)} @types/node@20.1.{m.number(9)} icon@2x.png",
    "handle": lambda m: f"Follow @berlin_{m.number(999)} on the site, or r/de.",
    "gps": lambda m: (
        f"The hut is at {m.rng.uniform(-89, 89):.6f}, {m.rng.uniform(-179, 179):.6f} (N 47° "
        f"{m.number(60)}' {m.number(60)}.{m.digits(2)}\")."
    ),
    "mac": lambda m: "eth0 " + ":".join(m.characters(2, "0123456789abcdef") for _ in range(m.rng.choice((6, 8)))),
    "rust path": lambda m: (
        f"use std::collections::HashMap; Vec::<u{m.rng.choice((8, 16))}>::new(); a::b{m.number(9)}::c()"
    ),
    "cpp": lambda m: f"std::chrono::seconds(1{m.number(99)}); ns::de{m.number(9)}::ad(); ::global",
    "clock": lambda m: (
        f"Laps: {m.number(10)}:{m.number(10, 60)}:{m.number(10, 60)}, "
        f"{m.number(10)}:{m.number(10, 60)}:{m.number(10, 60)}.{m.digits(2)}"
    ),
    "price": lambda m: (
        f"It costs $1,{m.digits(3)},{m.digits(3)}.{m.digits(2)} or 1.{m.digits(3)}.{m.digits(3)},00 EUR."
    ),
    "part": lambda m: (
        f"Part no. {m.digits(3)}-{m.digits(3)}-{m.digits(4)}, model {m.characters(2, 'ABCDE')}{m.digits(6)}C"
    ),
    "serial": lambda m: f"Serial: {m.digits(9)}, batch {m.digits(11)}, SKU {m.digits(8)}Z",
    "doi": lambda m: f"doi:10.{m.digits(4)}/s{m.digits(5)}-0{m.digits(2)}-{m.digits(5)}-{m.digits(1)}",
    "arxiv": lambda m: f"arXiv:2{m.digits(3)}.{m.digits(5)}, pp. {m.digits(3)}-{m.digits(3)}, vol. {m.digits(2)}",
    "phone-like id": lambda m: f"user_id={m.digits(10)} session={m.digits(12)} ref {m.digits(3)}-{m.digits(4)}",
    "scientific": lambda m: f"6.{m.digits(5)}e-{m.digits(2)} kg, 1.{m.digits(8)} \u00d7 10^{m.digits(2)} m/s",
    "color": lambda m: f"color: #{m.characters(6, '0123456789abcdef')}; z-index: {m.digits(7)};",
    "data uri": lambda m: f"background: url(data:image/png;base64,{m.characters(90)})",
    "placeholder secret": lambda m: m.rng.choice(
        (
            'password = "<your-password>"',
            "API_KEY=${API_KEY}",
            "token: xxxxxxxxxxxxxxxxxxxxxxxx",
            'password: "string"',
            "postgres://user:password@localhost/db",
            'api_key = os.environ["API_KEY"]',
        )
    ),
    "token code": lambda m: m.rng.choice(
        (
            "let token = lexer.next_token();",
            'token: "identifier"',
            "secret = derive_key_from_passphrase(salt, rounds)",
            "password: Option<String>",
            "access_token = response.json()['access_token']",
            "auth_token: AuthenticationTokenProviderImplementation",
        )
    ),
    "not an address": lambda m: m.rng.choice(
        (
            "It took 3 Years on the Road.",
            "In 1995 Wall Street fell by 12 percent.",
            "There are 5 Ways to Drive a nail.",
            "He scored 40 points for the Park team.",
            "Chapter 12 The Long Road Home",
            "im 19. Jahrhundert, Band 12",
            "la rue était vide, 12 hommes",
        )
    ),
    "not a mail": lambda m: m.rng.choice(
        (
            "look at the dot in the middle",
            "meet me at noon dot com style",
            "5 apples @ 3.50 each",
            "a@b",
            "user@localhost",
            "Q@R.T @ v",
        )
    ),
    "score": lambda m: (
        f"{m.number(9)}-{m.number(9)}, {m.number(9)}-{m.number(9)}, 6-4 6-3 7-6; 2019-2020 season, "
        f"{m.digits(3)}-{m.digits(2)} record"
    ),
    "dna": lambda m: f"chr{m.number(1, 23)}:{m.digits(8)}-{m.digits(8)} rs{m.digits(9)}",
    "tensor": lambda m: f"shape (32, 3, 224, 224), lr 0.000{m.digits(3)}, step {m.digits(7)}, seed {m.digits(9)}",
    "octets": lambda m: "netmask 255.255.255.0, wildcard 0.0.0.255, broadcast 255.255.255.255",
    "oid": lambda m: f"OID 1.3.6.1.4.1.{m.digits(4)}.{m.digits(2)} and OID 2.5.29.{m.number(30)}",
    "fraction": lambda m: f"{m.digits(6)}/{m.digits(4)} of a unit; 3/4/5, 12/16/20",
    "bible": lambda m: f"Gen {m.number(50)}:{m.number(30)}; Luke {m.number(24)}:{m.number(30)}-{m.number(31, 50)}",
}
