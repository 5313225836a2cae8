package secret

import (
	"io/fs"
	"runtime"
)

// others are the permission bits of users who are neither the owner of a file nor in its group.
const others fs.FileMode = 0o007

// OpenToOthers reports whether every user of the machine has access to a file that holds secrets. The
// group may have access: Kubernetes (fsGroup) and Docker mount secrets with mode 0440. Windows has no
// such bits; there it is always false.
func OpenToOthers(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&others != 0
}
