from swaptrace.engine.mapping import Places as Places
