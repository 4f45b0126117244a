"""Measured speed: the training step, views, styles and predictor rules, each against what one would write at first.

`sslrun bench` prints what `measure` yields. Reference and ours take turns in one process, on one CPU thread; every
number is of this machine and this moment. Read `timing` (how), `steps`, `views`, `style` (what), `rows` (the bars).
"""

from sslrun.bench.measuring import KINDS, Subject, measure, subject
from sslrun.bench.rows import Row, as_json, caption, machine, table
from sslrun.bench.timing import Settings

__all__ = ["KINDS", "Row", "Settings", "Subject", "as_json", "caption", "machine", "measure", "subject", "table"]
