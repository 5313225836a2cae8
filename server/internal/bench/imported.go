package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"sesame/server/internal/network"
	hashes "sesame/server/internal/password"
)

// importedCost is the work factor of imported bcrypt hashes: one takes about four times as long as one of ours.
const importedCost = 11

// measureImported times refused logins after an import: of one account and of one unknown name where all hashes are of
// bcrypt, and of as many of each as there are tries where half of the hashes are.
func (b *built) measureImported(ctx context.Context, p plan, e *enumeration) (err error) {
	if e.imported, err = b.refuseImported(ctx, p, "imported", 1, func(int) bool { return true }); err != nil {
		return err
	}
	e.mixed, err = b.refuseImported(ctx, p, "mixed", p.refusals, func(i int) bool { return i%2 == 0 })
	return err
}

// refuseImported imports an account for each try, and refuses logins of the first so many accounts, and of as many names
// that nobody has.
func (b *built) refuseImported(ctx context.Context, p plan, name string, names int, foreign func(i int) bool) ([]*alike, error) {
	databaseURL := "sqlite:" + filepath.Join(b.dir, name+".db")
	server, err := b.startServer(ctx, name, databaseURL) // which makes the database
	if err != nil {
		return nil, err
	}
	defer server.stop()
	if err := b.importHashes(ctx, databaseURL, p.refusals, foreign); err != nil {
		return nil, err
	}
	wrong, unknown := &alike{name: "wrong password", status: 400}, &alike{name: "unknown user", status: 400}
	refused := func(username string) []byte {
		return postForm(server.address, url.Values{"grant_type": {"password"}, "username": {username}, "password": {"not the password"}})
	}
	ways := []*alike{wrong, unknown}
	return ways, inTurn(ctx, server, databaseURL, p.refusals, ways, func(i int) {
		wrong.request = refused(fmt.Sprintf("imported-%d", i%names))
		unknown.request = refused(fmt.Sprintf("nobody-%d", i%names))
	})
}

// importHashes makes so many accounts by sesame user import.
func (b *built) importHashes(ctx context.Context, databaseURL string, accounts int, foreign func(i int) bool) error {
	old, err := bcrypt.GenerateFromPassword([]byte(password), importedCost)
	if err != nil {
		return fmt.Errorf("make a hash: %w", err)
	}
	hasher, err := hashes.New(hashes.Argon2id, nil)
	if err != nil {
		return err
	}
	own, err := hasher.Hash(ctx, network.Network{}, password)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for i := range accounts {
		hash := own
		if foreign(i) {
			hash = string(old)
		}
		fmt.Fprintf(&lines, `{"username":"imported-%d","password_hash":"%s"}`+"\n", i, hash)
	}
	cmd := exec.CommandContext(ctx, b.binary, "user", "import", "-")
	cmd.Env = []string{"SESAME_DATABASE_URL=" + databaseURL, "SESAME_MASTER_KEY=" + b.masterKey}
	cmd.Stdin = strings.NewReader(lines.String())
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sesame user import: %w", err)
	}
	return nil
}

// slowShare is the share of tries that took more than twice as long as the quickest tenth: those that met a foreign hash,
// where half of the hashes are foreign.
func slowShare(way *alike) float64 {
	sorted := slices.Sorted(slices.Values(way.took))
	limit, slow := 2*sorted[len(sorted)/10], 0
	for _, took := range sorted {
		if took > limit {
			slow++
		}
	}
	return float64(slow) / float64(len(sorted))
}

// mixedTable shows what somebody learns who asks for many names.
func mixedTable(ways []*alike) string {
	rows := [][]string{{"a login refused where half of the hashes are imported, for", "names", "slow"}}
	for _, way := range ways {
		rows = append(rows, []string{way.name, fmt.Sprint(len(way.took)), fmt.Sprintf("%.0f %%", 100*slowShare(way))})
	}
	return table(rows)
}
