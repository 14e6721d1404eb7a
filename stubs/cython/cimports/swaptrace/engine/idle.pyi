from swaptrace.engine.idle import Idle as Idle
