// Program server is an MCP server that Sesame's tokens protect. It keeps notes in memory.
//
//	go run . https://login.example.com https://notes.example.com/mcp
package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"sesame/server/guard"
)

//go:embed openapi.yaml
var openAPI []byte

func main() {
	issuer, audience := os.Args[1], os.Args[2]
	g, err := guard.New(context.Background(), guard.Options{
		OpenAPI: openAPI, Issuer: issuer,
		Audience: audience, // the URL of the server, which is one of SESAME_AUDIENCES
		Metadata: true,     // so that clients find Sesame
	})
	if err != nil {
		log.Fatal(err)
	}
	notes := &notebook{of: map[string][]string{}}
	tools := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		return notes.serverFor(guard.CallerFrom(r.Context()))
	}, &mcp.StreamableHTTPOptions{Stateless: true})

	mux := http.NewServeMux()
	mux.Handle("POST /mcp", tools)
	server := &http.Server{
		Addr: cmp.Or(os.Getenv("NOTES_LISTEN"), "127.0.0.1:8091"), Handler: g.Handler(mux), ReadHeaderTimeout: 5 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

// notebook has the notes of each person.
type notebook struct {
	mu sync.Mutex
	of map[string][]string
}

// serverFor makes the tools of one request, for the person whose token it has.
func (n *notebook) serverFor(caller *guard.Caller) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "0.1.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list_notes", Description: "List my notes"},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			return say(strings.Join(n.of[caller.Subject], ", ")), nil, nil
		})
	type note struct {
		Text string `json:"text" jsonschema:"what to keep"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "add_note", Description: "Keep a note"},
		func(_ context.Context, _ *mcp.CallToolRequest, note note) (*mcp.CallToolResult, any, error) {
			if !caller.HasScope("me:write") {
				return nil, nil, errors.New("the access token lacks the scope me:write")
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.of[caller.Subject] = append(n.of[caller.Subject], note.Text)
			return say("kept"), nil, nil
		})
	return server
}

func say(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}
