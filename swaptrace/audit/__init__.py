"""audit: what is wrong with this machine's swap areas, with evidence and advice."""
