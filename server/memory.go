package main

import "runtime/debug"

// ownMemory is what the server takes beside the passwords that it is hashing, with room to spare.
const ownMemory = 26 << 20

// boundMemory suits the garbage collector to this program: a heap of a few megabytes that now and
// then gets a block of 19 MiB per core. By itself the collector would run every few hundred requests,
// since it waits only until a small heap has doubled; and let the blocks pile up, since it waits
// until a heap with such a block in it has doubled. GOGC and GOMEMLIMIT, where given, count instead.
func (p *program) boundMemory(hashing int64) {
	if p.getenv("GOGC") == "" && p.getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(ownMemory + hashing)
	}
}

// forgetStart gives back the memory that only the start has used.
func forgetStart() {
	debug.FreeOSMemory()
	dropStartPages()
}
