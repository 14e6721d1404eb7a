from swaptrace.engine.held import Held as Held
