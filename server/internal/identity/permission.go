package identity

import "sesame/server/internal/store"

// A Permission decides whether somebody may change an account, in the transaction that has locked it.
type Permission func(store.User) error

// Own is the permission to change one's own account.
func Own(store.User) error { return nil }

// Administering is the permission to change an account that a caller names by its id; see MayAdminister.
func (s *Service) Administering(by *Caller) Permission {
	return func(user store.User) error { return s.MayAdminister(by, user) }
}
