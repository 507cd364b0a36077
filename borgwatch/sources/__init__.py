"""Where lines come from.

A file's bytes become lines here and nowhere else: `wake` says when to look, `tail` reads what is new, `disk` and
`walk` touch the disk for it, `position` decides where reading goes on, `rotation` knows the names of rotated files,
`lines` cuts bytes into lines, `problems` says what stands in the way, once.
"""
