//go:build linux

// Command bench measures what Sesame costs.
//
//	go run ./server/internal/bench                measures for about four minutes and writes docs/benchmarks.md
//	go run ./server/internal/bench -quick         checks in 20 seconds that everything can be measured; writes nothing
//	go run ./server/internal/bench -soak          floods servers and fills one with accounts; writes docs/soak.md
//	go run ./server/internal/bench -base PROGRAM  compares this tree with another build of it, operation by operation
//
// Each server is a process of its own, and the cost of a request is the CPU time of that process, so the load
// generator is not counted. What is compared takes turns in short rounds, and ratios are taken within a round: other
// programs that slow the machine down slow both sides. run.go has the order of events, load.go sends requests.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// plan says how long to measure.
type plan struct {
	rounds int
	short  time.Duration // a round of a case that takes microseconds
	long   time.Duration // a round of a case that hashes passwords
	tries  int           // of each kind of refused login
	starts int
}

var (
	full  = plan{rounds: 12, short: 700 * time.Millisecond, long: 1500 * time.Millisecond, tries: 200, starts: 21}
	quick = plan{rounds: 2, short: 200 * time.Millisecond, long: 400 * time.Millisecond, tries: 4, starts: 2}
)

func init() {
	// A child ends with the thread that started it (see start). The main thread lives as long as the program.
	runtime.LockOSThread()
}

func main() {
	isQuick := flag.Bool("quick", false, "measure too little to be meaningful, in 20 seconds, and write nothing")
	isSoak := flag.Bool("soak", false, "flood servers with requests, fill one with accounts, and write docs/soak.md")
	base := flag.String("base", "", "compare with this program, built from another commit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if address := flag.Arg(0); address != "" {
		exit(bare(address)) // this program, started again as something to compare with
	}
	p := full
	if *isQuick {
		p = quick
	}
	b, err := newBench(ctx, p)
	if err == nil {
		defer b.close()
		switch {
		case *isSoak:
			err = b.soak()
		case *base != "":
			err = b.compare(*base)
		default:
			err = b.measure(!*isQuick)
		}
	}
	if err != nil {
		b.close()
		exit(err)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
