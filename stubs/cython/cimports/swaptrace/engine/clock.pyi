from swaptrace.engine.clock import Clock as Clock
from swaptrace.engine.clock import add_integral as add_integral
