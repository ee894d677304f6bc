"""What the fork server of a run makes ready, once, for the processes of all its steps.

A step is a process of its own, and a run has dozens of them. Whatever is imported and built here a step has when it
begins; and all steps of a run see the specs as they were when it began, whatever is edited meanwhile. Nothing here
may start a thread of Python's: a fork copies none, and a lock that one holds stays held.
"""

import gc
from contextlib import suppress

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401

from synth_platform import definitions
from synth_platform.quality import gates

with suppress(Exception):  # what goes wrong here goes wrong in each step again, which tells it
    gates.prepare()
    definitions.keep()
gc.freeze()  # memory that no collection touches stays shared with the steps
