//go:build linux

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// signatures says what a signature of each algorithm costs here, and which limit that sets.
func signatures() string {
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err.Error()
	}
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err.Error()
	}
	rs256, es256 := signing(rs, 200), signing(es, 2000)
	return fmt.Sprintf("A signature costs %.0f µs of a core with RS256 (RSA, 2048 bits) and %.0f µs with ES256. So signing with RS256 alone\n"+
		"  limits %d cores to %.0f sign-ins a second, whatever else the server does.",
		rs256, es256, runtime.NumCPU(), float64(runtime.NumCPU())*1e6/rs256)
}

// signing is the CPU time of a signature, in microseconds. The caller stays on one thread (see init).
func signing(key crypto.Signer, times int) float64 {
	digest, before := sha256.Sum256([]byte("a token")), threadTime()
	for range times {
		if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			return 0
		}
	}
	return float64(threadTime()-before) / 1e3 / float64(times)
}

func threadTime() time.Duration {
	var spec unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spec)
	return time.Duration(spec.Nano())
}
