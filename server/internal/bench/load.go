//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	connections = 16
	password    = "a wooden horse"
)

// request is a request with a body, which is a form or JSON.
type request struct{ method, url, token, contentType, body, cookie string }

// send sends a request from an address, "" for the real one, by way of the trusted proxy that this program is.
func send(c *http.Client, r request, from string) (status int, body []byte, err error) {
	q, err := http.NewRequest(r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return 0, nil, err
	}
	for name, value := range map[string]string{"Content-Type": r.contentType, "X-Forwarded-For": from, "Cookie": r.cookie} {
		if value != "" {
			q.Header.Set(name, value)
		}
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := c.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSeeOther { // where it leads to is the answer
		return http.StatusOK, []byte(response.Header.Get("Location")), nil
	}
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func (p *process) form(path string, pairs ...string) request {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return request{"POST", p.url + path, "", "application/x-www-form-urlencoded", values.Encode(), ""}
}

func (p *process) login(name, password string) request {
	return p.form("/token", "grant_type", "password", "username", name, "password", password)
}

func (p *process) refresh(token string) request {
	return p.form("/token", "grant_type", "refresh_token", "refresh_token", token)
}

func (p *process) me(token string) request {
	return request{"GET", p.url + "/users/me", token, "", "", ""}
}

func (p *process) json(path, body string) request {
	return request{"POST", p.url + path, "", "application/json", body, ""}
}

func (p *process) register(name string) request {
	return p.json("/users", fmt.Sprintf(`{"username":%q,"password":%q,"email":"%s@example.com","full_name":"Ann Example"}`, name, password, name))
}

// tokens are what POST /token answers.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200, MaxConnsPerHost: 0}, Timeout: 60 * time.Second, CheckRedirect: noRedirects}
}

// want sends a request and fails unless the answer has a status.
func want(status int, r request) ([]byte, error) {
	got, body, err := send(http.DefaultClient, r, "")
	if err == nil && got != status {
		err = fmt.Errorf("%s %s: %d, want %d\n%s", r.method, r.url, got, status, body)
	}
	return body, err
}

// account registers a person and logs in.
func (p *process) account(name string) (t tokens, err error) {
	if _, err = want(201, p.register(name)); err != nil {
		return t, err
	}
	body, err := want(200, p.login(name, password))
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(body, &t)
}

// work makes one connection's requests: the first of a round for nil, and the next one after each answer.
type work func(answer []byte) request

// round is what a case did in one of its turns.
type round struct {
	took    []time.Duration // of each request, sorted
	cpu     time.Duration   // of the server
	elapsed time.Duration
	failed  int // answers that are neither 200, 201 nor 202
	refused int // of those, 429 and 503
	body    []byte
}

// run sends the requests of all connections at once for a while, each when the last one is answered.
func (p *process) run(c *http.Client, connections []work, from func(i int) string, duration time.Duration) (r round, err error) {
	before, began := p.cpu(), time.Now()
	var mu sync.Mutex
	var group sync.WaitGroup
	for i, next := range connections {
		group.Go(func() {
			var took []time.Duration
			var failed, refused int
			var answer []byte
			for r := next(nil); time.Since(began) < duration; r = next(answer) {
				sent := time.Now()
				status, body, sendErr := send(c, r, from(i))
				if took = append(took, time.Since(sent)); sendErr != nil {
					mu.Lock()
					err = sendErr
					mu.Unlock()
					return
				}
				if answer = body; status > 202 {
					failed++
				}
				if status == 429 || status == 503 {
					refused++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			r.took, r.failed, r.refused, r.body = append(r.took, took...), r.failed+failed, r.refused+refused, answer
		})
	}
	group.Wait()
	r.cpu, r.elapsed = p.cpu()-before, time.Since(began)
	slices.Sort(r.took)
	return r, err
}

func fromHere(int) string { return "" }

// each makes the work of every connection.
func each(n int, f func(i int) work) []work {
	all := make([]work, n)
	for i := range all {
		all[i] = f(i)
	}
	return all
}

// same is a connection that sends one request again and again.
func same(r request) work { return func([]byte) request { return r } }

// refreshing is a connection that sends each refresh token that it gets.
func (p *process) refreshing(t tokens) work {
	return func(answer []byte) request {
		if answer != nil {
			_ = json.Unmarshal(answer, &t) // a failure is counted by its status
		}
		return p.refresh(t.Refresh)
	}
}

func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(share*float64(len(sorted)-1))]
}
