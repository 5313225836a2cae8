// Program example is a service that Sesame's tokens protect. It keeps notes in memory.
//
//	go run ./server/guard/example [ISSUER]
package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"sesame/server/guard"
	"sesame/server/secret"
)

//go:embed openapi.yaml
var openAPI []byte

func main() {
	issuer := "http://127.0.0.1:8080"
	if len(os.Args) > 1 {
		issuer = os.Args[1]
	}
	if err := serve(context.Background(), issuer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, issuer string) error {
	g, err := guard.New(ctx, guard.Options{
		OpenAPI: openAPI, Issuer: issuer,
		Audience:         issuer, // SESAME_AUDIENCE, whose default is the public URL
		ValidateRequests: true,
		Introspect:       client(), // for personal access tokens; nil refuses them
	})
	if err != nil {
		return err
	}
	notes := &notebook{of: map[string][]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /notes", notes.list)
	mux.HandleFunc("POST /notes", notes.add)
	mux.HandleFunc("DELETE /notes", notes.clear)

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cmp.Or(os.Getenv("NOTES_LISTEN"), "127.0.0.1:8090"))
	if err != nil {
		return err
	}
	fmt.Printf("Notes at http://%s/notes\n", listener.Addr())
	server := &http.Server{Handler: g.Handler(mux), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// client is the service client that looks up personal access tokens, if there is one.
func client() *guard.ServiceClient {
	id := os.Getenv("NOTES_CLIENT_ID")
	if id == "" {
		return nil
	}
	return &guard.ServiceClient{ID: id, Secret: secret.New(os.Getenv("NOTES_CLIENT_SECRET"))}
}

// notebook has the notes of each user. Its handlers check no token, because the guard has done that.
type notebook struct {
	mu sync.Mutex
	of map[string][]string
}

func (n *notebook) list(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(append([]string{}, n.of[guard.CallerFrom(r.Context()).Subject]...))
}

func (n *notebook) add(w http.ResponseWriter, r *http.Request) {
	var note struct{ Text string }
	if err := json.NewDecoder(r.Body).Decode(&note); err != nil {
		http.Error(w, "the body is not a note", http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	user := guard.CallerFrom(r.Context()).Subject
	n.of[user] = append(n.of[user], note.Text)
	w.WriteHeader(http.StatusNoContent)
}

func (n *notebook) clear(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.of, guard.CallerFrom(r.Context()).Subject)
	w.WriteHeader(http.StatusNoContent)
}
