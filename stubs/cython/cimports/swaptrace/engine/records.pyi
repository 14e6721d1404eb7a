from swaptrace.engine.records import EventRecords as EventRecords
