package app

import (
	"os"
	"runtime/debug"
)

// TuneCollector suits the garbage collector to a heap of a few megabytes: by default it runs every few hundred
// requests, since it waits only until the heap has doubled. GOGC, where it is set, takes precedence. (The memory
// of a password hash is collected when the hash is done.)
func TuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// freeStartMemory returns the memory that only the start has used to the operating system.
func freeStartMemory() { debug.FreeOSMemory() }
