package app

import "runtime/debug"

// VersionName is the version of the program, for people.
func (a *App) VersionName() string {
	if a.Version != "" {
		return a.Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown version"
	}
	return info.Main.Path + " " + info.Main.Version
}
