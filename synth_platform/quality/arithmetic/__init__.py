"""Reads and recomputes the arithmetic of worked solutions.

What people and models write is ambiguous: an equation is right if one of the usual readings makes it so (5% + 3% = 8,
50 + 10% = 55, 20 minutes * 3 = 1 hour, 3 * 4 = 12 + 5 = 17), and is not judged if part of it is not known.
"""

from synth_platform.quality.arithmetic.answer import final_number
from synth_platform.quality.arithmetic.check import ArithmeticCheck, Step, check_arithmetic, steps
from synth_platform.quality.arithmetic.evaluation import evaluate, is_rounding
from synth_platform.quality.arithmetic.numerals import number

__all__ = ["ArithmeticCheck", "Step", "check_arithmetic", "evaluate", "final_number", "is_rounding", "number", "steps"]
