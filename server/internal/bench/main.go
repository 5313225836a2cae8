// Program bench measures what Sesame costs beside the least that the same work could cost: a bare
// Echo handler that answers the same JSON, and a bare password hash.
//
//	go run ./server/internal/bench          measures for about three minutes and writes docs/benchmarks.md
//	go run ./server/internal/bench -quick   looks that everything can be measured; writes nothing
//	go run ./server/internal/bench -soak    floods it with logins, fills it with accounts, and writes docs/soak.md
//
// The servers are processes of their own, so the kernel's CPU clock of each says what a request cost
// it and the load generator, which is this program, is not counted. All cases take turns in short
// rounds, and ratios are taken within a round: what slows the machine down slows both sides.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// plan says how long to measure.
type plan struct {
	write      bool // docs/benchmarks.md, when all is done
	rounds     int
	short      time.Duration // one round of a case that takes microseconds
	long       time.Duration // one round of a case that hashes passwords
	warmUp     time.Duration
	coldStarts int
	settle     time.Duration // from start to measuring the memory of an idle server
	peak       time.Duration // of logins, for the memory that they take
	refusals   int           // tries of each way in which a login is refused, or a reset asked for
}

var (
	fullPlan = plan{
		write: true, rounds: 12, short: 700 * time.Millisecond, long: 1500 * time.Millisecond,
		warmUp: 500 * time.Millisecond, coldStarts: 21, settle: 4 * time.Second, peak: 4 * time.Second, refusals: 200,
	}
	quickPlan = plan{
		rounds: 2, short: 250 * time.Millisecond, long: 500 * time.Millisecond,
		warmUp: 100 * time.Millisecond, coldStarts: 3, settle: time.Second, peak: 500 * time.Millisecond, refusals: 5,
	}
)

func init() {
	// Children are told to end with the thread that started them (see attributes). The main thread,
	// to which this holds the main goroutine, lives as long as the program.
	runtime.LockOSThread()
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && strings.HasPrefix(args[0], "child-") {
		return report(stderr, runChild(args, stdout)) // until a signal ends it
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "measure too little to be true, in 20 seconds, and write nothing")
	soaking := flags.Bool("soak", false, "flood a server with logins, fill another with accounts, and write docs/soak.md; three minutes at most")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *soaking {
		return report(stderr, soak(ctx, stdout, stderr))
	}
	p := fullPlan
	if *quick {
		p = quickPlan
	}
	return report(stderr, bench(ctx, p, stdout, stderr))
}

// report prints an error, if any, and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}
