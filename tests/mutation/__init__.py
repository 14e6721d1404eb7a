"""Mutation testing: how many small faults, put into the code on purpose, do the unit tests notice?"""
