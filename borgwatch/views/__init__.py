"""What happened: pure views of the journal, which commands and the page render."""
