from swaptrace.engine.zsmalloc import Allocator as Allocator
