package cli

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// release is the version of a package or an image, without a v: .make/program sets it with -ldflags. The version control stamp has no
// version unless the commit has a tag.
var release string

// version is the line of --version. The commit comes from the version control stamp of `go build`; go run and -buildvcs=false make
// none.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "sesame, unknown commit"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	stamp := map[string]string{}
	for _, setting := range info.Settings {
		stamp[setting.Key] = setting.Value
	}
	name := "sesame"
	if release != "" {
		name += " v" + release
	} else if v := info.Main.Version; v != "" && v != "(devel)" && !strings.HasPrefix(v, "v0.0.0-") { // a release
		name += " " + v
	}
	commit := "unknown commit"
	if stamp["vcs.revision"] != "" {
		day, _, _ := strings.Cut(stamp["vcs.time"], "T")
		commit = fmt.Sprintf("commit %.12s of %s", stamp["vcs.revision"], day)
		if stamp["vcs.modified"] == "true" {
			commit += " with changes"
		}
	}
	return fmt.Sprintf("%s, %s, %s", name, commit, info.GoVersion)
}
