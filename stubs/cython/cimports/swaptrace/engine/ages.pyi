from swaptrace.engine.ages import Ages as Ages
