from swaptrace.engine.groups import Groups as Groups
