from swaptrace.engine.levels import Levels as Levels
