package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"sesame/server/secret"
)

// Variable is the variable of a flag: SESAME_PUBLIC_URL for public-url.
func Variable(flag string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// TestPrefix begins the variables of this repository's own tests. The program ignores them.
const TestPrefix = Prefix + "TEST_"

// CheckNames returns an error for each variable of an environment ("NAME=value") that has the prefix of the
// settings and is not one of known, so that a misspelled setting is not ignored.
func CheckNames(environ, known []string) []error {
	var names []string
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, Prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var f []error
	for _, name := range slices.Compact(names) {
		if slices.Contains(known, name) || strings.HasPrefix(name, TestPrefix) || fromKubernetes(name, names) {
			continue
		}
		text := name + " is not a setting; sesame --help lists them"
		if near := nearest(name, known); near != "" {
			text = fmt.Sprintf("%s is not a setting; did you mean %s?", name, near)
		}
		f = append(f, fmt.Errorf("%s", text))
	}
	return f
}

// fromKubernetes reports whether Kubernetes has set a variable: it describes each Service of the namespace to
// each container, and one called sesame, or sesame-db, has the prefix of our settings.
func fromKubernetes(name string, names []string) bool {
	for _, other := range names {
		service, ok := strings.CutSuffix(other, "_SERVICE_HOST")
		if !ok {
			continue
		}
		rest, ok := strings.CutPrefix(name, service+"_")
		if ok && (rest == "SERVICE_HOST" || rest == "SERVICE_PORT" || rest == "PORT" ||
			strings.HasPrefix(rest, "SERVICE_PORT_") || strings.HasPrefix(rest, "PORT_")) {
			return true
		}
	}
	return false
}

// nearest returns the name that begins like a given one, or that the fewest typing errors turn into it; "" if
// that is too many.
func nearest(name string, known []string) (near string) {
	for _, candidate := range known {
		if name != Prefix && strings.HasPrefix(candidate, name+"_") {
			return candidate
		}
	}
	fewest := len(strings.TrimPrefix(name, Prefix))/3 + 1
	for _, candidate := range known {
		if n := distance(name, candidate); n <= fewest && (near == "" || n < fewest) {
			near, fewest = candidate, n
		}
	}
	return near
}

// distance is the number of characters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// CheckText returns an error for a value with what belongs to the file or the command that sets it: quotes,
// which docker --env-file and systemd's shell-like files do not all remove, or a line break. It does not
// quote the value, which may be a secret.
func CheckText(name, value string) error {
	switch {
	case name == Prefix+"MAIL_FROM": // a name may have quotes
		return nil
	case strings.Contains(value, `"`) || strings.HasPrefix(value, "'") || strings.HasSuffix(value, "'"):
		return fmt.Errorf("%s has quotes in its value; leave them out, they are not removed here", name)
	case name == Prefix+"MASTER_KEY": // read from files, which end with a line break
		return nil
	case strings.TrimSpace(value) != value || strings.ContainsFunc(value, isControl):
		return fmt.Errorf("%s has white space at an end of its value, or a control character in it", name)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// FromEnv reads the settings from variables in the form of os.Environ, as the command line does: unknown variables with
// the prefix and values that cannot be used are errors, all in one.
func FromEnv(environ []string) (Settings, error) {
	var s Settings
	values := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	var flags []*kong.Flag
	parser, err := kong.New(&s, kong.NoDefaultHelp(), kong.Resolvers(Resolver(func(name string) string { return values[name] }, &flags)))
	if err != nil {
		return s, err
	}
	flags = parser.Model.Flags
	if _, err = parser.Parse(nil); err != nil {
		return s, err
	}
	return s, errors.Join(CheckVariables(environ, flags), s.Check())
}

// Resolver reads the flags of settings from variables: --public-url from SESAME_PUBLIC_URL.
func Resolver(getenv func(string) string, settings *[]*kong.Flag) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if value := getenv(Variable(flag.Name)); value != "" && slices.Contains(*settings, flag) {
			return value, nil
		}
		return nil, nil
	})
}

// CheckVariables finds variables with the prefix that are no settings, and characters in values that cannot be part
// of any.
func CheckVariables(environ []string, settings []*kong.Flag) error {
	known := make([]string, len(settings))
	var texts []error
	for i, flag := range settings {
		known[i] = Variable(flag.Name)
		switch value := flag.Target.Interface().(type) {
		case string:
			texts = append(texts, CheckText(known[i], value))
		case List:
			texts = append(texts, CheckText(known[i], string(value)))
		case secret.Text:
			texts = append(texts, CheckText(known[i], value.Reveal()))
		}
	}
	return errors.Join(append(CheckNames(environ, known), texts...)...)
}
