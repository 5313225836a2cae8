package cli

import "runtime/debug"

// suitCollector suits the garbage collector to a heap of a few megabytes: left alone it would run
// every few hundred requests, since it waits only until the heap has doubled. GOGC, where it is
// given, counts instead. (What a password hash leaves behind is collected by itself.)
func (p *program) suitCollector() {
	if p.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// forgetStart gives back the memory that only the start has used.
func forgetStart() {
	debug.FreeOSMemory()
	dropStartPages()
}
