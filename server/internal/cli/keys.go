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
	return p.printKeys(c.JSON, keySet{accessTokens, a.Keys}, keySet{idTokens, a.IDKeys})
}

type keysRotateCommand struct {
	Now      bool `help:"Sign with the new key at once. Services that cache the key set may refuse its tokens for five minutes."`
	Revoke   bool `help:"With --now: delete all other keys. Every access token signed so far is refused; sessions stay, and a refresh returns a valid token."`
	IDTokens bool `name:"id-tokens" help:"Rotate the keys of ID tokens, in place of those of access tokens."`
	JSON     bool `help:"Print the keys as JSON."`
}

// Run replaces a signing key, or publishes its successor.
func (c *keysRotateCommand) Run(p *program) error {
	if c.Revoke && !c.Now {
		return usagef("--revoke deletes the key that signs; give --now as well\nexample: sesame keys rotate --now --revoke")
	}
	a, err := app.Open(p.ctx, p.options())
	if err != nil {
		return err
	}
	defer a.Close()
	k := keySet{accessTokens, a.Keys}
	if c.IDTokens {
		k = keySet{idTokens, a.IDKeys}
	}
	switch {
	case c.Revoke:
		err = k.Revoke(p.ctx)
	case c.Now:
		err = k.RotateNow(p.ctx)
	default:
		err = k.Rotate(p.ctx)
	}
	if err != nil {
		return err
	}
	return p.printKeys(c.JSON, k)
}

// listedKey is a signing key as JSON.
type listedKey struct {
	ID        string     `json:"kid"`
	Signs     string     `json:"signs"` // accessTokens or idTokens
	Alg       string     `json:"alg"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	SignsFrom time.Time  `json:"signs_from"`
	RetiresAt *time.Time `json:"retires_at"` // when it stops signing; null if that is not planned
	RemovedAt *time.Time `json:"removed_at"` // when tokens that it signed are refused; null if that is not known
}

// keySet are the keys that sign tokens of one kind.
type keySet struct {
	signs string
	*keys.Keys
}

const (
	accessTokens = "access_tokens"
	idTokens     = "id_tokens"
)

func (p *program) printKeys(asJSON bool, sets ...keySet) error {
	list := p.newListing(asJSON, "KID", "SIGNS", "ALG", "STATE", "CREATED AT", "SIGNS FROM", "RETIRES AT", "REMOVED AT")
	for _, set := range sets {
		for _, row := range set.List() {
			k := listedKey{ID: row.ID, Signs: set.signs, Alg: row.Alg, State: row.State, CreatedAt: row.CreatedAt, SignsFrom: row.SignsFrom}
			if row.State == store.KeyRetired {
				k.RetiresAt, k.RemovedAt = &row.RetiredAt, &row.RemovedAt
			} else if at := set.RetiresAt(row); !at.IsZero() {
				k.RetiresAt = &at
			}
			err := list.add(k, k.ID, k.Signs, k.Alg, k.State, moment(&k.CreatedAt), moment(&k.SignsFrom), moment(k.RetiresAt), moment(k.RemovedAt))
			if err != nil {
				return err
			}
		}
	}
	return list.end("")
}
