// Command build bundles the sources of the administrator's page, server/internal/admin/src, into dist. `make admin` runs it from the
// root of the repository. The same sources and the same node_modules give the same bytes, which `make check` compares.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// notice is the notice of the licenses of what the bundle holds beside our own code.
const notice = "/*! Preact, (c) Jason Miller and contributors; openapi-fetch, (c) Drew Powers. Both under the MIT license, which permits use, " +
	"copying and modification without warranty, with this notice. */"

func main() {
	folder, err := filepath.Abs("server/internal/admin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: folder, EntryPoints: []string{"src/app.tsx", "src/app.css"}, Outdir: "dist", Write: true,
		Bundle: true, Format: api.FormatESModule, Platform: api.PlatformBrowser, Target: api.ES2022, Charset: api.CharsetUTF8,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, TreeShaking: api.TreeShakingTrue,
		JSX: api.JSXAutomatic, JSXImportSource: "preact", LegalComments: api.LegalCommentsNone,
		Banner: map[string]string{"js": notice}, LogLevel: api.LogLevelWarning,
	})
	if len(result.Errors) > 0 {
		os.Exit(1)
	}
}
