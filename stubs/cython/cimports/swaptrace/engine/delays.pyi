from swaptrace.engine.delays import Delays as Delays
