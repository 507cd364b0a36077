"""Rule files: how they are written, loaded, and what they say of a record. Pure but for reading the files.

    files → load.py → Pack, Rule (rules.py) → Matcher (matcher.py): Record in, Signal or None out

The language: vocabulary.py (every key and word, in tables), read_pack.py, read_conditions.py and read_samples.py (from
YAML to values), schema.py (the same tables as JSON Schema). The parts of a rule: conditions.py (what must hold),
patterns.py (the linear-time engine behind `re`), templates.py (what is said). explain.py says why a rule did not match.
"""
