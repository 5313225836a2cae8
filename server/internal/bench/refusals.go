//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sesame/server/internal/network"
	hashes "sesame/server/internal/password"
)

// refusal is one reason for which a request is refused. How long the answer takes must not tell which.
type refusal struct {
	name   string
	status int
	make   func(p *process, i int) request // of the i-th try, which is for a name of its own
	took   []time.Duration
}

// group is what must be answered alike.
type group struct {
	title string
	kinds []*refusal
}

// importedCost is the work factor of imported bcrypt hashes: one takes about four times as long as one of Sesame's.
const importedCost = 11

// measureRefusals times requests that must not tell who has an account. Each try is for another name and from another
// address, so that none is throttled; the kinds take turns in any order.
func (b *bench) measureRefusals(f *figures) error {
	old, err := bcrypt.GenerateFromPassword([]byte(password), importedCost)
	if err != nil {
		return err
	}
	hasher, err := hashes.New(hashes.Argon2id, nil)
	if err != nil {
		return err
	}
	own, err := hasher.Hash(b.ctx, network.Network{}, password)
	if err != nil {
		return err
	}
	for _, set := range refusals(own, string(old)) {
		server, err := b.server(b.program, b.sqlite(set.name)) // which creates the database
		if err != nil {
			return err
		}
		if err = b.users(b.program, b.sqlite(set.name), accounts(b.tries, set.hash)); err != nil {
			return err
		}
		for _, g := range set.groups {
			if err = g.measure(server, b.tries); err != nil {
				return err
			}
			f.groups = append(f.groups, g)
		}
		server.stop()
	}
	return nil
}

// accounts are the lines of an import: for each try an account, a disabled one and one without a password.
func accounts(tries int, hash func(i int) string) string {
	var lines strings.Builder
	for i := range tries {
		hash := hash(i)
		fmt.Fprintf(&lines, `{"username":"own-%d","email":"own-%[1]d@example.org","email_verified":true,"password_hash":%[2]q}`+"\n", i, hash)
		fmt.Fprintf(&lines, `{"username":"off-%d","email":"off-%[1]d@example.org","email_verified":true,"password_hash":%[2]q,"disabled":true}`+"\n", i, hash)
		fmt.Fprintf(&lines, `{"username":"none-%d"}`+"\n", i)
	}
	return lines.String()
}

// refusals are what is measured, each set on a server of its own, with the hashes of its accounts.
func refusals(own, old string) []refusalSet {
	login := func(name, password string) func(*process, int) request {
		return func(p *process, i int) request { return p.login(fmt.Sprintf("%s-%d", name, i), password) }
	}
	reset := func(name string) func(*process, int) request {
		return func(p *process, i int) request {
			return p.json("/password-resets", fmt.Sprintf(`{"email":"%s-%d@example.org"}`, name, i))
		}
	}
	wrong, unknown := login("own", "not the password"), login("nobody", password)
	return []refusalSet{
		{"own", func(int) string { return own }, []*group{
			{"a login refused for", []*refusal{
				{"wrong password", 400, wrong, nil},
				{"unknown user", 400, unknown, nil},
				{"disabled account", 400, login("off", password), nil},
				{"account without password", 400, login("none", password), nil},
			}},
			{"a reset requested for", []*refusal{
				{"confirmed address", 202, reset("own"), nil},
				{"unknown address", 202, reset("nobody"), nil},
				{"disabled account", 202, reset("off"), nil},
			}},
		}},
		{"imported", func(int) string { return old }, []*group{
			{"a login refused where all hashes are imported, for", []*refusal{{"wrong password", 400, wrong, nil}, {"unknown user", 400, unknown, nil}}},
		}},
		{"mixed", func(i int) string { return []string{own, old}[i%2] }, []*group{
			{"a login refused where half of the hashes are imported, for", []*refusal{{"wrong password", 400, wrong, nil}, {"unknown user", 400, unknown, nil}}},
		}},
	}
}

// refusalSet is what is measured on one server.
type refusalSet struct {
	name   string
	hash   func(i int) string // of the account of the i-th try
	groups []*group
}

func (g *group) measure(p *process, tries int) error {
	for i := range tries {
		for _, n := range rand.Perm(len(g.kinds)) {
			k, began := g.kinds[n], time.Now()
			status, body, err := send(http.DefaultClient, k.make(p, i), fmt.Sprintf("10.%d.%d.1", n, i))
			if k.took = append(k.took, time.Since(began)); err != nil || status != k.status {
				return fmt.Errorf("%s: status %d, %w\n%s", k.name, status, err, body)
			}
		}
	}
	for _, k := range g.kinds {
		slices.Sort(k.took)
	}
	return nil
}

// mixed says that the tries of a kind are of two sorts, so that their median says nothing.
func (g *group) mixed() bool { return strings.Contains(g.title, "half") }

// slow is the share of tries that took more than twice as long as the quickest tenth.
func (k *refusal) slow() float64 {
	n, _ := slices.BinarySearch(k.took, 2*percentile(k.took, 0.1))
	return float64(len(k.took)-n) / float64(len(k.took))
}

// apart is how far the kinds are apart: their medians, as a share of the lowest; or the shares of slow tries.
func (g *group) apart() float64 {
	var values []float64
	for _, k := range g.kinds {
		if g.mixed() {
			values = append(values, k.slow())
		} else {
			values = append(values, float64(percentile(k.took, 0.5)))
		}
	}
	low, high := slices.Min(values), slices.Max(values)
	if g.mixed() {
		return high - low
	}
	return (high - low) / low
}
