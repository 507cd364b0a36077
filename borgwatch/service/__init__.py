"""The process around the pipeline: lifetimes, delivery, what is told."""
