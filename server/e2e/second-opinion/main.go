// This program validates recorded requests and answers with libopenapi-validator, a second opinion on what kin-openapi
// accepts in the tests over HTTP. Its arguments are the contract and the file that the tests recorded.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"os"
	"sort"
	"strings"

	"github.com/dlclark/regexp2/v2"
	"github.com/pb33f/jsonschema/v6"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
)

// exchange is a line of the file: a request of an operation, and its answer.
type exchange struct {
	ID      string // of the operation
	Method  string
	Path    string
	Type    string  // Content-Type of the request
	Request *string // its body, unless it is not known
	Status  int
	Header  http.Header
	Body    string
}

// fault is what the validator finds in exchanges of one kind.
type fault struct {
	count   int
	example exchange
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(contract, recorded string) error {
	text, err := os.ReadFile(contract)
	if err != nil {
		return err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return err
	}
	judge, errs := validator.NewValidator(document, config.WithoutSecurityValidation(), // tokens are not recorded
		config.WithRegexEngine(compile), config.WithFormatAssertions(), config.WithCustomFormat("email", email))
	if len(errs) > 0 {
		return errs[0]
	}
	faults := map[string]*fault{}
	note := func(key string, e exchange) {
		if faults[key] == nil {
			faults[key] = &fault{example: e}
		}
		faults[key].count++
	}
	if _, errs := judge.ValidateDocument(); len(errs) > 0 {
		for _, e := range errs {
			note("the contract: "+describe(e), exchange{})
		}
	}
	seen, err := judgeAll(judge, recorded, note)
	if err != nil {
		return err
	}
	if err = json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		return err
	}
	return summary(faults)
}

// compile reads a pattern as OpenAPI defines it, in the dialect of ECMAScript; the default is that of Go.
func compile(pattern string) (jsonschema.Regexp, error) {
	compiled, err := regexp2.Compile(pattern, regexp2.ECMAScript|regexp2.Unicode)
	return expression{compiled}, err
}

type expression struct{ *regexp2.Regexp }

func (e expression) MatchString(text string) bool {
	matches, err := e.Regexp.MatchString(text)
	return err == nil && matches
}

// email accepts letters of every script (RFC 6531), as Sesame does. The default accepts ASCII alone.
func email(value any) error {
	text, ok := value.(string)
	if !ok {
		return nil
	}
	address, err := mail.ParseAddress(text)
	if err == nil && address.Address != text {
		err = fmt.Errorf("%q is more than an address", text)
	}
	return err
}

// counts are the program's output.
type counts struct {
	Answers    int            `json:"answers"`
	Requests   int            `json:"requests"`   // that the server accepted
	Operations map[string]int `json:"operations"` // by id
}

// judgeAll validates every answer, and every request that the server accepted.
func judgeAll(judge validator.Validator, recorded string, note func(string, exchange)) (counts, error) {
	seen := counts{Operations: map[string]int{}}
	file, err := os.Open(recorded)
	if err != nil {
		return seen, err
	}
	defer file.Close()
	for lines := json.NewDecoder(bufio.NewReader(file)); ; {
		var e exchange
		if err = lines.Decode(&e); err == io.EOF {
			return seen, nil
		} else if err != nil {
			return seen, err
		}
		seen.Answers++
		seen.Operations[e.ID]++
		if e.ID == "exportEvents" && e.Status == http.StatusOK {
			continue // it is JSON lines, which the validator takes for one JSON document
		}
		if _, errs := judge.ValidateHttpResponse(e.request(), e.response()); len(errs) > 0 {
			for _, fault := range errs {
				note(fmt.Sprintf("%s %d: %s", e.ID, e.Status, describe(fault)), e)
			}
		}
		if e.Status >= 300 || e.Request == nil {
			continue
		}
		seen.Requests++
		if _, errs := judge.ValidateHttpRequestSync(e.request()); len(errs) > 0 {
			for _, fault := range errs {
				note(fmt.Sprintf("%s, accepted request: %s", e.ID, describe(fault)), e)
			}
		}
	}
}

func (e exchange) request() *http.Request {
	body := ""
	if e.Request != nil {
		body = *e.Request
	}
	request, err := http.NewRequest(e.Method, "http://sesame.example"+e.Path, strings.NewReader(body))
	if err != nil {
		panic(err) // it was sent
	}
	if e.Type != "" && (e.Request == nil || *e.Request != "") { // the type of a body that is not there says nothing
		request.Header.Set("Content-Type", e.Type)
	}
	return request
}

func (e exchange) response() *http.Response {
	return &http.Response{StatusCode: e.Status, Header: e.Header, Body: io.NopCloser(strings.NewReader(e.Body))}
}

func describe(e *errors.ValidationError) string {
	parts := []string{e.Message, e.Reason}
	for _, s := range e.SchemaValidationErrors {
		parts = append(parts, s.FieldPath+" "+s.Reason)
	}
	return strings.Join(parts, "; ")
}

func summary(faults map[string]*fault) error {
	if len(faults) == 0 {
		return nil
	}
	var keys []string
	for key := range faults {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(i, j int) bool { return faults[keys[i]].count > faults[keys[j]].count })
	for _, key := range keys {
		f := faults[key]
		example, _ := json.Marshal(f.example)
		fmt.Fprintf(os.Stderr, "%d times: %s\n\tfor example %.1500s\n", f.count, key, example)
	}
	return fmt.Errorf("%d kinds of faults", len(faults))
}
