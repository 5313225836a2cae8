//go:build !linux

package cli

// dropStartPages has an effect on Linux only.
func dropStartPages() {}
