package telemetry

import (
	"fmt"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// Package net/http/pprof is not used: importing it adds its handlers, the command line included, to http.DefaultServeMux. A
// program that mounts Sesame in its own server (package login) may serve that mux to the internet.

// addProfiles adds what go tool pprof and go tool trace read.
func addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, p := range pprof.Profiles() {
			fmt.Fprintf(w, "%s?debug=1\n", p.Name())
		}
		fmt.Fprint(w, "profile?seconds=30\ntrace?seconds=1\n")
	})
	mux.HandleFunc("GET /debug/pprof/{name}", func(w http.ResponseWriter, r *http.Request) {
		profile := pprof.Lookup(r.PathValue("name"))
		if profile == nil {
			http.NotFound(w, r)
			return
		}
		debug, _ := strconv.Atoi(r.FormValue("debug"))
		w.Header().Set("Content-Type", "application/octet-stream")
		if debug > 0 {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_ = profile.WriteTo(w, debug) // the client has closed the connection
	})
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		record(w, r, 30, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	})
	mux.HandleFunc("GET /debug/pprof/trace", func(w http.ResponseWriter, r *http.Request) {
		record(w, r, 1, func() error { return trace.Start(w) }, trace.Stop)
	})
}

// record writes what happens in the next seconds, or until the client goes away.
func record(w http.ResponseWriter, r *http.Request, seconds float64, start func() error, stop func()) {
	if text := r.FormValue("seconds"); text != "" {
		var err error
		// The comparison is written so that it refuses NaN as well.
		if seconds, err = strconv.ParseFloat(text, 64); err != nil || !(seconds > 0 && seconds < profileTime.Seconds()) {
			http.Error(w, fmt.Sprintf("seconds must be a number above 0 and below %v.", profileTime.Seconds()), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := start(); err != nil { // nothing is written yet
		http.Error(w, "Another recording is running: "+err.Error(), http.StatusConflict)
		return
	}
	defer stop()
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	case <-r.Context().Done():
	}
}
