package apitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// completed are command lines, up to the cursor, with what the last word may become.
var completed = map[string][]string{
	"sesame us":                                   {"user"},
	"sesame user cr":                              {"create"},
	"sesame user s":                               {"show", "sessions", "set-password"},
	"sesame user --contract openapi.yaml s":       {"show", "sessions", "set-password"},
	"sesame user create ann --em":                 {"--email", "--email-verified"},
	"sesame user list --no":                       {"--no-disabled", "--no-email-verified", "--no-second-factor"},
	"sesame user list --database-u":               {"--database-url"}, // a setting
	"sesame --de":                                 {"--demo"},
	"sesame user create ann --scope us":           {"users:read", "users:write"},
	"sesame user grant ann users:w":               {"users:write"},
	"sesame user import users.csv --from fastapi": {"fastapi-template", "fastapi-users"},
	"sesame serve --log-format ":                  {"auto", "text", "json"},
	"sesame --docs off serve --log-level ":        {"debug", "info", "warn", "error"},
	"sesame help user se":                         {"sessions", "set-password"},
	"sesame help sett":                            {"settings"},
	"sesame completion ":                          {"bash", "zsh", "fish"},
	"sesame user show ":                           nil,
	"sesame keys ":                                {"list", "rotate"},
	"sesame nonsense m":                           {"migrate", "mock"},
	"sesame guard --up":                           {"--upstream"},
	"sesame guard --b":                            {"--base-path"},
}

// asSesame makes a folder with the program under the name sesame, for the PATH of a shell.
func asSesame(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asProgram, os.Args[0])
	if err := os.WriteFile(filepath.Join(folder, "sesame"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

// shell runs a script in a folder of its own that holds the file some-file. A shell that is not installed skips the test.
func shell(t *testing.T, path, script string, command ...string) string {
	t.Helper()
	name, err := exec.LookPath(command[0])
	if err != nil && os.Getenv("SESAME_TEST_REQUIRE_ALL") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	c := exec.CommandContext(t.Context(), name, append(command[1:], script)...)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "HOME="+c.Dir, "SESAME_NONSENSE=x") // which stops other commands
	if err = os.WriteFile(filepath.Join(c.Dir, "some-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// shells are the shells that have a completion: how to run a script, to load the completion and to print the candidates for a
// line. The candidates are compared with their descriptions removed.
var shells = map[string]struct {
	command    []string
	load, line string
	shown      func(candidate, line string) string // how the shell shows a candidate
}{
	"bash": {
		[]string{"bash", "--norc", "-c"},
		"source <(sesame completion bash)\n[[ $(complete -p sesame) == *_sesame* ]] || exit 1\n",
		`COMP_LINE=%s; COMP_POINT=${#COMP_LINE}; _sesame sesame; printf '%%s\n' "${COMPREPLY[@]}"`,
		func(candidate, line string) string {
			if candidate == "some-file" { // readline itself completes the names of files
				return ""
			}
			last := line[strings.LastIndexByte(line, ' ')+1:]
			return candidate[strings.LastIndexAny(last, ":=")+1:] // readline replaces only what follows these characters
		},
	},
	"zsh": {
		[]string{"zsh", "-f", "-c"},
		"compdef() { }\n_describe() { print -rl -- ${(P)2} }\n_files() { print -rl -- * }\nsource <(sesame completion zsh)\n",
		`line=%s; words=("${(@s/ /)line}"); CURRENT=$#words; _sesame`,
		func(candidate, _ string) string { return strings.ReplaceAll(candidate, ":", `\:`) },
	},
	"fish": {
		[]string{"fish", "--no-config", "-c"},
		"sesame completion fish | source\n", `complete -C %s`,
		func(candidate, _ string) string { return candidate },
	},
}

// descriptions are what a shell is told beside a candidate: after a tab, or after a colon that is not escaped.
var descriptions = map[string]*regexp.Regexp{"bash": regexp.MustCompile(`()$`), "zsh": regexp.MustCompile(`([^\\]):.*$`), "fish": regexp.MustCompile(`()\t.*$`)}

// The scripts of `sesame completion`, in the shells themselves.
func TestCompletion(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	path := asSesame(t)
	for name, sh := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := sh.load
			for line := range completed {
				script += fmt.Sprintf("echo '== %s'\n"+sh.line+"\n", line, "'"+line+"'")
			}
			parts := strings.Split(shell(t, path, script, sh.command...), "== ")[1:]
			if len(parts) != len(completed) {
				t.Fatalf("%d of %d lines were completed", len(parts), len(completed))
			}
			for _, part := range parts {
				line, printed, _ := strings.Cut(part, "\n")
				var got, want []string
				for candidate := range strings.Lines(printed) {
					if candidate = strings.TrimSpace(candidate); candidate != "" {
						got = append(got, descriptions[name].ReplaceAllString(candidate, "$1"))
					}
				}
				for _, candidate := range completed[line] {
					if candidate = sh.shown(candidate, line); candidate != "" {
						want = append(want, candidate)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%q becomes %q, want %q", line, got, want)
				}
			}
		})
	}
}
