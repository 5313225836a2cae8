//go:build !linux

package postgrestest

import (
	"os"
	"syscall"
)

// account is who runs PostgreSQL: only ourselves, for other systems have neither the parent-death
// signal nor, all of them, a way to start a child as somebody else. As root, PostgreSQL says so.
type account struct{}

func unprivileged() (account, error)             { return account{}, nil }
func (account) attributes() *syscall.SysProcAttr { return nil }
func (account) own(string) error                 { return nil }
func (account) reaches(string) bool              { return true }

// lock locks nothing, so nobody's directory is taken for abandoned.
func lock(*os.File) bool { return false }
