"""What a user hears of: alerts, repetitions, and what did not run. Pure."""
