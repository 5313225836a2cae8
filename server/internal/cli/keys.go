package cli

import (
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/keys"
	"sesame/server/internal/store"
)

type keysListCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the signing keys.
func (c *keysListCommand) Run(p *program) error {
	a, err := app.Open(p.ctx, p.options())
	if err != nil {
		return err
	}
	defer a.Close()
	return p.printKeys(a.Keys, c.JSON)
}

type keysRotateCommand struct {
	Now    bool `help:"Sign with the new key at once. Services that cache the key set may refuse its tokens for five minutes."`
	Revoke bool `help:"With --now: delete all other keys. Every access token signed so far is refused; sessions stay, and a refresh returns a valid token."`
	JSON   bool `help:"Print the keys as JSON."`
}

// Run replaces the signing key, or publishes its successor.
func (c *keysRotateCommand) Run(p *program) error {
	if c.Revoke && !c.Now {
		return usagef("--revoke deletes the key that signs; give --now as well\nexample: sesame keys rotate --now --revoke")
	}
	a, err := app.Open(p.ctx, p.options())
	if err != nil {
		return err
	}
	defer a.Close()
	switch {
	case c.Revoke:
		err = a.Keys.Revoke(p.ctx)
	case c.Now:
		err = a.Keys.RotateNow(p.ctx)
	default:
		err = a.Keys.Rotate(p.ctx)
	}
	if err != nil {
		return err
	}
	return p.printKeys(a.Keys, c.JSON)
}

// listedKey is a signing key as JSON.
type listedKey struct {
	ID        string     `json:"kid"`
	Alg       string     `json:"alg"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	SignsFrom time.Time  `json:"signs_from"`
	RetiresAt *time.Time `json:"retires_at"` // when it stops signing; null if that is not planned
	RemovedAt *time.Time `json:"removed_at"` // when tokens that it signed are refused; null if that is not known
}

func (p *program) printKeys(k *keys.Keys, asJSON bool) error {
	rows := k.List()
	listed := make([]listedKey, len(rows))
	for i, row := range rows {
		listed[i] = listedKey{ID: row.ID, Alg: row.Alg, State: row.State, CreatedAt: row.CreatedAt, SignsFrom: row.SignsFrom}
		if row.State == store.KeyRetired {
			listed[i].RetiresAt, listed[i].RemovedAt = &row.RetiredAt, &row.RemovedAt
		} else if at := k.RetiresAt(row); !at.IsZero() {
			listed[i].RetiresAt = &at
		}
	}
	list := p.newListing(asJSON, "KID", "ALG", "STATE", "CREATED AT", "SIGNS FROM", "RETIRES AT", "REMOVED AT")
	for _, k := range listed {
		err := list.add(k, k.ID, k.Alg, k.State, moment(&k.CreatedAt), moment(&k.SignsFrom), moment(k.RetiresAt), moment(k.RemovedAt))
		if err != nil {
			return err
		}
	}
	return list.end("")
}
