//go:build !unix

package store

import "net"

// hasNews is for systems with a peek that does not wait.
func hasNews(net.Conn) bool { return false }
