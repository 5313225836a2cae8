package keys

import (
	"context"
	"time"

	"sesame/server/internal/store"
)

// Info is what anybody may know of a key.
type Info struct {
	ID        string     `json:"kid"`
	Signs     string     `json:"signs"` // AccessTokens or IDTokens
	Alg       string     `json:"alg"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	SignsFrom time.Time  `json:"signs_from"`
	RetiresAt *time.Time `json:"retires_at"` // when it stops signing; nil if that is not planned
	RemovedAt *time.Time `json:"removed_at"` // when tokens that it signed are refused; nil if that is not known
}

// The values of Info.Signs.
const (
	AccessTokens = "access_tokens"
	IDTokens     = "id_tokens"
)

// Infos reads the keys, and returns what anybody may know of them, the signing key first.
func (k *Keys) Infos(ctx context.Context) ([]Info, error) {
	last, err := k.read(ctx, 0)
	if err != nil {
		return nil, err
	}
	signs := AccessTokens
	if k.stored().IsForIDTokens() {
		signs = IDTokens
	}
	infos := make([]Info, len(last.rows))
	for i, row := range last.rows {
		infos[i] = Info{ID: row.ID, Signs: signs, Alg: row.Alg, State: row.State, CreatedAt: row.CreatedAt, SignsFrom: row.SignsFrom}
		if row.State == store.KeyRetired {
			infos[i].RetiresAt, infos[i].RemovedAt = &row.RetiredAt, &row.RemovedAt
		} else if at := k.retiresAt(last.rows, row); !at.IsZero() {
			infos[i].RetiresAt = &at
		}
	}
	return infos, nil
}

// Removal returns when the next retired key is removed; the zero time if there is none. Until then Rotate may fail with ErrTooMany.
func (k *Keys) Removal() (at time.Time) {
	for _, row := range k.List() {
		if row.State == store.KeyRetired && (at.IsZero() || row.RemovedAt.Before(at)) {
			at = row.RemovedAt
		}
	}
	return at
}

// retiresAt returns when a key stops signing; the zero time where that is not planned.
func (k *Keys) retiresAt(rows []store.SigningKey, row store.SigningKey) time.Time {
	if next := published(rows); next != nil && row.State == store.KeySigning {
		return next.SignsFrom
	}
	if k.Rotation == 0 {
		return time.Time{}
	}
	return row.SignsFrom.Add(k.Rotation)
}
