package cli

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// dropStartPages gives back the pages of the program file that only its start has touched: parsing
// the contract and initialising libraries walks through most of them once, and they would count as
// resident for good. The kernel maps a page again from its cache when it is needed; nothing is
// lost, since the mappings are read-only. It is a courtesy, so whatever fails is let be.
func dropStartPages() {
	if !fixedAddress() {
		return
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil {
			continue
		}
		if strings.HasSuffix(lines.Text(), " "+self) && mode[1] == '-' {
			// Addresses of the kernel's, not of Go's heap: no pointer is made of them.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
		}
	}
}

// fixedAddress reports whether the program was linked to run at one address, as Go does unless told
// otherwise. In a position-independent one some read-only pages were written to by the loader, and
// dropping those would undo it.
func fixedAddress() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-buildmode" && s.Value == "exe"
	})
}
