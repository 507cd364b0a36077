"""Rule files: how they are written, loaded, and what they say of a record. Pure but for reading the files.

    files → load.py → Pack, Rule (rules.py) → Matcher (matcher.py): Record in, Signal or None out

The parts of a rule: conditions.py (what must hold), patterns.py (the linear-time engine behind `re`),
templates.py (what is said).
"""
