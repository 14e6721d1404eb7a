"""What a user should know or do: one set of rules, on evidence of the machine as it is (audit), and of a recording."""
