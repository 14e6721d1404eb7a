"""The running kernel as a source of events: programs, where they are attached, and what they tell."""
