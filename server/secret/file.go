package secret

import (
	"io/fs"
	"runtime"
)

// others is the permissions of users who are neither the owner of a file nor in its group.
const others fs.FileMode = 0o007

// OpenToOthers reports whether every user of the machine has access to a file. The group may have access, since Kubernetes
// (fsGroup) and Docker mount secrets with mode 0440. Windows has no such permissions; there it is always false.
func OpenToOthers(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&others != 0
}
