from swaptrace.engine.classes import Classes as Classes
