"""Programs are known by what they do, whatever they are called and whatever language they are in."""

import polars as pl
import pytest

from synth_platform.contamination.code import looks_like_code, normalise
from synth_platform_tests.contamination.searches import index, items, search

SOLUTION = """    import math
    fact = []
    i = 2
    while i <= int(math.sqrt(n) + 1):
        if n % i == 0:
            fact.append(i)
            n //= i
        else:
            i += 1
    if n > 1:
        fact.append(n)
    return fact
"""
RENAMED = """def pieces_of(number):
    # take one divisor after the other
    pieces, d = [], 2
    while d <= int(sqrt(number) + 1):
        if number % d == 0:
            pieces.append(d)   # found one
            number //= d
        else:
            d += 1
    if number > 1:
        pieces.append(number)
    return pieces
"""
JAVASCRIPT = """function piecesOf(number) {
  const pieces = [];
  let d = 2;
  while (d <= Math.sqrt(number) + 1) {
    if (number % d === 0) {
      pieces.push(d);
      number /= d;
    } else {
      d += 1;
    }
  }
  if (number > 1) pieces.push(number);
  return pieces;
}
"""
OTHER = """def histogram(words):
    counts = {}
    for word in words:
        if word not in counts:
            counts[word] = 0
        counts[word] += 1
    return sorted(counts.items(), key=lambda pair: -pair[1])[:10]
"""
METHODS = ("code",)


def exam():
    others = [
        f"    x = {n}\n    for y in range({n * 7}):\n        x = x * {n} - y\n    return x ** {n}\n"
        for n in range(2, 40)
    ]
    batches = [items("Write a function that lists prime factors.", answer=SOLUTION)]
    batches += [items(f"Write function {n}, please.", name=f"other{n}", answer=text) for n, text in enumerate(others)]
    return index(*batches, methods=METHODS)


@pytest.mark.parametrize("program", [SOLUTION, RENAMED, JAVASCRIPT])
def test_a_solution_is_found_under_other_names_and_in_another_language(program: str) -> None:
    text = f"Some words before.\n\n```\n{program}```\n\nAnd some after."
    found = search(exam(), text, methods=METHODS).filter(pl.col("eval") == "exam").row(0, named=True)
    assert (found["verdict"], found["method"]) == ("contaminated", "code")
    assert found["eval_span"].startswith("operations ")
    assert "sqrt" in text.encode()[found["start"] : found["end"]].decode()


def test_another_program_and_plain_text_are_clean() -> None:
    found = search(exam(), OTHER, "There is no program here, only words; and no return to it.", methods=METHODS)
    assert found["verdict"].to_list() == ["clean", "clean"]


def test_comments_names_and_types_leave_no_trace() -> None:
    python = normalise('def f(a, b):\n    """Add."""\n    # both\n    return a + b * 2 and not a').text
    rust = normalise("fn g(x: i64, y: i64) -> bool { /* both */\n    // add\n    return x + y * 2 && !x; }").text
    assert python == rust.removeprefix("subtractqless lessqreturn ")
    assert normalise("").text == ""


def test_what_looks_like_code() -> None:
    given = pl.Series(["x = 1;\n", "def f():\n    return 1", "I return home.\nFor now, that is all.", None])
    assert looks_like_code(given).to_list() == [True, True, False, False]
