package cli

import (
	"sesame/server/internal/app"
	"sesame/server/internal/keys"
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
	return p.printKeys(c.JSON, a.Keys, a.IDKeys)
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
	k := a.Keys
	if c.IDTokens {
		k = a.IDKeys
	}
	switch {
	case c.Revoke:
		err = k.Revoke(p.ctx)
	case c.Now:
		err = k.RotateNow(p.ctx)
	default:
		err = k.Rotate(p.ctx, nil)
	}
	if err != nil {
		return err
	}
	return p.printKeys(c.JSON, k)
}

func (p *program) printKeys(asJSON bool, sets ...*keys.Keys) error {
	list := p.newListing(asJSON, "KID", "SIGNS", "ALG", "STATE", "CREATED AT", "SIGNS FROM", "RETIRES AT", "REMOVED AT")
	for _, set := range sets {
		infos, err := set.Infos(p.ctx)
		if err != nil {
			return err
		}
		for _, k := range infos {
			err := list.add(k, k.ID, k.Signs, k.Alg, k.State, moment(&k.CreatedAt), moment(&k.SignsFrom), moment(k.RetiresAt), moment(k.RemovedAt))
			if err != nil {
				return err
			}
		}
	}
	return list.end("")
}
