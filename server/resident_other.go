//go:build !linux

package main

// dropStartPages has an effect on Linux only.
func dropStartPages() {}
