package apitest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
)

// recordAnswers is a variable of the environment. It names a file to which the suite writes every answer that it compares
// with the contract, and the request, as lines of JSON: another validator judges them again (server/e2e/second-opinion).
const recordAnswers = "SESAME_TEST_RECORD"

// exchange is one line of that file.
type exchange struct {
	ID      string      `json:"id"` // of the operation
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Type    string      `json:"type,omitempty"`    // Content-Type of the request
	Request *string     `json:"request,omitempty"` // its body; absent if it is not known
	Status  int         `json:"status"`
	Header  http.Header `json:"header"`
	Body    string      `json:"body"`
}

// answerFile writes exchanges. It does nothing until it is opened.
type answerFile struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	err  error // the first
}

var recorded answerFile

func (r *answerFile) open(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	r.file, r.out = file, bufio.NewWriterSize(file, 1<<20)
	return nil
}

// add records an exchange. It leaves out those with an escaped path, which validators and routers match differently.
func (r *answerFile) add(e exchange) {
	if path, _, _ := strings.Cut(e.Path, "?"); r.file == nil || strings.Contains(path, "%") {
		return
	}
	line, err := json.Marshal(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

func (r *answerFile) close() error {
	if r.file == nil {
		return nil
	}
	for _, finish := range []func() error{r.out.Flush, r.file.Close} {
		if err := finish(); r.err == nil {
			r.err = err
		}
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", recordAnswers, r.err)
	}
	return nil
}
